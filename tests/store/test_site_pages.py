"""The frame of every page, and the site's own small pages."""

import re
from collections.abc import Callable

import pytest
from django.db import DatabaseError
from django.template.loader import render_to_string
from django.test import Client
from django.urls import get_resolver
from django.urls.resolvers import URLPattern, URLResolver

from accounts.models import User
from accounts.names import RESERVED
from store import health
from store.core.redirects import own_path

HTML = {"Accept": "text/html"}


def test_the_frame_is_complete(client: Client, db: None) -> None:
    page = client.get("/docs").content.decode()

    assert page.index('<a class="skip" href="#main">') < page.index("<header")
    assert '<main id="main"' in page
    assert 'action="/models" role="search"' in page
    for path in ("/models", "/publish", "/login", "/signup", "/docs", "/api/v1/docs", "/status"):
        assert f'href="{path}"' in page
    assert page.lstrip().startswith("<!DOCTYPE html>")
    assert '<html lang="en" data-theme="system">' in page


def test_the_frame_knows_who_is_signed_in(
    browser_of: Callable[[User], Client], alice: User, staff: User
) -> None:
    page = browser_of(alice).get("/docs").content.decode()

    assert 'href="/settings/tokens"' in page
    assert 'action="/logout"' in page
    assert 'href="/signup"' not in page
    assert 'href="/admin/"' not in page
    assert 'href="/admin/"' in browser_of(staff).get("/docs").content.decode()


@pytest.mark.parametrize("path", ["/docs", "/_components", "/login", "/status", "/avatars/a.svg"])
def test_every_page_has_its_policies(client: Client, db: None, path: str) -> None:
    headers = client.get(path, headers=HTML).headers

    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("theme", ["light", "dark", "system"])
def test_the_theme_is_remembered(client: Client, db: None, theme: str) -> None:
    response = client.post("/theme", {"theme": theme, "next": "/docs"})

    assert response["Location"] == "/docs"
    cookie = client.cookies["theme"]
    assert (cookie.value, cookie["samesite"], cookie["max-age"]) == (theme, "Lax", 365 * 86400)
    page = client.get("/docs").content.decode()
    assert f'data-theme="{theme}"' in page
    assert page.count('aria-pressed="true"') == 2


@pytest.mark.parametrize("theme", ["", "pink", '"><script>'])
def test_an_unknown_theme_is_refused(client: Client, db: None, theme: str) -> None:
    response = client.post("/theme", {"theme": theme}, headers=HTML)

    assert response.status_code == 400
    assert "theme" not in client.cookies


def test_a_forged_theme_cookie_means_nothing(client: Client, db: None) -> None:
    client.cookies["theme"] = '"><script>'

    assert '<html lang="en" data-theme="system">' in client.get("/docs").content.decode()


def test_forms_of_the_frame_lead_back_to_this_site_only(client: Client, db: None) -> None:
    theme = client.post("/theme", {"theme": "dark", "next": "//evil.example"})
    language = client.post("/language", {"language": "en", "next": "//evil.example"})

    assert (theme["Location"], language["Location"]) == ("/", "/")


def test_the_language_can_be_chosen(client: Client, db: None) -> None:
    response = client.post("/language", {"language": "zh-hans", "next": "/docs"})

    assert response["Location"] == "/docs"
    page = client.get("/docs").content.decode()
    assert '<html lang="zh-hans"' in page
    assert "用您已有的工具使用本站" in page


def test_the_browser_s_language_is_used_without_a_choice(client: Client, db: None) -> None:
    page = client.get("/docs", headers={"Accept-Language": "zh-CN,zh;q=0.9"}).content.decode()

    assert '<html lang="zh-hans"' in page


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("/a", "/a"),
        ("/a?b=//c", "/a?b=//c"),
        ("", "/x"),
        ("a", "/x"),
        ("//a", "/x"),
        ("/\\a", "/x"),
        ("/\ta", "/x"),
        ("/a b", "/x"),
        ("http://a/", "/x"),
        ("/\x7f/a", "/x"),
    ],
)
def test_paths_of_this_site(target: str, kept: str) -> None:
    assert own_path(target, otherwise="/x") == kept


def test_pictures_are_public_and_tell_nothing(client: Client, alice: User) -> None:
    known, unknown = client.get("/avatars/alice.svg"), client.get("/avatars/nobody.svg")

    assert known["Content-Type"] == unknown["Content-Type"] == "image/svg+xml"
    assert known["Cache-Control"] == "public, max-age=31536000, immutable"
    assert known.content != unknown.content
    assert known.content == client.get("/avatars/ALICE.svg").content
    assert not known.cookies


def test_pictures_need_no_database(client: Client) -> None:
    assert client.get("/avatars/alice.svg").status_code == 200


def test_small_files_for_robots(client: Client) -> None:
    robots, icon = client.get("/robots.txt"), client.get("/favicon.ico")

    assert "Disallow: /api/" in robots.content.decode()
    assert icon["Location"] == "/static/img/icon.svg"


@pytest.mark.parametrize(
    ("results", "status", "words"),
    [
        ({"database": "ok", "queue": "ok", "storage": "ok", "worker": "ok"}, 200, "Everything"),
        (
            {"database": "ok", "queue": "ok", "storage": "ok", "worker": "none <b>seen</b>"},
            503,
            "none &lt;b&gt;seen",
        ),
    ],
)
def test_the_status_page_says_what_is_missing(
    client: Client,
    db: None,
    monkeypatch: pytest.MonkeyPatch,
    results: dict[str, str],
    status: int,
    words: str,
) -> None:
    monkeypatch.setattr("store.site_pages.check_all", lambda: results)

    response = client.get("/status")

    assert response.status_code == status
    assert words in response.content.decode()
    assert response["Cache-Control"] == "no-store"


def test_programs_read_the_same_status(client: Client, db: None) -> None:
    assert client.get("/readyz").json()["checks"] == health.check_all()


def test_an_absent_page_offers_the_search(
    client: Client, browser_of: Callable[[User], Client], alice: User
) -> None:
    visitor = client.get("/ada/nothing", headers=HTML)
    person = browser_of(alice).get("/ada/nothing", headers=HTML)

    assert (visitor.status_code, person.status_code) == (404, 404)
    assert "/login?next=%2Fada%2Fnothing" in visitor.content.decode()
    assert 'id="error-search"' in person.content.decode()


def test_an_address_that_does_not_exist_has_the_sites_frame(client: Client, db: None) -> None:
    page = client.get("/no/such/page/at/all", headers=HTML)
    program, rest = client.get("/api/nope/x/y/z"), client.get("/api/v1/nope/x")

    assert page.status_code == program.status_code == rest.status_code == 404
    assert "There is nothing at this address." in page.content.decode()
    assert '<header class="masthead">' in page.content.decode()
    assert program.json()["error"] == "There is no /api/nope/x/y/z here."
    assert rest.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("/models/", "/models"),
        ("/models/?q=a/", "/models?q=a/"),
        ("/ada/some-model/", "/ada/some-model"),
        ("/admin", "/admin/"),
    ],
)
def test_a_slash_too_many_or_too_few_leads_on(
    client: Client, db: None, asked: str, meant: str
) -> None:
    answer = client.get(asked, headers=HTML)

    assert (answer.status_code, answer["Location"]) == (302, meant)


@pytest.mark.parametrize("path", ["//evil.test/", "/no/such/page/", "/"])
def test_no_slash_leads_off_the_site_or_nowhere(client: Client, db: None, path: str) -> None:
    answer = client.get(path, headers=HTML)

    assert "Location" not in answer


def test_forms_sent_to_no_page_are_refused_not_led_on(client: Client, db: None) -> None:
    assert client.post("/models/", headers=HTML).status_code == 404


def test_an_absent_page_is_told_without_a_database(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr("store.site_pages.error_page", fail)

    answer = client.get("/no/such/page/at/all", headers=HTML)

    assert answer.status_code == 404
    assert b"There is nothing at this address." in answer.content


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_last_resort_pages_need_no_context(status: int) -> None:
    page = render_to_string(f"{status}.html")

    assert re.search(r"<h1>\s*\S", page)
    assert 'href="/static/css/store.css"' in page
    assert 'class="button button--main"' in page


def first_words(patterns: list[URLPattern | URLResolver], prefix: str = "") -> set[str]:
    """The fixed first segments of all addresses."""
    found: set[str] = set()
    for item in patterns:
        route = prefix + str(item.pattern).removeprefix("^")
        if isinstance(item, URLResolver):
            found |= first_words(item.url_patterns, route)
        elif route and not route.startswith(("<", "(")):
            found.add(route.rstrip("$").split("/")[0].replace("\\", ""))
    return found


def test_nobody_can_be_called_like_a_page() -> None:
    words = first_words(get_resolver().url_patterns)

    assert {"login", "settings", "password-reset", "theme", "api"} <= words
    assert words <= RESERVED

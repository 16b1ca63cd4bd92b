"""Profile, e-mail address, leaving, activity; and who may open these pages."""

from collections.abc import Callable

import pytest
from django.core import mail
from django.db import connection
from django.test import Client

from accounts.models import AccessToken, AuditEvent, Membership, Namespace, User
from accounts.services.audit import record
from store.core.models import Job
from tests.factories import PASSWORD, make_org, make_repo

Browser = Callable[[User], Client]
HTML = {"Accept": "text/html"}
PAGES = (
    "/settings",
    "/settings/account",
    "/settings/tokens",
    "/settings/organizations",
    "/settings/activity",
    "/organizations/acme/settings",
)


@pytest.mark.parametrize("path", PAGES)
def test_visitors_are_led_to_the_sign_in_and_back(client: Client, db: None, path: str) -> None:
    response = client.get(f"{path}?a=b", headers=HTML)

    assert response.status_code == 302
    assert response["Location"] == f"/login?next={path.replace('/', '%2F')}%3Fa%3Db"
    assert client.get(path, headers={"Accept": "application/json"}).status_code == 401


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scope", ["read", "admin"])
def test_tokens_never_open_personal_pages(
    client: Client, alice: User, bearer: Callable[..., dict[str, str]], path: str, scope: str
) -> None:
    make_org("acme", alice="admin")
    headers = bearer(alice, scope) | HTML

    refused = client.get(path, headers=headers)
    posted = client.post(path, {"full_name": "Forged"}, headers=headers)

    assert (refused.status_code, posted.status_code) in {(403, 403), (403, 405)}
    alice.refresh_from_db()
    assert alice.full_name == ""


@pytest.mark.parametrize("path", PAGES)
def test_personal_pages_are_kept_nowhere(browser_of: Browser, alice: User, path: str) -> None:
    make_org("acme", alice="admin")

    response = browser_of(alice).get(path)

    assert response.status_code == 200
    assert {"private", "no-store"} <= set(response["Cache-Control"].split(", "))


def test_the_profile(browser_of: Browser, alice: User) -> None:
    new = {"full_name": "Alice A", "bio": "Hi\n<b>there</b>", "homepage": "a.example/x"}

    response = browser_of(alice).post("/settings", new)

    assert response["Location"] == "/settings"
    alice.refresh_from_db()
    assert (alice.full_name, alice.homepage) == ("Alice A", "https://a.example/x")
    event = AuditEvent.objects.get(action="user.profile")
    assert (event.actor, event.address) == (alice, "127.0.0.0")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("homepage", "javascript:alert(1)"),
        ("homepage", "ftp://a.example"),
        ("homepage", "data:text/html,x"),
        ("full_name", "Alice\u202eecilA"),
        ("full_name", "Al\x07ice"),
        ("full_name", "a" * 121),
        ("bio", "a" * 2001),
    ],
)
def test_a_refused_profile_changes_nothing(
    browser_of: Browser, alice: User, field: str, value: str
) -> None:
    good = {"full_name": "Other", "bio": "Other", "homepage": "https://other.example"}

    response = browser_of(alice).post("/settings", good | {field: value})

    assert response.status_code == 400
    assert list(response.context["form"].errors) == [field]
    alice.refresh_from_db()
    assert (alice.full_name, alice.bio, alice.homepage) == ("", "", "")


def test_the_address_changes_with_the_password_and_the_old_one_hears(
    browser_of: Browser, alice: User, run_jobs: Callable[[], list[Job]]
) -> None:
    form = {"form": "email", "email": "new@example.org", "password": PASSWORD}

    response = browser_of(alice).post("/settings/account", form)
    run_jobs()

    assert response["Location"] == "/settings/account"
    alice.refresh_from_db()
    assert alice.email == "new@example.org"
    assert [letter.to for letter in mail.outbox] == [["alice@example.org"]]
    assert mail.outbox[0].subject == "Your e-mail address was changed"


@pytest.mark.parametrize(
    ("email", "password", "field", "status"),
    [
        ("new@example.org", "wrong", "password", 403),
        ("BOB@example.org", PASSWORD, "email", 409),
        ("nonsense", PASSWORD, "email", 400),
        ("new@example.org\nBcc: x@example.org", PASSWORD, "email", 400),
    ],
)
def test_a_refused_address_changes_nothing(
    browser_of: Browser,
    alice: User,
    bob: User,
    email: str,
    password: str,
    field: str,
    status: int,
) -> None:
    form = {"form": "email", "email": email, "password": password}

    response = browser_of(alice).post("/settings/account", form)

    assert response.status_code == status
    assert list(response.context["forms"]["email"].errors) == [field]
    alice.refresh_from_db()
    assert alice.email == "alice@example.org"
    assert Job.objects.count() == 0


def test_the_same_address_again_is_no_change(browser_of: Browser, alice: User) -> None:
    form = {"form": "email", "email": "alice@example.org", "password": PASSWORD}

    response = browser_of(alice).post("/settings/account", form)

    assert response.status_code == 302
    assert not AuditEvent.objects.filter(action="user.email").exists()
    assert Job.objects.count() == 0


def test_an_unknown_form_does_nothing(browser_of: Browser, alice: User) -> None:
    response = browser_of(alice).post("/settings/account", {"form": "else"})

    assert response.status_code == 200
    assert not response.context["forms"]["email"].is_bound


def test_leaving_keeps_the_name_reserved(
    browser_of: Browser, alice: User, token_for: Callable[..., str]
) -> None:
    token_for(alice)
    client = browser_of(alice)
    form = {"form": "delete", "confirmation": "alice", "password": PASSWORD}

    response = client.post("/settings/account", form)

    assert response["Location"] == "/"
    assert not User.objects.filter(username="alice").exists()
    assert AccessToken.objects.count() == 0
    name = Namespace.objects.get(name="alice")
    assert name.owner is None
    event = AuditEvent.objects.get(action="user.delete")
    assert (event.actor, event.actor_name, event.namespace) == (None, "alice", name)
    assert client.get("/settings", headers=HTML).status_code == 302
    again = {"username": "Alice", "email": "other@example.org", "password": PASSWORD}
    assert Client().post("/signup", again).status_code == 409
    assert Client().get("/alice", headers=HTML).status_code == 404


@pytest.mark.parametrize(
    ("change", "obstacle", "words"),
    [
        ({"confirmation": "bob"}, "", "exactly as it is written"),
        ({"confirmation": "Alice"}, "", "exactly as it is written"),
        ({"password": "wrong"}, "", "The password is wrong."),
        ({}, "model", "There is still 1 model under alice."),
        ({}, "organization", "You are the only admin of acme."),
    ],
)
def test_a_refused_leaving_changes_nothing(
    browser_of: Browser, alice: User, bob: User, change: dict[str, str], obstacle: str, words: str
) -> None:
    if obstacle == "model":
        make_repo(alice)
    if obstacle == "organization":
        make_org("acme", alice="admin", bob="write")
        make_org("between", alice="admin", bob="admin")
    form = {"form": "delete", "confirmation": "alice", "password": PASSWORD}
    client = browser_of(alice)

    response = client.post("/settings/account", form | change)

    assert response.status_code in {400, 403, 409}
    assert words in response.content.decode().replace("&#x27;", "'")
    assert User.objects.filter(username="alice").exists()
    assert client.get("/settings").status_code == 200


def test_leaving_gives_up_memberships(browser_of: Browser, alice: User, bob: User) -> None:
    make_org("acme", alice="admin", bob="admin")
    repo = make_repo(bob, namespace="acme")
    form = {"form": "delete", "confirmation": "alice", "password": PASSWORD}

    response = browser_of(alice).post("/settings/account", form)

    assert response.status_code == 302
    assert [row.user for row in Membership.objects.all()] == [bob]
    repo.refresh_from_db()


def test_activity_shows_networks_not_addresses(browser_of: Browser, alice: User) -> None:
    record("token.create", actor=alice, subject="laptop", address="203.0.113.77")

    page = browser_of(alice).get("/settings/activity").content.decode()

    assert "203.0.113.0" in page
    assert "203.0.113.77" not in page
    assert "made the access token" in page
    assert "<b>laptop</b>" in page


def test_activity_is_about_oneself_and_what_one_runs(
    browser_of: Browser, alice: User, bob: User
) -> None:
    runs, reads = make_org("mine", alice="admin", bob="write"), make_org("reads", alice="read")
    record("x.run", actor=bob, subject="seen-1", namespace=runs.namespace)
    record("x.read", actor=bob, subject="other-1", namespace=reads.namespace)
    record("x.own", actor=bob, subject="other-2", namespace=bob.namespace)
    record("x.about", actor=None, subject="seen-2", namespace=alice.namespace)

    page = browser_of(alice).get("/settings/activity").content.decode()

    assert ("seen-1" in page, "seen-2" in page) == (True, True)
    assert "other-" not in page


def test_activity_goes_on_page_by_page(
    browser_of: Browser, alice: User, django_assert_max_num_queries: Callable[[int], object]
) -> None:
    for number in range(60):
        record("x.y", actor=alice, subject=f"event-{number:02}")
    client = browser_of(alice)

    with django_assert_max_num_queries(7):  # type: ignore[attr-defined]
        first = client.get("/settings/activity")
    second = client.get(f"/settings/activity{first.context['older']}")
    nonsense = client.get("/settings/activity?before=x")

    shown = [event.subject for page in (first, second) for event in page.context["events"]]
    assert [subject for subject in shown if subject.startswith("event")] == [
        f"event-{number:02}" for number in reversed(range(60))
    ]
    assert second.context["older"] == ""
    assert nonsense.status_code == 200


def test_nothing_yet(browser_of: Browser, alice: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("TRUNCATE accounts_auditevent")  # rows are never deleted one by one

    assert b"Nothing yet" in browser_of(alice).get("/settings/activity").content

"""Access tokens: made, shown once, ended."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import AccessToken, AuditEvent, User

Browser = Callable[[User], Client]
HTML = {"Accept": "text/html"}
TOKEN = {"name": "laptop", "scope": "write", "life_days": "30"}


def shown_token(page: str) -> str:
    """The secret a page shows."""
    found = re.search(r"hf_[A-Za-z0-9]{34}", page)
    assert found is not None
    return found[0]


def test_a_token_is_shown_once_with_its_commands(browser_of: Browser, alice: User) -> None:
    client = browser_of(alice)

    made = client.post("/settings/tokens", TOKEN)
    page = made.content.decode()
    text = shown_token(page)
    later = client.get("/settings/tokens").content.decode()

    assert made.status_code == 201
    assert f"export HF_ENDPOINT=http://testserver HF_TOKEN={text}" in page
    assert f"hf auth login --token {text}" in page
    assert "hf auth whoami" in page
    assert "data-shown-once" in page
    assert "no-store" in made["Cache-Control"]
    assert text not in later
    assert text[-4:] in later


def test_the_secret_is_in_no_table(browser_of: Browser, alice: User) -> None:
    text = shown_token(browser_of(alice).post("/settings/tokens", TOKEN).content.decode())

    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = [row[0] for row in cursor.fetchall()]
        holding = []
        for name in tables:
            cursor.execute(
                f'SELECT count(*) FROM "{name}" AS t WHERE t::text LIKE %s',  # noqa: S608
                [f"%{text[3:]}%"],
            )
            holding += [name] * cursor.fetchone()[0]

    assert len(tables) > 15
    assert holding == []


def test_what_was_chosen_is_kept(browser_of: Browser, alice: User) -> None:
    client = browser_of(alice)
    client.post("/settings/tokens", TOKEN)
    client.post("/settings/tokens", TOKEN | {"name": "ci", "life_days": "0", "scope": "read"})

    ci, laptop = AccessToken.objects.order_by("name")

    assert (ci.scopes, ci.expires_at) == (["read"], None)
    assert laptop.scopes == ["write"]
    assert laptop.expires_at is not None
    assert abs(laptop.expires_at - timezone.now() - timedelta(days=30)) < timedelta(minutes=1)
    assert AuditEvent.objects.filter(action="token.create", namespace=alice.namespace).count() == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a" * 97}, "name"),
        ({"name": "lap\u202etop"}, "name"),
        ({"scope": "root"}, "scope"),
        ({"scope": ""}, "scope"),
        ({"life_days": "31"}, "life_days"),
    ],
)
def test_a_refused_token_is_not_made(
    browser_of: Browser, alice: User, change: dict[str, str], field: str
) -> None:
    response = browser_of(alice).post("/settings/tokens", TOKEN | change)

    assert response.status_code == 400
    assert list(response.context["form"].errors) == [field]
    assert AccessToken.objects.count() == 0


def test_a_name_of_spaces_is_refused_by_the_service(
    browser_of: Browser, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accounts.forms import TokenForm

    monkeypatch.setattr(TokenForm.base_fields["name"], "strip", False)

    response = browser_of(alice).post("/settings/tokens", TOKEN | {"name": "  "})

    assert response.status_code == 400
    assert response.context["form"].non_field_errors() == [
        "Give the token a name of 1 to 96 characters."
    ]
    assert AccessToken.objects.count() == 0


def test_revoking_works_at_once(browser_of: Browser, client: Client, alice: User) -> None:
    browser = browser_of(alice)
    text = shown_token(browser.post("/settings/tokens", TOKEN).content.decode())
    headers = {"Authorization": f"Bearer {text}"}
    token = AccessToken.objects.get()
    before = client.get("/api/v1/me", headers=headers).status_code

    revoked = browser.post(f"/settings/tokens/{token.pk}/revoke")
    again = browser.post(f"/settings/tokens/{token.pk}/revoke")

    assert (before, client.get("/api/v1/me", headers=headers).status_code) == (200, 401)
    assert revoked["Location"] == again["Location"] == "/settings/tokens"
    assert AuditEvent.objects.filter(action="token.revoke").count() == 1
    assert b"No tokens yet" in browser.get("/settings/tokens").content


def test_nobody_revokes_anothers_token(
    browser_of: Browser, alice: User, bob: User, token_for: Callable[..., str]
) -> None:
    token_for(alice)
    token = AccessToken.objects.get()

    refused = browser_of(bob).post(f"/settings/tokens/{token.pk}/revoke", headers=HTML)
    by_link = browser_of(alice).get(f"/settings/tokens/{token.pk}/revoke")

    assert (refused.status_code, by_link.status_code) == (404, 405)
    token.refresh_from_db()
    assert token.revoked_at is None


def test_the_list_tells_use_and_end(
    browser_of: Browser, client: Client, alice: User, bearer: Callable[..., dict[str, str]]
) -> None:
    client.get("/api/v1/me", headers=bearer(alice, "read"))
    page = browser_of(alice).get("/settings/tokens").content.decode()

    assert f'<time datetime="{timezone.now():%Y-%m-%d}' in page


def test_an_expired_token_says_so(
    browser_of: Browser, alice: User, token_for: Callable[..., str]
) -> None:
    token_for(alice)
    AccessToken.objects.update(expires_at=timezone.now() - timedelta(days=1))

    page = browser_of(alice).get("/settings/tokens").content.decode()

    assert "expired" in page


def test_the_list_takes_the_same_queries_however_long(
    browser_of: Browser,
    alice: User,
    token_for: Callable[..., str],
    django_assert_max_num_queries: Callable[[int], object],
) -> None:
    for _ in range(20):
        token_for(alice)
    client = browser_of(alice)

    with django_assert_max_num_queries(5):  # type: ignore[attr-defined]
        page = client.get("/settings/tokens").content.decode()

    assert page.count("/revoke") == 20

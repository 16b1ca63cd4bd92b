"""While Valkey is away nobody can count guesses: what stops them says so, the rest goes on."""

from base64 import b64encode
from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import AuditEvent, DeviceRequest, User
from accounts.services.oauth import HF_CLIENT_ID
from tests.factories import PASSWORD, code_of, enrol, make_repo

JSON = "application/json"
HTML = {"Accept": "text/html"}
ALICE = {"username": "alice", "password": PASSWORD}
WORDS = "The store cannot count attempts at this moment, so it takes none."


@pytest.mark.parametrize("password", [PASSWORD, "a wrong one"])
def test_nobody_signs_in_on_the_page(
    client: Client, alice: User, valkey_away: None, password: str
) -> None:
    """Right and wrong passwords are answered alike: neither was looked at."""
    answer = client.post("/login", ALICE | {"password": password}, headers=HTML)

    assert (answer.status_code, WORDS in answer.content.decode()) == (503, True)
    assert "_auth_user_id" not in client.session
    assert not AuditEvent.objects.filter(action="session.start").exists()


@pytest.mark.parametrize("password", [PASSWORD, "a wrong one"])
def test_git_hears_why_a_password_is_not_taken(
    client: Client, alice: User, valkey_away: None, password: str
) -> None:
    make_repo(alice)
    proof = b64encode(f"alice:{password}".encode()).decode()

    answer = client.get(
        "/alice/tiny/info/refs?service=git-upload-pack", headers={"Authorization": f"Basic {proof}"}
    )

    assert (answer.status_code, answer.json()["code"]) == (503, "valkey_away")
    assert answer["X-Error-Message"].startswith(WORDS)


def test_what_stops_guesses_stays_shut(
    client: Client, alice: User, browser_of: Callable[[User], Client], valkey_away: None
) -> None:
    """A confirmed password, a new account, a letter, a device: each says the same."""
    browser = browser_of(alice)
    new = {"username": "dora", "email": "dora@example.org", "password": PASSWORD}

    answers = [
        browser.post("/login/confirm", {"form": "password", "password": PASSWORD}, headers=HTML),
        browser.post("/oauth/verify", {"code": "ABCD-EFGH"}, headers=HTML),
        client.post("/signup", new, headers=HTML),
        client.post("/password-reset", {"name": "alice"}, headers=HTML),
    ]
    device = client.post("/oauth/device", {"client_id": HF_CLIENT_ID}, content_type=JSON)

    assert [answer.status_code for answer in answers] == [503] * 4
    assert all(WORDS in answer.content.decode() for answer in answers)
    assert (device.status_code, device.json()["code"]) == (503, "valkey_away")
    assert list(User.objects.all()) == [alice]
    assert not DeviceRequest.objects.exists()


def test_a_code_is_not_used_up(client: Client, alice: User, valkey_away: None) -> None:
    """Somebody whose password was right before Valkey went keeps their code for later."""
    secret, _ = enrol(alice)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accounts.services.limits.count_sign_in", lambda *_args, **_more: None)
        patch.setattr("accounts.services.limits.forgive_sign_in", lambda *_args, **_more: None)
        client.post("/login", ALICE)

    answer = client.post("/login/two-factor", {"code": code_of(secret, 1)}, headers=HTML)

    assert (answer.status_code, WORDS in answer.content.decode()) == (503, True)
    assert "_auth_user_id" not in client.session


def test_who_is_signed_in_stays_so_and_can_leave(
    alice: User, browser_of: Callable[[User], Client], valkey_away: None
) -> None:
    make_repo(alice)
    browser = browser_of(alice)

    pages = [browser.get(page) for page in ("/", "/models", "/alice/tiny", "/settings")]
    left = browser.post("/logout")

    assert [page.status_code for page in pages] == [200] * 4
    assert left.status_code == 302
    assert "_auth_user_id" not in browser.session


def test_tokens_work(client: Client, alice: User, bearer, valkey_away: None) -> None:
    answer = client.get("/api/whoami-v2", headers=bearer(alice))

    assert (answer.status_code, answer.json()["name"]) == (200, "alice")

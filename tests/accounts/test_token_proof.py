"""Tokens go around pages, so whoever makes one proves first who they are."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import AccessToken, AuthorizationCode, DeviceRequest, OAuthClient, Scope, User
from accounts.services import device_login
from accounts.services.oauth import HF_CLIENT_ID
from accounts.services.tokens import authenticate, create_token
from accounts.services.two_factor import disable
from accounts.viewer import Viewer
from tests.factories import PASSWORD, enrol, proved_viewer

Browser = Callable[[User], Client]
HTML = {"Accept": "text/html"}
FORM = {"name": "laptop", "life_days": "30", "spend_currency": "EUR"}
SCOPES = ["read", "write", "buy", "admin"]
PAGE = "https://app.example.org/signed-in"


def stale(client: Client, **facts: Any) -> Client:
    """Let the session grow old, or forget something."""
    session = client.session
    session.update(facts or {"confirmed_at": 0})
    session.save()
    return client


def confirm(client: Client, address: str) -> Any:
    """Give the password on the page that asked for it; return where it leads."""
    assert address.startswith("/login/confirm?next=")
    asked = client.get(address, headers=HTML)
    sent = {"form": "password", "password": PASSWORD, "next": asked.context["next"]}
    return client.post("/login/confirm", sent, headers=HTML)["Location"]


def kept() -> list[tuple[str, list[str], bool]]:
    return list(AccessToken.objects.order_by("pk").values_list("digest", "scopes", "revoked_at"))


@pytest.mark.parametrize("scope", SCOPES)
def test_an_old_session_makes_no_token(browser_of: Browser, alice: User, scope: str) -> None:
    client = stale(browser_of(alice))
    form = FORM | {"scope": scope, "spend_limit": "50" if scope == "buy" else ""}
    sent = {"name": "x", "scopes": [scope]}

    page = client.post("/settings/tokens", form, headers=HTML)
    rest = client.post("/api/v1/tokens", sent, content_type="application/json")

    assert rest.json()["error"]["code"] == "recent_login_needed"
    assert kept() == []
    assert client.get("/settings/tokens", headers=HTML).status_code == 200
    assert confirm(client, page["Location"]) == "/settings/tokens"
    assert client.post("/settings/tokens", form, headers=HTML).status_code == 201
    assert client.post("/api/v1/tokens", sent, content_type="application/json").status_code == 201


def test_an_old_session_gives_no_new_secret(browser_of: Browser, alice: User) -> None:
    token, _text = create_token(alice, name="t", scopes=[Scope.WRITE])
    client, before = stale(browser_of(alice)), kept()

    asked = client.post(f"/settings/tokens/{token.pk}/rotate", headers=HTML)

    assert asked.status_code == 302
    assert kept() == before
    confirm(client, asked["Location"])
    assert client.post(f"/settings/tokens/{token.pk}/rotate", headers=HTML).status_code == 201
    assert client.post(f"/settings/tokens/{token.pk}/revoke", headers=HTML).status_code == 302


def test_a_long_form_keeps_what_was_typed(browser_of: Browser, alice: User) -> None:
    client = browser_of(alice)
    sent = {"name": "ci of alice", "life_days": "30", "place0": "alice", "may0": "repo.write"}
    stale(client)

    opened = client.get("/settings/tokens/new", headers=HTML)
    late = client.post("/settings/tokens/new", sent, headers=HTML)

    assert confirm(stale(client), opened["Location"]) == "/settings/tokens/new"
    assert "Confirm that it is you at /login/confirm" in late.content.decode()
    assert 'value="ci of alice"' in late.content.decode()
    assert kept() == []
    assert client.post("/settings/tokens/new", sent, headers=HTML).status_code == 201
    token = AccessToken.objects.get()
    stale(client)
    client.post(f"/settings/tokens/{token.pk}", sent | {"may0": "discussion.write"}, headers=HTML)
    assert token.grants.get().permissions == ["repo.content.read", "repo.write"]


@pytest.mark.parametrize("access", ["read", "write"])
def test_an_old_session_lets_no_device_in(browser_of: Browser, alice: User, access: str) -> None:
    code = device_login.start(HF_CLIENT_ID).request.user_code
    client = stale(browser_of(alice))
    sent = {"code": code, "decision": "allow", "access": access}

    asked = client.post("/oauth/verify", sent, headers=HTML)

    assert DeviceRequest.objects.get().state == DeviceRequest.State.WAITING
    back = confirm(client, asked["Location"])
    assert back == f"/oauth/verify?code={code}"
    assert 'value="allow"' in client.get(back, headers=HTML).content.decode()
    assert client.post("/oauth/verify", sent, headers=HTML).status_code == 200
    assert DeviceRequest.objects.get().access == access


def test_an_old_session_can_say_no(browser_of: Browser, alice: User) -> None:
    code = device_login.start(HF_CLIENT_ID).request.user_code
    client = stale(browser_of(alice))

    client.post("/oauth/verify", {"code": code, "decision": "deny"}, headers=HTML)

    assert DeviceRequest.objects.get().state == DeviceRequest.State.DENIED


@pytest.mark.parametrize(
    ("scope", "asks"), [("openid profile", False), ("read-repos", True), ("write-repos", True)]
)
def test_an_old_session_lets_no_page_act(
    browser_of: Browser, alice: User, scope: str, asks: bool
) -> None:
    row = OAuthClient.objects.create(owner=alice, name="app", redirect_uris=[PAGE])
    client = stale(browser_of(alice))
    wish = {
        "client_id": row.client_id,
        "redirect_uri": PAGE,
        "response_type": "code",
        "scope": scope,
        "code_challenge": "c" * 43,
        "code_challenge_method": "S256",
    }
    address = client.get("/oauth/authorize", wish, headers=HTML).wsgi_request.get_full_path()

    answer = client.post(address, {"decision": "allow"}, headers=HTML)

    assert AuthorizationCode.objects.exists() != asks
    if asks:
        assert confirm(client, answer["Location"]) == address
        answer = client.post(address, {"decision": "allow"}, headers=HTML)
    assert answer["Location"].startswith(f"{PAGE}?code=")


def test_staff_make_admin_tokens_by_two_factors(browser_of: Browser, staff: User) -> None:
    client = stale(browser_of(staff), second_factor=False)
    form, sent = FORM | {"scope": "admin"}, {"name": "x", "scopes": ["admin"]}

    page = client.post("/settings/tokens", form, headers=HTML)
    rest = client.post("/api/v1/tokens", sent, content_type="application/json")

    assert "Give your second factor" in page.content.decode()
    assert rest.json()["error"]["code"] == "two_factor_needed"
    assert kept() == []
    stale(client, second_factor=True)
    assert client.post("/settings/tokens", form, headers=HTML).status_code == 201
    assert client.post("/api/v1/tokens", sent, content_type="application/json").status_code == 201
    assert set(AccessToken.objects.values_list("by_second_factor", flat=True)) == {True}


def test_a_token_is_as_good_as_the_proof_it_was_made_by(staff: User, settings: Any) -> None:
    enrol(staff)
    unproved = create_token(staff, name="a", scopes=[Scope.ADMIN], by=Viewer(user=staff))[1]
    by = proved_viewer(staff)
    proved = create_token(staff, name="b", scopes=[Scope.ADMIN], by=by)[1]
    narrow = create_token(staff, name="c", scopes=[Scope.WRITE], by=by)[1]

    power = [authenticate(text).is_staff for text in (unproved, proved, narrow)]

    assert power == [False, True, False]
    disable(staff, actor=staff)
    assert not authenticate(proved).is_staff
    settings.ENV = settings.ENV.model_copy(update={"staff_two_factor": "off"})
    assert authenticate(unproved).is_staff


def test_a_weaker_session_takes_no_power_by_a_new_secret(browser_of: Browser, staff: User) -> None:
    token, _text = create_token(staff, name="a", scopes=[Scope.ADMIN], by=proved_viewer(staff))
    client = stale(browser_of(staff), second_factor=False)

    client.post(f"/settings/tokens/{token.pk}/rotate", headers=HTML)

    token.refresh_from_db()
    assert not token.by_second_factor


def test_a_token_hands_on_what_it_has(client: Client, staff: User) -> None:
    for by in (proved_viewer(staff), Viewer(user=staff)):
        text = create_token(staff, name="a", scopes=[Scope.ADMIN], by=by)[1]
        answer = client.post(
            "/api/v1/tokens",
            {"name": "x", "scopes": ["admin"]},
            content_type="application/json",
            headers={"Authorization": f"Bearer {text}"},
        )
        assert authenticate(answer.json()["token"]).is_staff == by.is_staff

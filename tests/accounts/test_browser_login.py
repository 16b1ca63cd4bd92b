"""Browser login over the wire and on its pages (contract 3.4; RFC 6749, 7636, 8628)."""

import base64
import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import (
    AccessToken,
    AuditEvent,
    AuthorizationCode,
    DeviceRequest,
    OAuthClient,
    OAuthRefresh,
    OAuthSession,
    User,
)
from accounts.services import code_login, device_login, oauth
from accounts.services.limits import DEVICE_LOGINS, USER_CODES
from accounts.services.oauth import HF_CLIENT_ID, Access, OAuthError
from store.core.errors import InvalidError, NotFoundError
from tests.factories import make_org, make_repo, make_user
from tests.threads import at_once

Browser = Callable[[User], Client]
HTML = {"Accept": "text/html"}
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
REDIRECT = "https://app.example.org/signed-in"
VERIFIER = "v" * 43
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
)


def send(client: Client, path: str, sent: dict[str, str], **more: Any) -> Any:
    """Post a form as programs do: every browser's ``multipart`` is none of the protocol's."""
    return client.post(
        path, urlencode(sent), content_type="application/x-www-form-urlencoded", **more
    )


def start(client: Client, **more: str) -> dict[str, Any]:
    answer = send(client, "/oauth/device", {"client_id": HF_CLIENT_ID} | more)
    assert answer.status_code == 200
    return answer.json()


def poll(client: Client, device_code: str, client_id: str = HF_CLIENT_ID) -> Any:
    return send(
        client,
        "/oauth/token",
        {"grant_type": DEVICE_GRANT, "device_code": device_code, "client_id": client_id},
    )


def rest(seconds: int = 10) -> None:
    """Let time pass for every waiting program."""
    past = timezone.now() - timedelta(seconds=seconds)
    DeviceRequest.objects.update(polled_at=past)


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def signed_in(client: Client, browser: Client, access: str = "write") -> dict[str, Any]:
    """The whole device flow; returns the token answer."""
    begun = start(client)
    form = {"code": begun["user_code"], "decision": "allow", "access": access}
    assert browser.post("/oauth/verify", form, headers=HTML).status_code == 200
    answer = poll(client, begun["device_code"])
    assert answer.status_code == 200
    return answer.json()


def test_the_whole_way(client: Client, browser_of: Browser, alice: User) -> None:
    make_repo(alice, "mine", is_private=True)
    begun = start(client)
    browser = browser_of(alice)

    waiting = poll(client, begun["device_code"])
    page = browser.get(begun["verification_uri_complete"], headers=HTML).content.decode()
    untouched = DeviceRequest.objects.get().state
    done = browser.post(
        "/oauth/verify",
        {"code": begun["user_code"], "decision": "allow", "access": "write"},
        headers=HTML,
    )
    rest()
    got = poll(client, begun["device_code"])
    again = poll(client, begun["device_code"])

    assert begun["verification_uri"] == "http://testserver/oauth/verify"
    assert (begun["interval"], begun["expires_in"]) == (5, 900)
    assert (waiting.status_code, waiting.json()["error"]) == (400, "authorization_pending")
    assert "Let hf in as alice?" in page
    assert begun["user_code"] in page
    assert untouched == "waiting"
    assert "signs in by itself" in done.content.decode()
    assert got.status_code == 200
    assert got["Cache-Control"] == "no-store"
    body = got.json()
    assert body["token_type"] == "bearer"
    assert body["access_token"].startswith("hf_")
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    who = client.get("/api/whoami-v2", headers=bearer(body["access_token"])).json()
    assert who["name"] == "alice"
    assert who["auth"]["accessToken"]["role"] == "write"
    assert who["auth"]["accessToken"]["displayName"].startswith("hf ")
    mine = client.get("/api/models/alice/mine", headers=bearer(body["access_token"]))
    assert mine.status_code == 200
    assert AuditEvent.objects.filter(action="oauth_session.start", actor=alice).count() == 1


def test_no_secret_is_kept(client: Client, browser_of: Browser, alice: User) -> None:
    from django.db import connection

    begun = start(client)
    browser_of(alice).post(
        "/oauth/verify", {"code": begun["user_code"], "decision": "allow", "access": "read"}
    )
    body = poll(client, begun["device_code"]).json()
    needles = [begun["device_code"], body["access_token"][3:], body["refresh_token"]]

    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = [row[0] for row in cursor.fetchall()]
        found = []
        for name in tables:
            for needle in needles:
                cursor.execute(
                    f'SELECT count(*) FROM "{name}" AS t WHERE t::text LIKE %s',  # noqa: S608
                    [f"%{needle}%"],
                )
                found += [name] * cursor.fetchone()[0]
    assert found == []


def test_reading_only(client: Client, browser_of: Browser, alice: User) -> None:
    body = signed_in(client, browser_of(alice), access="read")

    assert AccessToken.objects.get().scopes == ["read"]
    answer = client.post(
        "/api/repos/create",
        {"name": "x"},
        content_type="application/json",
        headers=bearer(body["access_token"]),
    )
    assert answer.status_code == 403


def test_saying_no(client: Client, browser_of: Browser, alice: User) -> None:
    begun = start(client)

    page = browser_of(alice).post(
        "/oauth/verify", {"code": begun["user_code"], "decision": "deny"}, headers=HTML
    )
    answer = poll(client, begun["device_code"])

    assert "was not let in" in page.content.decode()
    assert (answer.status_code, answer.json()["error"]) == (400, "access_denied")
    assert AccessToken.objects.count() == OAuthSession.objects.count() == 0


def test_a_code_expires(client: Client, browser_of: Browser, alice: User) -> None:
    begun = start(client)
    DeviceRequest.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    form = {"code": begun["user_code"], "decision": "allow", "access": "write"}

    page = browser_of(alice).post("/oauth/verify", form, headers=HTML)
    answer = poll(client, begun["device_code"])

    assert page.status_code == 404
    assert "No program waits with this code" in page.content.decode()
    assert answer.json()["error"] == "expired_token"
    assert DeviceRequest.objects.get().state == "waiting"


def test_asking_too_often_slows_down(client: Client, db: None) -> None:
    begun = start(client)

    errors = [poll(client, begun["device_code"]).json()["error"] for _ in range(3)]
    slower = DeviceRequest.objects.get().interval_s
    rest(seconds=6)
    still_early = poll(client, begun["device_code"]).json()["error"]
    rest(seconds=60)
    in_time = poll(client, begun["device_code"]).json()["error"]

    assert errors == ["authorization_pending", "slow_down", "slow_down"]
    assert slower == 15
    assert (still_early, in_time) == ("slow_down", "authorization_pending")


@pytest.mark.parametrize(
    ("sent", "status", "error"),
    [
        ({"grant_type": DEVICE_GRANT, "device_code": "x", "client_id": HF_CLIENT_ID}, 400, "grant"),
        ({"grant_type": DEVICE_GRANT}, 400, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, 400, "invalid_grant"),
        ({"grant_type": "authorization_code", "code": "x"}, 400, "invalid_grant"),
        ({"grant_type": "password", "username": "alice"}, 400, "unsupported_grant_type"),
        ({}, 400, "unsupported_grant_type"),
    ],
)
def test_refused_grants(
    client: Client, db: None, sent: dict[str, str], status: int, error: str
) -> None:
    answer = send(client, "/oauth/token", sent)

    assert answer.status_code == status
    assert error in answer.json()["error"]
    assert answer.json()["error_description"]
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert AccessToken.objects.count() == 0


def test_bodies_of_other_shapes(client: Client, db: None) -> None:
    broken = client.post("/oauth/token", "{", content_type="application/json")
    numbers = client.post("/oauth/token", {"grant_type": 1}, content_type="application/json")
    big = send(client, "/oauth/token", {"grant_type": "x" * 70_000})

    assert [each.status_code for each in (broken, numbers, big)] == [400, 400, 413]
    assert client.get("/oauth/token").status_code == 405


def test_an_unknown_program(client: Client, db: None) -> None:
    answer = send(client, "/oauth/device", {"client_id": "nobody"})

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert DeviceRequest.objects.count() == 0


def test_limits(client: Client, browser_of: Browser, alice: User, rate_limits_on: None) -> None:
    for _ in range(DEVICE_LOGINS.quota):
        start(client)
    too_many = send(client, "/oauth/device", {"client_id": HF_CLIENT_ID})
    browser = browser_of(alice)
    for _ in range(USER_CODES.quota):
        browser.get("/oauth/verify?code=BBBB-BBBB", headers=HTML)
    guessing = browser.get("/oauth/verify?code=BBBB-BBBB", headers=HTML)

    assert (too_many.status_code, guessing.status_code) == (429, 429)
    assert DeviceRequest.objects.count() == DEVICE_LOGINS.quota


def test_the_page_of_the_code(client: Client, browser_of: Browser, alice: User) -> None:
    begun = start(client)
    browser = browser_of(alice)
    letters = begun["user_code"].replace("-", " ").lower()

    visitor = client.get(f"/oauth/verify?code={begun['user_code']}", headers=HTML)
    blank = browser.get("/oauth/verify", headers=HTML)
    typed = browser.get("/oauth/verify", {"code": letters}, headers=HTML)
    wrong = browser.get("/oauth/verify?code=../../x", headers=HTML)
    undecided = browser.post(
        "/oauth/verify", {"code": begun["user_code"], "decision": "allow"}, headers=HTML
    )
    strange = browser.post(
        "/oauth/verify",
        {"code": begun["user_code"], "decision": "allow", "access": "admin"},
        headers=HTML,
    )

    assert visitor["Location"] == f"/login?next=%2Foauth%2Fverify%3Fcode%3D{begun['user_code']}"
    assert "Type the code" in blank.content.decode()
    assert "Let hf in" in typed.content.decode()
    assert (wrong.status_code, undecided.status_code, strange.status_code) == (404, 400, 400)
    assert DeviceRequest.objects.get().state == "waiting"


def test_what_the_program_calls_itself_is_only_shown(client: Client, browser_of, alice) -> None:
    send(
        client,
        "/oauth/device",
        {"client_id": HF_CLIENT_ID},
        headers={"User-Agent": "<script>alert(1)</script>\u202e" + "x" * 500},
    )
    code = DeviceRequest.objects.get().user_code

    page = browser_of(alice).get(f"/oauth/verify?code={code}", headers=HTML).content.decode()

    assert "&lt;script&gt;" in page
    assert "<script>alert" not in page
    assert "\u202e" not in page


def test_a_forged_consent_is_refused(client: Client, alice: User) -> None:
    begun = start(client)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)

    answer = strict.post(
        "/oauth/verify",
        {"code": begun["user_code"], "decision": "allow", "access": "write"},
        headers=HTML,
    )

    assert answer.status_code == 403
    assert DeviceRequest.objects.get().state == "waiting"


def test_a_token_cannot_let_programs_in(
    client: Client, alice: User, token_for: Callable[..., str]
) -> None:
    begun = start(client)
    form = {"code": begun["user_code"], "decision": "allow", "access": "write"}

    answer = client.post("/oauth/verify", form, headers=bearer(token_for(alice, "admin")))

    assert answer.status_code == 403
    assert DeviceRequest.objects.get().state == "waiting"


def test_renewing(client: Client, browser_of: Browser, alice: User) -> None:
    first = signed_in(client, browser_of(alice))

    second = _renew(client, first["refresh_token"]).json()
    twice = _renew(client, first["refresh_token"])

    assert second["access_token"] != first["access_token"]
    assert twice.status_code == 200, "processes of one program renew at the same time"
    for body in (first, second, twice.json()):
        assert client.get("/api/whoami-v2", headers=bearer(body["access_token"])).status_code == 200
    names = {
        client.get("/api/whoami-v2", headers=bearer(body["access_token"])).json()["auth"][
            "accessToken"
        ]["displayName"]
        for body in (first, second)
    }
    assert len(names) == 1


def _renew(client: Client, refresh: str, client_id: str = HF_CLIENT_ID) -> Any:
    return send(
        client,
        "/oauth/token",
        {"grant_type": "refresh_token", "refresh_token": refresh, "client_id": client_id},
    )


def test_a_stolen_refresh_token_ends_the_session(
    client: Client, browser_of: Browser, alice: User
) -> None:
    first = signed_in(client, browser_of(alice))
    second = _renew(client, first["refresh_token"]).json()
    OAuthRefresh.objects.exclude(used_at=None).update(used_at=timezone.now() - timedelta(minutes=5))

    stolen = _renew(client, first["refresh_token"])

    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
    assert OAuthSession.objects.get().ended_at is not None
    for text in (first["access_token"], second["access_token"]):
        assert client.get("/api/whoami-v2", headers=bearer(text)).status_code == 401
    assert _renew(client, second["refresh_token"]).status_code == 400


@pytest.mark.parametrize("why", ["other program", "expired", "ended", "inactive"])
def test_refused_renewals(client: Client, browser_of: Browser, alice: User, why: str) -> None:
    body = signed_in(client, browser_of(alice))
    if why == "expired":
        OAuthRefresh.objects.update(expires_at=timezone.now())
    if why == "ended":
        oauth.end_session(alice, OAuthSession.objects.get().pk)
    if why == "inactive":
        User.objects.update(is_active=False)

    answer = _renew(client, body["refresh_token"], "x" if why == "other program" else HF_CLIENT_ID)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert AccessToken.objects.count() == 1


def test_signing_a_program_out(client: Client, browser_of: Browser, alice: User, bob: User) -> None:
    browser = browser_of(alice)
    body = signed_in(client, browser)
    session = OAuthSession.objects.get()
    path = f"/settings/programs/sessions/{session.pk}/end"

    shown = browser.get("/settings/programs", headers=HTML).content.decode()
    tokens = browser.get("/settings/tokens", headers=HTML).content.decode()
    foreign = browser_of(bob).post(path, headers=HTML)
    token = AccessToken.objects.get()
    rotated = browser.post(f"/settings/tokens/{token.pk}/rotate", headers=HTML)
    done = [browser.post(path, headers=HTML).status_code for _ in range(2)]

    assert session.name in shown
    assert "No tokens yet" in tokens
    assert (foreign.status_code, rotated.status_code, done) == (404, 404, [302, 302])
    assert client.get("/api/whoami-v2", headers=bearer(body["access_token"])).status_code == 401
    assert AuditEvent.objects.filter(action="oauth_session.end").count() == 1
    assert "No program is signed in" in browser.get("/settings/programs").content.decode()


# Pages of somebody else's: authorization code with PKCE.


@pytest.fixture
def app(bob: User) -> OAuthClient:
    return oauth.register_client(bob, name="Chat", redirect_uris=[REDIRECT, "http://localhost/x"])


def wish(app: OAuthClient, **change: str) -> str:
    asked = {
        "client_id": app.client_id,
        "redirect_uri": REDIRECT,
        "response_type": "code",
        "scope": "openid profile email read-repos inference-api",
        "state": "s t&a",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return f"/oauth/authorize?{urlencode(asked | change)}"


def answered(location: str) -> dict[str, str]:
    assert location.startswith(f"{REDIRECT}?")
    return {key: values[0] for key, values in parse_qs(urlsplit(location).query).items()}


def exchange(client: Client, app: OAuthClient, secret: str, **change: str) -> Any:
    sent = {
        "grant_type": "authorization_code",
        "code": secret,
        "client_id": app.client_id,
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }
    return send(client, "/oauth/token", sent | change)


def allowed(browser: Client, app: OAuthClient, **change: str) -> str:
    answer = browser.post(wish(app, **change), {"decision": "allow"}, headers=HTML)
    assert answer.status_code == 303
    return answered(answer["Location"])["code"]


def test_a_page_signs_somebody_in(
    client: Client, browser_of: Browser, alice: User, app: OAuthClient
) -> None:
    make_org("acme", alice="write")
    browser = browser_of(alice)

    asked = browser.get(wish(app), headers=HTML)
    done = browser.post(wish(app), {"decision": "allow"}, headers=HTML)
    back = answered(done["Location"])
    got = exchange(client, app, back["code"])
    who = client.get("/oauth/userinfo", headers=bearer(got.json()["access_token"])).json()

    page = asked.content.decode()
    assert "<b>Chat</b> is a program of" in page
    assert "app.example.org" in page
    assert "know your e-mail address" in page
    assert "publish and change" not in page
    assert "form-action 'self' https://app.example.org" in asked["Content-Security-Policy"]
    assert done["Referrer-Policy"] == "no-referrer"
    assert back["state"] == "s t&a"
    assert got.json()["scope"] == "openid profile email read-repos"
    assert got.json()["expires_in"] == 8 * 3600
    assert (who["sub"], who["preferred_username"]) == (alice.public_id, "alice")
    assert who["email"] == "alice@example.org"
    assert [org["roleInOrg"] for org in who["orgs"]] == ["write"]
    assert AccessToken.objects.get().scopes == ["read"]


def test_a_page_that_asks_for_the_name_gets_no_more(
    client: Client, browser_of: Browser, alice: User, app: OAuthClient
) -> None:
    make_repo(alice, "mine", is_private=True)
    code = allowed(browser_of(alice), app, scope="openid profile")

    token = bearer(exchange(client, app, code).json()["access_token"])

    assert "email" not in client.get("/oauth/userinfo", headers=token).json()
    assert client.get("/api/whoami-v2", headers=token).json()["email"] is None
    assert client.get("/api/models/alice/mine", headers=token).status_code == 404
    refused = client.post(
        "/api/repos/create", {"name": "x"}, content_type="application/json", headers=token
    )
    assert refused.status_code == 403


def test_writing_must_be_asked_for(
    client: Client, browser_of: Browser, alice: User, app: OAuthClient
) -> None:
    code = allowed(browser_of(alice), app, scope="openid write-repos")

    exchange(client, app, code)

    assert AccessToken.objects.get().scopes == ["write"]


def test_saying_no_to_a_page(browser_of: Browser, alice: User, app: OAuthClient) -> None:
    answer = browser_of(alice).post(wish(app), {"decision": "deny"}, headers=HTML)

    assert answered(answer["Location"])["error"] == "access_denied"
    assert AuthorizationCode.objects.count() == 0


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge": "x" * 42}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
    ],
)
def test_a_wrong_wish_is_told_to_the_page(
    browser_of: Browser, alice: User, app: OAuthClient, change: dict[str, str], error: str
) -> None:
    answer = browser_of(alice).get(wish(app, **change), headers=HTML)

    assert answer.status_code == 303
    assert answered(answer["Location"])["error"] == error
    assert answered(answer["Location"])["state"] == "s t&a"


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "nobody"},
        {"client_id": HF_CLIENT_ID},
        {"redirect_uri": "https://evil.example"},
        {"redirect_uri": REDIRECT + "/"},
        {"redirect_uri": REDIRECT + "?x=1"},
        {"redirect_uri": ""},
    ],
)
def test_nobody_is_sent_to_an_address_that_is_not_the_programs(
    browser_of: Browser, alice: User, app: OAuthClient, change: dict[str, str]
) -> None:
    for method in ("get", "post"):
        answer = getattr(browser_of(alice), method)(
            wish(app, **change), {"decision": "allow"} if method == "post" else {}, headers=HTML
        )
        assert answer.status_code == 400 or (method == "get" and answer.status_code == 400)
        assert "Location" not in answer
    assert AuthorizationCode.objects.count() == 0


def test_a_visitor_signs_in_first(client: Client, app: OAuthClient) -> None:
    answer = client.get(wish(app), headers=HTML)

    assert answer["Location"].startswith("/login?next=%2Foauth%2Fauthorize%3F")


@pytest.mark.parametrize(
    "change",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": ""},
        {"code_verifier": "v" * 42},
        {"redirect_uri": "http://localhost/x"},
        {"client_id": HF_CLIENT_ID},
        {"code": "unknown"},
    ],
)
def test_a_code_is_good_only_for_who_asked(
    client: Client, browser_of: Browser, alice: User, app: OAuthClient, change: dict[str, str]
) -> None:
    code = allowed(browser_of(alice), app)

    answer = exchange(client, app, code, **change)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert AccessToken.objects.count() == 0
    assert exchange(client, app, code).status_code == 200


def test_a_page_need_not_say_its_name_twice(
    client: Client, browser_of: Browser, alice: User, app: OAuthClient
) -> None:
    """JavaScript's hub client sends the code and its verifier alone."""
    code = allowed(browser_of(alice), app)
    sent = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }

    assert send(client, "/oauth/token", sent | {"client_id": ""}).status_code == 400
    assert AccessToken.objects.count() == 0
    assert send(client, "/oauth/token", sent).json()["access_token"].startswith("hf_")


def test_a_code_shown_twice_ends_the_session(
    client: Client, browser_of: Browser, alice: User, app: OAuthClient
) -> None:
    code = allowed(browser_of(alice), app)
    token = exchange(client, app, code).json()["access_token"]

    again = exchange(client, app, code)

    assert again.status_code == 400
    assert client.get("/oauth/userinfo", headers=bearer(token)).status_code == 401


def test_a_code_expires_in_minutes(
    client: Client, browser_of: Browser, alice: User, app: OAuthClient
) -> None:
    code = allowed(browser_of(alice), app)
    AuthorizationCode.objects.update(expires_at=timezone.now())

    assert exchange(client, app, code).status_code == 400
    assert AccessToken.objects.count() == 0


def test_programs_are_registered_and_deleted(
    client: Client, browser_of: Browser, alice: User, bob: User
) -> None:
    browser = browser_of(bob)
    sent = {"name": "Chat", "redirect_uris": f"{REDIRECT}\nhttp://127.0.0.1:8080/back"}

    made = browser.post("/settings/programs", sent, headers=HTML)
    app = OAuthClient.objects.get()
    shown = browser.get("/settings/programs", headers=HTML).content.decode()
    token = exchange(client, app, allowed(browser_of(alice), app)).json()["access_token"]
    path = f"/settings/programs/{app.client_id}/delete"
    foreign = browser_of(alice).post(path, headers=HTML)
    done = browser.post(path, headers=HTML)

    assert made.status_code == 302
    assert app.redirect_uris == [REDIRECT, "http://127.0.0.1:8080/back"]
    assert app.client_id in shown
    assert (foreign.status_code, done.status_code) == (404, 302)
    assert client.get("/oauth/userinfo", headers=bearer(token)).status_code == 401


@pytest.mark.parametrize(
    "uri",
    [
        "http://example.org/x",
        "javascript:alert(1)",
        "https://example.org/x#part",
        "https://user@example.org/",
        "https://example.org:port/",
        "https:///x",
        "/back",
        "https://exämple.org/",
        "http://localhost.evil.example/",
        "http://127.0.0.1.evil.example/",
        "custom:/back",
        "https://example.org/" + "x" * 500,
    ],
)
def test_addresses_a_code_is_never_sent_to(browser_of: Browser, bob: User, uri: str) -> None:
    answer = browser_of(bob).post(
        "/settings/programs", {"name": "Chat", "redirect_uris": uri}, headers=HTML
    )

    assert answer.status_code == 400
    assert OAuthClient.objects.count() == 0


def test_programs_have_bounds(bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oauth, "MAX_CLIENTS", 1)
    for name, uris in (("", [REDIRECT]), ("x", []), ("x", [f"{REDIRECT}{n}" for n in range(11)])):
        with pytest.raises(InvalidError):
            oauth.register_client(bob, name=name, redirect_uris=uris)
    oauth.register_client(bob, name="one", redirect_uris=[REDIRECT])
    with pytest.raises(InvalidError):
        oauth.register_client(bob, name="two", redirect_uris=[REDIRECT])
    with pytest.raises(NotFoundError):
        oauth.delete_client(bob, "nothing")
    assert OAuthClient.objects.count() == 1


def test_the_configuration_names_what_is_there(client: Client, db: None) -> None:
    told = client.get("/.well-known/openid-configuration").json()

    assert told["issuer"] == "http://testserver"
    for name in ("authorization", "token", "userinfo", "device_authorization"):
        path = told[f"{name}_endpoint"].removeprefix("http://testserver")
        assert client.options(path).status_code in {204, 405}
    assert told["code_challenge_methods_supported"] == ["S256"]


def test_userinfo_is_for_tokens(
    client: Client, browser_of: Browser, alice: User, token_for: Callable[..., str]
) -> None:
    assert client.get("/oauth/userinfo").status_code == 401
    assert browser_of(alice).get("/oauth/userinfo").status_code == 401
    told = client.get("/oauth/userinfo", headers=bearer(token_for(alice, "read"))).json()
    assert told["email"] == "alice@example.org"


def test_old_secrets_are_forgotten(client: Client, browser_of: Browser, alice: User, app) -> None:
    signed_in(client, browser_of(alice))
    exchange(client, app, allowed(browser_of(alice), app))
    start(client)
    long_ago = timezone.now() - timedelta(days=8)
    for model in (DeviceRequest, AuthorizationCode, OAuthRefresh, AccessToken):
        model.objects.update(expires_at=long_ago)  # type: ignore[attr-defined]

    assert oauth.prune() == 7
    assert oauth.prune() == 0


@pytest.mark.django_db(transaction=True)
def test_of_many_polls_at_once_one_gets_the_token() -> None:
    alice = make_user("alice")
    begun = device_login.start(HF_CLIENT_ID)
    device_login.decide(alice, begun.request, Access.WRITE)

    def ask(_number: int) -> str:
        try:
            return device_login.redeem(begun.device_code, HF_CLIENT_ID).access_token
        except OAuthError as error:
            return error.error

    ends = at_once(ask, 6)

    assert len([end for end in ends if end.startswith("hf_")]) == 1
    assert ends.count("invalid_grant") == 5
    assert AccessToken.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_code_at_once_from_many_places_is_a_theft() -> None:
    alice, bob = make_user("alice"), make_user("bob")
    app = oauth.register_client(bob, name="Chat", redirect_uris=[REDIRECT])
    asked = code_login.read_wish(
        {key: values[0] for key, values in parse_qs(urlsplit(wish(app)).query).items()}
    )
    sent = {
        "code": code_login.allow(alice, asked),
        "client_id": app.client_id,
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }

    def redeem(_number: int) -> str:
        try:
            return code_login.redeem(sent)[0].access_token
        except OAuthError as error:
            return error.error

    ends = at_once(redeem, 4)

    assert ends.count("invalid_grant") == 3
    assert AccessToken.objects.filter(revoked_at=None).count() == 0


@pytest.mark.django_db(transaction=True)
def test_of_two_decisions_at_once_the_first_counts() -> None:
    alice = make_user("alice")
    begun = device_login.start(HF_CLIENT_ID)
    wanted = [Access.WRITE, None, Access.READ, None]

    def decide(number: int) -> bool:
        try:
            device_login.decide(alice, begun.request, wanted[number])
        except device_login.CodeUsedError:
            return False
        return True

    assert sorted(at_once(decide, 4)) == [False, False, False, True]

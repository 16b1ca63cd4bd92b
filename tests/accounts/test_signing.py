"""Signing up, in and out, and what strangers cannot do there."""

import re
from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import AuditEvent, Namespace, User
from accounts.services import limits
from tests.factories import PASSWORD, make_org, make_user

NEW = {"username": "dora", "email": "dora@example.org", "password": PASSWORD}
HTML = {"Accept": "text/html"}
ALICE = {"username": "alice", "password": PASSWORD}


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


@pytest.mark.django_db
def test_sign_up_makes_a_person_a_name_and_a_session(client: Client) -> None:
    response = client.post("/signup", NEW | {"next": "/publish"})

    assert (response.status_code, response["Location"]) == (302, "/publish")
    user = User.objects.get(username="dora")
    assert Namespace.objects.get(user=user).name == "dora"
    assert client.session["_auth_user_id"] == str(user.pk)
    assert user.password.startswith("argon2")
    assert AuditEvent.objects.get(action="user.create").namespace == user.namespace


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"username": "ALICE"}, "username", "is taken"),
        ({"username": "acme"}, "username", "is taken"),
        ({"email": "Alice@Example.org"}, "email", "There is an account with this address"),
        ({"username": "admin"}, "username", "uses itself"),
        ({"username": "password-reset"}, "username", "uses itself"),
        ({"username": "a--b"}, "username", "cannot contain"),
        ({"username": "x"}, "username", "2 to 42"),
        ({"username": "été"}, "username", "letters"),
        ({"username": "аlice"}, "username", "letters"),  # noqa: RUF001  # a Cyrillic a
        ({"username": "a.git"}, "username", "cannot end"),
        ({"username": ""}, "username", "required"),
        ({"password": "12345678"}, "password", "too common"),
        ({"password": "dora@example"}, "password", "too similar"),
        ({"password": "x" * 300}, "password", "at most 256"),
        ({"email": "nonsense"}, "email", "valid email"),
    ],
)
def test_a_refused_sign_up_says_why_beside_the_field(
    client: Client, alice: User, change: dict[str, str], field: str, words: str
) -> None:
    make_org("acme", alice="admin")

    response = client.post("/signup", NEW | change)

    assert response.status_code in {400, 409}
    [error] = response.context["form"].errors[field]
    assert words in error
    assert response.content.decode().count("aria-invalid") == 1
    assert (User.objects.count(), Namespace.objects.count()) == (1, 2)
    assert not is_signed_in(client)


def test_sign_ups_of_one_address_are_limited(
    client: Client, db: None, rate_limits_on: None
) -> None:
    for _ in range(limits.SIGN_UP_ADDRESS.quota):
        client.post("/signup", NEW | {"username": "admin"})

    refused = client.post("/signup", NEW)

    assert refused.status_code == 429
    assert int(refused["Retry-After"]) <= limits.SIGN_UP_ADDRESS.window_s
    assert "Too many new accounts" in refused.content.decode()
    assert User.objects.count() == 0


@pytest.mark.parametrize("name", ["alice", "ALICE", "alice@example.org", "Alice@Example.ORG"])
def test_sign_in_by_name_or_address_and_out(client: Client, alice: User, name: str) -> None:
    response = client.post("/login", {"username": name, "password": PASSWORD})

    assert (response.status_code, response["Location"]) == (302, "/")
    assert client.session["_auth_user_id"] == str(alice.pk)
    assert client.get("/logout").status_code == 405
    assert is_signed_in(client)
    assert client.post("/logout")["Location"] == "/"
    assert not is_signed_in(client)


@pytest.mark.parametrize("name", ["alice", "nobody", "gone"])
def test_wrong_passwords_look_like_unknown_names(client: Client, alice: User, name: str) -> None:
    gone = make_user("gone")
    gone.is_active = False
    gone.save()
    password = PASSWORD if name == "gone" else "wrong"

    response = client.post("/login", {"username": name, "password": password})

    assert response.status_code == 401
    assert response.context["form"].non_field_errors() == ["Name or password is wrong."]
    body = response.content.decode().replace(name, "")
    assert "wrong_login" not in body
    assert not is_signed_in(client)


def test_a_wrong_password_is_never_shown_again(client: Client, alice: User) -> None:
    response = client.post("/login", {"username": "alice", "password": "secret words 1"})

    assert "secret words 1" not in response.content.decode()


def test_unknown_names_cost_one_hashing_too(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.contrib.auth.hashers import Argon2PasswordHasher

    hashed: list[str] = []
    verify, encode = Argon2PasswordHasher.verify, Argon2PasswordHasher.encode

    def count_verify(self: Argon2PasswordHasher, password: str, encoded: str) -> bool:
        hashed.append(password)
        return verify(self, password, encoded)

    def count_encode(self: Argon2PasswordHasher, password: str, salt: str) -> str:
        hashed.append(password)
        return encode(self, password, salt)

    monkeypatch.setattr(Argon2PasswordHasher, "verify", count_verify)
    monkeypatch.setattr(Argon2PasswordHasher, "encode", count_encode)

    client.post("/login", {"username": "alice", "password": "wrong one"})
    client.post("/login", {"username": "nobody", "password": "wrong two"})

    assert hashed == ["wrong one", "wrong two"]


def test_guessing_at_one_person_is_slowed_down(
    client: Client, alice: User, bob: User, rate_limits_on: None
) -> None:
    for number in range(limits.LOGIN_PERSON.quota):
        guess = {"username": ["alice", "alice@example.org"][number % 2], "password": "wrong"}
        client.post("/login", guess, REMOTE_ADDR=f"198.51.100.{number}")

    refused = client.post("/login", ALICE, REMOTE_ADDR="198.51.100.77")
    other = Client().post("/login", ALICE | {"username": "bob"}, REMOTE_ADDR="198.51.100.77")

    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= limits.LOGIN_PERSON.window_s
    assert "Too many attempts to sign in. Try again in" in refused.content.decode()
    assert not is_signed_in(client)
    assert other.status_code == 302


def test_unknown_names_are_slowed_down_alike(
    client: Client, db: None, rate_limits_on: None
) -> None:
    for number in range(limits.LOGIN_PERSON.quota):
        wrong = {"username": "nobody", "password": "wrong"}
        client.post("/login", wrong, REMOTE_ADDR=f"198.51.100.{number}")

    refused = client.post("/login", {"username": "Nobody", "password": "wrong"})

    assert refused.status_code == 429


def test_one_address_is_slowed_down_whatever_it_claims(
    client: Client, alice: User, rate_limits_on: None
) -> None:
    for number in range(limits.LOGIN_ADDRESS.quota):
        client.post(
            "/login",
            {"username": f"user{number}", "password": "wrong"},
            headers={"X-Forwarded-For": f"10.0.0.{number}"},
        )

    refused = client.post("/login", ALICE, headers={"X-Forwarded-For": "10.0.0.99"})

    assert refused.status_code == 429
    assert not is_signed_in(client)


def test_the_whole_site_is_slowed_down(
    client: Client, alice: User, rate_limits_on: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from store.core.ratelimit import Window

    monkeypatch.setattr(limits, "LOGIN_SITE", Window("login-site", quota=2, window_s=300))
    for number in range(2):
        wrong = {"username": f"user{number}", "password": "wrong"}
        client.post("/login", wrong, REMOTE_ADDR=f"198.51.100.{number}")

    refused = client.post("/login", ALICE)

    assert refused.status_code == 429


def test_right_passwords_do_not_count(alice: User, rate_limits_on: None) -> None:
    statuses = [Client().post("/login", ALICE).status_code for _ in range(15)]

    assert statuses == [302] * 15


def test_strangers_cannot_lock_an_owner_out_of_their_own_browser(
    client: Client, alice: User, rate_limits_on: None
) -> None:
    client.post("/login", ALICE)
    client.post("/logout")
    stranger = Client()
    for number in range(limits.LOGIN_PERSON.quota + 1):
        wrong = ALICE | {"password": "wrong"}
        locked = stranger.post("/login", wrong, REMOTE_ADDR=f"198.51.100.{number}")

    at_home = client.post("/login", ALICE)

    assert locked.status_code == 429
    assert at_home.status_code == 302


@pytest.mark.parametrize("forged", ["", "x", "1:abc:def"])
def test_a_forged_note_of_a_browser_helps_nobody(
    client: Client, alice: User, rate_limits_on: None, forged: str
) -> None:
    for number in range(limits.LOGIN_PERSON.quota):
        wrong = ALICE | {"password": "wrong"}
        client.post("/login", wrong, REMOTE_ADDR=f"198.51.100.{number}")
    client.cookies["device"] = forged

    assert client.post("/login", ALICE).status_code == 429


def test_anothers_note_does_not_open_another_account(
    client: Client, alice: User, bob: User, rate_limits_on: None
) -> None:
    client.post("/login", ALICE)
    client.post("/logout")
    wrong = {"username": "bob", "password": "wrong"}
    for number in range(limits.LOGIN_PERSON.quota):
        client.post("/login", wrong, REMOTE_ADDR=f"198.51.100.{number}")

    assert client.post("/login", ALICE | {"username": "bob"}).status_code == 429


def test_the_session_key_changes_at_sign_in(client: Client, alice: User) -> None:
    client.get("/login")
    session = client.session
    session["kept"] = 1
    session.save()
    before = str(session.session_key)
    client.cookies["sessionid"] = before

    client.post("/login", ALICE)

    assert client.session.session_key != before
    planted = Client()
    planted.cookies["sessionid"] = before
    assert not is_signed_in(planted)


def test_signing_out_kills_the_session_itself(client: Client, alice: User) -> None:
    client.post("/login", ALICE)
    stolen = client.cookies["sessionid"].value
    client.post("/logout")
    thief = Client()
    thief.cookies["sessionid"] = stolen

    assert thief.get("/settings", headers=HTML)["Location"].startswith("/login")


def test_cookies_are_out_of_reach_of_scripts(client: Client, alice: User) -> None:
    client.post("/login", ALICE)

    for name in ("sessionid", "device"):
        assert client.cookies[name]["httponly"]
        assert client.cookies[name]["samesite"] == "Lax"


@pytest.mark.parametrize("path", ["/signup", "/login"])
def test_who_is_signed_in_goes_on(
    browser_of: Callable[[User], Client], alice: User, path: str
) -> None:
    response = browser_of(alice).get(f"{path}?next=/models")

    assert response["Location"] == "/models"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "HTTPS:/evil.example",
        "//evil.example",
        "///evil.example",
        "////evil.example",
        "/\\evil.example",
        "/\\/evil.example",
        "\\\\evil.example",
        "\\/evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/\r\n/evil.example",
        " //evil.example",
        "\x1f//evil.example",
        "\u00a0//evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "http:evil.example",
        "http:///evil.example",
        "@evil.example",
        "evil.example",
        "//[evil",
        "",
    ],
)
def test_next_leads_to_this_site_only(client: Client, alice: User, target: str) -> None:
    shown = client.get("/login", {"next": target}).context["next"]

    response = client.post("/login", ALICE | {"next": target})

    assert (shown, response["Location"]) == ("/", "/")
    assert is_signed_in(client)


@pytest.mark.parametrize("target", ["/publish", "/models?q=a&sort=size", "/novels/gpt#try", "/雪"])
def test_next_leads_back(client: Client, alice: User, target: str) -> None:
    from django.utils.encoding import iri_to_uri

    response = client.post("/login", ALICE | {"next": target})

    assert response["Location"] == iri_to_uri(target)


@pytest.mark.parametrize("path", ["/login", "/signup", "/logout", "/password-reset", "/theme"])
def test_forms_need_their_secret(alice: User, path: str) -> None:
    strict = Client(enforce_csrf_checks=True)

    response = strict.post(path, ALICE, headers=HTML)

    assert response.status_code == 403
    assert "out of date" in response.content.decode()
    assert not is_signed_in(strict)


def test_forms_have_their_secret(alice: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    page = strict.get("/login").content.decode()
    secret = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert secret is not None

    response = strict.post("/login", ALICE | {"csrfmiddlewaretoken": secret[1]})

    assert response.status_code == 302
    assert is_signed_in(strict)


@pytest.mark.parametrize("path", ["/login", "/signup", "/password-reset"])
def test_entry_pages_are_not_kept_and_help_password_managers(
    client: Client, db: None, path: str
) -> None:
    response = client.get(path)

    assert "no-store" in response["Cache-Control"]
    assert "private" in response["Cache-Control"]
    page = response.content.decode()
    assert 'autocomplete="username"' in page
    assert page.count("autofocus") == 1


def test_a_sign_in_takes_few_queries(
    client: Client, alice: User, django_assert_max_num_queries: Callable[[int], object]
) -> None:
    with django_assert_max_num_queries(16):  # type: ignore[attr-defined]
        client.post("/login", ALICE)

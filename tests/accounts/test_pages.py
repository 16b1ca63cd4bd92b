"""Signing up, in and out; settings; what strangers and robots cannot do."""

import re

import pytest
from django.core import mail
from django.test import Client

from accounts.models import AccessToken, AuditEvent, Namespace, Organization, User
from accounts.services.tokens import authenticate
from store.core.errors import BadCredentialsError
from tests.factories import PASSWORD, make_org, make_repo, make_user

NEW = {"username": "dora", "email": "dora@example.org", "password": PASSWORD}
HTML = {"Accept": "text/html"}


@pytest.mark.django_db
def test_sign_up_makes_a_person_a_name_and_a_session(client: Client) -> None:
    response = client.post("/signup", NEW | {"next": "/publish"})

    assert (response.status_code, response["Location"]) == (302, "/publish")
    user = User.objects.get(username="dora")
    assert Namespace.objects.get(user=user).name == "dora"
    assert client.session["_auth_user_id"] == str(user.pk)
    assert user.password.startswith("argon2")
    assert AuditEvent.objects.get().action == "user.create"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"username": "ALICE"}, "taken"),
        ({"email": "Alice@Example.org"}, "taken"),
        ({"username": "admin"}, "uses itself"),
        ({"username": "a--b"}, "cannot contain"),
        ({"username": "x"}, "2 to 42"),
        ({"username": "été"}, "letters"),
        ({"username": "a.git"}, "cannot end"),
        ({"password": "12345678"}, "too common"),
        ({"password": "doraexample"}, "similar|common"),
        ({"email": "nonsense"}, "valid email"),
    ],
)
def test_refused_sign_ups_change_nothing(
    client: Client, alice: User, change: dict, words: str
) -> None:
    response = client.post("/signup", NEW | change)

    assert response.status_code == 400
    assert re.search(words, response.content.decode())
    assert User.objects.count() == Namespace.objects.count() == 1


def test_log_in_by_name_or_address_and_out(client: Client, alice: User) -> None:
    for name in ("alice", "ALICE", "alice@example.org"):
        response = client.post("/login", {"username": name, "password": PASSWORD})
        assert response["Location"] == "/"
        assert client.post("/logout")["Location"] == "/"
        assert "_auth_user_id" not in client.session


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_wrong_passwords_look_like_unknown_names(client: Client, alice: User, name: str) -> None:
    response = client.post("/login", {"username": name, "password": "wrong"})

    assert response.status_code == 400
    assert "Name or password is wrong." in response.content.decode()
    assert "_auth_user_id" not in client.session


def test_guessing_is_slowed_down(client: Client, alice: User, rate_limits_on: None) -> None:
    for _ in range(10):
        client.post("/login", {"username": "alice", "password": "wrong"})

    refused = client.post("/login", {"username": "Alice", "password": PASSWORD})

    assert "Too many requests" in refused.content.decode()
    assert "_auth_user_id" not in client.session


def test_a_forged_forwarding_header_does_not_help(
    client: Client, alice: User, rate_limits_on: None
) -> None:
    for number in range(31):
        client.post(
            "/login",
            {"username": f"user{number}", "password": "wrong"},
            headers={"X-Forwarded-For": f"10.0.0.{number}"},
        )

    refused = client.post("/login", {"username": "alice", "password": PASSWORD})

    assert "Too many requests" in refused.content.decode()


@pytest.mark.parametrize(
    ("target", "goes"),
    [
        ("/publish", "/publish"),
        ("https://evil.example/", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/\t/evil.example", "/"),
        ("", "/"),
    ],
)
def test_next_leads_to_this_site_only(client: Client, alice: User, target: str, goes: str) -> None:
    response = client.post("/login", {"username": "alice", "password": PASSWORD, "next": target})

    assert not response["Location"].startswith("//")
    assert response["Location"] in {goes, "/evil.example"}


def test_the_session_key_changes_at_login(client: Client, alice: User) -> None:
    client.get("/login")
    session = client.session
    session["x"] = 1
    session.save()
    before = session.session_key

    client.post("/login", {"username": "alice", "password": PASSWORD})

    assert client.session.session_key != before


def test_forms_need_their_secret(alice: User) -> None:
    strict = Client(enforce_csrf_checks=True)

    response = strict.post("/login", {"username": "alice", "password": PASSWORD}, headers=HTML)

    assert response.status_code == 403
    assert "out of date" in response.content.decode()


def test_a_forgotten_password(client: Client, alice: User, settings) -> None:
    settings.PUBLIC_URL = "https://models.example.org"
    known = client.post("/reset", {"name": "alice"}, headers={"Host": "evil.example"})
    unknown = client.post("/reset", {"name": "nobody"})

    assert known.content.count(b"is on its way") == unknown.content.count(b"is on its way") == 1
    [letter] = mail.outbox
    link = re.search(r"https://models\.example\.org(/reset/\S+)", letter.body)
    assert link is not None
    page = client.get(link[1])
    weak = client.post(link[1], {"password": "12345678"})
    done = client.post(link[1], {"password": "another fine password 7"})
    again = client.get(link[1], headers=HTML)

    assert page["Referrer-Policy"] == "no-referrer"
    assert weak.status_code == 200
    assert done["Location"] == "/"
    assert again.status_code == 404
    alice.refresh_from_db()
    assert alice.check_password("another fine password 7")
    assert client.get("/reset/x/y", headers=HTML).status_code == 404


def test_resets_are_limited(client: Client, alice: User, rate_limits_on: None) -> None:
    for _ in range(6):
        response = client.post("/reset", {"name": "alice"})

    assert "Too many requests" in response.content.decode()
    assert len(mail.outbox) == 5


def test_profile_and_address(client: Client, alice: User, bob: User) -> None:
    client.force_login(alice)
    new = {"form": "profile", "full_name": "Alice A", "bio": "Hi", "homepage": "https://a.example"}

    named = client.post("/settings", new | {"email": alice.email})
    refused = client.post("/settings", new | {"email": "new@example.org", "password": "no"})
    taken = client.post("/settings", new | {"email": bob.email, "password": PASSWORD})
    moved = client.post("/settings", new | {"email": "new@example.org", "password": PASSWORD})

    assert (named.status_code, moved.status_code) == (302, 302)
    assert b"Type your password" in refused.content
    assert b"Somebody has this" in taken.content
    alice.refresh_from_db()
    assert (alice.full_name, alice.email) == ("Alice A", "new@example.org")


def test_a_new_password_ends_other_sessions(alice: User) -> None:
    here, elsewhere = Client(), Client()
    for client in (here, elsewhere):
        client.post("/login", {"username": "alice", "password": PASSWORD})
    wrong = here.post("/settings", {"form": "password", "old": "x", "new": "quite another 88"})

    here.post("/settings", {"form": "password", "old": PASSWORD, "new": "quite another 88"})

    assert b"present password is wrong" in wrong.content
    assert here.get("/settings").status_code == 200
    assert elsewhere.get("/settings", headers=HTML).status_code == 401


def test_a_token_is_shown_once_and_revoked_at_once(client: Client, alice: User) -> None:
    client.force_login(alice)

    made = client.post("/settings/tokens", {"name": "laptop", "scope": "write", "life_days": "30"})
    text = re.search(r"hf_[A-Za-z0-9]{34}", made.content.decode())
    assert text is not None
    later = client.get("/settings/tokens")
    token = AccessToken.objects.get()

    assert text[0] not in later.content.decode()
    assert made["Cache-Control"] == "no-store"
    assert text[0] not in str(AccessToken.objects.values())
    assert token.expires_at is not None
    assert authenticate(text[0]).user == alice
    client.post(f"/settings/tokens/{token.pk}/revoke")
    with pytest.raises(BadCredentialsError):
        authenticate(text[0])


def test_nobody_revokes_anothers_token(client: Client, alice: User, bob: User, token_for) -> None:
    token_for(alice)
    client.force_login(bob)

    response = client.post(f"/settings/tokens/{AccessToken.objects.get().pk}/revoke", headers=HTML)

    assert response.status_code == 404
    assert AccessToken.objects.get().revoked_at is None


def test_organizations(client: Client, alice: User, bob: User) -> None:
    client.force_login(alice)

    made = client.post("/settings/organizations", {"name": "acme", "full_name": "Acme"})
    taken = client.post("/settings/organizations", {"name": "BOB"})
    page = made["Location"]
    client.post(page, {"username": "bob", "role": "read"})
    unknown = client.post(page, {"username": "nobody", "role": "read"})
    last = client.post(page, {"username": "alice", "role": "read"})

    acme = Organization.objects.get()
    assert page == "/settings/organizations/acme"
    assert b"is taken" in taken.content
    assert b"nobody called nobody" in unknown.content
    assert b"somebody else admin first" in last.content
    assert dict(acme.memberships.values_list("user__username", "role")) == {
        "alice": "admin",
        "bob": "read",
    }
    assert client.get("/settings/organizations").content.count(b"Acme") == 1
    client.post(page, {"remove": "bob"})
    assert acme.memberships.count() == 1


def test_only_admins_change_members(client: Client, alice: User, bob: User) -> None:
    make_org("acme", alice="admin", bob="write")
    client.force_login(bob)

    seen = client.get("/settings/organizations/acme")
    refused = client.post("/settings/organizations/acme", {"remove": "alice"}, headers=HTML)
    other = client.get("/settings/organizations/none", headers=HTML)

    assert b"Take out" not in seen.content
    assert (refused.status_code, other.status_code) == (403, 404)
    assert Organization.objects.get().memberships.count() == 2


def test_deleting_an_account_keeps_its_name(client: Client, alice: User, bob: User) -> None:
    make_org("acme", alice="admin")
    repo = make_repo(alice)
    client.force_login(alice)
    form = {"form": "delete", "confirmation": "alice", "password": PASSWORD}

    texts = [
        client.post("/settings", form | change).content.decode()
        for change in ({"confirmation": "bob"}, {"password": "no"}, {})
    ]
    repo.delete()
    texts.append(client.post("/settings", form).content.decode())
    make_org_admin(bob)
    done = client.post("/settings", form)

    for text, words in zip(
        texts, ["to delete the account", "is wrong", "models first", "somebody else"], strict=True
    ):
        assert words in text
    assert done["Location"] == "/"
    assert not User.objects.filter(username="alice").exists()
    assert Namespace.objects.get(name="alice").owner is None
    assert Client().post("/signup", NEW | {"username": "Alice"}).status_code == 400
    assert Client().get("/alice", headers=HTML).status_code == 404


def make_org_admin(user: User) -> None:
    from accounts.models import Role
    from accounts.services.people import set_member

    set_member(Organization.objects.get(), user, Role.ADMIN, actor=None)


def test_activity_shows_networks_not_addresses(client: Client, alice: User) -> None:
    make_repo(alice)
    client.force_login(alice)

    page = client.get("/settings/activity")

    assert b"repo.create" in page.content


def test_visitors_are_asked_to_sign_in(client: Client, db: None) -> None:
    for path in ("/settings", "/settings/tokens", "/settings/organizations", "/settings/activity"):
        response = client.get(path, headers=HTML)
        assert response.status_code == 401
        assert f"/login?next={path.replace('/', '%2F')}" in response.content.decode()


def test_tokens_cannot_change_settings(client: Client, alice: User, bearer) -> None:
    response = client.get("/settings", headers=bearer(alice, "write") | HTML)

    assert response.status_code == 403


def test_pictures_tell_nothing(client: Client, db: None) -> None:
    known, unknown = client.get("/avatars/alice.svg"), client.get("/avatars/nobody.svg")

    assert known["Content-Type"] == unknown["Content-Type"] == "image/svg+xml"
    assert known.content != unknown.content
    assert known.content == client.get("/avatars/ALICE.svg").content


def test_the_language_can_be_chosen(client: Client, db: None) -> None:
    response = client.post("/language", {"language": "zh-hans", "next": "/login"})

    assert response["Location"] == "/login"
    assert '<html lang="zh-hans"' in client.get("/login").content.decode()


def test_the_administration_is_for_staff(client: Client, alice: User, staff: User) -> None:
    make_repo(alice)
    client.force_login(alice)
    assert client.get("/admin/").status_code == 302
    client.force_login(staff)
    for path in (
        "",
        "accounts/user/",
        "accounts/auditevent/",
        "accounts/namespace/",
        "accounts/organization/",
        "accounts/accesstoken/",
        "catalog/modelrepo/",
        "catalog/filescan/",
        "catalog/repoalias/",
        f"accounts/user/{alice.pk}/change/",
    ):
        assert client.get(f"/admin/{path}").status_code == 200, path
    assert client.get("/admin/accounts/user/add/").status_code == 403
    assert client.get("/admin/accounts/accesstoken/add/").status_code == 403
    event = AuditEvent.objects.first()
    assert event is not None
    assert client.post(f"/admin/accounts/auditevent/{event.pk}/delete/").status_code == 403


def test_names_are_unique_whatever_their_case(alice: User) -> None:
    from accounts.names import NameTakenError
    from accounts.services.people import create_organization

    with pytest.raises(NameTakenError):
        create_organization(name="Alice", creator=alice)
    with pytest.raises(NameTakenError):
        make_user("Alice")
    assert str(alice) == "alice"

"""Organizations: made, run by their admins, left, deleted."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import AuditEvent, Namespace, Organization, Role, User
from accounts.services.people import set_member
from tests.factories import make_org, make_repo, make_user

Browser = Callable[[User], Client]
HTML = {"Accept": "text/html"}
PAGE = "/organizations/acme/settings"


def roles_of(organization: Organization) -> dict[str, str]:
    return dict(organization.memberships.values_list("user__username", "role"))


def test_making_one(browser_of: Browser, alice: User) -> None:
    client = browser_of(alice)

    made = client.post("/settings/organizations", {"name": "acme", "full_name": "Acme Ltd"})

    acme = Organization.objects.get()
    assert made["Location"] == PAGE
    assert (acme.full_name, roles_of(acme)) == ("Acme Ltd", {"alice": "admin"})
    assert b"Acme Ltd" in client.get("/settings/organizations").content
    assert AuditEvent.objects.get(action="organization.create").address == "127.0.0.0"


@pytest.mark.parametrize("name", ["BOB", "gone", "models", "a--b", ""])
def test_a_refused_name_makes_nothing(
    browser_of: Browser, alice: User, bob: User, name: str
) -> None:
    Namespace.objects.create(name="Gone")

    response = browser_of(alice).post("/settings/organizations", {"name": name})

    assert response.status_code == 400
    assert list(response.context["form"].errors) == ["name"]
    assert Organization.objects.count() == 0


def test_admins_add_change_and_remove(browser_of: Browser, alice: User, bob: User) -> None:
    acme = make_org("acme", alice="admin")
    client = browser_of(alice)

    added = client.post(PAGE, {"form": "member", "username": "BOB", "role": "read"})
    after_adding = roles_of(acme)
    client.post(PAGE, {"form": "member", "username": "bob", "role": "write"})
    after_change = roles_of(acme)
    client.post(PAGE, {"remove": "bob"})

    assert added["Location"] == PAGE
    assert after_adding == {"alice": "admin", "bob": "read"}
    assert after_change == {"alice": "admin", "bob": "write"}
    assert roles_of(acme) == {"alice": "admin"}
    events = AuditEvent.objects.filter(action="organization.member", actor=alice)
    assert [event.detail["role"] for event in events] == [None, "write", "read"]


@pytest.mark.parametrize(
    ("form", "status", "words"),
    [
        ({"form": "member", "username": "nobody", "role": "read"}, 404, "nobody called nobody"),
        ({"form": "member", "username": "bob", "role": "owner"}, 400, "Select a valid choice"),
        ({"form": "member", "username": "", "role": "read"}, 400, "required"),
        ({"form": "member", "username": "alice", "role": "read"}, 409, "somebody else admin"),
        ({"remove": "alice"}, 409, "somebody else admin"),
        ({"remove": "carol"}, 404, "carol is not a member"),
        ({"remove": "nobody"}, 404, "nobody called nobody"),
        ({"form": "else"}, 400, "not known here"),
        ({"form": "profile", "homepage": "javascript:x"}, 400, "valid URL"),
        ({"form": "delete", "confirmation": "Acme"}, 400, "exactly as it is written"),
    ],
)
def test_a_refused_change_changes_nothing(
    browser_of: Browser, alice: User, bob: User, form: dict[str, str], status: int, words: str
) -> None:
    make_user("carol")
    acme = make_org("acme", alice="admin", bob="write")

    response = browser_of(alice).post(PAGE, form)

    assert response.status_code == status
    assert words in response.content.decode()
    assert roles_of(Organization.objects.get()) == {"alice": "admin", "bob": "write"}
    acme.refresh_from_db()
    assert acme.homepage == ""


@pytest.mark.parametrize("role", ["write", "read"])
@pytest.mark.parametrize(
    "form",
    [
        {"remove": "alice"},
        {"form": "member", "username": "bob", "role": "admin"},
        {"form": "profile", "full_name": "Taken over"},
        {"form": "delete", "confirmation": "acme"},
    ],
)
def test_only_admins_change_anything(
    browser_of: Browser, alice: User, bob: User, role: str, form: dict[str, str]
) -> None:
    acme = make_org("acme", alice="admin", bob=role)
    client = browser_of(bob)

    seen = client.get(PAGE).content.decode()
    refused = client.post(PAGE, form)

    assert "alice" in seen
    assert "Add a member" not in seen
    assert refused.status_code == 403
    acme.refresh_from_db()
    assert (acme.full_name, roles_of(acme)) == ("", {"alice": "admin", "bob": role})


def test_anybody_may_leave_but_the_last_admin(browser_of: Browser, alice: User, bob: User) -> None:
    acme = make_org("acme", alice="admin", bob="read")

    left = browser_of(bob).post(PAGE, {"remove": "bob"})

    assert left["Location"] == "/settings/organizations"
    assert roles_of(acme) == {"alice": "admin"}
    assert browser_of(bob).get(PAGE, headers=HTML).status_code == 404


def test_strangers_find_nothing(browser_of: Browser, alice: User, bob: User) -> None:
    make_org("acme", alice="admin")
    client = browser_of(bob)

    hidden = client.get(PAGE, headers=HTML)
    absent = client.get("/organizations/nothing/settings", headers=HTML)

    assert (hidden.status_code, absent.status_code) == (404, 404)
    assert "You belong to no organization of this name." in hidden.content.decode()
    assert "You belong to no organization of this name." in absent.content.decode()


def test_a_removed_member_loses_access_at_once(browser_of: Browser, alice: User, bob: User) -> None:
    acme = make_org("acme", alice="admin", bob="admin")
    client = browser_of(bob)
    before = client.get(PAGE).status_code

    set_member(acme, bob, None, actor=alice)

    assert (before, client.get(PAGE, headers=HTML).status_code) == (200, 404)
    posted = client.post(PAGE, {"form": "member", "username": "bob", "role": "admin"})
    assert posted.status_code == 404
    assert roles_of(acme) == {"alice": "admin"}


def test_the_profile(browser_of: Browser, alice: User) -> None:
    acme = make_org("acme", alice="admin")
    form = {
        "form": "profile",
        "full_name": "Acme",
        "bio": "We make models.",
        "homepage": "https://acme.example",
        "is_private_by_default": "on",
    }

    response = browser_of(alice).post(PAGE, form)

    assert response["Location"] == PAGE
    acme.refresh_from_db()
    assert (acme.full_name, acme.bio) == ("Acme", "We make models.")
    assert acme.is_private_by_default


def test_an_empty_organization_can_be_deleted_and_its_name_stays(
    browser_of: Browser, alice: User, bob: User
) -> None:
    make_org("acme", alice="admin", bob="write")
    repo = make_repo(alice, namespace="acme")
    client = browser_of(alice)

    refused = client.post(PAGE, {"form": "delete", "confirmation": "acme"})
    still_there = Organization.objects.count()
    repo.delete()
    done = client.post(PAGE, {"form": "delete", "confirmation": "acme"})

    assert (refused.status_code, still_there) == (409, 1)
    assert b"There is still 1 model under acme" in refused.content
    assert done["Location"] == "/settings/organizations"
    assert Organization.objects.count() == 0
    assert Namespace.objects.get(name="acme").owner is None
    assert client.post("/settings/organizations", {"name": "Acme"}).status_code == 400


def test_the_members_take_the_same_queries_however_many(
    browser_of: Browser, alice: User, django_assert_max_num_queries: Callable[[int], object]
) -> None:
    acme = make_org("acme", alice="admin")
    for number in range(12):
        set_member(acme, make_user(f"user{number}"), Role.READ, actor=None)
    client = browser_of(alice)

    with django_assert_max_num_queries(8):  # type: ignore[attr-defined]
        page = client.get(PAGE).content.decode()

    assert page.count('name="remove"') == 13

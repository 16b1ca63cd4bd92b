"""The administration: who gets in, what it shows, what it leaves behind."""

from collections.abc import Callable

import pytest
from django.contrib import admin
from django.db import IntegrityError, connection, transaction
from django.test import Client

from accounts import furniture
from accounts.admin import AuditedAdmin
from accounts.models import AccessToken, AuditEvent, User
from catalog.models import RepoAlias
from tests.factories import PASSWORD, make_org, make_repo

Browser = Callable[[User], Client]
HTML = {"Accept": "text/html"}


def test_there_is_one_sign_in(client: Client, staff: User) -> None:
    visitor = client.get("/admin/login/?next=/admin/accounts/user/", headers=HTML)
    posted = client.post("/admin/login/", {"username": "carol", "password": PASSWORD})
    evil = client.get("/admin/login/?next=//evil.example", headers=HTML)

    assert visitor["Location"] == "/login?next=%2Fadmin%2Faccounts%2Fuser%2F"
    assert posted["Location"] == "/login?next=%2Fadmin%2F"
    assert evil["Location"] == "/login?next=%2Fadmin%2F"
    assert "_auth_user_id" not in client.session


def test_it_is_for_staff(browser_of: Browser, alice: User, staff: User) -> None:
    person, member = browser_of(alice), browser_of(staff)

    refused = person.get("/admin/", headers=HTML, follow=True)
    allowed = member.get("/admin/login/", headers=HTML)

    assert refused.status_code == 403
    assert "The administration is for staff." in refused.content.decode()
    assert allowed["Location"] == "/admin/"
    assert member.get("/admin/password_change/")["Location"] == "/settings/account"


def test_every_page_opens(browser_of: Browser, alice: User, staff: User, token_for) -> None:
    make_org("acme", alice="admin")
    make_repo(alice)
    token_for(alice)
    client = browser_of(staff)

    for model in admin.site._registry:
        place = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        assert client.get(place).status_code == 200, place
        row = model._default_manager.first()
        if row is not None:
            assert client.get(f"{place}{row.pk}/change/").status_code == 200, place


def test_everything_done_there_is_audited() -> None:
    plain = [
        model for model, page in admin.site._registry.items() if not isinstance(page, AuditedAdmin)
    ]

    assert plain == []


def test_a_change_leaves_one_event(browser_of: Browser, alice: User, staff: User) -> None:
    browser = browser_of(staff)
    before = AuditEvent.objects.count()
    form = {"email": alice.email, "full_name": "Alice", "bio": "", "homepage": ""}

    response = browser.post(f"/admin/accounts/user/{alice.pk}/change/", form)

    assert response.status_code == 302
    event = AuditEvent.objects.first()
    assert event is not None
    assert AuditEvent.objects.count() == before + 1
    assert (event.action, event.actor, event.subject) == (
        "admin.change",
        staff,
        f"User {alice.pk}: alice",
    )
    alice.refresh_from_db()
    assert (alice.is_active, alice.is_superuser) == (False, False)


def test_adding_and_deleting_leave_events(browser_of: Browser, alice: User, staff: User) -> None:
    repo = make_repo(alice)
    client = browser_of(staff)

    client.post("/admin/catalog/repoalias/add/", {"name": "gpt", "repo": repo.pk})
    chosen = {
        "action": "delete_selected",
        "_selected_action": [str(RepoAlias.objects.get().pk)],
        "post": "yes",
    }
    client.post("/admin/catalog/repoalias/", chosen)

    events = AuditEvent.objects.filter(actor=staff, action__startswith="admin.")
    assert [event.action for event in events] == ["admin.delete", "admin.add"]
    assert RepoAlias.objects.count() == 0


def test_people_tokens_and_organizations_are_not_made_or_deleted_there(
    browser_of: Browser, alice: User, staff: User, token_for
) -> None:
    acme = make_org("acme", alice="admin")
    token_for(alice)
    token = AccessToken.objects.get()
    client = browser_of(staff)

    for place, pk in (
        ("accounts/user", alice.pk),
        ("accounts/organization", acme.pk),
        ("accounts/accesstoken", token.pk),
        ("accounts/namespace", alice.namespace.pk),
    ):
        assert client.get(f"/admin/{place}/add/").status_code == 403, place
        assert client.post(f"/admin/{place}/{pk}/delete/", {"post": "yes"}).status_code == 403
    alice.refresh_from_db()
    token.refresh_from_db()
    acme.refresh_from_db()


def test_a_member_cannot_be_slipped_in(browser_of: Browser, alice: User, staff: User) -> None:
    acme = make_org("acme", alice="admin")
    member = acme.memberships.get()
    form = {
        "full_name": "Acme",
        "bio": "",
        "homepage": "",
        "memberships-TOTAL_FORMS": "2",
        "memberships-INITIAL_FORMS": "1",
        "memberships-0-id": str(member.pk),
        "memberships-0-DELETE": "on",
        "memberships-1-user": str(staff.pk),
        "memberships-1-role": "admin",
    }

    browser_of(staff).post(f"/admin/accounts/organization/{acme.pk}/change/", form)

    assert [row.user for row in acme.memberships.all()] == [alice]


def test_digests_are_not_shown_and_nothing_of_a_token_can_be_edited(
    browser_of: Browser, alice: User, staff: User, token_for
) -> None:
    token_for(alice, "read")
    token = AccessToken.objects.get()
    client = browser_of(staff)
    place = f"/admin/accounts/accesstoken/{token.pk}/change/"

    page = client.get(place).content.decode()
    posted = client.post(place, {"scopes": "admin", "digest": "0" * 64})

    assert token.digest not in page
    assert posted.status_code == 403
    before = (token.digest, token.scopes)
    token.refresh_from_db()
    assert (token.digest, token.scopes) == before


def test_staff_revoke_tokens(
    browser_of: Browser, client: Client, alice: User, staff: User, bearer
) -> None:
    headers = bearer(alice, "read")
    token = AccessToken.objects.get()
    form = {"action": "revoke", "_selected_action": [str(token.pk)]}

    response = browser_of(staff).post("/admin/accounts/accesstoken/", form)

    assert response.status_code == 302
    assert client.get("/api/v1/me", headers=headers).status_code == 401
    event = AuditEvent.objects.get(action="token.revoke")
    assert (event.actor, event.namespace) == (staff, alice.namespace)


def test_the_trail_cannot_be_touched(browser_of: Browser, alice: User, staff: User) -> None:
    event = AuditEvent.objects.first()
    assert event is not None
    client = browser_of(staff)
    place = f"/admin/accounts/auditevent/{event.pk}"

    deleted = client.post(f"{place}/delete/", {"post": "yes"})
    changed = client.post(f"{place}/change/", {"action": "x"})
    chosen = {"action": "delete_selected", "_selected_action": [str(event.pk)], "post": "yes"}
    client.post("/admin/accounts/auditevent/", chosen)

    assert (deleted.status_code, changed.status_code) == (403, 403)
    assert AuditEvent.objects.filter(pk=event.pk, action=event.action).exists()


@pytest.mark.parametrize("path", ["", "accounts/user/"])
def test_pages_keep_the_policy(browser_of: Browser, staff: User, path: str) -> None:
    response = browser_of(staff).get(f"/admin/{path}")

    policy = response["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_the_trail_is_kept_below_python(alice: User, staff: User) -> None:
    event = AuditEvent.objects.create(action="x.y", actor=staff, actor_name="carol")
    rows = AuditEvent.objects.filter(pk=event.pk)

    for change in (
        lambda: rows.update(action="z"),
        lambda: rows.update(actor=alice),
        lambda: rows.update(actor=None, detail={"reason": "another"}),
        rows.delete,
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()
    assert rows.get() == event
    assert (rows.get().action, rows.get().actor) == ("x.y", staff)

    rows.update(actor=None)  # as when the person leaves
    assert (rows.get().actor, rows.get().actor_name) == (None, "carol")


def test_a_database_without_tables_gets_no_triggers(db: None) -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE accounts_auditevent CASCADE")
        furniture.create_triggers(using="default")
        transaction.set_rollback(True)
    assert AuditEvent.objects.count() == 0

"""Who may do what with a license; its key shown, replaced; suspended and reinstated."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail

from accounts.models import AccessToken, AuditEvent, Scope, User
from accounts.services.tokens import create_token
from accounts.viewer import VISITOR, Viewer
from catalog.models import Grant
from licensing.access import LicenseNotFoundError, license_for, licenses_of
from licensing.models import Dispute, License, Offer
from licensing.services import granting, license_keys, refunds
from licensing.services.license_keys import LicenseRevokedError, ReasonRequiredError
from licensing.services.validating import Code, validate
from store.core.errors import ForbiddenError, StaleError, UnauthenticatedError
from store.core.sealing import SealBrokenError
from tests.factories import make_org, make_user, proved_viewer
from tests.licensing.license_api.holding import Held, bank_says, everything, hold
from tests.licensing.selling.shop import open_shop

pytestmark = pytest.mark.django_db


def with_token(user: User, *scopes: Scope) -> Viewer:
    """Somebody's program."""
    token: AccessToken = create_token(user, name="t", scopes=list(scopes))[0]
    return Viewer(user=user, token=token)


def test_each_sees_and_does_what_is_theirs() -> None:
    shop = open_shop()
    for name in ("bob", "eve", "dan", "zoe"):
        make_user(name)
    make_org("acme", ada="admin", bob="read", dan="write")
    row = License.objects.get(line__order=shop.buy(holder="acme"))
    staff = proved_viewer(make_user("carol", is_staff=True))
    who = {name: Viewer(user=User.objects.get(username=name)) for name in ("ada", "bob", "dan")}
    who |= {"staff": staff, "seller": shop.selling}
    allowed = {
        "see": {"ada", "bob", "dan", "staff", "seller"},
        "prove": {"ada", "bob", "dan"},
        "use": {"ada", "bob", "dan"},
        "manage": {"ada", "dan"},
        "police": {"staff", "seller"},
    }

    for doing, people in allowed.items():
        for name, viewer in who.items():
            if name in people:
                assert license_for(viewer, row.public_id, to=doing) == row
            else:
                with pytest.raises(ForbiddenError):
                    license_for(viewer, row.public_id, to=doing)
        for name in ("eve", "zoe"):
            stranger = Viewer(user=User.objects.get(username=name))
            for public_id in (row.public_id, "0" * 24):
                with pytest.raises(LicenseNotFoundError) as caught:
                    license_for(stranger, public_id, to=doing)
                assert caught.value.extra == {}
        with pytest.raises(UnauthenticatedError):
            license_for(VISITOR, row.public_id, to=doing)


def test_a_token_needs_its_scope() -> None:
    held = hold()
    reader, buyer = with_token(held.shop.buyer, Scope.READ), with_token(held.shop.buyer, Scope.BUY)
    writer = with_token(held.shop.buyer, Scope.WRITE)

    for viewer in (reader, buyer, writer):
        assert list(licenses_of(viewer)) == [held.row]
        assert license_for(viewer, held.row.public_id, to="prove") == held.row
    assert license_for(writer, held.row.public_id, to="use") == held.row
    for viewer in (reader, buyer):
        with pytest.raises(ForbiddenError) as caught:
            license_for(viewer, held.row.public_id, to="use")
        assert caught.value.code == "missing_scope"


def test_lists_are_ones_own() -> None:
    held = hold()

    assert list(licenses_of(held.holding)) == [held.row]
    assert list(licenses_of(held.holding, sold=True)) == []
    assert list(licenses_of(held.selling)) == []
    assert list(licenses_of(held.selling, sold=True)) == [held.row]
    assert list(licenses_of(Viewer(user=make_user("eve")))) == []


def test_readers_of_a_seller_do_not_see_its_buyers() -> None:
    held = hold()
    make_user("bob")
    make_org("regency", maria="admin", bob="read")
    bob = Viewer(user=User.objects.get(username="bob"))
    License.objects.update(seller=held.selling.user.organizations.get().namespace)

    assert list(licenses_of(bob, sold=True)) == []
    with pytest.raises(LicenseNotFoundError):
        license_for(bob, held.row.public_id)
    maria = Viewer(user=held.shop.seller)
    assert list(licenses_of(maria, sold=True)) == [held.row]


def test_the_key_is_shown_and_that_is_noted() -> None:
    held = hold()

    key = license_keys.reveal_key(held.holding, held.row)

    assert validate(key).is_valid
    event = AuditEvent.objects.get(action="license.reveal")
    assert (event.actor, event.subject) == (held.shop.buyer, held.row.public_id)
    assert key not in str(event.detail)


def test_a_key_of_another_secret_works_on_but_cannot_be_shown(settings: Any) -> None:
    held = hold()
    key = held.key
    settings.SECRET_KEY = "another"

    with pytest.raises(SealBrokenError):
        license_keys.reveal_key(held.holding, held.row)

    assert validate(key).is_valid
    assert not AuditEvent.objects.filter(action="license.reveal").exists()
    settings.SECRET_KEY_FALLBACKS = []
    assert validate(license_keys.rotate_key(held.holding, held.row)).is_valid


def test_a_new_key_ends_the_old_one_and_keeps_the_seats(run_jobs: Callable[[], Any]) -> None:
    held = hold()
    old = held.key
    held.machine("m1")
    run_jobs()
    mail.outbox.clear()

    new = license_keys.rotate_key(held.holding, held.row)

    assert new != old
    assert validate(old).code == Code.NOT_FOUND
    assert validate(new).is_valid
    assert held.live() == ["m1"]
    assert AuditEvent.objects.get(action="license.rotate").subject == held.row.public_id
    run_jobs()
    (letter,) = mail.outbox
    assert letter.to == ["ada@example.org"]
    assert letter.subject == "The key of a license of yours was replaced"
    assert "replaced by ada" in letter.body
    assert new not in letter.body


def test_a_key_is_replaced_once_for_each_that_was_read() -> None:
    held = hold()
    license_keys.rotate_key(held.holding, held.row, rotation=0)
    before = everything()

    with pytest.raises(StaleError) as caught:
        license_keys.rotate_key(held.holding, held.row, rotation=0)

    assert caught.value.extra == {"key_rotation": 1}
    assert everything() == before


def refunded() -> Held:
    held = hold()
    refunds.give_back(held.selling, held.row.line.order, None, "Sorry")
    return held


@pytest.mark.parametrize(
    "work",
    [
        lambda held: license_keys.rotate_key(held.holding, held.row),
        lambda held: license_keys.suspend(held.selling, held.row, "late"),
        lambda held: license_keys.reinstate(held.selling, held.row),
    ],
)
def test_what_was_taken_back_stays_so(work: Callable[[Held], Any]) -> None:
    held = refunded()
    before = everything()

    with pytest.raises(LicenseRevokedError):
        work(held)

    assert everything() == before


def test_suspending_and_reinstating(run_jobs: Callable[[], Any]) -> None:
    held = hold()
    run_jobs()
    mail.outbox.clear()

    license_keys.suspend(held.selling, held.row, "  The  invoice bounced. ")
    license_keys.suspend(held.selling, held.row, "Again")

    row = held.fresh()
    assert (row.suspended_for, held.grant.state) == ("The invoice bounced.", Grant.State.FROZEN)
    assert validate(held.key).code == Code.SUSPENDED

    license_keys.reinstate(held.selling, held.row)
    license_keys.reinstate(held.selling, held.row)

    row = held.fresh()
    assert (row.suspended_at, row.suspended_for) == (None, "")
    assert held.grant.state == Grant.State.ACTIVE
    actions = AuditEvent.objects.filter(action__startswith="license.").order_by("id")
    assert list(actions.values_list("action", flat=True)) == [
        "license.suspend",
        "license.reinstate",
    ]
    run_jobs()
    first, second = mail.outbox
    assert "The invoice bounced." in first.body
    assert second.subject == "A license of yours counts again"


@pytest.mark.parametrize("reason", ["", "  ", "x" * 301, "a\u202eb"])
def test_suspending_needs_a_reason_that_can_be_read(reason: str) -> None:
    held = hold()
    before = everything()

    with pytest.raises(ReasonRequiredError):
        license_keys.suspend(held.selling, held.row, reason)

    assert everything() == before


def test_reinstating_never_thaws_a_dispute() -> None:
    held = hold()
    license_keys.suspend(held.selling, held.row, "late")
    bank_says(held.row.line.order, "open")

    license_keys.reinstate(held.selling, held.row)
    assert held.grant.state == Grant.State.FROZEN
    assert validate(held.key).code == Code.FROZEN

    bank_says(held.row.line.order, "won")
    assert held.grant.state == Grant.State.ACTIVE


def test_winning_a_dispute_never_reinstates() -> None:
    held = hold()
    bank_says(held.row.line.order, "open")
    license_keys.suspend(held.selling, held.row, "late")

    bank_says(held.row.line.order, "won")

    assert validate(held.key).code == Code.SUSPENDED
    license_keys.reinstate(held.selling, held.row)
    assert validate(held.key).code == Code.VALID


def test_losing_a_dispute_revokes() -> None:
    held = hold()
    bank_says(held.row.line.order, "open")

    bank_says(held.row.line.order, "lost")

    assert validate(held.key).code == Code.REVOKED


def test_one_dispute_won_does_not_thaw_what_another_holds() -> None:
    held = hold()
    order = held.row.line.order
    bank_says(held.row.line.order, "open")
    other = Dispute.objects.create(
        order=order,
        gateway="sandbox",
        external_id="dp_2",
        amount_minor=1,
        opened_at=order.created_at,
    )

    granting.thaw(order)
    assert held.grant.state == Grant.State.FROZEN
    Dispute.objects.exclude(pk=other.pk).update(state=Dispute.State.WON)
    granting.thaw(order)
    assert held.grant.state == Grant.State.FROZEN
    Dispute.objects.update(state=Dispute.State.WON)
    granting.thaw(order)
    assert held.grant.state == Grant.State.ACTIVE


def test_letters_go_to_the_admins_of_an_organization(run_jobs: Callable[[], Any]) -> None:
    shop = open_shop(kind=Offer.Kind.FREE, prices=())
    make_user("bob")
    make_org("acme", ada="admin", bob="read")
    row = License.objects.get(line__order=shop.buy(holder="acme"))
    run_jobs()
    mail.outbox.clear()

    license_keys.suspend(shop.selling, row, "late")
    run_jobs()

    assert [letter.to for letter in mail.outbox] == [["ada@example.org"]]


def test_nobody_is_written_to_where_nobody_is_left(run_jobs: Callable[[], Any]) -> None:
    from accounts.services import mailing

    shop = open_shop()
    make_org("acme", ada="admin")
    row = License.objects.get(line__order=shop.buy(holder="acme"))
    shop.buyer.memberships.all().delete()
    run_jobs()
    mail.outbox.clear()

    license_keys.suspend(shop.selling, row, "late")
    run_jobs()

    assert mail.outbox == []
    assert mailing.send("license", 0, "en") == 0

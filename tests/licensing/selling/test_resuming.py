"""Going on with a subscription that was ended by mistake."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.viewer import VISITOR, Viewer
from catalog.access import check_contents
from catalog.models import Grant, ModelRepo
from licensing.gateways.base import Fact, FactKind
from licensing.gateways.sandbox import Sandbox
from licensing.models import (
    Offer,
    Order,
    SandboxCharge,
    Subscription,
)
from licensing.services import (
    closing,
    collecting,
    dunning,
    granting,
    inbox,
    offers,
    order_letters,
    reconciling,
    refunds,
    renewals,
    resuming,
    settling,
    transfers,
)
from licensing.services.resuming import NotResumableError, resume_subscription
from store.core.errors import StoreError, UnauthenticatedError
from store.core.jobs import JobName
from store.core.models import Job
from tests.factories import make_org, make_user, proved_viewer
from tests.licensing.license_api.holding import bank_says
from tests.licensing.selling.shop import Shop, open_shop

pytestmark = pytest.mark.django_db
State = Subscription.State
START = "2027-01-31 12:00:00+00:00"


@pytest.fixture
def shop(time_machine: Any) -> Shop:
    time_machine.move_to(START, tick=False)
    return open_shop(kind=Offer.Kind.SUBSCRIPTION, interval="month")


def ended(shop: Shop) -> Subscription:
    """A subscription its buyer has ended."""
    shop.buy()
    return renewals.cancel_subscription(shop.buying, Subscription.objects.get())


def everything() -> dict[str, Any]:
    """What must not change where something is refused."""
    return {
        "subscriptions": list(Subscription.objects.values()),
        "grants": list(Grant.objects.values()),
        "orders": list(Order.objects.order_by("id").values()),
        "jobs": Job.objects.count(),
        "told": AuditEvent.objects.count(),
    }


def refused(shop: Shop, row: Subscription) -> str:
    """Why it cannot go on; the attempt must change nothing."""
    before = everything()
    with pytest.raises(NotResumableError) as caught:
        resume_subscription(shop.buying, row)
    assert everything() == before
    assert caught.value.status == 409
    return str(caught.value.extra["reason"])


def test_what_was_ended_goes_on_as_before(shop: Shop, time_machine: Any) -> None:
    row = ended(shop)
    time_machine.move_to(row.paid_until - timedelta(seconds=1), tick=False)

    for _ in range(2):
        found = resume_subscription(shop.buying, row)
        assert (found.state, found.paid_until) == (State.ACTIVE, row.paid_until)

    assert Grant.objects.get().ends_at == row.paid_until + granting.GRACE
    told = AuditEvent.objects.get(action="subscription.resume")
    assert (told.actor, told.subject) == (shop.buyer, row.line.order.public_id)
    assert dunning.renew_due() == 1
    found.refresh_from_db()
    assert (found.state, found.periods) == (State.ACTIVE, 2)
    assert Order.objects.get(renews=row).state == Order.State.FULFILLED
    assert list(reconciling.differences()) == []
    check_contents(shop.buying, shop.repo)


def test_what_goes_on_is_left_alone(shop: Shop) -> None:
    shop.buy()
    row = Subscription.objects.get()
    before = everything()

    assert resume_subscription(shop.buying, row).state == State.ACTIVE

    assert everything() == before


def test_end_and_resume_as_often_as_one_likes(shop: Shop, time_machine: Any) -> None:
    row = ended(shop)

    for _ in range(3):
        resume_subscription(shop.buying, row)
        renewals.cancel_subscription(shop.buying, row)

    time_machine.move_to(row.paid_until, tick=False)
    assert dunning.renew_due() == 0
    row.refresh_from_db()
    assert (row.state, row.periods) == (State.ENDED, 1)
    assert Job.objects.filter(name=JobName.TELL_GATEWAY).count() == 7


def test_an_order_cancelled_with_the_end_is_paid_after_all(shop: Shop, time_machine: Any) -> None:
    """Else the cancelled order of the period would end the subscription when it is due."""
    shop.buy()
    row = Subscription.objects.get()
    SandboxCharge.objects.update(card="test_decline")
    time_machine.move_to(row.paid_until - timedelta(minutes=30), tick=False)
    dunning.renew_due()
    renewals.cancel_subscription(shop.buying, row)
    order = Order.objects.get(renews=row)
    assert order.state == Order.State.CANCELLED

    found = resume_subscription(shop.buying, row)

    order.refresh_from_db()
    assert (found.state, found.attempts, found.next_try_at) == (State.OVERDUE, 1, None)
    assert (order.state, order.closed_at) == (Order.State.OPEN, None)
    SandboxCharge.objects.update(card="test_success")
    assert dunning.renew_due() == 1
    found.refresh_from_db()
    order.refresh_from_db()
    assert (found.state, found.periods, found.attempts) == (State.ACTIVE, 2, 0)
    assert order.state == Order.State.FULFILLED
    assert Order.objects.filter(renews=row).count() == 1
    assert list(reconciling.differences()) == []


def test_a_period_asked_for_by_transfer_is_asked_for_anew(
    shop: Shop, settings: Any, time_machine: Any, run_jobs: Any, mailoutbox: list[Any]
) -> None:
    settings.ENV = settings.ENV.model_copy(
        update={"gateways": ("invoice", "sandbox"), "bank_details": "IBAN"}
    )
    clerk = proved_viewer(make_user("carol", is_staff=True))
    transfers.note_transfer(clerk, shop.order(), 1900, "B1", timezone.now().date())
    row = Subscription.objects.get()
    run_jobs()
    mailoutbox.clear()
    time_machine.move_to(row.paid_until - timedelta(days=10), tick=False)
    dunning.renew_due()
    run_jobs()
    asked = Order.objects.get(renews=row)
    transfers.note_transfer(clerk, asked, 1000, "B2", timezone.now().date())
    renewals.cancel_subscription(shop.buying, row)
    asked.refresh_from_db()
    transfers.note_transfer(clerk, asked, 1000, "B3", timezone.now().date())  # too late
    asked.refresh_from_db()
    assert (asked.state, asked.paid_minor) == (Order.State.CANCELLED, 2000)
    assert asked.refunded_minor == 2000
    time_machine.shift(timedelta(days=1))

    resume_subscription(shop.buying, row)
    dunning.renew_due()
    run_jobs()

    asked.refresh_from_db()
    assert (asked.state, asked.due_minor) == (Order.State.OPEN, 1900)
    letters = [letter.subject for letter in mailoutbox]
    assert letters == ["Waiting for your transfer: Commercial"] * 2
    assert {item.kind for item in reconciling.differences()} == {"refund_failed"}
    time_machine.move_to(row.paid_until + timedelta(days=10), tick=False)
    closing.close_expired()
    transfers.note_transfer(clerk, asked, 1900, "B4", timezone.now().date())
    row.refresh_from_db()
    assert (row.state, row.periods) == (State.ACTIVE, 2)


def test_it_is_no_way_back_once_what_was_paid_has_run_out(shop: Shop, time_machine: Any) -> None:
    row = ended(shop)
    time_machine.move_to(row.paid_until, tick=False)

    assert refused(shop, row) == "over"
    dunning.renew_due()
    row.refresh_from_db()
    assert row.state == State.ENDED
    assert refused(shop, row) == "over"


def test_a_period_that_was_paid_back_does_not_come_again(shop: Shop, time_machine: Any) -> None:
    shop.buy()
    row = Subscription.objects.get()
    time_machine.move_to(row.paid_until - timedelta(minutes=10), tick=False)
    dunning.renew_due()
    staff = proved_viewer(make_user("carol", is_staff=True))
    refunds.give_back(staff, Order.objects.get(renews=row), None, "sorry")

    assert refused(shop, row) == "given_back"
    row.refresh_from_db()
    assert (row.state, row.periods) == (State.ENDING, 1)


def test_a_period_a_bank_took_back_does_not_come_again(shop: Shop, time_machine: Any) -> None:
    shop.buy()
    row = Subscription.objects.get()
    time_machine.move_to(row.paid_until - timedelta(minutes=10), tick=False)
    dunning.renew_due()
    renewal = Order.objects.get(renews=row)
    renewals.cancel_subscription(shop.buying, row)
    bank_says(renewal, "open")
    bank_says(renewal, "lost")

    assert refused(shop, row) == "given_back"


def test_a_refunded_subscription_does_not_go_on(shop: Shop) -> None:
    row = ended(shop)
    staff = proved_viewer(make_user("carol", is_staff=True))
    refunds.give_back(staff, row.line.order, None, "sorry")

    assert refused(shop, row) == "revoked"


def test_nothing_goes_on_to_be_paid_that_is_free_for_all(shop: Shop) -> None:
    row = ended(shop)
    ModelRepo.objects.update(opens_at=timezone.now())

    assert refused(shop, row) == "open"


def test_what_the_gateway_has_ended_does_not_go_on(shop: Shop) -> None:
    row = ended(shop)
    first = row.line.order
    over = Fact("s", FactKind.SUBSCRIPTION_ENDED, first.public_id, "", 0, "EUR", timezone.now())
    inbox.receive("sandbox", [over])

    assert refused(shop, row) == "ended_by_gateway"


def test_a_subscription_the_gateway_ends_is_told_to_its_buyer(
    shop: Shop, run_jobs: Callable[[], Any], mailoutbox: list[Any]
) -> None:
    order = shop.buy()
    run_jobs()
    mailoutbox.clear()
    over = Fact("s", FactKind.SUBSCRIPTION_ENDED, order.public_id, "", 0, "EUR", timezone.now())

    inbox.receive("sandbox", [over])
    run_jobs()

    [letter] = mailoutbox
    mailoutbox.clear()
    Order.objects.update(buyer=None)
    assert order_letters.send("ended", order.pk, "en") == len(mailoutbox) == 0
    assert letter.to == [shop.buyer.email]
    assert letter.subject == "TEST · Your subscription ends: Commercial"
    assert "It is paid until 2027-02-28." in letter.body
    assert f"/orders/{order.public_id}" in letter.body


def test_an_offer_off_the_shelf_goes_on_for_who_has_it(shop: Shop, time_machine: Any) -> None:
    """As one that nobody ended does."""
    row = ended(shop)
    offers.set_active(shop.selling, shop.offer, is_active=False)

    assert resume_subscription(shop.buying, row).state == State.ACTIVE

    time_machine.move_to(row.paid_until, tick=False)
    assert dunning.renew_due() == 1


def test_strangers_sellers_and_readers_resume_nothing(shop: Shop) -> None:
    zoe, eve = make_user("zoe"), make_user("eve")
    make_org("acme", ada="admin", zoe="read")
    shop.buy(holder="acme")
    row = renewals.cancel_subscription(shop.buying, Subscription.objects.get())
    before = everything()

    for viewer in (Viewer(user=eve), shop.selling, Viewer(user=zoe)):
        with pytest.raises(renewals.SubscriptionNotFoundError):
            resume_subscription(viewer, row)
    with pytest.raises(UnauthenticatedError):
        resume_subscription(VISITOR, row)

    assert everything() == before


def test_dunning_ends_nothing_that_went_on_meanwhile(
    shop: Shop, time_machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had read the order as cancelled before somebody went on."""
    shop.buy()
    row = Subscription.objects.select_related("line__order").get()
    time_machine.move_to(row.paid_until - timedelta(minutes=30), tick=False)
    order = renewals.open_renewal(row, renewals.key_of_next(row))
    settling.cancel(order.pk)
    stale = Order.objects.get(pk=order.pk)
    renewals.cancel_subscription(shop.buying, row)
    resume_subscription(shop.buying, row)
    monkeypatch.setattr(renewals, "open_renewal", lambda *_given: stale)

    assert dunning._collect(row, Sandbox()) is False

    row.refresh_from_db()
    assert row.state == State.ACTIVE


def test_a_gateway_is_told_what_is_true_and_nothing_before_it_is_paid(shop: Shop) -> None:
    order = shop.order()
    assert collecting.tell_gateway(order.pk) is False

    settling.cancel(order.pk)
    assert collecting.tell_gateway(order.pk) is True


def test_each_reason_says_what_to_do() -> None:
    reasons = ("over", "revoked", "given_back", "open", "ended_by_gateway")

    assert all(isinstance(resuming._refusal(reason), StoreError) for reason in reasons)
    assert all(resuming._refusal(reason).message.endswith(".") for reason in reasons)

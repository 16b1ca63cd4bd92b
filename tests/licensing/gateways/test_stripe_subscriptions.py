"""Subscriptions that Stripe's Billing collects."""

import itertools
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from catalog.access import PurchaseRequiredError, check_contents
from catalog.models import Grant
from licensing.gateways.base import GatewayError
from licensing.gateways.registry import gateway_named
from licensing.models import (
    Coupon,
    Invoice,
    LedgerAccount,
    License,
    Offer,
    Order,
    Payment,
    PaymentEvent,
    Refund,
    SellerProfile,
    Subscription,
)
from licensing.services import (
    checkout,
    collecting,
    dunning,
    granting,
    inbox,
    ledger,
    reconciling,
    refunds,
    renewals,
    settling,
    subscriptions,
)
from licensing.services.offers import set_active
from store.core.jobs import JobName
from store.core.models import Job
from tests.factories import make_user, proved_viewer
from tests.licensing.gateways.conftest import Deliver
from tests.licensing.selling.shop import Shop, open_shop
from tests.stripe_fake import StripeFake

pytestmark = pytest.mark.django_db
State = Subscription.State


@pytest.fixture
def shop() -> Shop:
    return open_shop(kind=Offer.Kind.SUBSCRIPTION, interval="month", terms_id="store-commercial")


def begin(shop: Shop, fake: StripeFake) -> tuple[Order, dict[str, Any]]:
    """Start a subscription and pay it at Stripe; nothing is told yet."""
    order = shop.order()
    checkout.start(order)
    fake.pay(fake.all("checkout.session")[0])
    return order, fake.all("subscription")[0]


def begun(shop: Shop, fake: StripeFake, deliver: Deliver) -> tuple[Order, dict[str, Any]]:
    order, at_stripe = begin(shop, fake)
    for event in fake.take():
        assert deliver(event).status_code == 200
    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED
    return order, at_stripe


def test_a_subscription_begins_with_its_first_invoice(
    shop: Shop, fake: StripeFake, deliver: Deliver
) -> None:
    order, at_stripe = begun(shop, fake, deliver)

    subscription = Subscription.objects.get()
    assert at_stripe["metadata"] == {"order_ref": order.public_id}
    [given] = [given for _verb, path, given in fake.calls if path == "/v1/checkout/sessions"]
    assert given["line_items"][0]["price_data"]["recurring"] == {"interval": "month"}
    assert (subscription.state, subscription.periods) == (State.ACTIVE, 1)
    assert Payment.objects.count() == PaymentEvent.objects.count() == 1
    grant = Grant.objects.get()
    assert grant.ends_at == subscription.paid_until + granting.GRACE
    check_contents(shop.buying, shop.repo)


def test_each_period_is_an_order_with_an_invoice(
    shop: Shop, fake: StripeFake, deliver: Deliver
) -> None:
    order, at_stripe = begun(shop, fake, deliver)
    until = Subscription.objects.get().paid_until
    at_stripe_invoice = fake.renew(at_stripe)

    for event in fake.take() * 2:
        assert deliver(event).status_code == 200

    renewal = Order.objects.get(renews__isnull=False)
    subscription = Subscription.objects.get()
    assert renewal.state == Order.State.FULFILLED
    assert (renewal.gross_minor, renewal.gateway) == (order.gross_minor, "stripe-test")
    assert renewal.idempotency_key.endswith(at_stripe_invoice["id"])
    assert subscription.periods == 2
    assert subscription.paid_until > until + timedelta(days=27)
    assert License.objects.count() == Grant.objects.count() == 1
    assert Invoice.objects.count() == 2
    assert ledger.balance(LedgerAccount.Kind.GATEWAY, gateway="stripe-test", currency="EUR") == 3800


def assert_next_is_set_aside(fake: StripeFake, deliver: Deliver, at_stripe: dict[str, Any]) -> None:
    """Stripe collects a period with a sum nobody agreed to: nothing is booked, people look."""
    fake.renew(at_stripe)

    for event in fake.take("invoice.paid"):
        assert deliver(event).status_code == 200

    assert PaymentEvent.objects.filter(outcome=PaymentEvent.Outcome.PARKED).count() == 1
    assert Order.objects.count() == Payment.objects.count() == 1
    assert Subscription.objects.get().periods == 1


def test_a_period_that_was_collected_with_another_sum_is_set_aside(
    shop: Shop, fake: StripeFake, deliver: Deliver
) -> None:
    _order, at_stripe = begun(shop, fake, deliver)
    at_stripe["_amount"] = 1800
    assert_next_is_set_aside(fake, deliver, at_stripe)


def test_a_failed_period_is_overdue_until_it_is_paid(
    shop: Shop, fake: StripeFake, deliver: Deliver, run_jobs: Any, mailoutbox: list[Any]
) -> None:
    order, at_stripe = begun(shop, fake, deliver)
    run_jobs_of(run_jobs)
    fake.renew(at_stripe, fails=True)
    [failed] = fake.take()

    deliver(failed)
    deliver(failed)

    subscription = Subscription.objects.get()
    assert (subscription.state, subscription.attempts) == (State.OVERDUE, 1)
    fake._pay_invoice(fake.all("invoice")[-1])
    for event in fake.take():
        deliver(event)
    deliver(failed)
    subscription.refresh_from_db()
    assert (subscription.state, subscription.attempts) == (State.ACTIVE, 0)
    assert subscription.periods == 2
    assert order.renews is None


def run_jobs_of(run_jobs: Any) -> None:
    """Forget the jobs of the sale itself; they are others' affair."""
    Job.objects.all().delete()
    run_jobs()


def test_cancelling_ends_it_with_the_paid_period(
    shop: Shop, fake: StripeFake, deliver: Deliver, run_jobs: Any
) -> None:
    _order, at_stripe = begun(shop, fake, deliver)
    run_jobs_of(run_jobs)
    subscription = Subscription.objects.get()

    renewals.cancel_subscription(shop.buying, subscription)
    run_jobs()

    assert at_stripe["cancel_at_period_end"] is True
    assert at_stripe["status"] == "active"
    subscription.refresh_from_db()
    assert subscription.state == State.ENDING
    assert Grant.objects.get().ends_at == subscription.paid_until
    check_contents(shop.buying, shop.repo)
    fake.end(at_stripe)
    for event in fake.take():
        assert deliver(event).status_code == 200
    subscription.refresh_from_db()
    assert subscription.state == State.ENDING


def test_a_refunded_subscription_is_collected_no_more(
    shop: Shop, fake: StripeFake, deliver: Deliver, run_jobs: Any
) -> None:
    order, at_stripe = begun(shop, fake, deliver)
    run_jobs_of(run_jobs)
    staff = proved_viewer(make_user("carol", is_staff=True))

    refunds.give_back(staff, order, None, "sorry")
    run_jobs()
    collecting.tell_gateway(order.pk)  # told twice

    assert at_stripe["status"] == "canceled"
    assert Subscription.objects.get().state == State.ENDED
    with pytest.raises(PurchaseRequiredError):
        check_contents(shop.buying, shop.repo)


def cancelled_then_paid(shop: Shop, fake: StripeFake) -> tuple[Order, dict[str, Any]]:
    """Paid at Stripe after the order was cancelled and its offer taken away."""
    order, at_stripe = begin(shop, fake)
    settling.cancel(order.pk)
    set_active(shop.selling, shop.offer, is_active=False)
    return order, at_stripe


def test_a_subscription_of_a_cancelled_order_is_ended_at_stripe(
    shop: Shop, fake: StripeFake, deliver: Deliver, run_jobs: Any
) -> None:
    order, at_stripe = cancelled_then_paid(shop, fake)

    for event in fake.take():
        assert deliver(event).status_code == 200
    run_jobs()
    for event in fake.take():  # that it ended, for one
        assert deliver(event).status_code == 200

    assert at_stripe["status"] == "canceled"
    order.refresh_from_db()
    assert (order.state, order.refunded_minor) == (Order.State.CANCELLED, 1900)
    assert not License.objects.exists()
    assert not Subscription.objects.exists()
    assert not PaymentEvent.objects.filter(outcome=PaymentEvent.Outcome.WAITING).exists()
    assert renewals.unwanted(order.created_at) == []


def test_a_subscription_of_a_cancelled_order_is_ended_once_stripe_answers_again(
    shop: Shop, fake: StripeFake, deliver: Deliver, run_jobs: Any
) -> None:
    order, at_stripe = cancelled_then_paid(shop, fake)
    for event in fake.take():
        assert deliver(event).status_code == 200
    fake.is_down = True
    with pytest.raises(GatewayError):
        collecting.tell_gateway(order.pk)
    Job.objects.filter(name=JobName.TELL_GATEWAY).delete()  # it was tried often enough
    assert reconciling.reconcile().unreachable == [order.gateway]
    assert at_stripe["status"] == "active"

    fake.is_down = False
    reconciling.reconcile()

    assert at_stripe["status"] == "canceled"


def test_an_open_order_is_no_reason_to_end_a_subscription(shop: Shop, fake: StripeFake) -> None:
    order, at_stripe = begin(shop, fake)

    assert collecting.tell_gateway(order.pk) is False
    assert at_stripe["status"] == "active"


def test_money_collected_after_a_refund_goes_back(
    shop: Shop, fake: StripeFake, deliver: Deliver
) -> None:
    order, at_stripe = begun(shop, fake, deliver)
    staff = proved_viewer(make_user("carol", is_staff=True))
    refunds.give_back(staff, order, None, "sorry")
    fake.take()
    fake.renew(at_stripe)

    for event in fake.take("invoice.paid") * 2:
        assert deliver(event).status_code == 200

    surplus = Refund.objects.get(is_surplus=True)
    assert surplus.amount_minor == 1900
    assert refunds.send(surplus.pk) == Refund.State.DONE
    assert Order.objects.count() == 1
    assert ledger.balance(LedgerAccount.Kind.GATEWAY, gateway="stripe-test", currency="EUR") == 0
    assert Grant.objects.get().state == Grant.State.REVOKED


def test_every_order_of_a_subscriptions_messages_ends_the_same(
    shop: Shop, fake: StripeFake, deliver: Deliver
) -> None:
    class UndoneError(Exception):
        pass

    _order, at_stripe = begin(shop, fake)
    events = fake.take("invoice.paid")
    fake.renew(at_stripe)
    events += fake.take("invoice.paid")
    [_first, second] = fake.all("payment_intent")
    fake.refund_by_hand(second, 1900)
    events += fake.take("refund.created")
    fake.end(at_stripe)
    events += fake.take("customer.subscription.deleted")
    assert len(events) == 4
    ends = []

    for told in itertools.permutations(events):
        try:
            with transaction.atomic():
                for event in [row for row in told for _ in range(2)]:
                    assert deliver(event).status_code == 200
                subscription = Subscription.objects.get()
                grant = Grant.objects.get()
                is_exact = grant.ends_at == subscription.paid_until
                orders = Order.objects.order_by("id").values_list("state", "paid_minor")
                ends.append((subscription.state, subscription.periods, is_exact, list(orders)))
                assert not PaymentEvent.objects.filter(outcome__in=["waiting", "parked"]).exists()
                raise UndoneError  # noqa: TRY301 - undoes the transaction
        except UndoneError:
            continue

    done, back = (Order.State.FULFILLED, 1900), (Order.State.REFUNDED, 1900)
    assert ends == [(State.ENDING, 1, True, [done, back])] * 24


def test_a_renewal_nobody_told_of_is_found(
    shop: Shop, fake: StripeFake, deliver: Deliver, time_machine: Any
) -> None:
    order, at_stripe = begun(shop, fake, deliver)
    fake.renew(at_stripe)
    subscription = Subscription.objects.get()
    assert dunning.renew_due() == 0  # not due yet: nobody is asked

    time_machine.move_to(subscription.paid_until + timedelta(hours=2), tick=False)
    assert dunning.renew_due() == 1

    assert Subscription.objects.get().periods == 2
    assert Order.objects.filter(renews__isnull=False).count() == 1
    facts = gateway_named(order.gateway).facts_of(order.public_id)
    inbox.receive(order.gateway, facts)
    assert Payment.objects.count() == 2


def test_a_subscription_stripe_is_silent_about_ends(
    shop: Shop, fake: StripeFake, deliver: Deliver, time_machine: Any
) -> None:
    begun(shop, fake, deliver)
    until = Subscription.objects.get().paid_until

    time_machine.move_to(until + timedelta(hours=1), tick=False)
    assert dunning.renew_due() == 0
    asked = Subscription.objects.get()
    assert asked.next_try_at == timezone.now() + dunning.ASK_AGAIN
    time_machine.move_to(until + timedelta(days=31), tick=False)
    dunning.renew_due()

    assert Subscription.objects.get().state == State.ENDED
    with pytest.raises(PurchaseRequiredError):
        check_contents(shop.buying, shop.repo)


def test_a_script_that_subscribes_is_sent_to_a_page(shop: Shop, fake: StripeFake) -> None:
    started = checkout.start(shop.order(), method="saved")

    assert started.needs_browser
    assert started.url == fake.all("checkout.session")[0]["url"]


def half(shop: Shop, **values: Any) -> None:
    fields: dict[str, Any] = {"code": "HALF", "basis_points": 5000}
    Coupon.objects.create(namespace=shop.repo.namespace, **fields | values)


def begun_cheaper(shop: Shop, fake: StripeFake, deliver: Deliver) -> tuple[Order, dict[str, Any]]:
    """Begin with the coupon, paid and told."""
    order = shop.order(coupon="HALF")
    checkout.start(order, payer=shop.buyer)
    fake.pay(fake.all("checkout.session")[0])
    for event in fake.take():
        assert deliver(event).status_code == 200
    order.refresh_from_db()
    return order, fake.all("subscription")[0]


def test_stripe_takes_the_coupon_off_its_periods_and_then_no_more(
    shop: Shop, fake: StripeFake, deliver: Deliver
) -> None:
    SellerProfile.objects.create(
        namespace=shop.repo.namespace, country="DE", is_registered=True, vat_number="DE136695976"
    )
    half(shop, periods=3)
    order, at_stripe = begun_cheaper(shop, fake, deliver)
    Coupon.objects.update(is_active=False)

    for _period in range(4):
        fake.renew(at_stripe)
        for event in fake.take() * 2:
            assert deliver(event).status_code == 200

    [coupon] = fake.all("coupon")
    assert (coupon["amount_off"], coupon["currency"], coupon["name"]) == (1130, "eur", "HALF")
    assert (coupon["duration"], coupon["duration_in_months"]) == ("repeating", 3)
    assert coupon["metadata"] == {"order_ref": order.public_id}
    [asked] = [given for _verb, path, given in fake.calls if path == "/v1/checkout/sessions"]
    amounts = [line["price_data"]["unit_amount"] for line in asked["line_items"]]
    assert (amounts, asked["discounts"]) == (["1900", "361"], [{"coupon": coupon["id"]}])
    orders = list(Order.objects.order_by("pk"))
    assert [one.gross_minor for one in orders] == [1131, 1131, 1131, 2261, 2261]
    assert [one.lines.get().discount_minor for one in orders] == [950, 950, 950, 0, 0]
    assert {one.state for one in orders} == {Order.State.FULFILLED}
    assert Subscription.objects.get().periods == 5
    assert Invoice.objects.count() == 5
    held = ledger.balance(LedgerAccount.Kind.GATEWAY, gateway="stripe-test", currency="EUR")
    assert held == 3 * 1131 + 2 * 2261


@pytest.mark.parametrize(
    ("interval", "periods", "wanted"),
    [
        ("month", 1, ("once", None)),
        ("year", 1, ("once", None)),
        ("year", 2, ("repeating", 24)),
        ("month", 120, ("repeating", 120)),
    ],
)
def test_stripe_counts_a_coupon_in_months(
    fake: StripeFake, interval: str, periods: int, wanted: tuple[str, int | None]
) -> None:
    shop = open_shop(kind=Offer.Kind.SUBSCRIPTION, interval=interval)
    half(shop, periods=periods)
    order = shop.order(coupon="HALF")
    fake.lose_answers = 1

    checkout.start(order)
    checkout.start(order)
    session = fake.all("checkout.session")[0]
    fake.expire(session)
    checkout.start(order)

    [coupon] = fake.all("coupon")
    assert (coupon["duration"], coupon["duration_in_months"]) == wanted
    assert [row["amount_total"] for row in fake.all("checkout.session")] == [950, 950]
    fake.pay(fake.all("checkout.session")[1])
    at_stripe = fake.all("subscription")[0]
    paid = [fake.renew(at_stripe)["total"] for _period in range(3)]
    assert paid == [950 if period < periods else 1900 for period in (1, 2, 3)]


def test_a_coupon_for_ever_is_no_coupon_of_stripes(
    shop: Shop, fake: StripeFake, deliver: Deliver
) -> None:
    half(shop)

    _order, at_stripe = begun_cheaper(shop, fake, deliver)
    fake.renew(at_stripe)
    for event in fake.take():
        assert deliver(event).status_code == 200

    assert fake.all("coupon") == []
    assert {one.gross_minor for one in Order.objects.all()} == {950}
    assert Order.objects.count() == 2


def test_a_full_price_in_a_discounted_period_is_set_aside(
    shop: Shop, fake: StripeFake, deliver: Deliver
) -> None:
    half(shop, periods=2)
    _order, at_stripe = begun_cheaper(shop, fake, deliver)
    at_stripe["_coupons"] = []  # somebody took it away in Stripe's dashboard
    assert_next_is_set_aside(fake, deliver, at_stripe)


def test_the_standing_is_what_stripe_will_collect(
    shop: Shop, fake: StripeFake, deliver: Deliver
) -> None:
    half(shop, periods=1)
    begun_cheaper(shop, fake, deliver)

    found = subscriptions.standing_behind(shop.buying, License.objects.get().public_id)

    assert (found.amount_minor, found.later) == (1900, None)


def test_a_coupon_that_staff_deleted_still_lowers_what_was_ordered(
    shop: Shop, fake: StripeFake
) -> None:
    half(shop, periods=1)
    order = shop.order(coupon="HALF")
    Coupon.objects.all().delete()
    order.refresh_from_db()

    checkout.start(order)

    [coupon] = fake.all("coupon")
    assert (coupon["amount_off"], coupon["name"]) == (950, None)
    assert fake.all("checkout.session")[0]["amount_total"] == 950

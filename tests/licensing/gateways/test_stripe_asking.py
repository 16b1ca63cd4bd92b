"""What Stripe's objects say in their rarer states."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe
from django.utils import timezone

from licensing.gateways import stripe_facts
from licensing.gateways.base import Charge, Fact, FactKind, GatewayRefusedError
from licensing.gateways.registry import gateway_named
from licensing.gateways.sandbox import Sandbox
from licensing.models import (
    Offer,
    Order,
    PaymentEvent,
    SellerAccount,
    SellerProfile,
    StripeObject,
    Subscription,
)
from licensing.services import (
    checkout,
    closing,
    dunning,
    granting,
    inbox,
    on_its_way,
    seller_accounts,
    settling,
)
from tests.licensing.gateways.conftest import Deliver
from tests.licensing.selling.shop import open_shop
from tests.stripe_fake import StripeFake

pytestmark = pytest.mark.django_db


def started(fake: StripeFake, **shop: Any) -> tuple[Order, dict[str, Any]]:
    order = open_shop(**shop).order()
    checkout.start(order)
    return order, fake.all("checkout.session")[0]


MONTHLY: dict[str, Any] = {"kind": Offer.Kind.SUBSCRIPTION, "interval": "month"}


def test_a_direct_debit_is_paid_days_after_its_session(
    fake: StripeFake, deliver: Deliver, browser_of: Any, time_machine: Any
) -> None:
    order, session = started(fake)
    intent = fake.debit(session)
    [early] = fake.take()
    buyer, page = browser_of(order.buyer), f"/orders/{order.public_id}"

    assert deliver(early).json() == deliver(early).json() == {"facts": 1}
    words = buyer.get(page).content.decode()
    cancelled = buyer.post(f"{page}/cancel", follow=True).content.decode()
    assert words.count("Payment on its way") == 2
    assert f"{page}/pay" not in words
    assert f"{page}/cancel" not in words
    assert "Your payment is on its way and cannot be stopped here." in cancelled
    time_machine.move_to(timezone.now() + timedelta(days=13))
    assert closing.close_expired() == 0
    order.refresh_from_db()
    assert (order.state, order.paid_minor) == (Order.State.OPEN, 0)

    fake.clear(session, intent)
    assert deliver(fake.take()[0]).json() == {"facts": 1}
    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED


def test_a_direct_debit_nobody_told_of_is_waited_for_and_not_for_ever(
    fake: StripeFake, time_machine: Any
) -> None:
    order, session = started(fake)
    fake.debit(session)

    time_machine.move_to(timezone.now() + timedelta(days=2))
    assert closing.close_expired() == 0  # Stripe is asked
    time_machine.move_to(timezone.now() + timedelta(days=13))
    assert closing.close_expired() == 1

    order.refresh_from_db()
    assert order.state == Order.State.CANCELLED


def test_after_a_direct_debit_that_bounced_the_buyer_pays_otherwise(
    fake: StripeFake, deliver: Deliver, time_machine: Any
) -> None:
    order, session = started(fake)
    intent = fake.debit(session)
    deliver(fake.take()[0])
    time_machine.move_to(timezone.now() + timedelta(days=5))
    fake.bounce(session, intent)
    [bounced] = fake.take()

    deliver(bounced)
    order.refresh_from_db()
    assert order.expires_at <= timezone.now() + timedelta(hours=24)
    page = checkout.start(order).url

    assert page == fake.all("checkout.session")[-1]["url"] != session["url"]
    fake.pay(fake.all("checkout.session")[-1])
    for event in fake.take():
        deliver(event)
    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED


def test_news_of_a_debit_that_come_in_the_wrong_order_keep_nobody_waiting(
    fake: StripeFake, deliver: Deliver
) -> None:
    order, session = started(fake)
    intent = fake.debit(session)
    fake.bounce(session, intent)
    before = order.expires_at

    for event in reversed(fake.take()):
        deliver(event)

    order.refresh_from_db()
    assert (order.state, order.expires_at) == (Order.State.OPEN, before)
    assert not on_its_way.is_on_its_way(order)


def test_a_cancelled_order_cannot_be_paid_in_the_open_tab(
    fake: StripeFake, browser_of: Any, deliver: Deliver
) -> None:
    order, session = started(fake)
    buyer, page = browser_of(order.buyer), f"/orders/{order.public_id}"
    fake.is_down = True
    away = buyer.post(f"{page}/cancel", follow=True).content.decode()
    order.refresh_from_db()
    assert "The payment service does not answer." in away
    assert (order.state, session["status"]) == (Order.State.OPEN, "open")

    fake.is_down = False
    done = buyer.post(f"{page}/cancel", follow=True).content.decode()

    order.refresh_from_db()
    assert "The order is cancelled. Nothing was charged." in done
    assert (order.state, session["status"]) == (Order.State.CANCELLED, "expired")


def test_an_order_that_is_paid_while_it_is_cancelled_is_a_sale(
    fake: StripeFake, browser_of: Any
) -> None:
    order, session = started(fake)
    fake.pay(session)  # nothing is told

    answer = browser_of(order.buyer).post(f"/orders/{order.public_id}/cancel", follow=True)

    order.refresh_from_db()
    assert "This order was paid. Ask for a refund instead." in answer.content.decode()
    assert order.state == Order.State.FULFILLED


def test_a_late_order_takes_no_more_money(fake: StripeFake, time_machine: Any) -> None:
    _order, session = started(fake)
    time_machine.move_to(timezone.now() + timedelta(hours=25))

    assert closing.close_expired() == 1

    assert session["status"] == "expired"


def test_a_direct_debit_that_fails_leaves_the_order_open(
    fake: StripeFake, deliver: Deliver
) -> None:
    order, session = started(fake)

    assert deliver(fake.event("checkout.session.async_payment_failed", session)).json() == {
        "facts": 1
    }

    order.refresh_from_db()
    assert (order.state, order.paid_minor) == (Order.State.OPEN, 0)
    assert PaymentEvent.objects.get().outcome == PaymentEvent.Outcome.NOTHING_NEW


def test_a_session_that_cost_nothing_at_stripe_is_named_by_itself(
    fake: StripeFake, deliver: Deliver
) -> None:
    _order, session = started(fake)
    session |= {"payment_status": "paid", "status": "complete"}

    deliver(fake.event("checkout.session.completed", session))

    assert PaymentEvent.objects.get().external_id == f"{session['id']}:paid"


def test_a_declined_payment_leaves_the_order_open(fake: StripeFake, deliver: Deliver) -> None:
    order, session = started(fake)
    intent = fake._intent(1900, "eur", session["_intent_metadata"], status="canceled")
    assert deliver(fake.event("payment_intent.payment_failed", intent)).json() == {"facts": 0}
    intent |= {
        "status": "requires_payment_method",
        "last_payment_error": {"type": "card_error", "code": "card_declined", "message": None},
    }

    assert deliver(fake.event("payment_intent.payment_failed", intent)).json() == {"facts": 1}

    assert PaymentEvent.objects.get().fact["note"] == "card_declined"
    order.refresh_from_db()
    assert order.state == Order.State.OPEN


@pytest.mark.parametrize(
    ("status", "kind"),
    [("pending", None), ("requires_action", None), ("canceled", FactKind.REFUND_FAILED)],
)
def test_a_refund_counts_when_it_has_ended(
    status: str, kind: FactKind | None, fake: StripeFake
) -> None:
    _order, session = started(fake)
    refund = fake.refund_by_hand(fake.pay(session), 500) | {"status": status}

    found = stripe_facts.of_refund(stripe.Refund.construct_from(refund, None))

    assert [fact.kind for fact in found] == ([kind] if kind else [])


def test_refunds_and_disputes_of_charges_without_an_intent_fit_nothing(
    fake: StripeFake, deliver: Deliver
) -> None:
    _order, session = started(fake)
    intent = fake.pay(session)
    refund = fake.refund_by_hand(intent, 500) | {"payment_intent": None}
    charge = fake.objects[intent["latest_charge"]] | {"payment_intent": None}
    fake.take()

    assert deliver(fake.event("charge.refunded", charge)).json() == {"facts": 0}
    assert deliver(fake.event("refund.updated", refund)).status_code == 200

    assert PaymentEvent.objects.get().outcome == PaymentEvent.Outcome.PARKED


def test_an_open_invoice_and_a_failed_first_one_say_nothing(
    fake: StripeFake, deliver: Deliver
) -> None:
    _order, session = started(fake, **MONTHLY)
    fake.pay(session)
    [invoice] = fake.all("invoice")

    for kind, changed in (
        ("invoice.paid", {"status": "open"}),
        ("invoice.paid", {"amount_paid": 0}),
        ("invoice.payment_failed", {"status": "open"}),
    ):
        assert deliver(fake.event(kind, invoice | changed)).json() == {"facts": 0}


def test_a_session_without_its_invoice_waits_for_it(fake: StripeFake, deliver: Deliver) -> None:
    _order, session = started(fake, **MONTHLY)
    fake.pay(session)
    session["invoice"] = None

    assert deliver(fake.event("checkout.session.completed", session)).json() == {"facts": 0}


def test_an_invoice_that_names_no_order_is_found_by_its_subscription(
    fake: StripeFake, deliver: Deliver
) -> None:
    order, session = started(fake, **MONTHLY)
    fake.pay(session)
    [event] = fake.take("checkout.session.completed")
    [invoice] = fake.all("invoice")
    invoice["parent"]["subscription_details"]["metadata"] = None
    deliver(event)

    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED


def test_an_invoice_of_somebody_else_is_set_aside(fake: StripeFake, deliver: Deliver) -> None:
    order, session = started(fake, **MONTHLY)
    fake.pay(session)
    [invoice] = fake.all("invoice")
    invoice["parent"] = None
    fake.take()

    assert deliver(fake.event("invoice.paid", invoice)).status_code == 200

    assert PaymentEvent.objects.get().outcome == PaymentEvent.Outcome.PARKED
    order.refresh_from_db()
    assert order.state == Order.State.OPEN


def test_a_period_paid_from_a_credit_is_a_payment_of_its_own_name(
    fake: StripeFake, deliver: Deliver
) -> None:
    order, session = started(fake, **MONTHLY)
    fake.pay(session)
    [invoice] = fake.all("invoice")
    [payment] = fake.all("invoice_payment")
    payment["status"] = "canceled"

    deliver(fake.take("invoice.paid")[0])

    assert order.payments.get().external_id == invoice["id"]


def test_a_dispute_of_a_period_finds_its_order_through_the_invoice(
    fake: StripeFake, deliver: Deliver
) -> None:
    order, session = started(fake, **MONTHLY)
    intent = fake.pay(session)
    deliver(fake.take("invoice.paid")[0])
    StripeObject.objects.all().delete()
    fake.dispute(intent, 1900)

    deliver(fake.take("charge.dispute.created")[0])

    order.refresh_from_db()
    assert order.state == Order.State.DISPUTED
    assert StripeObject.objects.get(external_id=intent["id"]).order_ref == order.public_id


def test_an_order_without_a_buyer_is_paid_as_a_guest(fake: StripeFake) -> None:
    charge = Charge("0" * 24, 1900, "EUR", "x", "", "https://a.example/", "https://a.example/")

    assert gateway_named("stripe").start(charge).url

    [session] = fake.all("checkout.session")
    assert session["customer"] is None
    assert not fake.all("customer")


def test_a_customer_is_made_once(fake: StripeFake) -> None:
    shop = open_shop()

    for key in ("a", "b"):
        checkout.start(shop.order(key), payer=shop.buyer)

    assert len(fake.all("customer")) == 1


def test_ending_what_stripe_will_not_end_is_a_refusal(
    fake: StripeFake, refuse_writes: Callable[[], None]
) -> None:
    order, session = started(fake, **MONTHLY)
    fake.pay(session)
    [row] = fake.all("subscription")
    gateway = gateway_named("stripe")
    assert gateway.saved_method(order.public_id) == ""
    refuse_writes()

    with pytest.raises(GatewayRefusedError):
        gateway.end_subscription(order.public_id, at_once=False)

    assert row["status"] == "active"


def test_two_starts_at_once_make_one_seller_account(
    fake: StripeFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    from licensing.gateways import stripe_accounts

    shop = open_shop()
    namespace = shop.repo.namespace
    SellerProfile.objects.create(namespace=namespace, country="DE")
    real = stripe_accounts.make_account

    def make_and_be_overtaken(**given: Any) -> stripe.Account:
        made = real(**given)
        SellerAccount.objects.create(
            namespace=namespace, gateway="stripe-test", external_id=made.id
        )
        return made

    monkeypatch.setattr(stripe_accounts, "make_account", make_and_be_overtaken)

    account = seller_accounts.open_account(shop.selling, namespace)

    assert SellerAccount.objects.get() == account


def renewed(order: Order, **more: Any) -> Fact:
    values: dict[str, Any] = {
        "event_id": "in_1:paid",
        "kind": FactKind.RENEWED,
        "order_ref": order.public_id,
        "payment_id": "pi_1",
        "amount_minor": 1900,
        "currency": "EUR",
        "at": datetime.now(UTC),
        "key": "in_1",
        "is_exact": True,
    }
    return Fact(**values | more)


def test_a_period_of_a_cancelled_order_pays_it_after_all(fake: StripeFake) -> None:
    order, _session = started(fake, **MONTHLY)
    settling.cancel(order.pk)

    inbox.receive(order.gateway, [renewed(order)])

    order.refresh_from_db()
    assert (order.state, order.paid_minor) == (Order.State.FULFILLED, 1900)


def test_words_about_a_subscription_wait_for_its_first_period(fake: StripeFake) -> None:
    order, _session = started(fake, **MONTHLY)
    failed = renewed(order, event_id="f", kind=FactKind.RENEWAL_FAILED, payment_id="")
    ended = renewed(order, event_id="e", kind=FactKind.SUBSCRIPTION_ENDED, payment_id="")

    inbox.receive(order.gateway, [failed, ended, renewed(order)])

    waiting = PaymentEvent.objects.filter(outcome=PaymentEvent.Outcome.WAITING)
    assert waiting.count() == 3
    inbox.receive(
        order.gateway, [renewed(order, event_id="p", kind=FactKind.PAID, payment_id="pi_0")]
    )
    assert not waiting.exists()
    assert Subscription.objects.get().periods == 2
    assert Subscription.objects.get().state == Subscription.State.ENDING


def test_words_about_a_subscription_mean_nothing_to_a_single_sale() -> None:
    order = open_shop().buy()
    at = renewed(order, payment_id="")

    assert granting.end_subscription(order) is False
    assert granting.mark_overdue(order, at.key) is False
    assert granting.subscription_of(order) is None


def test_a_renewal_of_a_renewals_order_ends_the_same_subscription() -> None:
    shop = open_shop(**MONTHLY)
    shop.buy()
    from licensing.services import renewals

    row = Subscription.objects.get()
    order = renewals.open_renewal(row, "p2")

    assert granting.subscription_of(order) == row
    assert granting.end_subscription(order) is True
    assert granting.end_subscription(order) is False


def test_stripe_is_not_asked_before_the_period_ends(
    fake: StripeFake, deliver: Deliver, time_machine: Any
) -> None:
    _order, session = started(fake, **MONTHLY)
    fake.pay(session)
    for event in fake.take():
        deliver(event)
    time_machine.move_to(Subscription.objects.get().paid_until - timedelta(days=9), tick=False)
    before = len(fake.calls)

    assert dunning.renew_due() == 0

    assert len(fake.calls) == before


def test_the_sandbox_remembers_no_card_of_an_order_it_does_not_know() -> None:
    assert Sandbox().saved_method("0" * 24) == ""
    Sandbox().end_subscription("0" * 24, at_once=True)

"""What becomes of a payment at Stripe: refunds, disputes, and messages in any order."""

import itertools
from typing import Any

import pytest
from django.utils import timezone

from catalog.models import Grant
from licensing.gateways.base import GatewayRefusedError
from licensing.gateways.registry import gateway_named
from licensing.models import (
    Dispute,
    LedgerAccount,
    LedgerEntry,
    License,
    Order,
    Payment,
    PaymentEvent,
    Refund,
)
from licensing.services import checkout, inbox, ledger, reconciling, refunds
from tests.factories import make_user, proved_viewer
from tests.licensing.gateways.conftest import Deliver
from tests.licensing.selling.shop import Shop, open_shop
from tests.stripe_fake import StripeFake

pytestmark = pytest.mark.django_db
Kind = LedgerAccount.Kind


def paid_order(shop: Shop, fake: StripeFake, deliver: Deliver) -> tuple[Order, dict[str, Any]]:
    order = shop.order()
    checkout.start(order)
    intent = fake.pay(fake.all("checkout.session")[0])
    for event in fake.take():
        deliver(event)
    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED
    return order, intent


def held(shop: Shop) -> dict[str, int]:
    """What each account of the ledger holds."""
    at = {"gateway": "stripe-test", "currency": "EUR"}
    seller_id = shop.repo.namespace_id
    return {
        "gateway": ledger.balance(Kind.GATEWAY, **at),
        "deposits": ledger.balance(Kind.DEPOSITS, **at),
        "fees": ledger.balance(Kind.FEES, **at),
        "payable": ledger.balance(Kind.PAYABLE, namespace_id=seller_id, **at),
        "disputed": ledger.balance(Kind.DISPUTED, namespace_id=seller_id, **at),
    }


def test_a_refund_is_asked_for_once_by_our_key(fake: StripeFake, deliver: Deliver) -> None:
    shop = open_shop()
    order, intent = paid_order(shop, fake, deliver)
    staff = proved_viewer(make_user("carol", is_staff=True))

    refund = refunds.give_back(staff, order, None, "sorry")

    [at_stripe] = fake.all("refund")
    assert at_stripe["metadata"] == {"refund": refund.public_id}
    assert (at_stripe["payment_intent"], at_stripe["amount"]) == (intent["id"], 1900)
    assert refund.state == Refund.State.DONE
    assert refund.external_id == at_stripe["id"]
    for event in fake.take() * 2:
        assert deliver(event).status_code == 200
    assert Refund.objects.count() == 1
    assert Grant.objects.get().state == Grant.State.REVOKED
    assert set(held(shop).values()) == {0}
    assert list(reconciling.differences()) == []


def test_a_refund_whose_answer_is_lost_is_sent_once(fake: StripeFake, deliver: Deliver) -> None:
    shop = open_shop()
    order, _intent = paid_order(shop, fake, deliver)
    staff = proved_viewer(make_user("carol", is_staff=True))
    fake.lose_answers = 2  # the library tries once more by itself

    refund = refunds.give_back(staff, order, None, "sorry")
    assert refund.state == Refund.State.SENDING
    fake._answers.clear()  # Stripe forgets idempotency keys after a day

    assert refunds.send(refund.pk) == Refund.State.DONE
    assert len(fake.all("refund")) == 1


def test_more_than_was_paid_is_refused_by_stripe(fake: StripeFake, deliver: Deliver) -> None:
    order, intent = paid_order(open_shop(), fake, deliver)

    with pytest.raises(GatewayRefusedError):
        gateway_named(order.gateway).refund(
            payment_id=intent["id"], amount_minor=1901, currency="EUR", key="r1"
        )

    assert not fake.all("refund")


def test_part_refunded_in_stripes_dashboard(fake: StripeFake, deliver: Deliver) -> None:
    shop = open_shop()
    order, intent = paid_order(shop, fake, deliver)
    fake.refund_by_hand(intent, 500)

    for event in fake.take():  # refund.created and charge.refunded tell of one refund
        deliver(event)

    order.refresh_from_db()
    assert (order.state, order.refunded_minor) == (Order.State.FULFILLED, 500)
    assert Refund.objects.get().amount_minor == 500
    assert Grant.objects.get().state == Grant.State.ACTIVE
    assert held(shop)["payable"] == held(shop)["gateway"] == 1400
    fake.refund_by_hand(intent, 1400)
    for event in fake.take("charge.refunded"):
        deliver(event)
    order.refresh_from_db()
    assert order.state == Order.State.REFUNDED
    assert Grant.objects.get().state == Grant.State.REVOKED
    assert set(held(shop).values()) == {0}


@pytest.mark.parametrize("failed_first", [False, True])
def test_a_refund_the_bank_returns_is_owed_again(
    failed_first: bool, fake: StripeFake, deliver: Deliver
) -> None:
    shop = open_shop()
    _order, intent = paid_order(shop, fake, deliver)
    fake.refund_by_hand(intent, 1900)
    told = fake.take("refund.created")
    fake.fail_refund(fake.all("refund")[0])
    told += fake.take("refund.failed")

    for event in told[::-1] + told if failed_first else told * 2:
        deliver(event)

    refund = Refund.objects.get()
    assert (refund.state, refund.answer) == (Refund.State.FAILED, "lost_or_stolen_card")
    assert held(shop) == {"gateway": 1900, "deposits": 1900, "fees": 0, "payable": 0, "disputed": 0}
    assert Payment.objects.get().refunded_minor == 0
    assert Grant.objects.get().state == Grant.State.REVOKED


def test_a_refund_of_ours_that_failed_is_not_done_by_late_news(
    fake: StripeFake, deliver: Deliver
) -> None:
    shop = open_shop()
    order, _intent = paid_order(shop, fake, deliver)
    staff = proved_viewer(make_user("carol", is_staff=True))
    fake.lose_answers = 2  # the library tries once more by itself
    refund = refunds.give_back(staff, order, None, "sorry")
    [made] = fake.take("refund.created")
    fake.fail_refund(fake.all("refund")[0])
    [failed] = fake.take("refund.failed")

    for event in (failed, made, failed):
        assert deliver(event).status_code == 200

    refund.refresh_from_db()
    assert refund.state == Refund.State.FAILED
    assert held(shop)["gateway"] == held(shop)["deposits"] == 1900
    assert Payment.objects.get().refunded_minor == 0


def test_a_dispute_that_is_won_opens_the_model_again(fake: StripeFake, deliver: Deliver) -> None:
    shop = open_shop()
    order, intent = paid_order(shop, fake, deliver)
    dispute = fake.dispute(intent, 1900)
    for event in fake.take():
        deliver(event)
    order.refresh_from_db()
    assert order.state == Order.State.DISPUTED
    assert Grant.objects.get().state == Grant.State.FROZEN
    assert held(shop)["disputed"] == 1900

    fake.close_dispute(dispute, status="won")
    for event in fake.take():
        deliver(event)

    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED
    assert Grant.objects.get().state == Grant.State.ACTIVE
    assert held(shop)["payable"] == 1900


def test_a_dispute_that_is_lost_ends_the_license(fake: StripeFake, deliver: Deliver) -> None:
    shop = open_shop()
    order, intent = paid_order(shop, fake, deliver)
    fake.close_dispute(fake.dispute(intent, 1900), status="lost")

    for event in fake.take():
        deliver(event)

    order.refresh_from_db()
    assert order.state == Order.State.REFUNDED
    assert Grant.objects.get().state == Grant.State.REVOKED
    assert set(held(shop).values()) == {0}


def test_an_inquiry_takes_nothing(fake: StripeFake, deliver: Deliver) -> None:
    order, intent = paid_order(open_shop(), fake, deliver)
    fake.dispute(intent, 1900, status="warning_needs_response")

    [event] = fake.take()

    assert deliver(event).json() == {"facts": 0}
    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED
    assert not Dispute.objects.exists()


def test_a_dispute_of_a_payment_nobody_knows_is_set_aside(
    fake: StripeFake, deliver: Deliver
) -> None:
    open_shop()
    stranger = fake._intent(500, "eur", {})
    fake.dispute(stranger, 500)

    [event] = fake.take()

    assert deliver(event).status_code == 200
    assert PaymentEvent.objects.get().outcome == PaymentEvent.Outcome.PARKED


def end_state(shop: Shop, order: Order) -> dict[str, Any]:
    order.refresh_from_db()
    return {
        "order": (order.state, order.paid_minor, order.refunded_minor),
        "grants": list(Grant.objects.order_by("id").values_list("state", flat=True)),
        "licenses": License.objects.count(),
        "payments": list(Payment.objects.values_list("amount_minor", "refunded_minor")),
        "refunds": list(Refund.objects.values_list("state", "amount_minor")),
        "disputes": list(Dispute.objects.values_list("state", "amount_minor")),
        "ledger": held(shop),
    }


@pytest.mark.parametrize("outcome", ["won", "lost"])
@pytest.mark.parametrize("repeats", [1, 2])
def test_every_order_of_messages_ends_the_same(
    outcome: str, repeats: int, fake: StripeFake, deliver: Deliver
) -> None:
    """Four events, each permutation in a transaction of its own that is undone.

    Told twice, every third of them: together they begin with each event.
    """
    from django.db import transaction

    class UndoneError(Exception):
        pass

    shop = open_shop()
    order = shop.order()
    checkout.start(order)
    intent = fake.pay(fake.all("checkout.session")[0])
    events = fake.take("payment_intent.succeeded")
    fake.refund_by_hand(intent, 500)
    events += fake.take("refund.created")
    dispute = fake.dispute(intent, 1400)
    fake.close_dispute(dispute, status=outcome)
    events += fake.take("charge.dispute.created", "charge.dispute.closed")
    assert len(events) == 4
    ends = []
    ways = list(itertools.permutations(events))[:: 1 if repeats == 1 else 3]

    for told in ways:
        try:
            with transaction.atomic():
                for event in [row for row in told for _ in range(repeats)]:
                    assert deliver(event).status_code == 200
                ends.append(end_state(shop, order))
                assert ledger.off_balance() == []
                assert not PaymentEvent.objects.filter(outcome="waiting").exists()
                assert not PaymentEvent.objects.filter(outcome="parked").exists()
                raise UndoneError  # noqa: TRY301 - undoes the transaction
        except UndoneError:
            continue

    assert len(ends) == len(ways) == (24 if repeats == 1 else 8)
    assert [end for end in ends if end != ends[0]] == []
    is_won = outcome == "won"
    assert ends[0]["order"] == (
        Order.State.FULFILLED if is_won else Order.State.REFUNDED,
        1900,
        500 if is_won else 1900,
    )
    assert ends[0]["grants"] == [Grant.State.ACTIVE if is_won else Grant.State.REVOKED]
    assert ends[0]["ledger"]["gateway"] == (1400 if is_won else 0)


def test_what_was_never_told_is_found_by_the_reconciler(fake: StripeFake) -> None:
    shop = open_shop()
    order = shop.order()
    checkout.start(order)
    intent = fake.pay(fake.all("checkout.session")[0])
    fake.close_dispute(fake.dispute(intent, 1900), status="lost")

    report = reconciling.reconcile()

    assert report.facts_found == 2  # paid, lost: asked late, a dispute has one state
    assert report.unreachable == []
    order.refresh_from_db()
    assert order.state == Order.State.REFUNDED
    assert report.differences == []
    assert sum(LedgerEntry.objects.values_list("amount_minor", flat=True)) == 0
    assert reconciling.reconcile().facts_found == 0


def test_facts_of_an_order_are_the_ones_its_events_told(fake: StripeFake, deliver: Deliver) -> None:
    order, intent = paid_order(open_shop(), fake, deliver)
    fake.refund_by_hand(intent, 500)
    for event in fake.take():
        deliver(event)
    known = set(PaymentEvent.objects.values_list("external_id", flat=True))

    asked = gateway_named(order.gateway).facts_of(order.public_id)

    assert {fact.event_id for fact in asked} == known
    inbox.receive(order.gateway, asked)
    assert PaymentEvent.objects.count() == len(known)
    assert PaymentEvent.objects.filter(received_at__lte=timezone.now()).count() == len(known)

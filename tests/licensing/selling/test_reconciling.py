"""Each fault the reconciler knows is found when it is there, and nothing is told without one."""

import io
import json
from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db.models import F
from django.utils import timezone

from catalog.models import Grant, ModelRepo
from licensing.gateways.base import Fact, FactKind, GatewayRefusedError
from licensing.gateways.sandbox import Sandbox
from licensing.models import (
    LedgerEntry,
    LedgerMovement,
    License,
    Offer,
    Order,
    OrderLine,
    Payment,
    PaymentEvent,
    Refund,
    Subscription,
)
from licensing.services import (
    checkout,
    closing,
    granting,
    inbox,
    ledger,
    reconciling,
    refunds,
    settling,
)
from licensing.services.dunning import renew_due
from licensing.services.offers import NewPrice
from tests.licensing.license_api.holding import hold, renew
from tests.licensing.selling.market import facts_of
from tests.licensing.selling.shop import Shop, open_shop

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(hours=1)


@pytest.fixture
def shop() -> Shop:
    return open_shop()


def told() -> list[str]:
    return [item.kind for item in reconciling.differences()]


def on_orders(**changes: object) -> Callable[[], object]:
    return lambda: Order.objects.update(**changes)


def on_grants(state: Grant.State) -> Callable[[], object]:
    return lambda: Grant.objects.update(state=state)


def unbooked() -> None:
    """A payment the ledger knows nothing of."""
    order = Order.objects.get()
    Payment.objects.create(
        order=order, gateway="sandbox", external_id="x", amount_minor=5, at=timezone.now()
    )
    Order.objects.update(paid_minor=F("paid_minor") + 5, refunded_minor=F("refunded_minor") + 5)


def booked_alone() -> None:
    """Money in the ledger that no payment brought."""
    order = Order.objects.get()
    ledger.book(
        LedgerMovement.Kind.PAYMENT,
        "x",
        [
            ledger.Entry(ledger.Kind.GATEWAY, 5, LedgerEntry.Purpose.MONEY),
            ledger.Entry(ledger.Kind.DEPOSITS, -5, LedgerEntry.Purpose.MONEY),
        ],
        gateway="sandbox",
        currency="EUR",
        order=order,
    )


def no_license() -> None:
    License.objects.all().delete()


@pytest.mark.parametrize(
    ("break_it", "kinds"),
    [
        (lambda: None, []),
        (on_orders(paid_minor=1901), ["paid_sum", "deposits"]),
        (on_orders(net_minor=1901, gross_minor=1901), ["line_sum", "not_paid"]),
        (on_orders(refunded_minor=1), ["not_paid"]),
        (on_orders(state="paid", paid_at=timezone.now() - LONG_AGO), ["not_fulfilled"]),
        (on_orders(state="open"), ["still_open", "license_unpaid", "deposits"]),
        (on_orders(state="cancelled"), ["license_unpaid", "deposits"]),
        (on_orders(state="refunded"), ["open_after_refund"]),
        (on_grants(Grant.State.REVOKED), ["ended_without_refund"]),
        (on_grants(Grant.State.FROZEN), ["frozen"]),
        (lambda: OrderLine.objects.update(taken_back_at=timezone.now()), ["open_after_refund"]),
        (no_license, ["no_license"]),
        (unbooked, ["gateway_balance"]),
        (booked_alone, ["deposits", "gateway_balance"]),
        (lambda: ModelRepo.objects.update(is_for_sale=False), ["shelf"]),
        (
            lambda: PaymentEvent.objects.update(
                outcome="waiting", received_at=timezone.now() - LONG_AGO
            ),
            ["event_waiting"],
        ),
        (lambda: PaymentEvent.objects.update(outcome="parked", note="odd"), ["event_parked"]),
    ],
)
def test_a_fault_is_told(shop: Shop, break_it: Callable[[], object], kinds: list[str]) -> None:
    shop.buy()
    assert told() == []

    break_it()

    assert told() == kinds


def on_ends(by: timedelta) -> None:
    Grant.objects.update(ends_at=F("ends_at") + by)


@pytest.mark.parametrize(
    ("break_it", "kinds"),
    [
        (lambda: None, []),
        (lambda: on_ends(-timedelta(days=30)), ["license_end"]),  # the second term never came
        (lambda: on_ends(timedelta(days=30)), ["license_end"]),  # it came twice
        (
            lambda: OrderLine.objects.filter(order__extends__isnull=False).update(extended_at=None),
            ["not_extended", "license_end"],
        ),
        (lambda: Grant.objects.update(ends_at=None), ["license_end"]),
    ],
)
def test_a_further_term_that_does_not_lengthen_its_license_once_is_told(
    break_it: Callable[[], object], kinds: list[str]
) -> None:
    held = hold(term_days=30)
    renew(held)
    assert told() == []

    break_it()

    assert told() == kinds


@pytest.mark.parametrize(
    ("break_it", "kinds"),
    [
        (lambda: on_ends(-timedelta(days=30)), ["license_end"]),
        (lambda: on_ends(timedelta(days=30)), ["license_end"]),
        (lambda: Subscription.objects.update(periods=1), ["periods", "license_end"]),
        (lambda: Subscription.objects.update(periods=3), ["periods", "license_end"]),
        (
            lambda: Subscription.objects.update(paid_until=F("paid_until") + timedelta(days=1)),
            ["license_end"],
        ),
    ],
)
def test_a_renewal_that_does_not_lengthen_its_license_once_is_told(
    break_it: Callable[[], object], kinds: list[str]
) -> None:
    hold(kind=Offer.Kind.SUBSCRIPTION, interval="month", prices=(NewPrice("EUR", 900),))
    with time_machine.travel(Subscription.objects.get().paid_until):
        assert renew_due() == 1
        assert told() == []

        break_it()

        assert told() == kinds


def test_a_sale_that_is_not_booked_is_told(shop: Shop) -> None:
    order = shop.order()
    Order.objects.filter(pk=order.pk).update(state=Order.State.REFUNDED, paid_at=timezone.now())

    assert told() == ["not_booked"]


def test_movements_that_do_not_add_up_are_told(shop: Shop, monkeypatch) -> None:
    """The database lets none in; what it lets in under another name is looked for all the same."""
    monkeypatch.setattr(ledger, "off_balance", lambda: [7])

    assert [(item.kind, item.subject) for item in reconciling.differences()] == [
        ("unbalanced", "7")
    ]


def test_lost_messages_are_found_and_crashes_mended(shop: Shop, monkeypatch) -> None:
    unheard, unfinished = shop.order("a"), shop.order("b")
    Sandbox().transfer(unheard.public_id, 1900, "EUR")
    monkeypatch.setattr(settling, "fulfil_if_paid", lambda order_id: False)
    checkout.start(unfinished, method="test_success")
    monkeypatch.undo()
    asked = []

    report = reconciling.reconcile(check=lambda: asked.append(1))

    assert (report.orders, report.facts_found) == (2, 1)
    assert report.differences == []
    assert len(asked) == 2
    assert set(Order.objects.values_list("state", flat=True)) == {Order.State.FULFILLED}
    assert json.loads(json.dumps(report.to_json()))["orders"] == 2


def refuse_to_tell_of(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the gateway refuse every question about one order."""
    tell = Sandbox.facts_of

    def facts(self: Sandbox, order_ref: str) -> list[Fact]:
        if order_ref == order.public_id:
            raise GatewayRefusedError("No such session.", reason="resource_missing")
        return tell(self, order_ref)

    monkeypatch.setattr(Sandbox, "facts_of", facts)


def test_an_order_the_gateway_refuses_to_tell_of_is_listed_and_the_others_go_on(
    shop: Shop, monkeypatch
) -> None:
    refused, unheard = shop.order("a"), shop.order("b")
    Sandbox().transfer(unheard.public_id, 1900, "EUR")
    refuse_to_tell_of(refused, monkeypatch)

    report = reconciling.reconcile()

    (found,) = report.differences
    assert (found.kind, found.subject) == ("gateway_refused", refused.public_id)
    assert (report.orders, report.facts_found, report.unreachable) == (2, 1, [])
    unheard.refresh_from_db()
    refused.refresh_from_db()
    assert (unheard.state, refused.state) == (Order.State.FULFILLED, Order.State.OPEN)
    assert reconciling.latest_run().differences[0]["kind"] == "gateway_refused"


def test_an_order_that_cannot_be_granted_does_not_end_the_run(shop: Shop, monkeypatch) -> None:
    broken, fine = shop.order("a"), shop.order("b")
    fulfil = granting.fulfil

    def break_one(order: Order) -> None:
        if order.pk == broken.pk:
            raise RuntimeError("a broken head")
        fulfil(order)

    monkeypatch.setattr(granting, "fulfil", break_one)
    for order in (broken, fine):
        Sandbox().transfer(order.public_id, 1900, "EUR")

    report = reconciling.reconcile()

    assert {(item.kind, item.subject) for item in report.differences} == {
        ("not_looked_at", broken.public_id)
    }
    fine.refresh_from_db()
    broken.refresh_from_db()
    assert (fine.state, broken.state) == (Order.State.FULFILLED, Order.State.PAID)
    assert License.objects.get().line.order == fine
    monkeypatch.undo()
    assert reconciling.reconcile().differences == []


def test_late_orders_are_closed_beside_one_the_gateway_refuses_to_tell_of(
    shop: Shop, monkeypatch, time_machine
) -> None:
    refused, late, paid = shop.order("a"), shop.order("b"), shop.order("c")
    Sandbox().transfer(paid.public_id, 1900, "EUR")
    refuse_to_tell_of(refused, monkeypatch)
    time_machine.move_to(timezone.now() + timedelta(hours=25), tick=False)

    assert closing.close_expired() == 1

    for order in (refused, late, paid):
        order.refresh_from_db()
    assert (refused.state, late.state, paid.state) == ("open", "cancelled", "fulfilled")


def test_an_early_fact_is_applied_although_the_process_died(shop: Shop, monkeypatch) -> None:
    order = shop.order()
    Sandbox().transfer(order.public_id, 1900, "EUR")
    Sandbox().refund_by_hand(facts_of(order)[0].payment_id, 300)
    paid, refunded = facts_of(order)
    assert refunded.kind == FactKind.REFUNDED
    inbox.receive("sandbox", [refunded])
    monkeypatch.setattr(inbox, "_apply_early", lambda event: None)
    inbox.receive("sandbox", [paid])
    monkeypatch.undo()
    assert Order.objects.get().refunded_minor == 0

    reconciling.reconcile()

    assert Order.objects.get().refunded_minor == 300
    assert told() == []


def test_the_command_prints_what_differs(shop: Shop, monkeypatch) -> None:
    order = shop.buy()
    out = io.StringIO()
    call_command("reconcile", stdout=out)
    assert "1 orders, 0 lost messages found, 0 orders completed, 0 differences" in out.getvalue()

    Grant.objects.update(state=Grant.State.REVOKED)
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("reconcile", "--json", stdout=out)
    (found,) = json.loads(out.getvalue())["differences"]
    assert (found["kind"], found["subject"]) == (
        "ended_without_refund",
        order.lines.get().public_id,
    )
    Order.objects.update(gateway="stripe")
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("reconcile", stdout=out)
    assert "gateway stripe could not be asked" in out.getvalue()


def test_a_refund_of_a_gateway_this_site_lost_waits(shop: Shop) -> None:
    order = shop.buy()
    Order.objects.update(gateway="stripe")
    order.refresh_from_db()

    refund = refunds.give_back(shop.selling, order, None, "x")

    assert refund.state == Refund.State.SENDING
    assert Order.objects.get().state == Order.State.REFUNDED

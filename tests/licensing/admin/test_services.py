"""What staff do about money, below the pages: rules, refusals, and nothing changed."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.viewer import VISITOR, Viewer
from licensing.gateways.base import GatewayError, GatewayRefusedError
from licensing.gateways.sandbox import Sandbox
from licensing.models import (
    ConfirmedTaxNumber,
    FeeRule,
    Order,
    Payment,
    PaymentEvent,
    Refund,
    SandboxCharge,
)
from licensing.services import (
    fees,
    order_office,
    reconciling,
    refunds,
    refunds_by_hand,
    settling,
    tax_numbers,
    taxing,
)
from licensing.services.office import ReasonNeededError
from licensing.tax.countries import BadCountryError
from licensing.tax.numbers import BadTaxNumberError
from store.core.errors import ForbiddenError, UnauthenticatedError
from tests.licensing.payouts.market import a_seller, staff_viewer
from tests.licensing.selling.shop import BILLING, Shop, open_shop

pytestmark = pytest.mark.django_db
NUMBER = "DE136695976"


@pytest.fixture
def shop() -> Shop:
    return open_shop()


def failed(shop: Shop) -> Refund:
    """A refund the gateway will not send."""
    order = shop.buy()

    def refuse(*_args: Any, **_more: Any) -> Any:
        raise GatewayRefusedError("The card is gone.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sandbox, "refund", refuse)
        return refunds.give_back(shop.selling, order, None, "Back")


# ── who may, and why ────────────────────────────────────────────────────────────────────────────


DEEDS: dict[str, Callable[[Viewer, Shop, str], object]] = {
    "cancel": lambda viewer, shop, why: order_office.cancel(viewer, Order.objects.get(), why),
    "fetch": lambda viewer, shop, why: order_office.fetch(viewer, Order.objects.get(), why),
    "apply": lambda viewer, shop, why: order_office.apply_again(
        viewer, PaymentEvent.objects.get(), why
    ),
    "dismiss": lambda viewer, shop, why: order_office.dismiss(
        viewer, PaymentEvent.objects.get(), why
    ),
    "fee": lambda viewer, shop, why: fees.add_rule(viewer, None, 100, None, why),
    "confirm": lambda viewer, shop, why: tax_numbers.confirm(viewer, NUMBER, "DE", why),
    "withdraw": lambda viewer, shop, why: tax_numbers.withdraw(viewer, "DE1", why),
}


@pytest.mark.parametrize("name", DEEDS)
def test_deeds_are_for_staff_with_a_reason(shop: Shop, name: str) -> None:
    order, staff = shop.order(), staff_viewer()
    PaymentEvent.objects.create(
        gateway="sandbox", external_id="x", kind="paid", order_ref="n", fact={}, outcome="parked"
    )
    ConfirmedTaxNumber.objects.create(number="DE1", source="VIES")
    events = AuditEvent.objects.count()

    with pytest.raises(UnauthenticatedError):
        DEEDS[name](VISITOR, shop, "Because")
    with pytest.raises(ForbiddenError):
        DEEDS[name](shop.selling, shop, "Because")
    with pytest.raises(ReasonNeededError):
        DEEDS[name](staff, shop, " ")

    order.refresh_from_db()
    assert order.state == "open"
    assert PaymentEvent.objects.get().outcome == "parked"
    assert FeeRule.objects.count() == 0
    assert [row.number for row in ConfirmedTaxNumber.objects.all()] == ["DE1"]
    assert AuditEvent.objects.count() == events


# ── orders and messages ─────────────────────────────────────────────────────────────────────────


def test_a_paid_order_is_not_cancelled(shop: Shop) -> None:
    order, clerk = shop.buy(), staff_viewer()
    events = AuditEvent.objects.count()

    with pytest.raises(settling.NotCancellableError):
        order_office.cancel(clerk, order, "Because")

    order.refresh_from_db()
    assert order.state == "fulfilled"
    assert AuditEvent.objects.count() == events


def test_what_no_message_told_is_fetched(shop: Shop) -> None:
    order = shop.order()
    Sandbox().start(_charge(order))
    SandboxCharge.objects.update(state="paid")

    assert order_office.fetch(staff_viewer(), order, "The buyer asks") == 1
    order.refresh_from_db()
    assert order.state == "fulfilled"
    assert order_office.fetch(staff_viewer(), order, "The buyer asks again") == 0
    assert Payment.objects.count() == 1


def _charge(order: Order) -> Any:
    from licensing.services.checkout import _charge

    return _charge(order, None, "")


def test_a_gateway_that_is_away_changes_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, staff = shop.order(), staff_viewer()
    events = AuditEvent.objects.count()

    def away(_self: Sandbox, _ref: str) -> Any:
        raise GatewayError("away")

    monkeypatch.setattr(Sandbox, "facts_of", away)
    with pytest.raises(GatewayError):
        order_office.fetch(staff, order, "The buyer asks")

    assert AuditEvent.objects.count() == events


def test_a_parked_message_is_applied_after_its_cause_is_mended(shop: Shop) -> None:
    order = shop.order()
    Sandbox().start(_charge(order))
    SandboxCharge.objects.update(state="paid")
    (fact,) = Sandbox().facts_of(order.public_id)
    event = PaymentEvent.objects.create(
        gateway="sandbox",
        external_id=fact.event_id,
        kind="paid",
        order_ref=order.public_id,
        fact=fact.to_json(),
        outcome="parked",
        note="There is no such order.",
    )

    assert order_office.apply_again(staff_viewer(), event, "The order is back") == "applied"

    order.refresh_from_db()
    event.refresh_from_db()
    assert (order.state, event.outcome, event.note) == ("fulfilled", "applied", "")
    for deed in (order_office.apply_again, order_office.dismiss):
        with pytest.raises(order_office.EventClosedError):
            deed(staff_viewer(), event, "Again")
    event.refresh_from_db()
    assert event.outcome == "applied"


def test_a_dismissed_message_is_no_difference_any_more() -> None:
    event = PaymentEvent.objects.create(
        gateway="sandbox", external_id="x", kind="paid", order_ref="n", fact={}, outcome="parked"
    )
    assert [row.kind for row in reconciling.differences()] == ["event_parked"]

    order_office.dismiss(staff_viewer(), event, "Of another shop")

    assert list(reconciling.differences()) == []


# ── refunds by hand ─────────────────────────────────────────────────────────────────────────────


def test_a_failed_refund_is_sent_by_hand(shop: Shop) -> None:
    refund = failed(shop)
    assert (refund.state, refund.answer) == ("failed", "The card is gone.")
    assert "refund_failed" in {row.kind for row in reconciling.differences()}

    done = refunds_by_hand.mark_sent(staff_viewer(), refund, " 77 ", "Transferred")

    assert (done.state, done.external_id) == ("done", "77")
    assert Payment.objects.get().refunded_minor == 1900
    assert list(reconciling.differences()) == []
    with pytest.raises(refunds_by_hand.RefundNotFailedError):
        refunds_by_hand.mark_sent(staff_viewer(), refund, "78", "Again")
    assert Refund.objects.get().external_id == "77"


def test_a_refund_by_hand_has_a_reference_of_its_own(shop: Shop) -> None:
    refund = failed(shop)
    Refund.objects.create(order=refund.order, state="done", amount_minor=0, external_id="77")

    for reference in ("", " ", "x" * 129, "7\n7", "77"):
        with pytest.raises(refunds_by_hand.BadRefundReferenceError):
            refunds_by_hand.mark_sent(staff_viewer(), refund, reference, "Transferred")

    refund.refresh_from_db()
    assert (refund.state, refund.external_id) == ("failed", "")
    assert Payment.objects.get().refunded_minor == 0


def test_what_came_in_parts_goes_back_by_hand_in_one(shop: Shop) -> None:
    refund = failed(shop)
    payment = Payment.objects.get()
    Payment.objects.filter(pk=payment.pk).update(amount_minor=1000)
    Payment.objects.create(
        order=refund.order,
        gateway="sandbox",
        external_id="second",
        amount_minor=900,
        at=timezone.now(),
    )
    Refund.objects.filter(pk=refund.pk).update(payment=None)

    refunds_by_hand.mark_sent(staff_viewer(), refund, "77", "Transferred")

    rows = Payment.objects.order_by("id").values_list("refunded_minor", flat=True)
    assert list(rows) == [1000, 900]


def test_the_reason_of_an_answer_is_in_the_trail(shop: Shop) -> None:
    order = shop.buy()
    first = refunds.ask(shop.buying, order, None, "It does not load")
    refunds.decline(staff_viewer(), first, "It loads here")
    second = refunds.ask(shop.buying, order, None, "It still does not load")
    refunds.accept(staff_viewer(), second, why="It does not load here either")

    events = AuditEvent.objects.filter(action__in=["refund.decline", "refund.accept"])
    assert [event.detail["reason"] for event in events.order_by("id")] == [
        "It loads here",
        "It does not load here either",
    ]


# ── fees ────────────────────────────────────────────────────────────────────────────────────────


def test_the_newest_rule_that_has_begun_counts() -> None:
    maria, omar, staff = a_seller(), a_seller("omar"), staff_viewer()
    fees.add_rule(staff, None, 1000, None, "The usual fee")
    fees.add_rule(staff, maria, 500, None, "An early seller")
    later = timezone.now() + timedelta(days=10)
    fees.add_rule(staff, None, 2000, later, "From next month on")

    now = timezone.now()
    assert (fees.fee_rate(maria, now), fees.fee_rate(omar, now)) == (500, 1000)
    assert (fees.fee_rate(maria, later), fees.fee_rate(omar, later)) == (500, 2000)


@pytest.mark.parametrize("basis_points", [-1, 10_001])
def test_a_fee_is_a_part(basis_points: int) -> None:
    with pytest.raises(fees.BadFeeRuleError):
        fees.add_rule(staff_viewer(), None, basis_points, None, "Because")

    assert FeeRule.objects.count() == 0


def test_no_fee_begins_in_the_past() -> None:
    with pytest.raises(fees.BadFeeRuleError):
        fees.add_rule(staff_viewer(), None, 100, timezone.now() - timedelta(seconds=1), "Because")

    assert FeeRule.objects.count() == 0


def test_rules_are_never_changed() -> None:
    rule = fees.add_rule(staff_viewer(), None, 100, None, "Because")

    for change in (
        lambda: FeeRule.objects.update(basis_points=0),
        lambda: FeeRule.objects.all().delete(),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()

    rule.refresh_from_db()
    assert rule.basis_points == 100


# ── tax numbers ─────────────────────────────────────────────────────────────────────────────────


def test_a_number_counts_once_it_is_confirmed(settings: Any) -> None:
    staff = staff_viewer()
    assert not tax_numbers.is_confirmed(NUMBER)
    assert not tax_numbers.is_confirmed("")

    tax_numbers.confirm(staff, "de 136 695 976", " de", "VIES W1")
    row = tax_numbers.confirm(staff, NUMBER, "DE", "VIES W2")

    assert (str(row), ConfirmedTaxNumber.objects.get().source) == (NUMBER, "VIES W2")
    assert tax_numbers.is_confirmed(NUMBER)

    tax_numbers.withdraw(staff, NUMBER, "Not in use any more")

    assert not tax_numbers.is_confirmed(NUMBER)
    with pytest.raises(tax_numbers.NotConfirmedError):
        tax_numbers.withdraw(staff, NUMBER, "Again")
    settings.ENV = settings.ENV.model_copy(update={"trust_vat_numbers": True})
    assert tax_numbers.is_confirmed(NUMBER)
    assert not tax_numbers.is_confirmed("")


@pytest.mark.parametrize(
    ("number", "country", "error"),
    [(NUMBER, "XX", BadCountryError), ("DE123456789", "DE", BadTaxNumberError)],
)
def test_what_cannot_be_a_number_is_not_confirmed(
    number: str, country: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        tax_numbers.confirm(staff_viewer(), number, country, "VIES")

    assert ConfirmedTaxNumber.objects.count() == 0


def test_reverse_charge_rests_on_confirmed_numbers(shop: Shop) -> None:
    from licensing.models import SellerProfile
    from licensing.services.pricing import Item, Wish, price

    SellerProfile.objects.create(
        namespace=shop.repo.namespace, country="FR", is_registered=True, vat_number="FR83404833048"
    )
    billing = BILLING | {"kind": "business", "vat_number": NUMBER}

    def treatment() -> tuple[str, int]:
        wish = Wish((Item(shop.offer.public_id),), "EUR", shop.buyer.namespace.pk, billing, "")
        (line,) = price(wish, buyer_id=shop.buyer.pk).lines
        return line.tax["kind"], line.tax_minor

    assert treatment() == ("vat", 380)
    tax_numbers.confirm(staff_viewer(), NUMBER, "DE", "VIES W1")
    assert treatment() == ("reverse_charge", 0)
    assert taxing.seller_of(SellerProfile(country="")) is None

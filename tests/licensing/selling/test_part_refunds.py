"""A part of an order's money goes back: whose it was, and that nobody is given any by it."""

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from catalog.models import Grant
from licensing.gateways.base import FactKind
from licensing.gateways.sandbox import Sandbox
from licensing.models import LedgerAccount, LedgerEntry, LedgerMovement, Order
from licensing.services import booking, checkout, inbox, reconciling
from tests.licensing.selling.checking import check_always, check_at_rest
from tests.licensing.selling.market import (
    Market,
    charges_of,
    facts_of,
    open_market,
    run_money_jobs,
)

pytestmark = pytest.mark.django_db
Kind = LedgerMovement.Kind


@pytest.fixture
def market() -> Market:
    return open_market()


def sent_back_by_hand(order: Order, *amounts: int) -> dict[str, int]:
    """Refund amounts without a line at the bank; return what each line gave of them."""
    for amount in amounts:
        Sandbox().refund_by_hand(charges_of(order)[0].public_id, amount)
    inbox.receive("sandbox", [one for one in facts_of(order) if one.kind == FactKind.REFUNDED])
    order.refresh_from_db()
    return dict(order.lines.values_list("seller__name", "refunded_minor"))


def bought(market: Market) -> tuple[Order, int, int]:
    """An order of two sellers, of 1999 and tax, and of 1000; and what each line cost."""
    offer = market.offers["prose"]
    offer.prices.update(amount_minor=1000)
    order = market.order("k", ["haiku", "prose"])
    checkout.start(order, method="test_success")
    first, second = order.lines.order_by("position")
    return order, first.gross_minor, second.gross_minor


def at_rest(market: Market) -> None:
    run_money_jobs()
    reconciling.reconcile()
    assert list(reconciling.differences()) == []
    check_always()
    check_at_rest(market)


def test_what_one_line_cost_is_taken_from_that_line(market: Market) -> None:
    order, _first, second = bought(market)

    given_back = sent_back_by_hand(order, second)

    assert given_back == {"maria": 0, "otto": second}
    states = Grant.objects.order_by("license__line__position").values_list("state", flat=True)
    assert list(states) == [Grant.State.ACTIVE, Grant.State.REVOKED]
    at_rest(market)


def test_any_other_amount_is_borne_in_proportion_and_ends_nothing(market: Market) -> None:
    order, first, second = bought(market)
    amount = second + 100  # in order, the first line would bear all of it

    given_back = sent_back_by_hand(order, amount)

    fair = amount * first // (first + second)
    assert given_back["maria"] in {fair, fair + 1}
    assert sum(given_back.values()) == amount
    assert set(Grant.objects.values_list("state", flat=True)) == {Grant.State.ACTIVE}
    at_rest(market)


def test_all_of_it_in_parts_ends_all(market: Market) -> None:
    order, first, second = bought(market)

    given_back = sent_back_by_hand(order, 700, 1, first + second - 701)

    assert given_back == {"maria": first, "otto": second}
    assert order.state == Order.State.REFUNDED
    assert set(Grant.objects.values_list("state", flat=True)) == {Grant.State.REVOKED}
    at_rest(market)


class TestPartRefunds(TestCase):
    """Whatever the sizes, each part refund takes from everybody, and all of them take all."""

    @settings(max_examples=6, deadline=None)
    @given(parts=st.lists(st.integers(1, 40), min_size=1, max_size=12))
    def test_nobody_is_given_anything(self, parts: list[int]) -> None:
        check_parts(open_market(), parts)


def test_one_cent_after_fourteen(market: Market) -> None:
    """By weights of 1568, 380, 210 and 221, the largest rest gives one of them less of 15."""
    check_parts(market, [14, 1])


def check_parts(market: Market, parts: list[int]) -> None:
    order = market.order("k", ["haiku"])
    checkout.start(order, method="test_success")
    (line,) = order.lines.all()
    for number, part in enumerate([*parts, line.gross_minor - sum(parts)]):
        booking.book_refund(order, f"part-{number}", {line: part})
        line.refunded_minor += part

    owed: dict[tuple[str, int | None], int] = defaultdict(int)
    entries = LedgerEntry.objects.filter(movement__order=order).select_related("account")
    for entry in entries.exclude(movement__kind=Kind.PAYMENT):
        owed[entry.account.kind, entry.account.namespace_id] += entry.amount_minor
        if entry.movement.kind == Kind.REFUND:
            is_buyers = entry.account.kind == LedgerAccount.Kind.DEPOSITS
            assert (entry.amount_minor < 0) == is_buyers
    assert set(owed.values()) == {0}

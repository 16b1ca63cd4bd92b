"""The same money from many threads at once."""

import pytest

from accounts.models import AccessToken, Scope
from accounts.services.tokens import create_token
from accounts.viewer import Viewer
from catalog.models import Grant
from licensing.gateways.base import FactKind
from licensing.gateways.sandbox import CARDS, Sandbox
from licensing.models import Coupon, Invoice, License, Order, Payment, Refund, Subscription
from licensing.services import (
    checkout,
    inbox,
    ordering,
    quotes,
    reconciling,
    refunds,
    renewals,
    resuming,
    settling,
)
from licensing.services.coupons import CouponError
from licensing.services.pricing import Item
from store.core.errors import StoreError
from tests.factories import make_user
from tests.licensing.selling.checking import check_always, check_at_rest
from tests.licensing.selling.market import (
    Market,
    charges_of,
    facts_of,
    open_market,
    run_money_jobs,
)
from tests.licensing.selling.shop import BILLING
from tests.threads import ROUNDS, at_once

pytestmark = pytest.mark.django_db(transaction=True)
BUYERS = 50
SEATS = 10


@pytest.fixture
def market() -> Market:
    return open_market()


def quote_of(market: Market, viewer: Viewer, name: str, coupon: str = "") -> tuple[str, set[str]]:
    """A quote's id and the terms to accept."""
    item = Item(market.offers[name].public_id)
    quote, priced = quotes.make_quote(
        viewer, [item], currency="EUR", billing=BILLING, coupon=coupon
    )
    return quote.public_id, set(priced.terms)


def outcome(work) -> str:
    """What came of it, in a word: the code of a refusal, or ``ok``."""
    try:
        work()
    except StoreError as error:
        return error.code
    return "ok"


def agrees(market: Market) -> None:
    """Nothing differs once the jobs have run."""
    run_money_jobs()
    reconciling.reconcile()
    assert list(reconciling.differences()) == []
    check_always()
    check_at_rest(market)


def test_fifty_buyers_race_for_the_last_ten_uses_of_a_coupon(market: Market) -> None:
    buyers = [Viewer(user=make_user(f"buyer{number}")) for number in range(BUYERS)]
    maria = market.repos[0].namespace
    for repetition in range(ROUNDS):
        coupon = Coupon.objects.create(
            namespace=maria, code=f"RACE{repetition}", basis_points=5000, most_uses=SEATS
        )
        asked = [quote_of(market, viewer, "haiku", coupon.code) for viewer in buyers]
        before = Order.objects.count()

        def buy(number: int, asked=asked, repetition=repetition) -> str:
            quote, terms = asked[number]
            return outcome(
                lambda: ordering.open_order(
                    buyers[number], quote, key=f"race-{repetition}", accepted_terms=terms
                )
            )

        outcomes = at_once(buy, BUYERS)

        assert outcomes.count("ok") == SEATS
        assert outcomes.count(CouponError.code) == BUYERS - SEATS
        assert coupon.orders.count() == SEATS
        assert Order.objects.count() == before + SEATS


@pytest.mark.parametrize("coupon", ["", "ONCE"])
def test_one_key_ten_times_at_once_is_one_order(market: Market, coupon: str) -> None:
    """Also where the order takes the last use of a coupon: the others get the same order."""
    if coupon:
        Coupon.objects.create(
            namespace=market.repos[0].namespace, code=coupon, basis_points=100, most_uses=1
        )
    quote, terms = quote_of(market, market.buying, "haiku", coupon)

    def buy(_number: int) -> tuple[str, bool]:
        order, is_new = ordering.open_order(
            market.buying, quote, key="the key", accepted_terms=terms
        )
        return order.public_id, is_new

    made = at_once(buy, 10)

    assert len({public_id for public_id, _is_new in made}) == 1
    assert [is_new for _public_id, is_new in made].count(True) == 1
    assert Order.objects.count() == 1


def test_a_limit_of_a_token_holds_under_parallel_orders(market: Market) -> None:
    token, _text = create_token(market.buyer, name="t", scopes=[Scope.BUY])
    gross = 2379
    AccessToken.objects.filter(pk=token.pk).update(
        spend_limit_minor=3 * gross + 1, spend_currency="EUR"
    )
    viewers = [
        Viewer(user=market.buyer, token=AccessToken.objects.get(pk=token.pk)) for _ in range(10)
    ]
    asked = [quote_of(market, viewer, "haiku") for viewer in viewers]

    def buy(number: int) -> str:
        quote, terms = asked[number]
        return outcome(
            lambda: ordering.open_order(
                viewers[number], quote, key=f"k{number}", accepted_terms=terms
            )
        )

    outcomes = at_once(buy, 10)

    assert set(Order.objects.values_list("gross_minor", flat=True)) == {gross}
    assert (outcomes.count("ok"), outcomes.count("spend_limit")) == (3, 7)
    assert Order.objects.count() == 3


def test_one_fact_from_eight_threads_counts_once(market: Market) -> None:
    order = market.order("k", ["haiku", "prose"])
    Sandbox().transfer(order.public_id, order.gross_minor, "EUR")
    told = facts_of(order)

    at_once(lambda _number: inbox.receive("sandbox", told), 8)

    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED
    assert Payment.objects.count() == 1
    assert License.objects.count() == Grant.objects.count() == 2
    assert Invoice.objects.count() == 2
    agrees(market)


def test_two_payers_of_one_charge_pay_once(market: Market) -> None:
    order = market.order("k", ["haiku"])
    checkout.start(order)
    charge = charges_of(order)[0]

    def pay(_number: int) -> None:
        Sandbox().pay(charge.public_id, CARDS[0])
        inbox.receive("sandbox", facts_of(order))

    at_once(pay, 4)

    order.refresh_from_db()
    assert (order.state, order.paid_minor) == (Order.State.FULFILLED, order.gross_minor)
    agrees(market)


def test_cancelling_while_paying_leaves_nothing_open(market: Market) -> None:
    for number in range(4):
        order = market.order(f"k{number}", ["haiku"])
        steps = [
            lambda order=order: settling.cancel(order.pk),
            lambda order=order: checkout.start(order, method="test_success"),
        ]

        at_once(lambda which, steps=steps: outcome(steps[which]), 2)

        order = Order.objects.get(pk=order.pk)
        assert order.state in {Order.State.FULFILLED, Order.State.CANCELLED}
    agrees(market)


def test_a_refund_and_a_dispute_at_once(market: Market) -> None:
    clerk = market.deciding
    for number in range(4):
        order = market.order(f"k{number}", ["haiku"])
        checkout.start(order, method="test_success")
        charge = charges_of(order)[0]

        def dispute(order=order, charge=charge) -> None:
            Sandbox().dispute(charge.public_id)
            inbox.receive("sandbox", facts_of(order))

        steps = [
            lambda order=order: refunds.give_back(clerk, order, None, "x"),
            dispute,
        ]
        at_once(lambda which, steps=steps: outcome(steps[which]), 2)
        Sandbox().settle_dispute(charge.public_id, is_won=bool(number % 2))
    reconciling.reconcile()
    agrees(market)
    assert not Grant.objects.in_force().exists() or Refund.objects.count() < 4


def test_a_line_is_given_back_once_by_two_at_once(market: Market) -> None:
    """The second one's line was read before the first one's refund; the whole order counts, too."""
    clerk = market.deciding
    for run in range(ROUNDS):
        order = market.order(f"k{run}", ["haiku", "prose", "bundle"])
        checkout.start(order, method="test_success")
        lines = [order.lines.get(position=1) for _ in range(2)]

        def give(number: int, order=order, lines=lines) -> str:
            return outcome(lambda: refunds.give_back(clerk, order, lines[number], "x"))

        def give_all(_number: int, order=order) -> str:
            return outcome(lambda: refunds.give_back(clerk, order, None, "x"))

        assert sorted(at_once(give, 2)) == ["not_refundable", "ok"]
        order.refresh_from_db()
        assert order.refunded_minor == lines[0].gross_minor
        assert sorted(at_once(give_all, 2)) == ["not_refundable", "ok"]
        order.refresh_from_db()
        assert order.refunded_minor == order.gross_minor
    agrees(market)


def test_ending_and_going_on_at_once_leaves_one_of_both(market: Market) -> None:
    """Also while the order of the next period is paid, and while dunning looks at it."""
    for number in range(2 * ROUNDS):
        first = market.order(f"k{number}", ["monthly"])
        checkout.start(first, method="test_success")
        row = Subscription.objects.get(line__order=first)
        asked = renewals.open_renewal(row, renewals.key_of_next(row))
        if number % 2:
            renewals.cancel_subscription(market.buying, row)
        steps = [
            lambda row=row: renewals.cancel_subscription(market.buying, row),
            lambda row=row: resuming.resume_subscription(market.buying, row),
            lambda row=row: resuming.resume_subscription(market.buying, row),
            lambda asked=asked: checkout.start(asked, method="test_success"),
        ]

        told = at_once(lambda which, steps=steps: outcome(steps[which]), 4)

        row.refresh_from_db()
        asked.refresh_from_db()
        assert told[:3] == ["ok"] * 3
        assert row.state in {Subscription.State.ACTIVE, Subscription.State.ENDING}
        if asked.state != Order.State.FULFILLED:
            is_open = asked.state == Order.State.OPEN
            assert is_open == (row.state == Subscription.State.ACTIVE)
        assert row.periods == 1 + (asked.state == Order.State.FULFILLED)
    agrees(market)


def test_orders_of_the_same_sellers_in_turn_do_not_wait_for_each_other(market: Market) -> None:
    """Both number documents of both sellers: all take the two series in one order."""
    orders = [
        market.order(f"k{number}", ["haiku", "prose"] if number % 2 else ["prose", "haiku"])
        for number in range(6)
    ]

    at_once(lambda number: checkout.start(orders[number], method="test_success"), 6)

    assert {order.state for order in orders} == {Order.State.FULFILLED}
    assert {fact.kind for order in orders for fact in facts_of(order)} == {FactKind.PAID}
    agrees(market)

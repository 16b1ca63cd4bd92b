"""Money for an order that was cancelled buys what it would buy today, or goes back."""

import pytest

from licensing.gateways.sandbox import Sandbox
from licensing.models import License, Order, Price, Refund
from licensing.services import inbox, settling
from tests.licensing.selling.market import Market, facts_of, open_market, run_money_jobs

pytestmark = pytest.mark.django_db


@pytest.fixture
def market() -> Market:
    return open_market()


def paid_late(order: Order) -> Order:
    Sandbox().transfer(order.public_id, order.gross_minor, "EUR")
    inbox.receive("sandbox", facts_of(order))
    run_money_jobs()
    order.refresh_from_db()
    return order


def test_a_currency_that_is_not_sold_any_more_buys_nothing(market: Market) -> None:
    order = market.order("k", ["haiku"])
    settling.cancel(order.pk)
    Price.objects.filter(offer=market.offers["haiku"]).update(currency="USD")

    paid_late(order)

    assert order.state == Order.State.CANCELLED
    assert Refund.objects.get().amount_minor == order.gross_minor
    assert Sandbox().held_minor("EUR") == 0
    assert not License.objects.exists()


def test_what_is_free_beside_it_needs_no_price(market: Market) -> None:
    order = market.order("k", ["haiku", "free"])
    settling.cancel(order.pk)

    paid_late(order)

    assert order.state == Order.State.FULFILLED
    assert License.objects.count() == 2

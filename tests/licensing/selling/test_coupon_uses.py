"""Which of several coupons counts, and how often one may be held without paying."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Scope
from accounts.services.tokens import create_token
from licensing.models import Coupon, Order
from licensing.services import settling
from licensing.services.coupons import CouponError
from tests.licensing.selling.market import Market, open_market
from tests.licensing.selling.shop import BILLING, open_shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def market() -> Market:
    return open_market()


def coupon_of(market: Market, name: str, **values: Any) -> Coupon:
    fields = {"code": "LAUNCH", "basis_points": 1000} | values
    return Coupon.objects.create(namespace=market.offers[name].namespace, **fields)


def test_of_two_sellers_with_one_code_the_good_coupon_counts(market: Market) -> None:
    coupon_of(market, "haiku", ends_at=timezone.now() - timedelta(days=1))
    good = coupon_of(market, "prose")

    order = market.order("k", ["haiku", "prose"], "launch")

    assert order.coupon == good
    with pytest.raises(CouponError) as caught:
        market.order("l", ["haiku"], "launch")
    assert caught.value.extra["reason"] == "expired"
    assert Order.objects.count() == 1


def test_with_no_good_coupon_the_first_ones_reason_is_told(market: Market) -> None:
    coupon_of(market, "haiku", starts_at=timezone.now() + timedelta(days=1))
    coupon_of(market, "prose", ends_at=timezone.now() - timedelta(days=1))

    with pytest.raises(CouponError) as caught:
        market.order("k", ["haiku", "prose"], "launch")

    assert caught.value.extra["reason"] == "not_yet"
    assert not Order.objects.exists()


@pytest.mark.parametrize("limit", ["most_uses", "most_uses_each"])
def test_one_buyer_holds_one_use_without_paying(market: Market, limit: str) -> None:
    coupon_of(market, "haiku", **{limit: 5})
    first = market.order("k", ["haiku"], "launch")

    with pytest.raises(CouponError) as caught:
        market.order("l", ["haiku"], "launch")

    assert caught.value.extra == {"reason": "open_order", "order": first.public_id}
    assert Order.objects.count() == 1
    settling.cancel(first.pk)
    assert market.order("m", ["haiku"], "launch").state == Order.State.OPEN


def test_a_coupon_without_limits_may_wait_in_several_orders(market: Market) -> None:
    coupon_of(market, "haiku")

    orders = [market.order(key, ["haiku"], "launch") for key in ("k", "l")]

    assert {order.state for order in orders} == {Order.State.OPEN}


def test_a_script_is_told_which_order_to_pay_first(client: Client) -> None:
    shop = open_shop()
    Coupon.objects.create(
        namespace=shop.repo.namespace, code="FIRST-100", basis_points=1000, most_uses=100
    )
    order = shop.order(coupon="FIRST-100")
    wish = {"items": [{"offer": shop.offer.public_id}], "currency": "EUR", "billing": BILLING}

    text = create_token(shop.buyer, name="t", scopes=[Scope.BUY])[1]

    answer = client.post(
        "/api/v1/quotes",
        wish | {"coupon": "first-100"},
        content_type="application/json",
        HTTP_AUTHORIZATION=f"Bearer {text}",
    )

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (409, "coupon_refused")
    assert error["extra"] == {"reason": "open_order", "order": order.public_id}

"""From looking to paying, on the seller's overview."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from catalog.models import PageViews
from licensing.models import Order
from licensing.services.funnel import funnel_of
from licensing.services.sales import period_of
from tests.licensing.pages_seller.test_sales_pages import HTML, Browser
from tests.licensing.selling.shop import Shop, make_model, open_shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    return open_shop()


def seen(shop: Shop, people: int, *, days_ago: int = 0) -> None:
    day = timezone.now().date() - timedelta(days=days_ago)
    PageViews.objects.create(repo=shop.repo, day=day, people=people)


def test_counts_of_now_and_of_before(shop: Shop) -> None:
    seen(shop, 40)
    seen(shop, 10, days_ago=29)
    seen(shop, 7, days_ago=30)
    seen(shop, 99, days_ago=60)
    PageViews.objects.create(
        repo=make_model(shop.seller, "gift"), day=timezone.now().date(), people=500
    )  # not for sale
    shop.buy("one")
    shop.order("two")
    late = shop.order("three")
    Order.objects.filter(pk=late.pk).update(created_at=timezone.now() - timedelta(days=31))

    found = funnel_of(shop.seller.namespace, period_of(30))

    assert found.sums(found.views) == (50, 7)
    assert found.sums(found.begun) == (2, 1)
    assert found.sums(found.paid) == (1, 0)
    points = found.points(found.views)
    assert len(points) == 30
    assert (points[0][2], points[-1][2]) == (10, 40)
    year = funnel_of(shop.seller.namespace, period_of(365))
    assert sum(count for _first, _last, count in year.points(year.views)) == 156


def test_test_orders_are_told_from_real_ones_and_other_sellers_from_this(shop: Shop) -> None:
    shop.buy()
    period = period_of(30)

    assert funnel_of(shop.seller.namespace, period, is_test=False).is_empty
    assert not funnel_of(shop.seller.namespace, period, is_test=True).is_empty
    assert funnel_of(shop.buyer.namespace, period).is_empty


def test_programs_read_it_with_the_sums(
    shop: Shop, client: Client, bearer: Callable[..., dict[str, str]]
) -> None:
    seen(shop, 8)
    seen(shop, 5, days_ago=31)
    shop.buy("one")
    shop.order("two")
    today = timezone.now().date()

    answer = client.get("/api/v1/sales/summary", headers=bearer(shop.seller, "read"))

    views, none = {"now": 8, "before": 5}, {"now": 0, "before": 0}
    day = {"day": today.isoformat(), "views": 8}
    assert answer.json()["funnels"] == [
        {
            "is_test": False,
            "views": views,
            "begun": none,
            "paid": none,
            "days": [day | {"begun": 0, "paid": 0}],
        },
        {
            "is_test": True,
            "views": views,
            "begun": {"now": 2, "before": 0},
            "paid": {"now": 1, "before": 0},
            "days": [day | {"begun": 2, "paid": 1}],
        },
    ]


def test_the_overview_shows_the_way(shop: Shop, browser_of: Browser) -> None:
    client = browser_of(shop.seller)
    assert "From looking to paying" not in client.get("/sales", headers=HTML).text

    seen(shop, 8)
    page = client.get("/sales", headers=HTML).text
    assert "From looking to paying" in page  # before anything was sold

    shop.buy("one")
    shop.order("two")
    page = client.get("/sales", headers=HTML).text
    assert page.count("From looking to paying") == 1
    assert "25\u202f% of views" in page
    assert "50\u202f% of checkouts" in page

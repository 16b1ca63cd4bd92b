"""Coupons that lower the first periods of a subscription only."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.viewer import Viewer
from catalog.models import ModelRepo
from licensing.models import (
    Coupon,
    FeeRule,
    Invoice,
    LineShare,
    Offer,
    Order,
    OrderLine,
    Price,
    Quote,
    SellerProfile,
    Subscription,
)
from licensing.services import (
    checkout,
    dunning,
    order_letters,
    reconciling,
    renewals,
    subscriptions,
    telling,
    upstream,
)
from licensing.services.coupons import CouponError
from licensing.services.offers import NewPrice, OfferDraft, make_offer
from licensing.services.pricing import Item
from tests.licensing.selling.market import Market, open_market
from tests.licensing.selling.shop import Shop, open_shop

pytestmark = pytest.mark.django_db
START = "2027-01-31 12:00:00+00:00"


@pytest.fixture
def shop(time_machine: Any) -> Shop:
    time_machine.move_to(START, tick=False)
    return open_shop(kind=Offer.Kind.SUBSCRIPTION, interval="month")


def coupon_of(shop: Shop, **values: Any) -> Coupon:
    fields: dict[str, Any] = {"code": "HALF", "basis_points": 5000, "periods": 3}
    return Coupon.objects.create(namespace=shop.repo.namespace, **fields | values)


def taxed(shop: Shop) -> None:
    SellerProfile.objects.create(
        namespace=shop.repo.namespace, country="DE", is_registered=True, vat_number="DE136695976"
    )


def renew(time_machine: Any) -> Order:
    """The order of the period that is due next, collected by the beat."""
    row = Subscription.objects.get()
    time_machine.move_to(row.paid_until - timedelta(minutes=30), tick=False)
    assert dunning.renew_due() == 1
    return Order.objects.latest("pk")


def test_the_discount_ends_after_its_periods(shop: Shop, time_machine: Any) -> None:
    coupon = coupon_of(shop)
    first = shop.buy(coupon="half")
    coupon.is_active, coupon.periods, coupon.basis_points = False, 1, 1
    coupon.save()
    Price.objects.update(amount_minor=99_900)  # search is not told

    orders = [first, *(renew(time_machine) for _period in range(4))]

    assert [order.gross_minor for order in orders] == [950, 950, 950, 1900, 1900]
    lines = [order.lines.get() for order in orders]
    assert [line.discount_minor for line in lines] == [950, 950, 950, 0, 0]
    assert {line.unit_minor for line in lines} == {1900}
    told = [
        "coupon" in str(paper.document["notes"]).lower() for paper in Invoice.objects.order_by("pk")
    ]
    assert told == [True, True, True, False, False]
    assert {order.state for order in Order.objects.all()} == {Order.State.FULFILLED}
    assert {one.kind for one in reconciling.differences()} == {"price"}


def test_without_an_end_it_goes_on_for_ever(shop: Shop, time_machine: Any) -> None:
    coupon_of(shop, periods=None)
    first = shop.buy(coupon="HALF")

    assert [renew(time_machine).gross_minor for _period in range(3)] == [950] * 3
    line = first.lines.get()
    assert (line.discount_periods, line.later_gross_minor) == (None, None)


def test_what_is_no_subscription_is_paid_once() -> None:
    shop = open_shop()
    coupon_of(shop)

    line = shop.buy(coupon="HALF").lines.get()

    assert (line.gross_minor, line.discount_periods) == (950, None)


def test_each_period_has_the_tax_of_its_price(shop: Shop, time_machine: Any) -> None:
    taxed(shop)
    coupon_of(shop, periods=1)
    first = shop.buy(coupon="HALF")

    second = renew(time_machine)

    for order, sums in ((first, (950, 181, 1131)), (second, (1900, 361, 2261))):
        order.refresh_from_db()
        assert (order.net_minor, order.tax_minor, order.gross_minor) == sums
    line = first.lines.get()
    assert (line.later_net_minor, line.later_tax_minor) == (1900, 361)


def test_a_price_with_tax_stays_one_where_the_discount_left_no_tax(time_machine: Any) -> None:
    time_machine.move_to(START, tick=False)
    shop = open_shop(kind=Offer.Kind.SUBSCRIPTION, interval="month", is_tax_included=True)
    taxed(shop)
    coupon_of(shop, basis_points=None, amount_minor=1898, currency="EUR", periods=1)
    first = shop.buy(coupon="HALF")
    assert (first.tax_minor, first.gross_minor) == (0, 2)
    Offer.objects.update(is_tax_included=False)

    second = renew(time_machine)

    assert (second.net_minor, second.tax_minor, second.gross_minor) == (1597, 303, 1900)


def test_what_a_gateway_collects_is_the_price_of_the_period(shop: Shop) -> None:
    coupon_of(shop, periods=2)
    shop.buy(coupon="HALF")
    row = Subscription.objects.get()

    with pytest.raises(renewals.NotRenewableError, match="agreed was 950"):
        renewals.open_renewal(row, "p2", collected_minor=1900)
    assert Order.objects.count() == 1
    second = renewals.open_renewal(row, "p2", collected_minor=950)
    # both periods were told at once: the license has not been carried on for the second one
    Order.objects.filter(pk=second.pk).update(state=Order.State.PAID, paid_at=timezone.now())
    with pytest.raises(renewals.NotRenewableError, match="agreed was 1900"):
        renewals.open_renewal(row, "p3", collected_minor=950)
    third = renewals.open_renewal(row, "p3", collected_minor=1900)

    assert (second.gross_minor, third.gross_minor) == (950, 1900)
    assert renewals.open_renewal(row, "p2", collected_minor=950) == second


def test_a_changed_rate_is_taken_out_of_what_was_agreed(shop: Shop) -> None:
    coupon_of(shop, periods=1)
    shop.buy(coupon="HALF")
    taxed(shop)

    order = renewals.open_renewal(Subscription.objects.get(), "p2", collected_minor=1900)

    assert (order.net_minor, order.tax_minor, order.gross_minor) == (1597, 303, 1900)


def test_the_standing_tells_the_next_price_and_the_one_after(shop: Shop, time_machine: Any) -> None:
    coupon_of(shop, periods=2)
    license_ = shop.buy(coupon="HALF").lines.get().license

    def standing() -> subscriptions.Standing:
        return subscriptions.standing_behind(shop.buying, license_.public_id)

    now = standing()
    assert (now.amount_minor, now.later) == (
        950,
        subscriptions.Later(1900, timezone.now().replace(month=3)),
    )
    renew(time_machine)
    now = standing()
    assert (now.amount_minor, now.later) == (1900, None)
    renewals.cancel_subscription(shop.buying, now.subscription)
    now = standing()
    assert (now.amount_minor, now.later, now.next_charge_at) == (950, None, None)


def shared(market: Market, *, price: int) -> str:
    """A subscription of what is made from ``ula``'s model; its public id."""
    maria = market.repos[0].namespace.user
    assert maria is not None
    draft = OfferDraft(
        title="Monthly",
        kind=Offer.Kind.SUBSCRIPTION,
        terms_id="store-commercial",
        prices=(NewPrice("EUR", price),),
        interval="month",
    )
    market.offers["shared"] = make_offer(Viewer(user=maria), [market.repos[0]], draft)
    return market.offers["shared"].public_id


def test_fee_and_shares_of_the_dearer_period_are_those_of_a_full_sale(time_machine: Any) -> None:
    time_machine.move_to(START, tick=False)
    market = open_market()
    shared(market, price=1999)
    full = market.order("full", ["shared"]).lines.get()
    maria = market.offers["shared"].namespace
    Coupon.objects.create(namespace=maria, code="MOST", basis_points=9980, periods=1)
    first = market.order("cheap", ["shared"], "MOST")
    checkout.start(first, method="test_success")
    cheap = first.lines.get()
    assert (cheap.net_minor, [share.amount_minor for share in cheap.shares.all()]) == (4, [0])
    base = ModelRepo.objects.get(name="base")
    upstream.set_ask(Viewer(user=base.namespace.user), base, 10)  # agreed is agreed

    line = renew(time_machine).lines.get()

    assert (line.net_minor, line.fee_minor) == (full.net_minor, full.fee_minor)
    wanted = list(full.shares.values_list("namespace", "amount_minor", "basis_points"))
    assert list(line.shares.values_list("namespace", "amount_minor", "basis_points")) == wanted
    assert wanted[0][1] > 200
    assert not LineShare.objects.filter(line=full).exclude(later_minor=None).exists()
    assert list(reconciling.differences()) == []


def test_a_dearer_fee_lowers_the_shares_of_the_dearer_period(time_machine: Any) -> None:
    time_machine.move_to(START, tick=False)
    market = open_market()
    shared(market, price=2000)
    maria = market.offers["shared"].namespace
    Coupon.objects.create(namespace=maria, code="HALF", basis_points=5000, periods=1)
    first = market.order("cheap", ["shared"], "HALF")
    checkout.start(first, method="test_success")
    agreed = first.lines.get().shares.get().later_minor
    assert agreed is not None
    row = Subscription.objects.get()
    time_machine.move_to(row.paid_until - timedelta(minutes=40), tick=False)
    FeeRule.objects.create(basis_points=5525)  # half of what is left stays

    share = renew(time_machine).lines.get().shares.get()

    assert abs(share.amount_minor - agreed / 2) <= 1


@pytest.mark.parametrize("off", [1900, 5000])
def test_the_first_periods_cannot_be_free_alone(shop: Shop, off: int) -> None:
    coupon_of(shop, basis_points=None, amount_minor=off, currency="EUR")

    with pytest.raises(CouponError) as caught:
        shop.order(coupon="HALF")

    assert caught.value.extra == {"reason": "free_at_first"}
    assert not Order.objects.exists()
    assert not Quote.objects.exists()
    order = shop.order(coupon="HALF", items=[Item(shop.offer.public_id, 3)])  # it leaves something
    assert (order.gross_minor, order.lines.get().later_gross_minor) == (5700 - off, 5700)


@pytest.mark.parametrize(
    "values",
    [
        {"periods": 0},
        {"periods": 121},
        {"periods": 1, "basis_points": 10_000},
    ],
)
def test_the_database_forbids_coupons_that_cannot_be(shop: Shop, values: dict[str, int]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        coupon_of(shop, **values)


@pytest.mark.parametrize(
    "values",
    [
        {"later_net_minor": None},
        {"later_tax_minor": None},
        {"discount_periods": None},
        {"discount_periods": 0},
        {"kind": "fixed"},
    ],
)
def test_the_database_keeps_what_belongs_together(shop: Shop, values: dict[str, Any]) -> None:
    coupon_of(shop)
    shop.order(coupon="HALF")

    with pytest.raises(IntegrityError), transaction.atomic():
        OrderLine.objects.update(**values)


def test_the_receipt_tells_what_comes_later(shop: Shop, mailoutbox: list[Any]) -> None:
    coupon_of(shop)
    order = shop.buy(coupon="HALF")

    telling.tell_sale(order.pk)

    assert "€9.50 a month for the first 3 months, then €19.00 a month." in mailoutbox[-1].body


def test_the_letter_of_an_unpaid_period_names_its_price(
    shop: Shop, time_machine: Any, mailoutbox: list[Any]
) -> None:
    coupon_of(shop, periods=1)
    first = shop.buy(coupon="HALF")
    order = renewals.open_renewal(Subscription.objects.get(), "period-2")

    for ident in (order.pk, first.pk):  # of the first one: a gateway told that renews by itself
        assert order_letters.send("unpaid", ident, "en") == 1
        assert "€19.00 for the next period" in mailoutbox[-1].body

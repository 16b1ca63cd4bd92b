"""Corners of offers, coupons, disputes and subscriptions that the longer tests do not pass."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.viewer import VISITOR, Viewer
from catalog.models import Grant, Listing, ModelRepo
from catalog.services.repos import delete_repo
from licensing.gateways.base import Fact, FactKind
from licensing.gateways.sandbox import Sandbox
from licensing.models import (
    Coupon,
    Dispute,
    Invoice,
    Offer,
    Order,
    PaymentEvent,
    Price,
    Quote,
    Refund,
    RevenueAsk,
    Subscription,
)
from licensing.services import (
    checkout,
    inbox,
    offers,
    refunds,
    renewals,
    settling,
    storefront,
    upstream,
)
from licensing.services.offers import BadOfferError, NewPrice, NotSellableError
from licensing.services.pricing import BadQuantityError, Item
from store.core.errors import ForbiddenError, StoreError
from store.core.models import Job
from tests.factories import make_user
from tests.licensing.selling.checking import check_always
from tests.licensing.selling.market import open_market
from tests.licensing.selling.shop import FIXED, Shop, make_model, open_shop

pytestmark = pytest.mark.django_db
EUR = NewPrice("EUR", 1900)


@pytest.fixture
def shop() -> Shop:
    return open_shop()


@pytest.mark.parametrize(
    "changes",
    [
        {"title": " "},
        {"title": "x" * 121},
        {"description": "x" * 501},
        {"seats": -1},
        {"seats": 1_000_001},
        {"term_days": 0},
        {"trial_tokens": -1},
        {"interval": "month"},
        {"kind": Offer.Kind.SUBSCRIPTION},
        {"kind": Offer.Kind.SUBSCRIPTION, "interval": "day"},
        {"kind": Offer.Kind.FREE},
        {"prices": ()},
        {"prices": (EUR, EUR)},
        {"prices": (NewPrice("EUR", 0),)},
        {"prices": (NewPrice("EUR", -1),)},
        {"prices": (replace(EUR, suggested_minor=2000),)},
        {
            "kind": Offer.Kind.PAY_WHAT_YOU_WANT,
            "prices": (replace(EUR, suggested_minor=1),),
        },
        {"prices": (replace(EUR, launch_minor=1900),)},
        {"prices": (replace(EUR, launch_minor=900),)},
    ],
)
def test_an_offer_that_makes_no_sense(shop: Shop, changes: dict) -> None:
    before = list(Offer.objects.values()), list(Price.objects.values())

    for work in (
        lambda: offers.make_offer(shop.selling, [shop.repo], replace(FIXED, **changes)),
        lambda: offers.change_offer(shop.selling, shop.offer, replace(FIXED, **changes)),
    ):
        with pytest.raises(StoreError):
            work()

    assert (list(Offer.objects.values()), list(Price.objects.values())) == before


@pytest.mark.parametrize(
    ("repo", "listing", "reason"),
    [
        ({"is_private": True}, {}, "private"),
        ({"disabled_reason": "x"}, {}, "disabled"),
        ({}, {"weights_bytes": 0}, "empty"),
        ({}, {"formats": ["pickle"]}, "format"),
        ({}, {"verdict": "unknown"}, "verdict"),
        ({}, {"file_count": 20_001}, "files"),
    ],
)
def test_a_model_that_cannot_be_sold(shop: Shop, repo: dict, listing: dict, reason: str) -> None:
    offers.set_active(shop.selling, shop.offer, is_active=False)
    ModelRepo.objects.filter(pk=shop.repo.pk).update(**repo)
    if listing:
        Listing.objects.filter(repo=shop.repo).update(**listing)
    shop.repo.refresh_from_db()

    for work in (
        lambda: offers.make_offer(shop.selling, [shop.repo], FIXED),
        lambda: offers.set_active(shop.selling, shop.offer, is_active=True),
    ):
        with pytest.raises(NotSellableError) as caught:
            work()
        assert caught.value.extra["reason"] == reason

    assert Offer.objects.count() == 1
    assert not Offer.objects.on_sale().exists()


def test_bundles_are_of_one_owner_and_not_empty(shop: Shop) -> None:
    other = make_model(shop.buyer, "mine")
    for repos in ([], [shop.repo, other]):
        with pytest.raises((BadOfferError, ForbiddenError)):
            offers.make_offer(shop.selling, repos, FIXED)
    assert Offer.objects.count() == 1


def test_a_changed_offer_is_another_version(shop: Shop) -> None:
    order = shop.buy()
    launch = replace(EUR, launch_minor=900, launch_until=timezone.now() + timedelta(days=1))

    changed = offers.change_offer(shop.selling, shop.offer, replace(FIXED, prices=(launch,)))

    assert changed.version == shop.offer.version + 1
    assert order.lines.get().gross_minor == 1900
    assert shop.order("k2").gross_minor == 900
    with pytest.raises(offers.NoSuchOfferError):
        offers.offer_for(shop.buying, shop.offer.public_id)
    assert offers.offer_for(shop.selling, shop.offer.public_id) == shop.offer


def test_early_access_ends_by_itself(shop: Shop) -> None:
    with pytest.raises(BadOfferError):
        offers.set_opening(shop.selling, shop.repo, timezone.now())
    with pytest.raises(ForbiddenError):
        offers.set_opening(shop.buying, shop.repo, None)
    assert ModelRepo.objects.get().opens_at is None

    opens_at = timezone.now() + timedelta(days=1)
    assert offers.set_opening(shop.selling, shop.repo, opens_at).opens_at == opens_at
    assert offers.set_opening(shop.selling, shop.repo, None).opens_at is None


def test_refusals_say_where_the_viewer_stands(shop: Shop) -> None:
    assert storefront.refusal(VISITOR, shop.repo).code == "purchase_required"
    shop.buy()
    Grant.objects.update(state=Grant.State.FROZEN)
    assert storefront.refusal(shop.buying, shop.repo).code == "license_suspended"
    Grant.objects.update(state=Grant.State.ACTIVE)
    assert storefront.refusal(shop.buying, shop.repo).code == "license_expired"
    free = replace(FIXED, kind=Offer.Kind.FREE, prices=())
    offers.make_offer(shop.selling, [shop.repo], free)
    assert storefront.refusal(VISITOR, shop.repo).code == "terms_required"


def test_a_coupon_lowers_the_price_and_is_named_on_the_invoice(shop: Shop) -> None:
    Coupon.objects.create(namespace=shop.repo.namespace, code="TEN", basis_points=1000)

    order = shop.buy(coupon="ten")

    assert (order.gross_minor, order.coupon.code) == (1710, "TEN")
    assert "coupon" in str(Invoice.objects.get().document["notes"])


def test_free_offers_take_no_money_and_subscriptions_come_alone() -> None:
    market = open_market()
    with pytest.raises(StoreError):
        market.order("k", ["monthly", "free"])
    with pytest.raises(StoreError):
        _wish(market, Item(market.offers["free"].public_id, 1, 5))
    assert Order.objects.count() == 0
    order = market.order("k", ["free"])
    assert settling.take_free(order.pk)
    assert not settling.take_free(order.pk)


def _wish(market, item: Item):
    from licensing.services import quotes

    return quotes.make_quote(market.buying, [item], currency="EUR")


def test_a_free_order_that_was_cancelled_stays_so_whatever_comes() -> None:
    market = open_market()
    order = market.order("k", ["free"])
    settling.cancel(order.pk)
    paid = Fact("e", FactKind.PAID, order.public_id, "p", 5, "EUR", timezone.now())

    inbox.receive("sandbox", [paid])

    order.refresh_from_db()
    assert order.state == Order.State.CANCELLED
    assert Refund.objects.get().amount_minor == 5
    check_always()


def test_what_gateways_say_of_subscriptions() -> None:
    market = open_market()
    order = market.order("k", ["monthly"])
    checkout.start(order, method="test_success")
    subscription = Subscription.objects.get()
    renewal = renewals.open_renewal(subscription, "renewal")
    failed = Fact("f", FactKind.PAYMENT_FAILED, renewal.public_id, "p", 900, "EUR", timezone.now())
    ended = Fact("s", FactKind.SUBSCRIPTION_ENDED, order.public_id, "", 0, "EUR", timezone.now())

    inbox.receive("sandbox", [failed, ended, replace(ended, event_id="s2")])

    assert Job.objects.filter(name="licensing.subscription_unpaid").exists()
    outcomes = PaymentEvent.objects.filter(external_id__in=["f", "s", "s2"]).order_by("id")
    assert list(outcomes.values_list("outcome", flat=True)) == [
        PaymentEvent.Outcome.APPLIED,
        PaymentEvent.Outcome.APPLIED,
        PaymentEvent.Outcome.NOTHING_NEW,
    ]
    subscription.refresh_from_db()
    assert subscription.state == Subscription.State.ENDING


def test_one_of_two_disputes_lost_leaves_the_rest_held(shop: Shop) -> None:
    order = shop.buy()
    paid = order.payments.get().external_id
    opened = Fact(
        "a", FactKind.DISPUTE_OPENED, order.public_id, paid, 100, "EUR", timezone.now(), "dp_a"
    )
    second = replace(opened, event_id="b", subject_id="dp_b")
    lost = replace(opened, event_id="c", kind=FactKind.DISPUTE_LOST)
    won_late = replace(opened, event_id="d", kind=FactKind.DISPUTE_WON)
    inbox.receive("sandbox", [opened, second, lost, won_late])
    inbox.receive("sandbox", [replace(lost, event_id="e")])

    assert sorted(Dispute.objects.values_list("state", flat=True)) == ["lost", "open"]
    check_always()
    last = replace(second, event_id="f", kind=FactKind.DISPUTE_LOST)
    inbox.receive("sandbox", [last])
    check_always()
    order.refresh_from_db()
    assert order.refunded_minor == 200


def test_upstream_asks_are_between_nothing_and_half(shop: Shop) -> None:
    for points in (-1, 5001):
        with pytest.raises(upstream.BadAskError):
            upstream.set_ask(shop.selling, shop.repo, points)
    with pytest.raises(ForbiddenError):
        upstream.set_ask(shop.buying, shop.repo, 1)
    assert not RevenueAsk.objects.exists()
    upstream.set_ask(shop.selling, shop.repo, 5000)
    assert RevenueAsk.objects.get().basis_points == 5000
    upstream.set_ask(shop.selling, shop.repo, 0)
    assert not RevenueAsk.objects.exists()


def test_a_model_somebody_holds_is_not_deleted(shop: Shop) -> None:
    shop.buy()

    with pytest.raises(StoreError):
        delete_repo(shop.selling, shop.repo)

    assert ModelRepo.objects.filter(pk=shop.repo.pk).exists()


def test_only_who_sells_all_of_it_gives_an_order_back() -> None:
    market = open_market()
    order = market.order("k", ["haiku", "prose"])
    checkout.start(order, method="test_success")
    maria = Viewer(user=market.repos[0].namespace.user)

    with pytest.raises(ForbiddenError):
        refunds.give_back(maria, order, None, "x")
    assert not Refund.objects.exists()
    assert not refunds.may_decide(Viewer(user=make_user("eve")), order, None)
    refunds.give_back(maria, order, order.lines.get(position=0), "x")

    assert Refund.objects.get().state == Refund.State.DONE


def test_a_payment_told_under_another_id_counts_once(shop: Shop) -> None:
    order = shop.buy()
    paid = Sandbox().facts_of(order.public_id)[0]

    inbox.receive("sandbox", [replace(paid, event_id="again")])

    again = PaymentEvent.objects.get(external_id="again")
    assert again.outcome == PaymentEvent.Outcome.NOTHING_NEW
    order.refresh_from_db()
    assert order.paid_minor == 1900


def test_a_refund_may_fail_before_it_was_called_sent(shop: Shop, monkeypatch) -> None:
    order = shop.buy()
    monkeypatch.setattr(Sandbox, "refund", lambda *_args, **_more: [])
    refund = refunds.give_back(shop.selling, order, None, "x")
    paid = Sandbox().facts_of(order.public_id)[0]
    failed = replace(
        paid, event_id="f", kind=FactKind.REFUND_FAILED, subject_id="re", key=refund.public_id
    )

    inbox.receive("sandbox", [failed, replace(failed, event_id="f2")])
    inbox.receive("sandbox", [replace(failed, event_id="r", kind=FactKind.REFUNDED)])

    refund.refresh_from_db()
    assert refund.state == Refund.State.FAILED
    assert order.payments.get().refunded_minor == 0
    check_always()


def test_an_order_comes_to_at_most_what_can_be_counted(shop: Shop) -> None:
    from licensing.services import quotes
    from store.core.money import MAX_MINOR

    other = offers.make_offer(shop.selling, [shop.repo], FIXED)
    Price.objects.update(amount_minor=MAX_MINOR)
    items = [Item(shop.offer.public_id), Item(other.public_id)]

    with pytest.raises(BadQuantityError):
        quotes.make_quote(shop.buying, items, currency="EUR")

    assert not Quote.objects.exists()


def test_quotes_nobody_can_use_any_more_are_forgotten(shop: Shop) -> None:
    from licensing.services import quotes

    shop.order("a")
    shop.order("b")
    old = Quote.objects.order_by("id").first()
    Quote.objects.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(days=3))

    assert quotes.forget_old() == 1
    assert Quote.objects.count() == 1

"""What search knows of prices follows the offers, and the clock."""

from dataclasses import replace
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from catalog.models import Listing, ListingPrice, ModelRepo
from licensing.models import Offer
from licensing.services import reconciling
from licensing.services.asking_prices import refresh_due
from licensing.services.offers import (
    BadOfferError,
    NewPrice,
    change_offer,
    make_offer,
    set_active,
    set_opening,
)
from tests.factories import add_files
from tests.licensing.selling.shop import FIXED, Shop, make_model, open_shop

pytestmark = pytest.mark.django_db
FREE = replace(FIXED, title="Research", kind=Offer.Kind.FREE, prices=())


@pytest.fixture
def shop() -> Shop:
    return open_shop()


def known(repo: ModelRepo) -> tuple[list[str], dict[str, int]]:
    """What the catalog says a model costs."""
    listing = Listing.objects.get(pk=repo.pk)
    return listing.price_kinds, dict(listing.prices.values_list("currency", "amount_minor"))


def test_a_price_follows_its_offers(shop: Shop) -> None:
    assert known(shop.repo) == (["paid"], {"EUR": 1900})

    lower = replace(FIXED, prices=(NewPrice("EUR", 900), NewPrice("USD", 1000)))
    second = make_offer(shop.selling, [shop.repo], lower)
    assert known(shop.repo) == (["paid"], {"EUR": 900, "USD": 1000})
    free = make_offer(shop.selling, [shop.repo], FREE)
    assert known(shop.repo) == (["free", "paid"], {"EUR": 900, "USD": 1000})
    change_offer(shop.selling, second, replace(lower, prices=(NewPrice("EUR", 2900),)))
    assert known(shop.repo) == (["free", "paid"], {"EUR": 1900})
    set_active(shop.selling, shop.offer, is_active=False)
    set_active(shop.selling, free, is_active=False)
    assert known(shop.repo) == (["paid"], {"EUR": 2900})
    set_active(shop.selling, second, is_active=False)
    assert known(shop.repo) == (["free"], {})


def test_pay_what_you_want_from_nothing_is_free_and_paid() -> None:
    shop = open_shop(kind=Offer.Kind.PAY_WHAT_YOU_WANT, prices=(NewPrice("EUR", 0),))

    assert known(shop.repo) == (["free", "paid"], {"EUR": 0})


def test_a_bundle_prices_each_of_its_models(shop: Shop) -> None:
    other = make_model(shop.seller, "sonnet-gpt")
    make_offer(shop.selling, [shop.repo, other], replace(FIXED, prices=(NewPrice("EUR", 2500),)))

    assert known(other) == (["paid"], {"EUR": 2500})
    assert known(shop.repo) == (["paid"], {"EUR": 1900})


def test_a_refused_change_changes_no_price(shop: Shop) -> None:
    with pytest.raises(BadOfferError):
        change_offer(shop.selling, shop.offer, replace(FIXED, prices=()))

    assert known(shop.repo) == (["paid"], {"EUR": 1900})


def test_a_launch_price_begins_and_ends_by_itself(shop: Shop) -> None:
    now = timezone.now()
    launch = NewPrice(
        "EUR",
        1900,
        launch_minor=900,
        launch_from=now + timedelta(hours=1),
        launch_until=now + timedelta(hours=2),
    )
    change_offer(shop.selling, shop.offer, replace(FIXED, prices=(launch,)))
    assert known(shop.repo) == (["paid"], {"EUR": 1900})
    assert refresh_due() == 0

    with time_machine.travel(now + timedelta(hours=1, seconds=1), tick=False):
        assert refresh_due() == 1
        assert known(shop.repo) == (["paid"], {"EUR": 900})
        assert refresh_due() == 0
    with time_machine.travel(now + timedelta(hours=2), tick=False):
        assert refresh_due() == 1
        assert known(shop.repo) == (["paid"], {"EUR": 1900})
    assert Listing.objects.get(pk=shop.repo.pk).prices_change_at is None


def test_early_access_ends_by_itself(shop: Shop) -> None:
    now = timezone.now()
    set_opening(shop.selling, shop.repo, now + timedelta(days=1))
    assert known(shop.repo) == (["paid"], {"EUR": 1900})

    with time_machine.travel(now + timedelta(days=1), tick=False):
        assert refresh_due() == 1
        assert known(shop.repo) == (["free"], {})
        assert list(reconciling.differences()) == []


def test_many_at_once_are_all_refreshed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("licensing.services.asking_prices.DUE_AT_ONCE", 2)
    repos = [make_model(shop.seller, f"haiku-{n}") for n in range(5)]
    for repo in repos:
        make_offer(shop.selling, [repo], FIXED)
    past = timezone.now() - timedelta(seconds=1)
    ListingPrice.objects.update(amount_minor=1)
    Listing.objects.filter(pk__in=repos).update(prices_change_at=past)

    assert refresh_due() == 5
    assert {tuple(known(repo)[1].items()) for repo in repos} == {(("EUR", 1900),)}


def test_a_commit_leaves_the_price_alone(shop: Shop) -> None:
    add_files(shop.seller, shop.repo, {"NOTES.md": b"more"})

    assert known(shop.repo) == (["paid"], {"EUR": 1900})


def test_the_reconciler_finds_a_price_that_is_wrong(shop: Shop) -> None:
    ListingPrice.objects.update(amount_minor=1)

    (found,) = reconciling.differences()

    assert (found.kind, found.subject) == ("price", str(shop.repo.pk))

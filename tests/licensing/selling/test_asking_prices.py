"""What search knows of prices follows the offers, and the clock."""

import pickle
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.models import Listing, ListingPrice, ModelRepo
from catalog.services.repos import change_settings
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
from licensing.services.shelf import price_notes
from tests.factories import add_files, make_repo, make_user
from tests.licensing.selling.shop import FIXED, Shop, make_model, open_shop

pytestmark = pytest.mark.django_db
HTML = {"Accept": "text/html"}
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


FROM_NC = b"---\nlicense: mit\nbase_model: zoe/base\n---\n# hi\n"
FREE_CARD, NC_CARD = (b"---\nlicense: %s\n---\n" % name for name in (b"mit", b"cc-by-nc-4.0"))


def told(client: Client, repo: ModelRepo, run_jobs: Any) -> tuple[list[str], str, int]:
    """Of a model, once the jobs ran: what search knows, what lists say, offers in its buy box."""
    run_jobs()
    kinds, lowest = known(repo)
    assert bool(lowest) == ("paid" in kinds)
    is_found = repo.full_name in client.get("/models?price=paid", headers=HTML).content.decode()
    assert is_found == ("paid" in kinds)
    listed = client.get(f"/api/v1/models/{repo.full_name}/offers").json()["results"]
    return kinds, price_notes([repo.pk]).get(repo.pk, "Free"), len(listed)


CLOSED: tuple[list[str], str, int] = ([], "Not for sale now", 0)
OPEN = (["paid"], "€19", 1)


def test_lists_show_no_price_of_files_nobody_judged_clean(
    shop: Shop, client: Client, run_jobs: Any
) -> None:
    assert told(client, shop.repo, run_jobs) == OPEN
    add_files(shop.seller, shop.repo, {"extra.bin": pickle.dumps(print)})
    assert told(client, shop.repo, run_jobs) == CLOSED
    assert list(reconciling.differences()) == []


def test_lists_show_no_price_of_what_a_license_upstream_forbids_by_now(
    shop: Shop, client: Client, run_jobs: Any
) -> None:
    zoe = make_user("zoe")
    base = make_repo(zoe, "base", files={"README.md": FREE_CARD})
    add_files(shop.seller, shop.repo, {"README.md": FROM_NC})
    assert told(client, shop.repo, run_jobs) == OPEN

    add_files(zoe, base, {"README.md": NC_CARD})
    assert told(client, shop.repo, run_jobs) == CLOSED
    add_files(zoe, base, {"README.md": FREE_CARD})
    assert told(client, shop.repo, run_jobs) == OPEN


def test_lists_follow_a_takedown_also_of_the_other_half_of_a_bundle(
    shop: Shop, client: Client, browser_of: Any, run_jobs: Any
) -> None:
    other = make_model(shop.seller, "sonnet-gpt")
    set_active(shop.selling, shop.offer, is_active=False)
    make_offer(shop.selling, [shop.repo, other], FIXED)
    change_settings(shop.selling, other, is_private=True)
    assert told(client, shop.repo, run_jobs) == CLOSED
    change_settings(shop.selling, other, is_private=False)
    assert told(client, shop.repo, run_jobs) == OPEN

    ModelRepo.objects.filter(pk=other.pk).update(disabled_reason="Stolen.")  # no event tells
    reconciling.reconcile()
    assert told(client, shop.repo, run_jobs) == CLOSED
    assert list(reconciling.differences()) == []


def test_what_the_seller_stopped_is_free(shop: Shop, client: Client, run_jobs: Any) -> None:
    set_active(shop.selling, shop.offer, is_active=False)

    assert told(client, shop.repo, run_jobs) == (["free"], "Free", 0)


def test_prices_of_many_take_as_many_queries_as_of_one(shop: Shop) -> None:
    repos = [make_model(shop.seller, f"haiku-{n}") for n in range(5)]
    for repo in repos:
        make_offer(shop.selling, [repo], FIXED)
    with CaptureQueriesContext(connection) as one:
        price_notes([shop.repo.pk])
    with CaptureQueriesContext(connection) as many:
        assert len(price_notes([shop.repo.pk, *(repo.pk for repo in repos)])) == 6
    assert len(one) == len(many)

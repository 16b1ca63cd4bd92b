"""What is trending."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from catalog.models import Like, Listing, ListingChange
from catalog.search.trends import refresh_trends
from tests.catalog.search.shelf import Made, put

pytestmark = pytest.mark.usefixtures("publishers")


def scores() -> dict[str, float]:
    return {
        name.split("/")[1]: score
        for name, score in Listing.objects.values_list("full_name", "trending")
    }


def shelf(*wanted: Made) -> None:
    """As ``put``, but ages count from now."""
    made = put(*wanted)
    for each in made:
        created = timezone.now() - timedelta(days=each.age_days)
        Listing.objects.filter(pk=each.repo_id).update(created_at=created)


def like(name: str, user: User, *, days_ago: float) -> None:
    listing = Listing.objects.get(full_name=f"alice/{name}")
    Like.objects.create(repo_id=listing.repo_id, user=user)
    Like.objects.filter(repo_id=listing.repo_id, user=user).update(
        created_at=timezone.now() - timedelta(days=days_ago)
    )


def test_downloads_count_as_an_average_day_and_fade_with_the_listings_age() -> None:
    shelf(
        Made(name="new", downloads=300),
        Made(name="quarter", downloads=300, age_days=90),
        Made(name="year", downloads=3000, age_days=360),
        Made(name="unused"),
    )

    refresh_trends()

    assert scores() == pytest.approx({"new": 10, "quarter": 5, "year": 6.25, "unused": 0}, abs=0.01)


def test_a_like_counts_four_and_half_as_much_each_week_later(alice: User, bob: User) -> None:
    shelf(Made(name="today"), Made(name="week"), Made(name="both"), Made(name="long-ago"))
    like("today", alice, days_ago=0)
    like("week", alice, days_ago=7)
    like("both", alice, days_ago=0)
    like("both", bob, days_ago=14)
    like("long-ago", alice, days_ago=71)

    refresh_trends()

    assert scores() == pytest.approx({"today": 4, "week": 2, "both": 5, "long-ago": 0}, abs=0.01)


def test_a_listing_from_the_future_is_new() -> None:
    shelf(Made(name="ahead", downloads=300, age_days=-5))

    refresh_trends()

    assert scores() == {"ahead": 10}


def test_a_second_run_writes_nothing_and_facets_need_not_be_read_again(alice: User) -> None:
    shelf(Made(name="old", downloads=300, age_days=5000), Made(name="unused"))
    before = list(ListingChange.objects.values_list("pk", "xid"))

    assert refresh_trends() == 0

    shelf(Made(name="liked"))
    like("liked", alice, days_ago=0)
    before = list(ListingChange.objects.order_by("pk").values_list("pk", "xid"))
    assert refresh_trends() == 1
    assert refresh_trends() == 0
    assert list(ListingChange.objects.order_by("pk").values_list("pk", "xid")) == before

"""What models cost, as search knows it: told by the room that sells, never worked out here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from django.db import connection, transaction

from catalog.models import Listing, ListingPrice
from store.core.jobs import JobName, enqueue

Kind = Literal["free", "paid"]
_SOLD_BELOW = """
    WITH RECURSIVE below(id) AS (
        SELECT %s::bigint
        UNION
        SELECT link.repo_id FROM catalog_basemodellink link JOIN below ON link.base_id = below.id
    )
    SELECT repo.id FROM below JOIN catalog_modelrepo repo ON repo.id = below.id
    WHERE repo.is_for_sale
"""
"""Models that are for sale among one model and all that was made from it; circles end."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for one model now.

    Args:
        kinds: ``free``: it can be had for nothing; ``paid``: money is asked for it; or both. None:
            it is for sale, and cannot be bought now.
        lowest: The lowest price in each currency, in minor units; empty where none is asked.
        changes_at: When this becomes different by itself; ``None``: it does not.
    """

    kinds: tuple[Kind, ...] = ("free",)
    lowest: Mapping[str, int] = field(default_factory=dict)
    changes_at: datetime | None = None


@transaction.atomic
def note_prices(asked: Mapping[int, Asked]) -> list[int]:
    """Write down what models cost now. Safe to repeat: what is so already is left alone.

    The caller holds the locks that keep what ``asked`` was worked out from as it is.

    Args:
        asked: By id of the repository. Repositories without a listing are passed over.

    Returns:
        The ids of those that cost something else than was known.
    """
    changed = set()
    for listing in Listing.objects.filter(pk__in=asked).prefetch_related("prices"):
        now = asked[listing.pk]
        kinds = list(now.kinds)
        if (listing.price_kinds, listing.prices_change_at) != (kinds, now.changes_at):
            Listing.objects.filter(pk=listing.pk).update(
                price_kinds=kinds, prices_change_at=now.changes_at
            )
        if {row.currency: row.amount_minor for row in listing.prices.all()} != dict(now.lowest):
            changed.add(listing.pk)
            listing.prices.all().delete()
            ListingPrice.objects.bulk_create(
                ListingPrice(listing=listing, currency=currency, amount_minor=amount)
                for currency, amount in sorted(now.lowest.items())
            )
        if listing.price_kinds != kinds:
            changed.add(listing.pk)
    return sorted(changed)


def look_again(repo_id: int) -> None:
    """Have prices worked out anew that a change of a model may end, in the caller's transaction.

    Its own, and those of all that was made from it: files that are not known to be harmless, a
    license, a model that is taken down or made private.
    """
    if sold_below(repo_id):
        enqueue(JobName.REFRESH_PRICES, repo_id=repo_id)


def sold_below(repo_id: int) -> list[int]:
    """Return what is for sale among a model and all that was made from it. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_SOLD_BELOW, [repo_id])
        return [pk for (pk,) in cursor.fetchall()]


def due_for_change(now: datetime, *, limit: int) -> list[int]:
    """Return the repositories whose prices became others by themselves, the earliest first."""
    rows = Listing.objects.filter(prices_change_at__lte=now).order_by("prices_change_at", "repo_id")
    return list(rows.values_list("repo_id", flat=True)[:limit])

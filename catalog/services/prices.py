"""What models cost, as search knows it: told by the room that sells, never worked out here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from django.db import transaction

from catalog.models import Listing, ListingPrice

Kind = Literal["free", "paid"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for one model now.

    Args:
        kinds: ``free``: it can be had for nothing; ``paid``: money is asked for it; or both.
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


def due_for_change(now: datetime, *, limit: int) -> list[int]:
    """Return the repositories whose prices became others by themselves, the earliest first."""
    rows = Listing.objects.filter(prices_change_at__lte=now).order_by("prices_change_at", "repo_id")
    return list(rows.values_list("repo_id", flat=True)[:limit])

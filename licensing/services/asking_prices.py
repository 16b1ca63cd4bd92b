"""What models cost now, told to the catalog for its search (ADR 0020)."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from catalog.models import ModelRepo
from catalog.services.prices import Asked, Kind, due_for_change, note_prices
from licensing.models import Offer, OfferedRepo, Price

DUE_AT_ONCE = 200
"""Models whose prices are worked out anew in one transaction."""


def asked_for(repo_ids: Iterable[int], at: datetime) -> dict[int, Asked]:
    """Return what is asked for models at a moment. Three queries, whatever their number."""
    repos = ModelRepo.objects.in_bulk(list(repo_ids))
    offered: dict[int, list[Offer]] = {pk: [] for pk in repos}
    rows = OfferedRepo.objects.filter(repo_id__in=repos, offer__is_active=True)
    for row in rows.select_related("offer").prefetch_related("offer__prices"):
        offered[row.repo_id].append(row.offer)
    return {pk: _asked(repos[pk], offers, at) for pk, offers in offered.items()}


def refresh_prices(repo_ids: Iterable[int]) -> None:
    """Tell the catalog what models cost now. In the transaction of the change, models locked."""
    note_prices(asked_for(repo_ids, timezone.now()))


def refresh_due() -> int:
    """Tell the catalog of prices that changed by themselves. Safe to repeat; run by the beat.

    Returns:
        How many models were looked at.
    """
    done = 0
    while due := due_for_change(timezone.now(), limit=DUE_AT_ONCE):
        with transaction.atomic():
            rows = ModelRepo.objects.select_for_update().filter(pk__in=due).order_by("pk")
            refresh_prices(rows.values_list("pk", flat=True))
        done += len(due)
    return done


def _asked(repo: ModelRepo, offers: list[Offer], at: datetime) -> Asked:
    is_open = repo.opens_at is not None and repo.opens_at <= at
    if not offers or is_open:
        return Asked()
    lowest: dict[str, int] = {}
    is_free, moments = False, [repo.opens_at]
    for offer in offers:
        is_free = is_free or offer.kind == Offer.Kind.FREE
        for price in offer.prices.all():
            amount = price.at(at)
            is_free = is_free or amount == 0
            lowest[price.currency] = min(amount, lowest.get(price.currency, amount))
            moments += _moments(price)
    kinds: Mapping[Kind, bool] = {"free": is_free, "paid": bool(lowest)}
    return Asked(
        kinds=tuple(kind for kind, holds in kinds.items() if holds),
        lowest=lowest,
        changes_at=min((m for m in moments if m is not None and m > at), default=None),
    )


def _moments(price: Price) -> list[datetime | None]:
    """Return when a price becomes another by itself."""
    return [] if price.launch_minor is None else [price.launch_from, price.launch_until]

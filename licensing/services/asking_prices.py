"""What models cost now, told to the catalog for its search (ADR 0020)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from catalog.models import ModelRepo
from catalog.services.prices import Asked, Kind, due_for_change, note_prices, sold_below
from licensing.models import Offer, OfferedRepo, Price
from licensing.services.sellability import buyable_by_model

DUE_AT_ONCE = 200
"""Models whose prices are worked out anew in one transaction."""


def asked_for(repo_ids: Iterable[int], at: datetime) -> dict[int, Asked]:
    """Return what is asked for models at a moment; as many queries for many as for one."""
    repos = ModelRepo.objects.in_bulk(list(repo_ids))
    rows = OfferedRepo.objects.filter(repo_id__in=repos, offer__is_active=True)
    buyable = buyable_by_model(list(rows.values_list("repo_id", "offer_id")))
    return {pk: _asked(repo, buyable.get(pk), at) for pk, repo in repos.items()}


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


def refresh_below(repo_id: int) -> int:
    """Tell the catalog what a model and all that was made from it cost now. Safe to repeat.

    Returns:
        How many models were looked at.
    """
    return _refresh_with_bundles(sold_below(repo_id))


def refresh_all() -> int:
    """Tell the catalog what everything on offer costs now: what no event told of is found so."""
    offered = Offer.objects.on_sale().filter(repos__isnull=False)
    return _refresh_with_bundles(sorted(set(offered.values_list("repos", flat=True))))


def _refresh_with_bundles(repo_ids: Sequence[int]) -> int:
    """Refresh models, and what is sold together with one of them."""
    for start in range(0, len(repo_ids), DUE_AT_ONCE):
        part = repo_ids[start : start + DUE_AT_ONCE]
        bundles = Offer.objects.on_sale().filter(repos__in=part)
        together = OfferedRepo.objects.filter(offer__in=bundles).values_list("repo_id", flat=True)
        with transaction.atomic():
            wanted = {*part, *together}
            rows = ModelRepo.objects.select_for_update().filter(pk__in=wanted).order_by("pk")
            refresh_prices([row.pk for row in rows])
    return len(repo_ids)


def _asked(repo: ModelRepo, offers: list[Offer] | None, at: datetime) -> Asked:
    """Return what is asked for one model.

    Args:
        repo: The model.
        offers: Those that can be bought; ``None``: it is offered by none.
        at: The moment.
    """
    is_open = repo.opens_at is not None and repo.opens_at <= at
    if offers is None or is_open:
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

"""Can this be bought now? Files nobody should pay for, licenses upstream, models that are free.

Models change after they were offered: what was asked of the seller then is asked again whenever
somebody wants to buy, from facts the catalog keeps of the newest revision.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from django.utils import timezone

from accounts.viewer import VISITOR
from catalog.models import Listing, ModelRepo
from licensing.documents.document import MAX_FILES
from licensing.models import Offer
from licensing.services.lineage import sale_verdicts
from licensing.terms.lineage import SaleVerdict
from licensing.terms.sale_rules import Sale

READS = ("repos__namespace", "repos__listing")
"""What to prefetch with offers that are asked about here."""
_SOLD_FORMATS = frozenset({"safetensors", "gguf"})


def file_fault(repo: ModelRepo) -> str:
    """Return why nobody should pay for a model's files; empty: nothing is in the way.

    ``empty``, ``format`` or ``verdict``, stable.
    """
    listing: Listing | None = getattr(repo, "listing", None)
    if listing is None or not listing.weights_bytes:
        return "empty"
    if not _SOLD_FORMATS & set(listing.formats):
        return "format"
    return "" if listing.verdict == "clean" else "verdict"


def file_count(repos: Iterable[ModelRepo]) -> int:
    """Return how many files a license of models names, which is ``MAX_FILES`` at most."""
    listings: list[Listing | None] = [getattr(repo, "listing", None) for repo in repos]
    return sum(listing.file_count for listing in listings if listing is not None)


def are_open(repos: Iterable[ModelRepo], at: datetime | None = None) -> bool:
    """Whether all of some models are free for everybody by now: nothing may be charged for them."""
    at = at or timezone.now()
    opening = [repo.opens_at for repo in repos]
    return bool(opening) and all(moment is not None and moment <= at for moment in opening)


def can_be_bought(offers: Iterable[Offer]) -> list[Offer]:
    """Keep the offers that can be bought now, in order.

    A license upstream counts as everybody may see it: what is private must show in no answer. With
    ``READS`` fetched it takes as many queries for many offers as for one.
    """
    shelf = [offer for offer in offers if _is_on_shelf(offer)]
    paid = [offer for offer in shelf if offer.kind != Offer.Kind.FREE]
    repos = [repo for offer in paid for repo in offer.repos.all()]
    verdicts = sale_verdicts(VISITOR, repos) if repos else {}
    return [offer for offer in shelf if _is_allowed(offer, verdicts)]


def buyable_by_model(offered: Collection[tuple[int, int]]) -> dict[int, list[Offer]]:
    """Return for each model the offers that can be bought now, with their prices.

    As many queries for many as for one; none where nothing is offered.

    Args:
        offered: Ids of a model and of an active offer of it, in the order that is wanted.
    """
    if not offered:
        return {}
    rows = Offer.objects.filter(pk__in={offer_id for _repo_id, offer_id in offered})
    rows = rows.select_related("terms").prefetch_related("prices", *READS)
    found = {offer.pk: offer for offer in can_be_bought(rows)}
    sold: dict[int, list[Offer]] = {repo_id: [] for repo_id, _offer_id in offered}
    for repo_id, offer_id in offered:
        if offer_id in found:
            sold[repo_id].append(found[offer_id])
    return sold


def _is_on_shelf(offer: Offer) -> bool:
    repos = list(offer.repos.all())
    if not offer.is_active or not repos or are_open(repos) or file_count(repos) > MAX_FILES:
        return False
    return not any(repo.is_private or repo.disabled_reason or file_fault(repo) for repo in repos)


def _is_allowed(offer: Offer, verdicts: Mapping[int, SaleVerdict]) -> bool:
    """Whether licenses upstream let it be sold."""
    if offer.kind == Offer.Kind.FREE:
        return True
    found = [verdicts[repo.pk] for repo in offer.repos.all()]
    is_forbidden = any(verdict.sale is Sale.FORBIDDEN for verdict in found)
    return not is_forbidden and all(one.fits(offer.terms.template_id) for one in found)

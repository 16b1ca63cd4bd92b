"""What owners of models others build on ask of each sale."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.services.audit import record
from accounts.viewer import VISITOR, Viewer
from catalog.access import check_may
from catalog.models import ModelRepo
from licensing.models import Offer, RevenueAsk
from licensing.services.lineage import Ancestor, ancestries_of
from licensing.terms.shares import MOST_BASIS_POINTS, UpstreamAsk
from store.core.errors import InvalidError


class BadAskError(InvalidError):
    """Less than nothing, or more than half of a sale."""

    code = "bad_ask"


def asks_of(repo: ModelRepo, offer: Offer | None = None) -> list[UpstreamAsk]:
    """Return what is asked of a sale of ``repo`` by owners of the public models it was made from.

    Private ancestors ask nothing: their share would tell that they exist. A seller asks nothing
    of themselves.

    Args:
        repo: What is sold.
        offer: It is sold by this offer: nobody gets more than its seller was shown. ``None``, or
            one that is not saved yet: as it would be agreed now.
    """
    return asks_of_all([(repo, offer)])[0]


def asks_of_all(sold: Sequence[tuple[ModelRepo, Offer | None]]) -> list[list[UpstreamAsk]]:
    """Return ``asks_of`` of each pair, in order, by as many queries as of one."""
    repos = {repo.pk: repo for repo, _offer in sold}
    ancestries = ancestries_of(VISITOR, repos.values())
    found = {pk: _strangers(ancestries[pk].ancestors, repo) for pk, repo in repos.items()}
    rows = _asks({pk for ancestors in found.values() for pk in ancestors})
    return [_asks_among(found[repo.pk], rows, offer) for repo, offer in sold]


def _strangers(ancestors: Iterable[Ancestor], repo: ModelRepo) -> dict[int, Ancestor]:
    """Return those ancestors in this store that are not the seller's own, by id."""
    return {
        found.repo_id: found
        for found in ancestors
        if found.repo_id is not None and found.namespace_id != repo.namespace_id
    }


def _asks(repo_ids: Iterable[int]) -> list[RevenueAsk]:
    rows = RevenueAsk.objects.filter(repo_id__in=list(repo_ids)).select_related("repo")
    return list(rows.order_by("repo_id"))


def _asks_among(
    ancestors: Mapping[int, Ancestor], rows: Iterable[RevenueAsk], offer: Offer | None = None
) -> list[UpstreamAsk]:
    found = []
    for row in rows:
        if row.repo_id not in ancestors:
            continue
        ancestor, points = ancestors[row.repo_id], row.basis_points
        if offer is not None and offer.pk:
            points = min(points, _agreed(offer, row.repo, ancestor.name))
        found.append(UpstreamAsk(row.repo.namespace_id, row.repo_id, points, ancestor.distance))
    return [ask for ask in found if ask.basis_points]


def to_agree(repos: Iterable[ModelRepo]) -> dict[str, int]:
    """Return what a seller agrees to who saves an offer now, as ``Offer.agreed_asks``."""
    agreed: dict[str, int] = {}
    sold = list(repos)
    ancestries = ancestries_of(VISITOR, sold)
    for repo in sold:
        ancestors = ancestries[repo.pk].ancestors
        strangers = _strangers(ancestors, repo)
        asked = {ask.repo_id: ask.basis_points for ask in _asks_among(strangers, _asks(strangers))}
        for ancestor in ancestors:
            agreed[ancestor.name.lower()] = asked.get(ancestor.repo_id or 0, 0)
    return agreed


def _agreed(offer: Offer, base: ModelRepo, name: str) -> int:
    """Return the most an owner upstream gets of a sale, in basis points.

    What the card has named only since then was the seller's own doing. A base that was not there
    then is another matter: anybody can take the name of a model that is not in the store.
    """
    known = offer.agreed_asks.get(name.lower())
    if known is not None:
        return int(known)
    return MOST_BASIS_POINTS if base.created_at < offer.agreed_at else 0


@dataclass(frozen=True, slots=True)
class NamedAsk:
    """What the owner of a model upstream asks, with names."""

    owner: str
    model: str
    basis_points: int


def named_asks(repo: ModelRepo) -> list[NamedAsk]:
    """Return ``asks_of`` with names, for people."""
    asks = asks_of(repo)
    rows = ModelRepo.objects.filter(pk__in=[ask.repo_id for ask in asks])
    names = {row.pk: row for row in rows.select_related("namespace")}
    return [
        NamedAsk(names[ask.repo_id].namespace.name, names[ask.repo_id].full_name, ask.basis_points)
        for ask in asks
    ]


def ask_for(repo: ModelRepo) -> int:
    """Return what the owner of ``repo`` asks of sales of models made from it, in basis points."""
    row = RevenueAsk.objects.filter(repo=repo).first()
    return row.basis_points if row else 0


@transaction.atomic
def set_ask(viewer: Viewer, repo: ModelRepo, basis_points: int) -> None:
    """Say what part of each sale of models made from ``repo`` its owner wants; 0: nothing.

    Sales that were made keep what they had. Offers that are there give no more than before until
    their seller saves them again.

    Raises:
        ForbiddenError: not theirs.
        BadAskError: more than half, or negative.
    """
    check_may(viewer, repo, to="admin")
    if not 0 <= basis_points <= MOST_BASIS_POINTS:
        raise BadAskError(_("A share is between 0 and 50 percent."))
    if basis_points:
        RevenueAsk.objects.update_or_create(repo=repo, defaults={"basis_points": basis_points})
    else:
        RevenueAsk.objects.filter(repo=repo).delete()
    record(
        "revenue_ask.change",
        actor=viewer.user,
        subject=repo.full_name,
        namespace=repo.namespace,
        address=viewer.address,
        basis_points=basis_points,
    )

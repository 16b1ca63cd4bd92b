"""May this model be sold? Follows what its card says it was made from, as far as it goes.

What another person keeps private must not show in a verdict: a card can name any model, so
whoever writes ``base_model: acme/guess`` on their own card would learn from the answer whether it
exists and what license it has. Hence an ancestor that the asker may not see is treated in every
way as one that is not in this store: named as the card names it, judged by that name alone, and
not followed further. That is no way round a license either: a name that means nothing is
``unknown``, and what is unknown has to be confirmed by a person who sees all that is theirs
(``check_sale``), as a name that never existed has to be.
"""

from dataclasses import dataclass, replace

from django.db.models import Exists, OuterRef
from django.db.models.fields.json import KeyTextTransform
from django.utils.translation import gettext as _

from accounts.viewer import Viewer
from catalog.models import BaseModelLink, ModelRepo
from licensing.terms.lineage import AncestorLicense, SaleVerdict, judge
from licensing.terms.sale_rules import CARD_NAMES, SALE_RULES, Sale
from licensing.terms.well_known import well_known
from store.core.errors import ConflictError, ForbiddenError

MAX_DEPTH = 16
"""Steps upwards that are followed; real lineages have fewer than six."""
MAX_ANCESTORS = 200
"""Ancestors that are read; merges of merges reach a few dozen."""


class SaleForbiddenError(ForbiddenError):
    """A license upstream does not let this model be sold. No confirmation changes that."""

    code = "sale_forbidden"


class LineageUnconfirmedError(ConflictError):
    """Nobody knows whether it may be sold, and the publisher has not said that it may."""

    code = "lineage_unconfirmed"


class ConfirmInPersonError(ForbiddenError):
    """A fine-grained token sees a part of its owner's models only, so it cannot confirm."""

    code = "confirm_in_person"


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A model that another was made from, as the asker may see it."""

    name: str
    """Its name here, or what the card says where it is not here (or hidden)."""
    distance: int
    """Steps upwards: 1 for what the card of the model itself names."""
    licenses: tuple[str, ...]
    """Of its card and of the family its name says it is of."""
    repo_id: int | None = None
    """In this store; ``None``: not here, or hidden."""
    namespace_id: int | None = None


@dataclass(frozen=True, slots=True)
class Ancestry:
    """All ancestors of a model."""

    ancestors: tuple[Ancestor, ...]
    """Nearest first; each once, at its smallest distance."""
    is_complete: bool
    """``False``: there are more than are followed."""


def ancestry_of(viewer: Viewer, repo: ModelRepo) -> Ancestry:
    """Return what ``repo`` was made from, step by step, as far as ``viewer`` may see.

    One query a step, the same for hidden and for absent ancestors. A model that is its own
    ancestor is met once.

    Args:
        viewer: Who asks.
        repo: A repository they may see, with its ``namespace``.
    """
    found: dict[str, Ancestor] = {}
    itself = repo.full_name.lower()
    level, is_complete, distance = [repo.pk], True, 0
    while level:
        distance += 1
        links = _links(viewer, level)
        is_complete = is_complete and len(links) <= MAX_ANCESTORS
        level = []
        for one in (_ancestor(link, distance) for link in links):
            name = one.name.lower()
            if name == itself:
                continue
            if name in found:
                found[name] = _joined(found[name], one)
                continue
            if distance > MAX_DEPTH or len(found) == MAX_ANCESTORS:
                return Ancestry(tuple(found.values()), is_complete=False)
            found[name] = one
            if one.repo_id is not None:
                level.append(one.repo_id)
    return Ancestry(tuple(found.values()), is_complete)


def sale_verdict(viewer: Viewer, repo: ModelRepo) -> SaleVerdict:
    """Return whether ``repo`` may be sold, as far as ``viewer`` may see.

    Beside the ancestors, the card of the model itself counts where it names a maker's own
    license, such as ``gemma``: then it has a base, whether the card names one or not.
    """
    ancestry = ancestry_of(viewer, repo)
    judged = [
        AncestorLicense(
            one.name, one.licenses, one.distance, is_own=one.namespace_id == repo.namespace_id
        )
        for one in ancestry.ancestors
    ]
    if makers := _makers_licenses(repo):
        judged.append(AncestorLicense(repo.full_name, makers, 0, is_own=True))
    return judge(judged, is_complete=ancestry.is_complete)


def check_sale(viewer: Viewer, repo: ModelRepo, *, confirmed: bool) -> SaleVerdict:
    """Return the verdict if ``repo`` may be offered for money. Changes nothing.

    Whoever publishes the offer keeps the verdict, and who confirmed it when. Rights to publish
    come on top (``catalog.access``).

    Args:
        viewer: The publisher.
        repo: What they want to sell.
        confirmed: They said that they have the right to; counts only where it is needed.

    Raises:
        SaleForbiddenError: a license upstream forbids it, confirmed or not.
        LineageUnconfirmedError: nobody knows, and it is not confirmed.
        ConfirmInPersonError: it is confirmed by a fine-grained token, from which a part of the
            lineage may be hidden that its owner sees.
    """
    verdict = sale_verdict(viewer, repo)
    if verdict.sale is Sale.FORBIDDEN:
        raise SaleForbiddenError(
            _(
                "A license that this model comes from forbids to sell it. You can offer it free of"
                " charge, or ask the owner of the base for a license."
            ),
            reasons=_told(verdict, Sale.FORBIDDEN),
        )
    if not verdict.permits(confirmed=confirmed):
        raise LineageUnconfirmedError(
            _(
                "Nobody here knows whether this model may be sold. Read the licenses of what it"
                " was made from, then confirm that you have the right to sell it."
            ),
            reasons=_told(verdict, Sale.UNKNOWN),
        )
    if verdict.needs_confirmation and viewer.reach is not None:
        raise ConfirmInPersonError(
            _(
                "A fine-grained token cannot confirm the right to sell. Confirm it in the browser,"
                " or use a token that writes everything."
            )
        )
    return verdict


def _told(verdict: SaleVerdict, sale: Sale) -> list[dict[str, str]]:
    return [
        {
            "ancestor": reason.ancestor,
            "license": reason.license_id,
            "sentence": reason.sentence,
            "source": reason.source_url,
        }
        for reason in verdict.reasons
        if reason.sale is sale
    ]


@dataclass(frozen=True, slots=True)
class _Link:
    """One row of the graph, without what the viewer may not know."""

    base_name: str
    repo_id: int | None
    namespace_id: int | None
    full_name: str
    licenses: tuple[str, ...]


def _links(viewer: Viewer, repo_ids: list[int]) -> list[_Link]:
    """Return the links upwards, in a fixed order; one more than is followed at most."""
    visible = ModelRepo.objects.visible_to(viewer).filter(pk=OuterRef("base_id"))
    rows = BaseModelLink.objects.filter(repo_id__in=repo_ids).annotate(
        is_seen=Exists(visible), called=KeyTextTransform("license_name", "base__card__data")
    )
    return [
        _Link(
            base_name,
            base_id,
            namespace_id,
            f"{namespace}/{name}",
            _card_licenses(licenses, called),
        )
        if is_seen
        else _Link(base_name, None, None, base_name, ())
        for base_name, is_seen, base_id, namespace_id, namespace, name, licenses, called in (
            rows.order_by("repo_id", "pk").values_list(
                "base_name",
                "is_seen",
                "base_id",
                "base__namespace_id",
                "base__namespace__name",
                "base__name",
                "base__listing__licenses",
                "called",
            )[: MAX_ANCESTORS + 1]
        )
    ]


def _ancestor(link: _Link, distance: int) -> Ancestor:
    """Judge a link by its card, and by what both its names are known for.

    A copy under a well-known name does not escape by another license on its card.
    """
    known = [well_known(name) for name in (link.base_name, link.full_name)]
    by_name = (row.license_id for row in known if row is not None)
    licenses = tuple(dict.fromkeys((*link.licenses, *by_name)))
    return Ancestor(link.full_name, distance, licenses, link.repo_id, link.namespace_id)


def _joined(met: Ancestor, again: Ancestor) -> Ancestor:
    """Add what another name of the same ancestor is known for."""
    return replace(met, licenses=tuple(dict.fromkeys((*met.licenses, *again.licenses))))


def _card_licenses(licenses: list[str] | None, called: str | None) -> tuple[str, ...]:
    """Return the ids a card names; ``other`` by its ``license_name``, where that is known."""
    by_name = CARD_NAMES.get((called or "").strip().lower())
    return tuple(
        by_name if item == "other" and by_name is not None else item for item in licenses or ()
    )


def _makers_licenses(repo: ModelRepo) -> tuple[str, ...]:
    """Return those licenses of the model's own card that makers write for their own models."""
    row = (
        ModelRepo.objects.filter(pk=repo.pk)
        .annotate(called=KeyTextTransform("license_name", "card__data"))
        .values_list("listing__licenses", "called")
        .get()
    )
    found = _card_licenses(*row)
    return tuple(item for item in found if item in SALE_RULES and SALE_RULES[item].is_makers_own)

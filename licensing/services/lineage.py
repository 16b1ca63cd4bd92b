"""May these models be sold? Follows what its card says it was made from, as far as it goes.

What another person keeps private must not show in a verdict: a card can name any model, so
whoever writes ``base_model: acme/guess`` on their own card would learn from the answer whether it
exists and what license it has. Hence an ancestor that the asker may not see is treated in every
way as one that is not in this store: named as the card names it, judged by that name alone, and
not followed further. That is no way round a license either: a name that means nothing is
``unknown``, and what is unknown has to be confirmed by a person who sees all that is theirs
(``check_sale``), as a name that never existed has to be.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from django.db.models import Exists, OuterRef, Window
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import RowNumber
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
    """Return what ``repo`` was made from; see ``ancestries_of``."""
    return ancestries_of(viewer, [repo])[repo.pk]


def ancestries_of(viewer: Viewer, repos: Iterable[ModelRepo]) -> dict[int, Ancestry]:
    """Return what models were made from, step by step, as far as ``viewer`` may see, by id.

    One query a step for all of them, the same for hidden and for absent ancestors. A model that is
    its own ancestor is met once.

    Args:
        viewer: Who asks.
        repos: Repositories they may see, with their ``namespace``.
    """
    walks = {repo.pk: _Walk(repo) for repo in repos}
    links: dict[int, list[_Link]] = {}
    while going := [walk for walk in walks.values() if walk.level]:
        wanted = {pk for walk in going for pk in walk.level} - links.keys()
        if wanted:
            links |= _links(viewer, wanted)
        for walk in going:
            walk.step(links)
    return {pk: walk.ancestry for pk, walk in walks.items()}


class _Walk:
    """The way up from one model, a step at a time."""

    def __init__(self, repo: ModelRepo) -> None:
        self.level = [repo.pk]
        """Where the next step starts; empty: it is at its end."""
        self._itself = repo.full_name.lower()
        self._found: dict[str, Ancestor] = {}
        self._distance = 0
        self._is_complete = True

    @property
    def ancestry(self) -> Ancestry:
        """What was met."""
        return Ancestry(tuple(self._found.values()), self._is_complete)

    def step(self, links: Mapping[int, Sequence["_Link"]]) -> None:
        """Go one step up; ``links`` has those of the level."""
        self._distance += 1
        found = [link for repo_id in sorted(self.level) for link in links.get(repo_id, ())]
        self._is_complete = self._is_complete and len(found) <= MAX_ANCESTORS
        self.level = []
        for link in found[: MAX_ANCESTORS + 1]:
            if not self._meet(_ancestor(link, self._distance)):
                self.level, self._is_complete = [], False
                return

    def _meet(self, one: Ancestor) -> bool:
        """Take an ancestor in; ``False``: there are more than are followed."""
        name = one.name.lower()
        if name == self._itself:
            return True
        if name in self._found:
            self._found[name] = _joined(self._found[name], one)
            return True
        if self._distance > MAX_DEPTH or len(self._found) == MAX_ANCESTORS:
            return False
        self._found[name] = one
        if one.repo_id is not None:
            self.level.append(one.repo_id)
        return True


def sale_verdict(viewer: Viewer, repo: ModelRepo) -> SaleVerdict:
    """Return whether ``repo`` may be sold; see ``sale_verdicts``."""
    return sale_verdicts(viewer, [repo])[repo.pk]


def sale_verdicts(viewer: Viewer, repos: Iterable[ModelRepo]) -> dict[int, SaleVerdict]:
    """Return whether models may be sold, as far as ``viewer`` may see, by id.

    Beside the ancestors, the card of the model itself counts where it names a maker's own
    license, such as ``gemma``: then it has a base, whether the card names one or not.
    """
    wanted = {repo.pk: repo for repo in repos}
    makers = _makers_licenses(wanted)
    verdicts = {}
    for pk, ancestry in ancestries_of(viewer, wanted.values()).items():
        repo = wanted[pk]
        judged = [
            AncestorLicense(
                one.name, one.licenses, one.distance, is_own=one.namespace_id == repo.namespace_id
            )
            for one in ancestry.ancestors
        ]
        if makers[pk]:
            judged.append(AncestorLicense(repo.full_name, makers[pk], 0, is_own=True))
        verdicts[pk] = judge(judged, is_complete=ancestry.is_complete)
    return verdicts


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


def _links(viewer: Viewer, repo_ids: Iterable[int]) -> dict[int, list[_Link]]:
    """Return the links upwards of each model, in a fixed order; one more than is followed each."""
    visible = ModelRepo.objects.visible_to(viewer).filter(pk=OuterRef("base_id"))
    place = Window(RowNumber(), partition_by="repo_id", order_by="pk")
    rows = BaseModelLink.objects.filter(repo_id__in=list(repo_ids)).annotate(
        is_seen=Exists(visible),
        called=KeyTextTransform("license_name", "base__card__data"),
        place=place,
    )
    found: dict[int, list[_Link]] = {}
    for repo_id, base_name, is_seen, base_id, owner_id, owner, name, licenses, called in (
        rows.filter(place__lte=MAX_ANCESTORS + 1)
        .order_by("repo_id", "pk")
        .values_list(
            "repo_id",
            "base_name",
            "is_seen",
            "base_id",
            "base__namespace_id",
            "base__namespace__name",
            "base__name",
            "base__listing__licenses",
            "called",
        )
    ):
        link = _Link(base_name, None, None, base_name, ())
        if is_seen:
            known = _card_licenses(licenses, called)
            link = _Link(base_name, base_id, owner_id, f"{owner}/{name}", known)
        found.setdefault(repo_id, []).append(link)
    return found


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


def _makers_licenses(repo_ids: Iterable[int]) -> dict[int, tuple[str, ...]]:
    """Return those licenses of models' own cards that makers write for their own models."""
    rows = ModelRepo.objects.filter(pk__in=list(repo_ids)).annotate(
        called=KeyTextTransform("license_name", "card__data")
    )
    found = rows.values_list("pk", "listing__licenses", "called")
    return {
        pk: tuple(
            item
            for item in _card_licenses(licenses, called)
            if item in SALE_RULES and SALE_RULES[item].is_makers_own
        )
        for pk, licenses, called in found
    }

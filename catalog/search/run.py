"""Searching: a page of listings, how many there are, and what they have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accounts.viewer import Viewer
from catalog.models import Listing, ModelRepo
from catalog.search.counting import Facet, count_facets
from catalog.search.matching import Matches, match
from catalog.search.ordering import (
    PRICE_ORDERS,
    RELEVANCE,
    SORTS,
    Mark,
    Place,
    Sort,
    page_of,
    read_place,
)
from catalog.search.price_order import by_price, currency_in, phases
from catalog.search.query import SearchQuery
from catalog.search.relevance import PHASES, relevant
from catalog.search.suggestions import suggest
from store.core.money import currencies
from store.core.paging import BadCursorError, decode_cursor, encode_cursor

MAX_LIMIT = 1000
"""Rows of one page, at most; what the hub's clients ask for."""


@dataclass(frozen=True, slots=True)
class SearchPage:
    """One page of an answer."""

    rows: list[Listing]
    next_cursor: str | None
    """Gives the page after this one; ``None``: this was the last."""
    total: int
    """How many listings match that the viewer may know of, on all pages."""
    is_total_exact: bool = True
    currency: str = ""
    """In which prices were compared, if they were: as asked for, else the one most have."""
    currencies: tuple[str, ...] = ()
    """Those the viewer may see prices in, what most listings have first."""


def search(
    viewer: Viewer, query: SearchQuery, *, limit: int, cursor: str | None = None
) -> SearchPage:
    """Return one page of what matches ``query`` among what ``viewer`` may know of.

    Args:
        viewer: Who asks.
        query: What for.
        limit: Most rows, 1 to ``MAX_LIMIT``.
        cursor: ``next_cursor`` of the page before.

    Raises:
        BadCursorError: the cursor is not ours, or of another order.
    """
    after = _read_cursor(cursor, query) if cursor else None
    matches = match(viewer, query, currency=currency_in(after.phase) if after else "")
    return _page(viewer, query, matches, limit=limit, after=after)


def facets(viewer: Viewer, query: SearchQuery) -> list[Facet]:
    """Return how many listings have which values, among what ``viewer`` may know of."""
    return count_facets(match(viewer, query), query)


def search_with_facets(
    viewer: Viewer, query: SearchQuery, *, limit: int, cursor: str | None = None
) -> tuple[SearchPage, list[Facet]]:
    """Return both at once, which is quicker, and as of the same moment.

    Raises:
        BadCursorError: as ``search``.
    """
    after = _read_cursor(cursor, query) if cursor else None
    matches = match(viewer, query, currency=currency_in(after.phase) if after else "")
    page = _page(viewer, query, matches, limit=limit, after=after)
    return page, count_facets(matches, query)


def _page(
    viewer: Viewer, query: SearchQuery, matches: Matches, *, limit: int, after: Mark | None
) -> SearchPage:
    limit = min(max(limit, 1), MAX_LIMIT)
    marks = _marks(matches, query, after=after, limit=limit + 1)
    shown = marks[:limit]
    following = _write_cursor(shown[-1]) if len(marks) > limit else None
    rows = _rows(viewer, [mark.place.repo_id for mark in shown])
    return SearchPage(
        rows,
        following,
        len(matches.wanted),
        currency=matches.currency,
        currencies=matches.currencies,
    )


def _marks(matches: Matches, query: SearchQuery, *, after: Mark | None, limit: int) -> list[Mark]:
    order = query.order
    if order == RELEVANCE:
        return relevant(matches, query, after=after, limit=limit)
    if order in PRICE_ORDERS:
        return by_price(matches, order, after=after, limit=limit)
    place = after.place if after else None
    found = page_of(SORTS[order], matches.wanted, after=place, limit=limit)
    return [Mark(order, each) for each in found]


def _rows(viewer: Viewer, repo_ids: list[int]) -> list[Listing]:
    """Load the rows, behind the same door as every other list."""
    visible = ModelRepo.objects.visible_to(viewer).filter(pk__in=repo_ids)
    found = Listing.objects.filter(repo__in=visible).in_bulk(repo_ids)
    return [found[pk] for pk in repo_ids if pk in found]


def _write_cursor(mark: Mark) -> str:
    value: Any = mark.place.value
    if hasattr(value, "isoformat"):
        value = value.isoformat()
    return encode_cursor([mark.phase, value, mark.place.repo_id])


def _read_cursor(cursor: str, query: SearchQuery) -> Mark:
    phase, value, repo_id = decode_cursor(cursor, length=3)
    known = _phases(query, phase) if isinstance(phase, str) else {}
    if not isinstance(phase, str) or phase not in known:
        raise BadCursorError("This cursor is of another order. Start again without one.")
    return Mark(phase, read_place(known[phase], value, repo_id))


def _phases(query: SearchQuery, phase: str) -> Mapping[str, Sort]:
    """Return what a cursor of ``query`` may stand in, given the phase it names."""
    if query.order == RELEVANCE:
        return PHASES
    if query.order in SORTS:
        return {query.order: SORTS[query.order]}
    currency = currency_in(phase)
    is_known = currency in currencies() and query.currency in {"", currency}
    return phases(query.order, currency) if is_known else {}


__all__ = [
    "MAX_LIMIT",
    "Facet",
    "Place",
    "SearchPage",
    "facets",
    "search",
    "search_with_facets",
    "suggest",
]

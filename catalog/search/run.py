"""Searching: a page of listings, how many there are, and what they have in common."""

from dataclasses import dataclass
from typing import Any

from accounts.viewer import Viewer
from catalog.models import Listing, ModelRepo
from catalog.search.counting import Facet, count_facets
from catalog.search.matching import Matches, match
from catalog.search.ordering import RELEVANCE, SORTS, Place, page_of, read_place
from catalog.search.query import SearchQuery
from catalog.search.relevance import PHASES, Mark, relevant
from catalog.search.suggestions import suggest
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
    return _page(viewer, query, match(viewer, query), limit=limit, cursor=cursor)


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
    matches = match(viewer, query)
    page = _page(viewer, query, matches, limit=limit, cursor=cursor)
    return page, count_facets(matches, query)


def _page(
    viewer: Viewer, query: SearchQuery, matches: Matches, *, limit: int, cursor: str | None
) -> SearchPage:
    limit = min(max(limit, 1), MAX_LIMIT)
    after = _read_cursor(cursor, query) if cursor else None
    marks = _marks(matches, query, after=after, limit=limit + 1)
    shown = marks[:limit]
    following = _write_cursor(shown[-1]) if len(marks) > limit else None
    rows = _rows(viewer, [mark.place.repo_id for mark in shown])
    return SearchPage(rows, following, len(matches.wanted))


def _marks(matches: Matches, query: SearchQuery, *, after: Mark | None, limit: int) -> list[Mark]:
    order = query.order
    if order == RELEVANCE:
        return relevant(matches, query, after=after, limit=limit)
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
    known = PHASES if query.order == RELEVANCE else {query.order: SORTS[query.order]}
    if not isinstance(phase, str) or phase not in known:
        raise BadCursorError("This cursor is of another order. Start again without one.")
    return Mark(phase, read_place(known[phase], value, repo_id))


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

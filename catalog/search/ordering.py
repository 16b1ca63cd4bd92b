"""In which order listings come, and reading one page of an order.

A page starts after a position: the sort value and id of the last row before it. Nothing is
counted off, so rows that come or go meanwhile neither repeat nor hide others.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from django.db import connection
from pyroaring import BitMap

from catalog.search.packing import PACKED, unpack_ids
from store.core.paging import BadCursorError

RELEVANCE, TRENDING = "relevance", "trending"
LOWEST, HIGHEST = "price", "price_high"
PRICE_ORDERS = (LOWEST, HIGHEST)
"""Orders by price; see ``catalog.search.price_order``."""

DIRECT_MOST = 5000
"""Up to so many wanted listings are read and sorted (10 ms). Of more, rows are taken in sort order
until a page is full, which is quick when one row in twenty is wanted."""
STRIDES = (256, 2048)
"""Rows taken before giving up on luck: the wanted ones may all stand at the far end."""


@dataclass(frozen=True, slots=True)
class Sort:
    """An order: a column of the listing, or of what stands beside it; ties by repository id."""

    column: str
    kind: type
    is_descending: bool = True
    source: str = "catalog_listing"
    """What has the column, and ``repo_id``: a table of ours, or a query with a name."""

    @property
    def direction(self) -> str:
        """SQL's word."""
        return "DESC" if self.is_descending else "ASC"

    @property
    def beyond(self) -> str:
        """SQL's sign for "later in this order"."""
        return "<" if self.is_descending else ">"

    def check(self, value: Any) -> Any:
        """Return a position's value as the database wants it.

        Raises:
            BadCursorError: it is none of this order's.
        """
        if self.kind is datetime and isinstance(value, str):
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                raise _bad_cursor() from None
            if moment.tzinfo is not None:
                return moment
        elif self.kind is str and isinstance(value, str) and "\0" not in value:
            return value
        elif self.kind is float and type(value) in {int, float} and math.isfinite(value):
            return float(value)
        elif self.kind is int and type(value) is int and abs(value) < 2**63:
            return value
        raise _bad_cursor()


SORTS = {
    RELEVANCE: Sort("popularity", float),  # of what matches equally well
    TRENDING: Sort("trending", float),
    "downloads": Sort("downloads", int),
    "likes": Sort("likes", int),
    "newest": Sort("created_at", datetime),
    "updated": Sort("updated_at", datetime),
    "parameters": Sort("sort_parameters", int),
    "size": Sort("weights_bytes", int),
    "name": Sort("sort_name", str, is_descending=False),
}

ORDERS = (*SORTS, *PRICE_ORDERS)
"""All a search may ask for."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands in an order."""

    value: Any
    repo_id: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in one phase of a search."""

    phase: str
    place: Place


@dataclass(frozen=True, slots=True)
class Step:
    """One of several orders that follow each other, and the listings that stand in it."""

    phase: str
    sort: Sort
    ids: BitMap


def follow(steps: Iterable[Step], *, after: Mark | None, limit: int) -> list[Mark]:
    """Return the next ``limit`` places of orders that follow each other.

    Args:
        steps: In their order; no listing stands in two of them.
        after: The last place of the page before, in one of the steps; ``None``: from the start.
        limit: At least 1.
    """
    found: list[Mark] = []
    for step in steps:
        if after is not None and after.phase != step.phase:
            continue
        place = after.place if after is not None else None
        after = None
        places = page_of(step.sort, step.ids, after=place, limit=limit - len(found))
        found += [Mark(step.phase, each) for each in places]
        if len(found) >= limit:
            break
    return found


def _bad_cursor() -> BadCursorError:
    return BadCursorError("This cursor is not ours. Start again without one.")


def read_place(sort: Sort, value: Any, repo_id: Any) -> Place:
    """Return the place that two values of a cursor mean.

    Raises:
        BadCursorError: they mean none.
    """
    if type(repo_id) is not int or not 0 <= repo_id < 2**63:
        raise _bad_cursor()
    return Place(sort.check(value), repo_id)


def page_of(sort: Sort, wanted: BitMap, *, after: Place | None, limit: int) -> list[Place]:
    """Return the next ``limit`` places of the wanted listings.

    Args:
        sort: The order.
        wanted: Repository ids.
        after: The last place of the page before; ``None``: from the start.
        limit: At least 1.
    """
    if not wanted:
        return []
    if len(wanted) <= DIRECT_MOST:
        return _read(sort, after=after, limit=limit, among=wanted)
    found: list[Place] = []
    for stride in STRIDES:
        places = _read(sort, after=after, limit=stride)
        found += [place for place in places if place.repo_id in wanted]
        if len(found) >= limit or len(places) < stride:
            return found[:limit]
        after = places[-1]
    return found + _walk(sort, wanted, after=after, limit=limit - len(found))


def _read(
    sort: Sort, *, after: Place | None, limit: int, among: BitMap | None = None
) -> list[Place]:
    where, parameters = _later(sort, after)
    if among is not None:
        where += " AND repo_id = ANY(%s)"
        parameters.append(list(among))
    order = f"{sort.column} {sort.direction}, repo_id {sort.direction}"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {sort.column}, repo_id FROM {sort.source}"  # noqa: S608 - our own names
            f" WHERE {where} ORDER BY {order} LIMIT %s",
            [*parameters, limit],
        )
        return [Place(value, repo_id) for value, repo_id in cursor.fetchall()]


def _walk(sort: Sort, wanted: BitMap, *, after: Place | None, limit: int) -> list[Place]:
    """Return the next wanted places wherever they are: all ids in order, in one compact answer."""
    where, parameters = _later(sort, after)
    order = f"{sort.column} {sort.direction}, repo_id {sort.direction}"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {PACKED} FROM (SELECT repo_id FROM {sort.source}"  # noqa: S608
            f" WHERE {where} ORDER BY {order}) ordered",
            parameters,
        )
        ids = unpack_ids(cursor.fetchone()[0])
    found = list(islice((repo_id for repo_id in ids if repo_id in wanted), limit))
    return _read(sort, after=after, limit=limit, among=BitMap(found)) if found else []


def _later(sort: Sort, after: Place | None) -> tuple[str, list[Any]]:
    if after is None:
        return "true", []
    return f"({sort.column}, repo_id) {sort.beyond} (%s, %s)", [after.value, after.repo_id]

"""Working out which pieces of which xorbs a client needs for a part of a file.

The same question always has the same answer: clients ask again for fresh links and expect the
same pieces (Xet specification, reconstruction).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from catalog.content.reading import DamagedContentError
from catalog.content.recipes import Recipe, chunk_span, merged
from catalog.content.tables import KnownXorb, known_xorbs
from store.core.errors import StoreError


class RangeError(StoreError):
    """The part begins behind the end of the file."""

    code = "range_not_satisfiable"
    status = 416


@dataclass(frozen=True, slots=True)
class PlannedTerm:
    """Chunks to join, in order."""

    xorb: bytes
    unpacked_bytes: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class PlannedFetch:
    """One run of records to fetch: chunks ``[start, end)``, bytes ``first`` to ``last``."""

    start: int
    end: int
    first: int
    last: int
    """The last byte itself, in the stored xorb."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to fetch, and how to join it."""

    skip_bytes: int
    """Raw bytes of the first term before the part that was asked for."""
    terms: list[PlannedTerm]
    fetches: dict[bytes, list[PlannedFetch]]
    """By xorb; no two runs touch."""
    xorbs: dict[bytes, KnownXorb]


def plan(recipe: Recipe, first: int = 0, last: int | None = None) -> Plan:
    """Return what makes the bytes ``first`` to ``last`` (inclusive, may be far behind the end).

    Raises:
        RangeError: it begins behind the end, or ends before it begins.
        DamagedContentError: a xorb is missing.
    """
    end = recipe.size_bytes if last is None else min(last + 1, recipe.size_bytes)
    if first >= end:
        raise RangeError("The file has no such bytes.", size_bytes=recipe.size_bytes)
    covering = list(recipe.covering(first, end - first))
    xorbs = known_xorbs(term.xorb for term, _, _ in covering)
    terms: list[PlannedTerm] = []
    wanted: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    skip_bytes = 0
    for term, begin, stop in covering:
        known = xorbs.get(term.xorb)
        if known is None:
            raise DamagedContentError("A part of this file is missing in the store.")
        span = chunk_span(term, known.table, begin, stop)
        if not terms:
            skip_bytes = span.skip_bytes
        size_bytes = known.table.raw_size(span.start, span.end)
        terms.append(PlannedTerm(term.xorb, size_bytes, span.start, span.end))
        wanted[term.xorb].append((span.start, span.end))
    return Plan(skip_bytes, terms, _fetches(wanted, xorbs), xorbs)


def together(plans: Iterable[Plan]) -> Plan:
    """Return what several files need in one: no two runs of a xorb touch there either.

    Clients know a run by its xorb and its start, whichever file it is for. It has no terms.
    """
    wanted: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    xorbs: dict[bytes, KnownXorb] = {}
    for each in plans:
        xorbs |= each.xorbs
        for name, fetches in each.fetches.items():
            wanted[name] += [(fetch.start, fetch.end) for fetch in fetches]
    return Plan(0, [], _fetches(wanted, xorbs), xorbs)


def _fetches(
    wanted: Mapping[bytes, list[tuple[int, int]]], xorbs: Mapping[bytes, KnownXorb]
) -> dict[bytes, list[PlannedFetch]]:
    return {
        name: [_fetch(xorbs[name], *run) for run in merged(runs)] for name, runs in wanted.items()
    }


def _fetch(known: KnownXorb, start: int, end: int) -> PlannedFetch:
    first, behind = known.table.stored_span(start, end)
    return PlannedFetch(start, end, first, behind - 1)

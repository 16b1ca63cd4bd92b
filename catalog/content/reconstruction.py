"""Working out which pieces of which xorbs a client needs for a part of a file.

The same question always has the same answer: clients ask again for fresh links and expect the
same pieces (Xet specification, reconstruction).
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from catalog.content.reading import DamagedContentError
from catalog.content.recipes import Recipe, chunk_span, merged
from catalog.content.tables import KnownXorb, in_groups
from catalog.content.xet.shards import Term
from catalog.content.xet.xorbs import XorbTable
from store.core.errors import StoreError
from store.storage import Digest


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
    blobs: dict[bytes, Digest]
    """The stored bytes of each xorb."""


@dataclass(frozen=True, slots=True)
class JointPlan:
    """What several whole files need: clients know a run by its xorb and start, whose ever it is."""

    terms: list[list[PlannedTerm]]
    """By file, in the order that was asked for."""
    fetches: dict[bytes, list[PlannedFetch]]
    """By xorb; no two runs touch, not even those of two files."""
    blobs: dict[bytes, Digest]


_Covering = list[tuple[Term, int, int]]


def plan(recipe: Recipe, first: int = 0, last: int | None = None) -> Plan:
    """Return what makes the bytes ``first`` to ``last`` (inclusive, may be far behind the end).

    Raises:
        RangeError: it begins behind the end, or ends before it begins.
        DamagedContentError: a xorb is missing.
    """
    work = _Work([_covering(recipe, first, last)])
    return Plan(work.skip_bytes, work.terms[0], work.fetches, work.blobs)


def plan_together(recipes: Iterable[Recipe]) -> JointPlan:
    """Return what makes several whole files.

    Raises:
        DamagedContentError: a xorb is missing.
    """
    work = _Work([_covering(recipe, 0, None) for recipe in recipes])
    return JointPlan(work.terms, work.fetches, work.blobs)


def _covering(recipe: Recipe, first: int, last: int | None) -> _Covering:
    end = recipe.size_bytes if last is None else min(last + 1, recipe.size_bytes)
    if first >= end:
        raise RangeError("The file has no such bytes.", size_bytes=recipe.size_bytes)
    return list(recipe.covering(first, end - first))


class _Work:
    """Plans xorb by xorb, not term by term: few of their tables are in memory at a time."""

    def __init__(self, coverings: list[_Covering]) -> None:
        self.skip_bytes = 0
        """Of the first file."""
        self.terms: list[list[PlannedTerm]] = [[_UNKNOWN] * len(each) for each in coverings]
        self.fetches: dict[bytes, list[PlannedFetch]] = {}
        self.blobs: dict[bytes, Digest] = {}
        self._coverings = coverings
        places: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
        for file, covering in enumerate(coverings):
            for place, (term, _, _) in enumerate(covering):
                places[term.xorb].append((file, place))
        for group in in_groups(places):
            for name, known in group.items():
                self._plan_xorb(name, known, places[name])
        if len(self.blobs) < len(places):
            raise DamagedContentError("A part of this file is missing in the store.")

    def _plan_xorb(self, name: bytes, known: KnownXorb, places: list[tuple[int, int]]) -> None:
        table = known.table
        wanted: list[tuple[int, int]] = []
        for file, place in places:
            term, begin, stop = self._coverings[file][place]
            span = chunk_span(term, table, begin, stop)
            if file == place == 0:
                self.skip_bytes = span.skip_bytes
            size_bytes = table.raw_size(span.start, span.end)
            self.terms[file][place] = PlannedTerm(name, size_bytes, span.start, span.end)
            wanted.append((span.start, span.end))
        self.fetches[name] = [_fetch(table, *run) for run in merged(wanted)]
        self.blobs[name] = known.blob


_UNKNOWN = PlannedTerm(b"", 0, 0, 0)


def _fetch(table: XorbTable, start: int, end: int) -> PlannedFetch:
    first, behind = table.stored_span(start, end)
    return PlannedFetch(start, end, first, behind - 1)

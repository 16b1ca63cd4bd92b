"""Working out which pieces of which xorbs a client needs for a part of a file.

The same question always has the same answer: clients ask again for fresh links and expect the
same pieces (Xet specification, reconstruction).

A file may have hundreds of thousands of terms, each of one chunk. So nothing is kept for a term:
terms are read off the recipe as they are told, and of each xorb one bit for each chunk is kept.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from catalog.content.reading import DamagedContentError
from catalog.content.recipes import ChunkSpan, Recipe, chunk_span
from catalog.content.tables import in_groups, known_xorbs
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
class PlannedXorb:
    """What to fetch of one xorb."""

    name: bytes
    blob: Digest
    """Its stored bytes."""
    runs: list[PlannedFetch]
    """No two of them touch, not even those of two files."""


class Part:
    """The bytes ``first`` to ``end`` (exclusive) of a file; iterate for its terms, ever again."""

    def __init__(self, recipe: Recipe, first: int, end: int) -> None:
        self._recipe, self._first, self._length = recipe, first, end - first

    @property
    def skip_bytes(self) -> int:
        """Raw bytes of the first term before the part."""
        term, begin, stop = next(self._covering())
        return _cut(term, begin, stop)[0].skip_bytes if begin else 0

    def __iter__(self) -> Iterator[PlannedTerm]:
        for term, begin, stop in self._covering():
            if stop - begin == term.size_bytes:
                yield PlannedTerm(term.xorb, term.size_bytes, term.start, term.end)
            else:  # the first or the last: chunks nobody needs are left out
                span, table = _cut(term, begin, stop)
                size_bytes = table.raw_size(span.start, span.end)
                yield PlannedTerm(term.xorb, size_bytes, span.start, span.end)

    def _covering(self) -> Iterator[tuple[Term, int, int]]:
        return self._recipe.covering(self._first, self._length)


class Plan:
    """What to fetch for some parts, and how to join each.

    Clients know a run by its xorb and start, whose ever it is: so files that are asked for
    together share their runs.
    """

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts
        self._needed: dict[bytes, int] = {}
        """By xorb, in order of first use: bit ``n`` stands for chunk ``n``."""
        for part in parts:
            for term in part:
                bits = ((1 << (term.end - term.start)) - 1) << term.start
                self._needed[term.xorb] = self._needed.get(term.xorb, 0) | bits

    def xorbs(self) -> Iterator[PlannedXorb]:
        """Yield each xorb with what to fetch of it; few of their tables are in memory at a time.

        Raises:
            DamagedContentError: one is missing; it is said after those that are there.
        """
        left = len(self._needed)
        for group in in_groups(self._needed):
            for name, known in group.items():
                runs = [_fetch(known.table, *run) for run in _runs(self._needed[name])]
                yield PlannedXorb(name, known.blob, runs)
                left -= 1
        if left:
            raise _missing()


def plan(recipe: Recipe, first: int = 0, last: int | None = None) -> Plan:
    """Return what makes the bytes ``first`` to ``last`` (inclusive, may be far behind the end).

    Raises:
        RangeError: it begins behind the end, or ends before it begins.
        DamagedContentError: the xorb is missing where the part begins or ends.
    """
    end = recipe.size_bytes if last is None else min(last + 1, recipe.size_bytes)
    if first >= end:
        raise RangeError("The file has no such bytes.", size_bytes=recipe.size_bytes)
    return Plan([Part(recipe, first, end)])


def plan_together(recipes: Iterable[Recipe]) -> Plan:
    """Return what makes several whole files."""
    return Plan([Part(recipe, 0, recipe.size_bytes) for recipe in recipes])


def _cut(term: Term, begin: int, stop: int) -> tuple[ChunkSpan, XorbTable]:
    known = known_xorbs([term.xorb]).get(term.xorb)
    if known is None:
        raise _missing()
    return chunk_span(term, known.table, begin, stop), known.table


def _runs(bits: int) -> Iterator[tuple[int, int]]:
    """Yield where each row of ones begins and ends, lowest first."""
    at = 0
    while bits:
        at += (bits & -bits).bit_length() - 1
        bits >>= (bits & -bits).bit_length() - 1
        ones = (~bits & (bits + 1)).bit_length() - 1
        yield at, at + ones
        at += ones
        bits >>= ones


def _fetch(table: XorbTable, start: int, end: int) -> PlannedFetch:
    first, behind = table.stored_span(start, end)
    return PlannedFetch(start, end, first, behind - 1)


def _missing() -> DamagedContentError:
    return DamagedContentError("A part of this file is missing in the store.")

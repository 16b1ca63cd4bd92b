"""Recipes: a file as terms, each a run of chunks in one xorb. Arithmetic only."""

import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import overload

from catalog.content.xet.shards import Term
from catalog.content.xet.xorbs import XorbTable

_TERM = struct.Struct("<32sIII")


def packed(term: Term) -> bytes:
    """Return a term as ``Recipe.from_bytes`` reads it."""
    return _TERM.pack(*term)


class _Terms(Sequence[Term]):
    """Terms as they are kept: 44 bytes each, read when asked for."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data) // _TERM.size

    @overload
    def __getitem__(self, index: int) -> Term: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Term]: ...
    def __getitem__(self, index: int | slice) -> Term | Sequence[Term]:
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        place = range(len(self))[index]
        return Term._make(_TERM.unpack_from(self._data, place * _TERM.size))

    def __iter__(self) -> Iterator[Term]:
        return map(Term._make, _TERM.iter_unpack(self._data))


@dataclass(frozen=True)
class Recipe:
    """The terms of a file, in order."""

    terms: Sequence[Term]

    @classmethod
    def from_bytes(cls, data: bytes) -> "Recipe":
        """Read back what ``to_bytes`` wrote."""
        return cls(_Terms(data))

    def to_bytes(self) -> bytes:
        """Return 44 bytes for each term: xorb hash, raw size, first chunk, end."""
        return b"".join(map(packed, self.terms))

    @cached_property
    def ends(self) -> Sequence[int]:
        """Where each term ends in the file, in bytes."""
        return array("Q", accumulate(term.size_bytes for term in self.terms))

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return self.ends[-1] if self.terms else 0

    @property
    def xorbs(self) -> list[bytes]:
        """The hashes of the xorbs it needs, each once, in order of first use."""
        return list(dict.fromkeys(term.xorb for term in self.terms))

    def covering(self, start: int, length: int) -> Iterator[tuple[Term, int, int]]:
        """Yield each term that holds some of ``length`` bytes from ``start`` on.

        Yields:
            The term, and where the wanted bytes begin and end in its raw content.
        """
        end = min(start + length, self.size_bytes)
        place = bisect_right(self.ends, start)
        while start < end:
            term = self.terms[place]
            begins = self.ends[place] - term.size_bytes
            stop = min(end, self.ends[place])
            yield term, start - begins, stop - begins
            start = stop
            place += 1


@dataclass(frozen=True, slots=True)
class ChunkSpan:
    """The chunks of one term that hold a wanted part of it."""

    start: int
    end: int
    """Chunks ``[start, end)`` of the xorb."""
    skip_bytes: int
    """Raw bytes of the first chunk before the wanted part."""


def chunk_span(term: Term, table: XorbTable, first: int, last: int) -> ChunkSpan:
    """Return the chunks that hold the bytes ``[first, last)`` of a term's raw content."""
    origin = table.raw_start(term.start)
    start = table.chunk_at(origin + first)
    end = table.chunk_at(origin + last - 1) + 1
    return ChunkSpan(start, end, origin + first - table.raw_start(start))


def merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the runs that ``[start, end)`` spans form, overlapping and adjacent ones joined."""
    runs: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if runs and start <= runs[-1][1]:
            runs[-1] = (runs[-1][0], max(end, runs[-1][1]))
        else:
            runs.append((start, end))
    return runs

"""Which listings have which value: sets of repository ids, kept in each process.

Counting the facets of half a catalogue row by row takes PostgreSQL a quarter of a second at
100,000 listings; intersecting compressed bitmaps takes milliseconds and about 40 MB. So every
process keeps, for every value of every field, the set of the listings that have it, and apart
from that who may see what: the *public* ones and, for each namespace, its private ones. Every
answer begins with ``visible``.

The database stays the truth. Before each answer a process asks which repositories changed since
it last looked (``ListingChange``, one indexed query) and reads those again, so a count is never
older than the question. A process that has just started reads everything once (about a second
at 100,000).

What changed is kept apart: a repository's sets are those of the *ground* until it changes, then
those of the *overlay*, which is small and quickly changed again. Now and then both are merged.
"""

import heapq
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from django.db import connection
from pyroaring import BitMap

from catalog.search.reading import PRIVATE, PUBLIC, Sets, read_all, read_some

RELOAD_FROM = 5000
"""From so many changed repositories on, reading everything is quicker."""
MERGE_FROM = 200
"""So many repositories are kept apart before they are merged, which takes 10 ms at 100,000."""
MEMO_MOST = 64
"""Answers of the database kept until something changes, each about 15 kB at 100,000 listings."""

_BLOCK = 256
"""Values counted in one go."""
_NOTHING = BitMap()
_NEVER = 2**62
"""A transaction id that no transaction has."""

_CHANGES = """
SELECT pg_snapshot_xmin(now.snapshot)::text::bigint, now.own, c.repo_id, c.xid
FROM (
    SELECT pg_current_snapshot() AS snapshot,
           coalesce(pg_current_xact_id_if_assigned()::text::bigint, 0) AS own
) now
LEFT JOIN catalog_listingchange c
    ON (c.xid >= %s AND c.xid < pg_snapshot_xmax(now.snapshot)::text::bigint) OR c.xid = now.own
"""
# Whatever had an id below the oldest running transaction of one look was over by then; so the
# next look asks from that id on and misses nothing. Ids beyond the newest come from a restored
# backup and mean nothing.


@dataclass(slots=True)
class _Answer:
    """What the database answered once, and which repositories changed since."""

    ids: BitMap
    stale: BitMap


class FacetIndex:
    """The sets, as of the last ``refreshed``. Read and write under ``lock``."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._ground: Sets = {}
        self._overlay: Sets = {}
        self._moved = BitMap()
        self._ranked: dict[str, list[tuple[str, BitMap]]] = {}
        self._authors: dict[str, str] = {}
        self._memo: OrderedDict[Hashable, _Answer] = OrderedDict()
        self._generation = 0
        self._oldest_xid = _NEVER
        self._seen: dict[int, int] = {}

    def refreshed(self) -> Self:
        """Return the index as the database is now.

        That is this one, brought up to date; only in the middle of a transaction that itself
        changed listings it is another, thrown away afterwards, for nobody else may see those.
        """
        with connection.cursor() as cursor:
            cursor.execute(_CHANGES, [self._oldest_xid])
            rows = cursor.fetchall()
        oldest, own = rows[0][:2]
        changes = {repo_id: xid for _oldest, _own, repo_id, xid in rows if repo_id is not None}
        if own in changes.values():
            passing = type(self)()
            passing.reload()
            return passing
        new = [repo_id for repo_id, xid in changes.items() if self._seen.get(repo_id) != xid]
        if self._oldest_xid == _NEVER or 0 in new or len(new) >= RELOAD_FROM:
            self.reload()
        elif new:
            self._move(new)
        self._oldest_xid = oldest
        self._seen = {repo_id: xid for repo_id, xid in changes.items() if xid >= oldest}
        return self

    def reload(self) -> None:
        """Forget everything and read the whole catalogue."""
        ground = read_all()
        self._ground, self._overlay, self._moved = ground, {}, BitMap()
        self._ranked, self._authors = {}, {}
        self._learn_authors(ground)
        self._memo.clear()
        self._generation += 1

    def visible(self, namespace_ids: Iterable[int]) -> BitMap:
        """Return what a member of these namespaces may know of: the public and their own."""
        private = (self.set_of(PRIVATE, str(pk)) for pk in namespace_ids)
        return BitMap.union(self.set_of(PUBLIC, ""), *private)

    def set_of(self, field: str, value: str) -> BitMap:
        """Return the listings, seen or unseen, that have this value."""
        ground = self._ground.get(field, {}).get(value, _NOTHING)
        overlay = self._overlay.get(field, {}).get(value, _NOTHING)
        return (ground - self._moved) | overlay

    def values(self, field: str) -> set[str]:
        """Return the values of a field that listings have, or had not long ago."""
        return {*self._ground.get(field, {}), *self._overlay.get(field, {})}

    def having(self, field: str, values: Iterable[str], *, needs_all: bool) -> BitMap:
        """Return the listings, seen or unseen, with one of ``values``, or with all."""
        sets = [self.set_of(field, value) for value in values]
        return BitMap.intersection(*sets) if needs_all else BitMap.union(*sets)

    def by_author(self, name: str) -> BitMap:
        """Return the listings, seen or unseen, of a namespace, whatever the case of its name."""
        return self.set_of("publisher", self._authors.get(name.lower(), ""))

    def tally(self, among: BitMap) -> "Tally":
        """Return what counts values among these listings. To be used under the lock."""
        return Tally(self, among - self._moved, among & self._moved)

    def remember(self, key: Hashable, find: Callable[[BitMap | None], BitMap]) -> BitMap:
        """Return the ids that the database finds, asking it only about what changed since.

        Not to be called under the lock: ``find`` may take its time.

        Args:
            key: What is asked.
            find: Asks it, among some repositories or (``None``) all.
        """
        with self.lock:
            known, generation = self._memo.get(key), self._generation
            stale = known.stale.copy() if known else None
            if known is not None:
                self._memo.move_to_end(key)
        if known is not None and not stale:
            return known.ids
        found = find(stale)
        ids = found if known is None or stale is None else (known.ids - stale) | found
        with self.lock:
            if generation == self._generation:
                self._memo[key] = _Answer(ids, BitMap())
                while len(self._memo) > MEMO_MOST:
                    self._memo.popitem(last=False)
        return ids

    def forget_answers(self) -> None:
        """Forget what ``remember`` keeps; for measuring."""
        with self.lock:
            self._memo.clear()

    def ground(self, field: str, value: str) -> BitMap:
        """Return the set of the ground. Not to be changed; for ``Tally``."""
        return self._ground.get(field, {}).get(value, _NOTHING)

    def overlay(self, field: str) -> dict[str, BitMap]:
        """Return the sets of the overlay. Not to be changed; for ``Tally``."""
        return self._overlay.get(field, {})

    def ranked(self, field: str) -> list[tuple[str, BitMap]]:
        """Return the sets of the ground, largest first. Not to be changed; for ``Tally``."""
        if field not in self._ranked:
            sets = self._ground.get(field, {}).items()
            self._ranked[field] = sorted(sets, key=lambda item: len(item[1]), reverse=True)
        return self._ranked[field]

    def _move(self, repo_ids: list[int]) -> None:
        """Read these repositories again, into the overlay."""
        found, moved = read_some(repo_ids), BitMap(repo_ids)
        _take_out(self._overlay, moved)
        _put_in(self._overlay, found)
        self._moved |= moved
        self._learn_authors(found)
        for answer in self._memo.values():
            answer.stale |= moved
        self._generation += 1
        if len(self._moved) >= MERGE_FROM:
            _take_out(self._ground, self._moved)
            _put_in(self._ground, self._overlay)
            self._overlay, self._moved, self._ranked = {}, BitMap(), {}

    def _learn_authors(self, sets: Sets) -> None:
        # never forgotten: a name belongs to one namespace for ever
        self._authors |= {name.lower(): name for name in sets.get("publisher", {})}


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts how many of some listings have a value."""

    index: FacetIndex
    settled: BitMap
    moved: BitMap

    def count(self, field: str, value: str) -> int:
        """Return how many have it."""
        found: int = self.settled.intersection_cardinality(self.index.ground(field, value))
        overlay = self.index.overlay(field).get(value, _NOTHING)
        return found + self.moved.intersection_cardinality(overlay) if overlay else found

    def best(self, field: str, *, top: int, accept: Callable[[str], bool]) -> list[tuple[str, int]]:
        """Return the ``top`` accepted values with the highest counts, ties by value.

        Not every value is counted: the largest sets come first, and once the next set is smaller
        than the least count kept, nothing better can follow.
        """
        kept: list[tuple[int, str]] = []
        for bound, counts in self._blocks(field):
            least = -kept[-1][0] if len(kept) == top else 1
            if bound < least:
                break
            kept += [(-n, value) for value, n in counts if n >= least and accept(value)]
            kept = heapq.nsmallest(top, kept)
        return [(value, -negative) for negative, value in kept]

    def _blocks(self, field: str) -> Iterator[tuple[float, Iterator[tuple[str, int]]]]:
        """Yield all values in blocks: the most a count can be (never rising), and the counts."""
        overlay = self.index.overlay(field)
        yield math.inf, ((value, self.count(field, value)) for value in overlay)
        ranked, count = self.index.ranked(field), self.settled.intersection_cardinality
        for start in range(0, len(ranked), _BLOCK):
            block = ranked[start : start + _BLOCK]
            yield len(block[0][1]), ((v, count(ids)) for v, ids in block if v not in overlay)


def _take_out(sets: Sets, repo_ids: BitMap) -> None:
    for values in sets.values():
        for value, ids in list(values.items()):
            ids.difference_update(repo_ids)
            if not ids:
                del values[value]


def _put_in(sets: Sets, more: Sets) -> None:
    for field, values in more.items():
        there = sets.setdefault(field, {})
        for value, ids in values.items():
            there.setdefault(value, BitMap()).update(ids)


_shared: dict[str, FacetIndex] = {}
_making = threading.Lock()


def current_index() -> FacetIndex:
    """Return this process's index of the present database, up to date."""
    # First the connection, then the lock: whoever holds the lock never waits for a connection
    # of the pool that somebody who waits for the lock holds.
    connection.ensure_connection()
    name = str(connection.settings_dict["NAME"])
    with _making:
        index = _shared.setdefault(name, FacetIndex())
    with index.lock:
        return index.refreshed()

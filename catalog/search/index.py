"""Which listings have which value: sets of repository ids, kept in each process.

Counting the facets of half a catalogue row by row takes PostgreSQL a quarter of a second at
100,000 listings; intersecting compressed bitmaps takes milliseconds and about 15 MB. So every
process keeps, for every value of every field, the set of the listings that have it, and apart
from that who may see what: the *public* ones and, for each namespace, its private ones. Every
answer begins with ``visible``.

The database stays the truth. Before each answer a process asks which repositories changed since
it last looked (``ListingChange``, one indexed query) and reads those again, so a count is never
older than the question. A process that has just started reads everything once (about a second
at 100,000).
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Self

from django.db import connection
from pyroaring import BitMap

from catalog.search.fields import FIELDS, MEASURES
from catalog.search.packing import PACKED, unpack_set

RELOAD_FROM = 5000
"""From so many changed repositories on, reading everything is quicker."""
MEMO_MOST = 64
"""Answers of the database kept until something changes, each about 15 kB at 100,000 listings."""

PUBLIC, PRIVATE = "public", "private"
_NOTHING = BitMap()
_NEVER = 2**62
"""A transaction id that no transaction has."""

_JOINED = (
    "catalog_listing l JOIN catalog_modelrepo r ON r.id = l.repo_id"
    " JOIN accounts_namespace n ON n.id = r.namespace_id"
)
_IDS = PACKED.replace("repo_id", "l.repo_id")


def _load_sql(*, some: bool) -> str:
    """Return SQL that gives (field, value, ids); of some repositories (``%(ids)s``), or all."""
    where = "WHERE l.repo_id = ANY(%(ids)s)" if some else "WHERE true"
    parts = [
        f"SELECT '{PUBLIC}', '', {_IDS} FROM {_JOINED} {where} AND NOT r.is_private",  # noqa: S608
        f"SELECT '{PRIVATE}', n.id::text, {_IDS} FROM {_JOINED} {where} AND r.is_private GROUP BY 2",  # noqa: S608, E501
    ]
    for field in FIELDS:
        table = "catalog_listing l" if "l." in field.sql else _JOINED
        source = f"{table}, unnest({field.sql}) AS v(value)" if field.is_list else table
        value = "v.value" if field.is_list else field.sql
        parts.append(
            f"SELECT '{field.name}', {value}, {_IDS} FROM {source} {where} GROUP BY 2"  # noqa: S608
        )
    for measure in MEASURES:
        edges = f"ARRAY[{', '.join(map(str, measure.edges))}]::bigint[]"
        parts.append(
            f"SELECT '{measure.name}', width_bucket(l.{measure.column}, {edges})::text, {_IDS}"  # noqa: S608
            f" FROM catalog_listing l {where} AND l.{measure.column} > 0 GROUP BY 2"
        )
    return " UNION ALL ".join(parts)


_LOAD_ALL, _LOAD_SOME = _load_sql(some=False), _load_sql(some=True)

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


_Row = tuple[str, str, bytes | None]
"""Field, value, ids."""


class FacetIndex:
    """The sets, as of the last ``refreshed``. Read and write under ``lock``."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._values: dict[str, dict[str, BitMap]] = {}
        self._ranked: dict[str, list[tuple[str, BitMap]]] = {}
        self._authors: dict[str, BitMap] = {}
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
            passing.read_all()
            return passing
        new = [repo_id for repo_id, xid in changes.items() if self._seen.get(repo_id) != xid]
        if self._oldest_xid == _NEVER or 0 in new or len(new) >= RELOAD_FROM:
            self.read_all()
        elif new:
            self._read_again(new)
        self._oldest_xid = oldest
        self._seen = {repo_id: xid for repo_id, xid in changes.items() if xid >= oldest}
        return self

    def visible(self, namespace_ids: Iterable[int]) -> BitMap:
        """Return what a member of these namespaces may know of: the public and their own."""
        private = (self._set(PRIVATE, str(pk)) for pk in namespace_ids)
        return BitMap.union(self._set(PUBLIC, ""), *private)

    def having(self, field: str, values: Iterable[str], *, needs_all: bool) -> BitMap:
        """Return the listings with one of ``values``, or with all. Do not change the answer."""
        sets = [self._set(field, value) for value in values]
        return BitMap.intersection(*sets) if needs_all else BitMap.union(*sets)

    def by_author(self, name: str) -> BitMap:
        """Return the listings of a namespace, whatever the case of its name."""
        if not self._authors:
            publishers = self._values.get("publisher", {})
            self._authors = {name.lower(): ids for name, ids in publishers.items()}
        return self._authors.get(name.lower(), _NOTHING)

    def ranked(self, field: str) -> list[tuple[str, BitMap]]:
        """Return the values of a field with their sets, largest first. Do not change them."""
        if field not in self._ranked:
            sets = self._values.get(field, {}).items()
            self._ranked[field] = sorted(sets, key=lambda item: len(item[1]), reverse=True)
        return self._ranked[field]

    def set_of(self, field: str, value: str) -> BitMap:
        """Return the listings that have this value. Do not change the answer."""
        return self._set(field, value)

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

    def _set(self, field: str, value: str) -> BitMap:
        return self._values.get(field, {}).get(value, _NOTHING)

    def read_all(self) -> None:
        """Forget everything and read the whole catalogue."""
        rows = _fetch(_LOAD_ALL, None)
        self._values = {}
        self._memo.clear()
        self._add(rows)

    def _read_again(self, repo_ids: list[int]) -> None:
        rows = _fetch(_LOAD_SOME, {"ids": repo_ids})
        gone = BitMap(repo_ids)
        for sets in self._values.values():
            for value, ids in list(sets.items()):
                ids.difference_update(gone)
                if not ids:
                    del sets[value]
        for answer in self._memo.values():
            answer.stale |= gone
        self._add(rows)

    def _add(self, rows: list[_Row]) -> None:
        for field, value, data in rows:
            if data is not None and (value or field == PUBLIC):
                sets = self._values.setdefault(field, {})
                sets.setdefault(value, BitMap()).update(unpack_set(data))
        self._ranked, self._authors = {}, {}
        self._generation += 1


def _fetch(sql: str, parameters: dict[str, list[int]] | None) -> list[_Row]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[_Row] = cursor.fetchall()
        return rows


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

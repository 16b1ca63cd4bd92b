"""Who is whose ancestor, over all parents of all commits of a repository, merges included.

The hub's own history follows first parents (``catalog.history.log``); git needs the whole graph.
It is read from the commit objects themselves, so that it cannot disagree with them. Ids are 20
bytes; a commit takes about 300 bytes of memory.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from django.db import connection

from catalog.history.objects import read_many

Oid = bytes

_HEADS = """
    SELECT oid, substring(data FROM 1 FOR 1024) FROM catalog_gitobject
    WHERE repo_id = %s AND kind = 1
"""
"""The parents come first: 1024 bytes hold 20 of them. What has more is read whole."""
_COMMITTER = re.compile(rb"^committer [^\n]*> (\d{1,18}) [+-]\d{4}$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Graph:
    """Commits with their parents and trees."""

    parents: dict[Oid, tuple[Oid, ...]] = field(default_factory=dict)
    trees: dict[Oid, Oid] = field(default_factory=dict)

    def __contains__(self, oid: Oid) -> bool:
        return oid in self.parents

    def add(self, oid: Oid, tree: Oid, parents: tuple[Oid, ...]) -> None:
        """Put in a commit."""
        self.parents[oid] = parents
        self.trees[oid] = tree

    def ancestors(self, starts: Iterable[Oid], *, stop: Collection[Oid] = ()) -> set[Oid]:
        """Return ``starts`` and all before them; of those in ``stop`` not what is before."""
        found: set[Oid] = set()
        todo = [oid for oid in starts if oid in self.parents]
        while todo:
            oid = todo.pop()
            if oid in found:
                continue
            found.add(oid)
            if oid not in stop:
                todo += [parent for parent in self.parents.get(oid, ()) if parent not in found]
        return found

    def descendants(
        self, starts: Iterable[Oid], *, inside: Iterable[Oid] | None = None
    ) -> set[Oid]:
        """Return ``starts`` and all after them; with ``inside`` only what is among those."""
        children: dict[Oid, list[Oid]] = {}
        among = set(self.parents if inside is None else inside)
        for oid in among:
            for parent in self.parents[oid]:
                children.setdefault(parent, []).append(oid)
        found: set[Oid] = set()
        todo = [oid for oid in starts if oid in among]
        while todo:
            oid = todo.pop()
            if oid not in found:
                found.add(oid)
                todo += children.get(oid, ())
        return found

    def is_ancestor(self, old: Oid, new: Oid) -> bool:
        """Whether ``new`` has everything ``old`` has: moving there loses no commit."""
        return old in self.ancestors([new])

    def within_depth(self, heads: Iterable[Oid], depth: int) -> dict[Oid, int]:
        """Return the commits up to ``depth`` steps (heads are the first), each with its step."""
        steps: dict[Oid, int] = {}
        level = [oid for oid in heads if oid in self.parents]
        step = 1
        while level and step <= depth:
            level = [oid for oid in dict.fromkeys(level) if oid not in steps]
            steps |= dict.fromkeys(level, step)
            level = [parent for oid in level for parent in self.parents[oid]]
            step += 1
        return steps

    def chosen(self, heads: Iterable[Oid], keep: Callable[[Oid], bool]) -> set[Oid]:
        """Return the commits reachable from ``heads`` through commits that ``keep`` accepts."""
        found: set[Oid] = set()
        todo = [oid for oid in heads if oid in self.parents]
        while todo:
            oid = todo.pop()
            if oid not in found and keep(oid):
                found.add(oid)
                todo += self.parents[oid]
        return found

    def edge(self, inside: Collection[Oid]) -> set[Oid]:
        """Return the commits of ``inside`` that have a parent outside."""
        return {oid for oid in inside if any(parent not in inside for parent in self.parents[oid])}


def load_graph(repo_id: int) -> Graph:
    """Read all commits of a repository, of branches that are gone, too."""
    graph, long = Graph(), []
    with connection.cursor() as cursor:
        cursor.execute(_HEADS, [repo_id])
        while rows := cursor.fetchmany(2000):
            for oid, head in rows:
                if not _put(graph, bytes.fromhex(oid), bytes(head)):
                    long.append(bytes.fromhex(oid))
    for found, _kind, data in read_many(repo_id, long):
        _put(graph, found, data)
    return graph


def commit_times(repo_id: int, oids: Collection[Oid]) -> Mapping[Oid, int]:
    """Return when commits were made (``committer``), in seconds since 1970."""
    times: dict[Oid, int] = {}
    for oid, _kind, data in read_many(repo_id, list(oids)):
        match = _COMMITTER.search(data)
        times[oid] = int(match[1]) if match else 0
    return times


def _put(graph: Graph, oid: Oid, data: bytes) -> bool:
    """Add a commit from the beginning of its object. ``False``: the beginning is too short."""
    tree = bytes.fromhex(data[5:45].decode())
    parents, at = [], 46
    while data.startswith(b"parent ", at) and len(data) >= at + 48:
        parents.append(bytes.fromhex(data[at + 7 : at + 47].decode()))
        at += 48
    if not data.startswith(b"author ", at):
        return False
    graph.add(oid, tree, tuple(parents))
    return True

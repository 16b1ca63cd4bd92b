"""Writing packs: which objects somebody lacks, and the stream that holds them.

First the ids are collected (a few dozen bytes for each object), because a pack begins with its
count; then contents are read and sent some at a time, so a clone of any size takes little memory.
"""

import hashlib
import re
import struct
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from django.db import connection
from dulwich.object_format import DEFAULT_OBJECT_FORMAT
from dulwich.objects import parse_tree
from dulwich.pack import pack_object_header

from catalog.history.graph import Graph, Oid
from catalog.history.objects import TREE_MODE, MissingObjectError, kinds_of, read_many
from catalog.models import GitObject
from store.core.database import hand_back_connection
from store.core.errors import InvalidError
from store.core.pieces import gathered

Kind = GitObject.Kind
BlobCheck = Callable[[Mapping[Oid, int]], None]
"""Called with files that would be sent: mode by id, 0 for what is asked for by id alone. Raises to
refuse the whole."""

_COMMITS_AT_ONCE = 1000
_SEND_BYTES = 64 * 1024
_LEVEL = 4
"""zlib's: half the time of its default for a few percent more bytes."""
_BLOB_SIZES = """
    SELECT oid FROM catalog_gitobject
    WHERE repo_id = %s AND oid = ANY(%s) AND size_bytes >= %s
"""
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_LIMIT = re.compile(r"(\d{1,15})([kmg]?)")


class BadFilterError(InvalidError):
    """The filter of a partial clone is not one of those we know."""

    code = "bad_filter"


@dataclass(frozen=True, slots=True)
class Filter:
    """What a partial clone leaves out (git-rev-list(1), ``--filter``)."""

    blob_limit: int | None = None
    """Files of so many bytes and more are left out; 0: all."""
    tree_depth: int | None = None
    """Folders and files so many steps below the root and deeper are left out; 0: all."""


def read_filter(spec: str) -> Filter:
    """Return the filter that ``blob:none``, ``blob:limit=1m``, ``tree:0`` or ``combine:`` means.

    Raises:
        BadFilterError: it is another.
    """
    blob_limit, tree_depth = None, None
    parts = spec.removeprefix("combine:").split("+") if spec.startswith("combine:") else [spec]
    for part in parts:
        name = part.replace("%3a", ":").replace("%3A", ":").replace("%3d", "=").replace("%3D", "=")
        if name == "blob:none":
            blob_limit = 0
        elif name.startswith("blob:limit=") and (match := _LIMIT.fullmatch(name[11:].lower())):
            size = int(match[1]) * _UNITS[match[2]]
            blob_limit = size if blob_limit is None else min(size, blob_limit)
        elif name.startswith("tree:") and name[5:].isdigit() and len(name) < 15:
            depth = int(name[5:])
            tree_depth = depth if tree_depth is None else min(depth, tree_depth)
        else:
            raise BadFilterError(f"This store knows no filter '{spec[:100]}'.")
    return Filter(blob_limit, tree_depth)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for, as sets of commits, and what they have."""

    commits: Collection[Oid]
    """To be sent, each with its tree."""
    edge: Collection[Oid]
    """Commits they have whose trees are close to those: what is in them is not sent."""
    others: Collection[Oid] = ()
    """Tags, trees and files asked for by their own ids, sent whatever the filter says."""


def contents(
    repo_id: int, graph: Graph, wish: Wish, *, leave_out: Filter, check: BlobCheck | None
) -> list[Oid]:
    """Return the ids of everything to send: commits, then what they hold.

    Args:
        repo_id: The repository.
        graph: Its commits.
        wish: What is asked for.
        leave_out: What a partial clone does without.
        check: Asked about each file; raises to refuse the whole.

    Raises:
        MissingObjectError: one of ``wish.others`` is not there.
    """
    return _Collecting(repo_id, graph, leave_out, check).run(wish)


class _Collecting:
    def __init__(
        self, repo_id: int, graph: Graph, leave_out: Filter, check: BlobCheck | None
    ) -> None:
        self.repo_id, self.graph, self.check = repo_id, graph, check
        self.leave_out = leave_out
        self.seen: set[Oid] = set()
        self.out: list[Oid] = []
        self.steps: dict[Oid, int] = {}
        """With a limit on depth: the least depth at which a folder was opened."""

    def run(self, wish: Wish) -> list[Oid]:
        none = Filter()
        edge = [self.graph.trees[oid] for oid in wish.edge]
        self._walk(edge, keep=False, leave_out=none)
        self.steps.clear()
        self._add_others(wish)
        commits = list(wish.commits)
        self.out += commits
        for start in range(0, len(commits), _COMMITS_AT_ONCE):
            roots = [self.graph.trees[oid] for oid in commits[start : start + _COMMITS_AT_ONCE]]
            self._walk(roots, keep=True, leave_out=self.leave_out)
        return self.out

    def _add_others(self, wish: Wish) -> None:
        others = list(wish.others)
        kinds = kinds_of(self.repo_id, others)
        for oid in others:
            if oid not in kinds:
                raise MissingObjectError(oid.hex())
            if oid in self.seen:
                continue
            if kinds[oid] == Kind.TREE:
                only_blobs = Filter(blob_limit=self.leave_out.blob_limit)
                self._walk([oid], keep=True, leave_out=only_blobs)
            else:
                self.seen.add(oid)
                self.out.append(oid)
        blobs = {oid: 0 for oid in others if kinds[oid] == Kind.BLOB}
        if self.check is not None and blobs:
            self.check(blobs)

    def _walk(self, roots: Iterable[Oid], *, keep: bool, leave_out: Filter) -> None:
        """Open trees level by level; ``keep``: what is found is to be sent."""
        depth, limit = 0, leave_out.tree_depth
        level = list(dict.fromkeys(roots))
        while level and (limit is None or depth < limit):
            fresh = [oid for oid in level if self._is_new(oid, depth, limited=limit is not None)]
            if keep:
                self.out += [oid for oid in fresh if oid not in self.seen]
            self.seen.update(fresh)
            below: dict[Oid, None] = {}
            blobs: dict[Oid, int] = {}
            for data in self._trees(fresh):
                for _name, mode, child in parse_tree(data, 20):
                    oid = bytes.fromhex(child.decode())
                    if mode == TREE_MODE:
                        below[oid] = None
                    elif oid not in self.seen:
                        blobs[oid] = mode
            depth += 1
            if limit is None or depth < limit:
                self._take(blobs, keep=keep, limit=leave_out.blob_limit)
            level = list(below)

    def _is_new(self, oid: Oid, depth: int, *, limited: bool) -> bool:
        """Whether a folder must be opened: not yet, or only too deep for what is in it."""
        if not limited:
            return oid not in self.seen
        if oid in self.seen and oid not in self.steps:  # they have it with all that is in it
            return False
        is_new = depth < self.steps.get(oid, depth + 1)
        if is_new:
            self.steps[oid] = depth
        return is_new

    def _take(self, blobs: dict[Oid, int], *, keep: bool, limit: int | None) -> None:
        if keep and limit is not None:
            if limit == 0:
                return
            for oid in self._at_least(limit, list(blobs)):
                del blobs[oid]
        self.seen.update(blobs)
        if not keep:
            return
        if self.check is not None and blobs:
            self.check(blobs)
        self.out += blobs

    def _at_least(self, limit: int, oids: list[Oid]) -> list[Oid]:
        with connection.cursor() as cursor:
            cursor.execute(_BLOB_SIZES, [self.repo_id, [oid.hex() for oid in oids], limit])
            return [bytes.fromhex(oid) for (oid,) in cursor]

    def _trees(self, oids: list[Oid]) -> Iterator[bytes]:
        found = 0
        for _oid, _kind, data in read_many(self.repo_id, oids):
            found += 1
            yield data
        if found != len(oids):
            raise MissingObjectError("a tree")


def pack(repo_id: int, oids: list[Oid]) -> Iterator[bytes]:
    """Yield a pack of exactly these objects, in pieces of about 64 KiB.

    No database connection is held while a piece travels: a slow reader costs a thread, no more.
    """
    digest = hashlib.sha1()  # noqa: S324 - git's
    for piece in gathered(_entries(repo_id, oids), _SEND_BYTES):
        digest.update(piece)
        hand_back_connection()
        yield piece
    yield digest.digest()


def _entries(repo_id: int, oids: list[Oid]) -> Iterator[bytes]:
    yield struct.pack(">4sLL", b"PACK", 2, len(oids))
    count = 0
    for _oid, kind, data in read_many(repo_id, oids):
        count += 1
        yield bytes(pack_object_header(kind, None, len(data), DEFAULT_OBJECT_FORMAT))
        yield zlib.compress(data, _LEVEL)
    if count != len(oids):  # the repository was deleted meanwhile
        raise MissingObjectError(f"{len(oids) - count} objects")

"""Is what was pushed whole and well-formed? Decided before anything is written.

Every object of the pack is read strictly, everything it names must be in the pack or in the
repository with the kind it is named by, and nothing may be in the pack that no pushed ref leads
to. As ids are digests there are no circles, so "each object is named by another one of the pack,
or is a tip" means exactly that.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from catalog.history.errors import (
    BadObjectError,
    BadPackError,
    MissingBaseError,
    PackTooLargeError,
)
from catalog.history.graph import Graph, Oid
from catalog.history.objects import (
    EMPTY_TREE,
    LINK_MODE,
    TREE_MODE,
    ObjectStore,
    TreeItem,
    kinds_of,
)
from catalog.history.pointers import MAX_POINTER_BYTES, LfsPointer, parse_pointer
from catalog.history.strict import MAX_LINK_BYTES, TagFacts, read_commit, read_tag, read_tree
from catalog.history.unpacking import Unpacked
from catalog.models import GitObject

Kind = GitObject.Kind
EMPTY = bytes.fromhex(EMPTY_TREE)

_ASKED_AT_ONCE = 10_000


@dataclass(slots=True)
class Verified:
    """The good news about a pack."""

    commits: Graph = field(default_factory=Graph)
    """Its commits, and only those."""
    tags: dict[Oid, TagFacts] = field(default_factory=dict)
    needs_empty_tree: bool = False
    """A commit has no files, and the empty tree is not in the pack: git knows it by heart."""


def verify(repo_id: int, unpacked: Unpacked, tips: Collection[Oid]) -> Verified:
    """Check everything in a pack.

    Args:
        repo_id: Where the rest of the history is.
        unpacked: The pack's objects.
        tips: What the pushed refs are to lead to.

    Raises:
        BadObjectError, BadPathError: an object is malformed, or not taken here.
        PackTooLargeError: a file is too large; the message names it.
        MissingBaseError: something named is nowhere.
        BadPackError: there is more in the pack than the refs lead to.
    """
    return _Verifying(repo_id, unpacked, tips).run()


def pointers(unpacked: Unpacked) -> Iterator[tuple[Oid, LfsPointer]]:
    """Yield the git-lfs pointers in a pack."""
    for oid in unpacked.of_kind(Kind.BLOB):
        if unpacked.size(oid) <= MAX_POINTER_BYTES:
            pointer = parse_pointer(unpacked.data(oid))
            if pointer is not None:
                yield oid, pointer


class _Verifying:
    def __init__(self, repo_id: int, unpacked: Unpacked, tips: Collection[Oid]) -> None:
        self.repo_id, self.unpacked, self.tips = repo_id, unpacked, tips
        self.found = Verified()
        self.named: set[Oid] = set(tips)
        self.outside: dict[Oid, int] = {}
        """What must be in the repository, by the mode or kind it is named by."""
        self.known_outside: dict[Oid, int] = {}

    def run(self) -> Verified:
        unpacked = self.unpacked
        for oid in unpacked.of_kind(Kind.COMMIT):
            facts = read_commit(oid, unpacked.data(oid))
            self.found.commits.add(oid, facts.tree, facts.parents)
            self._name(facts.tree, Kind.TREE)
            for parent in facts.parents:
                self._name(parent, Kind.COMMIT)
        for oid in unpacked.of_kind(Kind.TAG):
            self.found.tags[oid] = tag = read_tag(oid, unpacked.data(oid))
            self._name(tag.target, tag.kind)
        for oid in unpacked.of_kind(Kind.TREE):
            self._read_tree(oid)
        self._ask()
        self._check_all_named()
        return self.found

    def _read_tree(self, oid: Oid) -> None:
        for line in read_tree(oid, self.unpacked.data(oid)):
            if line.oid in self.unpacked.oversize:
                raise self._too_large(line.oid)
            self._name(line.oid, Kind.TREE if line.mode == TREE_MODE else Kind.BLOB)
            if line.mode == LINK_MODE and line.oid in self.unpacked:
                self._check_link(line.oid)

    def _check_link(self, oid: Oid) -> None:
        is_long = self.unpacked.size(oid) > MAX_LINK_BYTES
        if is_long or b"\0" in self.unpacked.data(oid):
            raise BadObjectError(f"The symbolic link {oid.hex()} leads to no possible path.")

    def _name(self, oid: Oid, kind: int) -> None:
        """Note that an object of this kind must be somewhere."""
        self.named.add(oid)
        if oid in self.unpacked:
            if self.unpacked.kind(oid) != kind:
                raise BadObjectError(f"{oid.hex()} is not the kind of object it is named as.")
            return
        known = self.known_outside.get(oid)
        if known is None and self.outside.setdefault(oid, kind) == kind:
            if len(self.outside) >= _ASKED_AT_ONCE:
                self._ask()
        elif known != kind:
            raise BadObjectError(f"{oid.hex()} is not the kind of object it is named as.")

    def _ask(self) -> None:
        """Look up in the repository what the pack does not hold."""
        there = kinds_of(self.repo_id, self.outside)
        for oid, kind in self.outside.items():
            if oid == EMPTY and oid not in there:
                self.found.needs_empty_tree = True
            elif oid not in there:
                if oid in self.unpacked.oversize:
                    raise self._too_large(oid)
                raise MissingBaseError(
                    f"The push leaves out the {Kind(kind).label.lower()} {oid.hex()}, which is not"
                    " in this repository either. If your clone is shallow, run"
                    " `git fetch --unshallow` first.",
                    oid=oid.hex(),
                )
            elif there[oid] != kind:
                raise BadObjectError(f"{oid.hex()} is not the kind of object it is named as.")
        self.known_outside |= self.outside
        self.outside.clear()

    def _check_all_named(self) -> None:
        lost = sum(oid not in self.named for oid in self.unpacked)
        lost += sum(oid not in self.named for oid in self.unpacked.oversize)
        if lost:
            raise BadPackError(f"The pack holds {lost} objects that no pushed ref leads to.")

    def _too_large(self, oid: Oid) -> PackTooLargeError:
        size = self.unpacked.oversize[oid]
        path = path_of(self.unpacked, self.found.commits, oid)
        return PackTooLargeError(
            f"{path} is too large for git itself ({size} bytes)."
            f' Track it with git-lfs: git lfs migrate import --include="{path}"',
            path=path,
            size_bytes=size,
        )


def path_of(unpacked: Unpacked, commits: Graph, oid: Oid) -> str:
    """Return a path under which a file of the pack stands, for a message."""
    seen: set[Oid] = set()
    todo = [(tree, "") for tree in commits.trees.values()]
    while todo:
        tree, above = todo.pop()
        if tree in seen or tree not in unpacked or unpacked.kind(tree) != Kind.TREE:
            continue
        seen.add(tree)
        for line in read_tree(tree, unpacked.data(tree)):
            path = above + line.name.decode("utf-8", "replace")
            if line.oid == oid:
                return path[:200]
            if line.mode == TREE_MODE:
                todo.append((line.oid, f"{path}/"))
    return oid.hex()


class PushedStore(ObjectStore):
    """The repository's objects together with those that are about to be.

    Args:
        repo_id: The repository.
        unpacked: What was pushed.
        max_items: How many lines of trees may be looked at in all.
    """

    def __init__(self, repo_id: int, unpacked: Unpacked, *, max_items: int) -> None:
        super().__init__(repo_id)
        self.unpacked = unpacked
        self.items_left = max_items
        self._kept = 0

    def tree(self, oid: str) -> list[TreeItem]:
        """Return the lines of a tree, counting them."""
        items = super().tree(oid)
        self.items_left -= len(items)
        if self.items_left < 0:
            raise PackTooLargeError(
                "The pushed history changes too much in too large folders."
                " Push older commits first, in several steps."
            )
        return items

    def load_trees(self, oids: Iterable[str]) -> None:
        """Read trees from the push, and the others from the repository."""
        if len(self._trees) > _KEPT_TREES or self._kept > _KEPT_ITEMS:
            self._trees = {EMPTY_TREE: []}
            self._kept = 0
        asked, wanted = list(oids), []
        for oid in asked:
            raw = bytes.fromhex(oid)
            if raw in self.unpacked:
                self._trees[oid] = [
                    TreeItem(line.name.decode(), line.mode, line.oid.hex())
                    for line in read_tree(raw, self.unpacked.data(raw))
                ]
            else:
                wanted.append(oid)
        if wanted:
            super().load_trees(wanted)
        self._kept += sum(len(self._trees[oid]) for oid in asked)


_KEPT_TREES, _KEPT_ITEMS = 2_000, 200_000

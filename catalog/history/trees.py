"""Reading a revision's files: lists, single entries, contents."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from django.db import connection

from catalog.history.errors import EntryNotFoundError
from catalog.history.objects import (
    EMPTY_TREE,
    LINK_MODE,
    ObjectStore,
    TreeItem,
    parse_items,
    read_many,
)
from catalog.history.pointers import LfsPointer
from catalog.models import Commit, ModelRepo

Show = Literal["folder", "folders first", "everything", "files"]
"""What a page lists: a folder in git's order, or with its folders at the top; everything below it,
or only the files among that."""

_SIZES = """
    SELECT oid, size_bytes, lfs_sha256, lfs_size_bytes FROM catalog_gitobject
    WHERE repo_id = %s AND oid = ANY(%s)
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder of a revision."""

    path: str
    oid: str
    """Git id of the blob (the pointer's for LFS files) or tree."""
    mode: int
    is_folder: bool
    size_bytes: int = 0
    """Real size of the content, not of the pointer; 0 for folders."""
    lfs: LfsPointer | None = None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def pointer_size_bytes(self) -> int:
        """Size of the LFS pointer file; 0 for other files."""
        return len(self.lfs.text()) if self.lfs else 0

    @property
    def etag(self) -> str:
        """What hub clients know the content by: sha256 of LFS files, git blob id of others."""
        return self.lfs.sha256 if self.lfs else self.oid

    @property
    def is_link(self) -> bool:
        """A symbolic link, which came by git; never followed."""
        return self.mode == LINK_MODE


def tree_of(repo: ModelRepo, commit_oid: str) -> str:
    """Return the root tree's id of a commit."""
    return Commit.objects.values_list("tree_oid", flat=True).get(repo=repo, oid=commit_oid)


def list_entries(
    repo: ModelRepo, commit_oid: str, path: str = "", *, recursive: bool = False
) -> list[Entry]:
    """List what lies directly in ``path``, or everything below it.

    Folders come with their own entry, before what is in them. The order is git's.

    Raises:
        EntryNotFoundError: the revision has no such folder.
    """
    return _with_sizes(repo, _lines(repo, commit_oid, path, recursive=recursive))


def list_page(
    repo: ModelRepo,
    commit_oid: str,
    path: str = "",
    *,
    show: Show = "folder",
    start: int,
    limit: int,
) -> tuple[list[Entry], int]:
    """Return ``limit`` of the entries of ``path`` from number ``start``, and how many there are.

    Raises:
        EntryNotFoundError: the revision has no such folder.
    """
    found = _lines(repo, commit_oid, path, recursive=show in {"everything", "files"})
    if show == "files":
        found = [line for line in found if not line[1].is_tree]
    elif show == "folders first":
        found.sort(key=lambda line: not line[1].is_tree)  # stable: names stay in order
    return _with_sizes(repo, found[start : start + limit]), len(found)


def find_entries(repo: ModelRepo, commit_oid: str, paths: Iterable[str]) -> dict[str, Entry]:
    """Return the entries among ``paths`` that exist, by path. A trailing slash is ignored."""
    store = ObjectStore(repo.pk)
    root = tree_of(repo, commit_oid)
    found = []
    for path in dict.fromkeys(path.strip("/") for path in paths):
        item = _find(store, root, path) if path else TreeItem("", 0o040000, root)
        if item is not None:
            found.append((path, item))
    return {entry.path: entry for entry in _with_sizes(repo, found)}


def find_entry(repo: ModelRepo, commit_oid: str, path: str) -> Entry:
    """Return the file or folder at ``path``.

    Raises:
        EntryNotFoundError: there is none.
    """
    entry = find_entries(repo, commit_oid, [path]).get(path.strip("/"))
    if entry is None:
        raise missing_entry(path, commit_oid)
    return entry


def read_blob(repo: ModelRepo, entry: Entry) -> bytes:
    """Return the content git stores for a file (an LFS file's pointer text)."""
    return ObjectStore(repo.pk).blob(entry.oid)


def some_have(repo: ModelRepo, trees: Iterable[bytes], blobs: Collection[bytes]) -> bool:
    """Whether one of several revisions has one of several files. Each folder is read once.

    Args:
        repo: The repository.
        trees: Ids of root trees, 20 bytes.
        blobs: Ids of what git keeps for the files, 20 bytes; symbolic links do not count.
    """
    todo, seen = set(trees), set[bytes]()
    while todo and blobs:
        seen |= todo
        below = set()
        for _oid, _kind, data in read_many(repo.pk, list(todo)):
            for item in parse_items(data):
                oid = bytes.fromhex(item.oid)
                if item.is_tree:
                    below.add(oid)
                elif oid in blobs and item.mode != LINK_MODE:
                    return True
        todo = below - seen
    return False


def missing_entry(path: str, commit_oid: str) -> EntryNotFoundError:
    """Return the error for a path the revision does not have."""
    return EntryNotFoundError(f"Entry not found: {path}", path=path, commit=commit_oid)


def _find(store: ObjectStore, root: str, path: str) -> TreeItem | None:
    here = TreeItem("", 0o040000, root)
    for part in path.split("/"):
        if not here.is_tree:
            return None
        match = store.child(here.oid, part)
        if match is None:
            return None
        here = match
    return here


def _lines(
    repo: ModelRepo, commit_oid: str, path: str, *, recursive: bool
) -> list[tuple[str, TreeItem]]:
    store = ObjectStore(repo.pk)
    root = tree_of(repo, commit_oid)
    if path:
        item = _find(store, root, path)
        if item is None or not item.is_tree:
            raise missing_entry(path, commit_oid)
        root = item.oid
    return _below(store, root, f"{path}/" if path else "", recursive=recursive)


def _below(
    store: ObjectStore, root: str, prefix: str, *, recursive: bool
) -> list[tuple[str, TreeItem]]:
    """Return (path, item) of all lines, level by level: one query for each depth."""
    children: dict[str, list[tuple[str, TreeItem]]] = {}
    level = [(prefix, root)]
    while level:
        store.load_trees(oid for _, oid in level)
        below = []
        for above, oid in level:
            children[above] = [(above + item.name, item) for item in store.tree(oid)]
            below += [(f"{path}/", item.oid) for path, item in children[above] if item.is_tree]
        level = below if recursive else []
    return _depth_first(children, prefix) if recursive else children[prefix]


def _depth_first(
    children: dict[str, list[tuple[str, TreeItem]]], prefix: str
) -> list[tuple[str, TreeItem]]:
    out: list[tuple[str, TreeItem]] = []
    stack = list(reversed(children[prefix]))
    while stack:
        path, item = stack.pop()
        out.append((path, item))
        if item.is_tree:
            stack.extend(reversed(children[f"{path}/"]))
    return out


def _with_sizes(repo: ModelRepo, found: list[tuple[str, TreeItem]]) -> list[Entry]:
    oids = list({item.oid for _, item in found if not item.is_tree})
    with connection.cursor() as cursor:  # one array, where the ORM would write a list of names
        cursor.execute(_SIZES, [repo.pk, oids])
        sizes = {oid: (size, sha256, lfs_size) for oid, size, sha256, lfs_size in cursor}
    return [_entry(path, item, sizes) for path, item in found]


def _entry(path: str, item: TreeItem, sizes: dict[str, tuple[int, str, int | None]]) -> Entry:
    if item.is_tree:
        return Entry(path, item.oid, item.mode, is_folder=True)
    size_bytes, sha256, lfs_size_bytes = sizes.get(item.oid, (0, "", None))
    lfs = LfsPointer(sha256, lfs_size_bytes) if sha256 and lfs_size_bytes is not None else None
    real_bytes = lfs.size_bytes if lfs else size_bytes
    return Entry(path, item.oid, item.mode, is_folder=False, size_bytes=real_bytes, lfs=lfs)


__all__ = [
    "EMPTY_TREE",
    "Entry",
    "find_entries",
    "find_entry",
    "list_entries",
    "list_page",
    "missing_entry",
    "read_blob",
    "tree_of",
]

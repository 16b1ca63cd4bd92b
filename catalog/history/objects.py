"""Git objects of one repository, read from and written to PostgreSQL."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import psycopg
from django.db import connection
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tag, Tree, parse_tree

from catalog.history.pointers import parse_pointer
from catalog.models import GitObject

FILE_MODE = 0o100644
EXECUTABLE_MODE = 0o100755
LINK_MODE = 0o120000
TREE_MODE = 0o040000
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

_FLUSH_BYTES = 16 * 1024**2
"""Written in batches of so many bytes, so that a large commit stays small in memory."""

_COLUMNS = ("repo_id", "oid", "kind", "size_bytes", "data", "lfs_sha256", "lfs_size_bytes")
_INSERT = """
    INSERT INTO catalog_gitobject
        (repo_id, oid, kind, size_bytes, data, lfs_sha256, lfs_size_bytes)
    SELECT * FROM unnest(
        %s::bigint[], %s::text[], %s::smallint[], %s::integer[], %b::bytea[],
        %s::text[], %s::bigint[]
    )
    ON CONFLICT DO NOTHING
    RETURNING size_bytes
"""


@dataclass(frozen=True, slots=True)
class TreeItem:
    """One line of a tree object."""

    name: str
    mode: int
    oid: str

    @property
    def is_tree(self) -> bool:
        """A folder."""
        return self.mode == TREE_MODE


class MissingObjectError(LookupError):
    """A commit or tree names an object that is not stored: our own fault, never the caller's."""


class ObjectStore:
    """Reads and writes the git objects of one repository.

    Reads see what was added before, flushed or not. Call ``flush`` before the end of the
    transaction; adding an object that is there already is a no-op.
    """

    def __init__(self, repo_id: int) -> None:
        self.repo_id = repo_id
        self._waiting: dict[str, GitObject] = {}
        self._waiting_bytes = 0
        self.written_bytes = 0
        """Size of the objects that were new to the repository, without git's headers."""
        self._trees: dict[str, list[TreeItem]] = {EMPTY_TREE: []}
        self._by_name: dict[str, dict[str, TreeItem]] = {}

    def add(self, obj: ShaFile) -> str:
        """Keep ``obj`` and return its id (40 hex)."""
        oid = obj.id.decode()
        if oid not in self._waiting:
            self.add_raw(oid, obj.type_num, obj.as_raw_string())
        return oid

    def add_raw(self, oid: str, kind: int, data: bytes) -> None:
        """Keep an object whose id was computed from exactly this content."""
        pointer = parse_pointer(data) if kind == Blob.type_num else None
        self._waiting[oid] = GitObject(
            repo_id=self.repo_id,
            oid=oid,
            kind=kind,
            size_bytes=len(data),
            data=data,
            lfs_sha256=pointer.sha256 if pointer else "",
            lfs_size_bytes=pointer.size_bytes if pointer else None,
        )
        self._waiting_bytes += len(data)
        if self._waiting_bytes > _FLUSH_BYTES:
            self.flush()

    def add_blob(self, data: bytes) -> str:
        """Keep a file's content and return its id."""
        return self.add(Blob.from_string(data))

    def flush(self) -> None:
        """Write what was added to the database."""
        if self._waiting:
            self.written_bytes += _insert(list(self._waiting.values()))
        self._waiting.clear()
        self._waiting_bytes = 0

    def raw(self, oid: str) -> tuple[int, bytes]:
        """Return (git type number, content).

        Raises:
            MissingObjectError: the repository has no such object.
        """
        row = (
            self._waiting.get(oid)
            or GitObject.objects.filter(repo_id=self.repo_id, oid=oid).first()
        )
        if row is None:
            raise MissingObjectError(oid)
        return row.kind, bytes(row.data)

    def blob(self, oid: str) -> bytes:
        """Return a file's content (an LFS file's pointer text)."""
        return self.raw(oid)[1]

    def tree(self, oid: str) -> list[TreeItem]:
        """Return the lines of a tree, in git's order."""
        if oid not in self._trees:
            self.load_trees([oid])
        return self._trees[oid]

    def child(self, oid: str, name: str) -> TreeItem | None:
        """Return the line called ``name`` of a tree."""
        if oid not in self._by_name:
            self._by_name[oid] = {item.name: item for item in self.tree(oid)}
        return self._by_name[oid].get(name)

    def load_trees(self, oids: Iterable[str]) -> None:
        """Read several trees in one query; ``tree`` finds them afterwards."""
        wanted = {oid for oid in oids if oid not in self._trees}
        for oid in list(wanted):
            if waiting := self._waiting.get(oid):
                self._trees[oid] = list(parse_items(bytes(waiting.data)))
                wanted.discard(oid)
        rows = GitObject.objects.filter(repo_id=self.repo_id, oid__in=wanted)
        for found, data in rows.values_list("oid", "data"):
            self._trees[found] = list(parse_items(bytes(data)))
            wanted.discard(found)
        if wanted:
            raise MissingObjectError(wanted.pop())

    def commit(self, oid: str) -> Commit:
        """Return a commit object."""
        found = ShaFile.from_raw_string(*self.raw(oid))
        if not isinstance(found, Commit):
            raise MissingObjectError(oid)
        return found

    def tag(self, oid: str) -> Tag:
        """Return an annotated tag object."""
        found = ShaFile.from_raw_string(*self.raw(oid))
        if not isinstance(found, Tag):
            raise MissingObjectError(oid)
        return found


def _insert(objects: list[GitObject]) -> int:
    """Write rows in one statement whose parameters travel as they are; return the new bytes.

    Django's own cursor writes values into the statement's text, bytes in hexadecimal: several
    copies of twice their size, and minutes of work for a commit of many files.
    """
    rows = [[getattr(obj, name) for obj in objects] for name in _COLUMNS]
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(_INSERT, rows)
        return sum(size_bytes for (size_bytes,) in cursor)


_SIZES = """
    SELECT oid, size_bytes FROM catalog_gitobject WHERE repo_id = %s AND oid = ANY(%s)
"""
_CONTENTS = """
    SELECT oid, kind, data FROM catalog_gitobject WHERE repo_id = %s AND oid = ANY(%s)
"""
_READ_OBJECTS = 1000
_READ_BYTES = 8 * 1024**2


def read_many(repo_id: int, oids: Sequence[bytes]) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield (id, git type number, content) of many objects, a bounded part in memory.

    Ids are 20 bytes. What the repository does not have is left out; the order is any.
    """
    for start in range(0, len(oids), _READ_OBJECTS):
        chunk = [oid.hex() for oid in oids[start : start + _READ_OBJECTS]]
        for group in _groups(repo_id, chunk):
            with connection.cursor() as cursor:
                cursor.execute(_CONTENTS, [repo_id, group])
                rows = cursor.fetchall()
            for oid, kind, data in rows:
                yield bytes.fromhex(oid), kind, bytes(data)


def _groups(repo_id: int, oids: list[str]) -> Iterator[list[str]]:
    """Split ``oids`` so that the contents of each part are small together."""
    with connection.cursor() as cursor:
        cursor.execute(_SIZES, [repo_id, oids])
        sizes = cursor.fetchall()
    group: list[str] = []
    total = 0
    for oid, size_bytes in sizes:
        if group and total + size_bytes > _READ_BYTES:
            yield group
            group, total = [], 0
        group.append(oid)
        total += size_bytes
    if group:
        yield group


_KINDS = "SELECT oid, kind FROM catalog_gitobject WHERE repo_id = %s AND oid = ANY(%s)"


def kinds_of(repo_id: int, oids: Collection[bytes]) -> dict[bytes, int]:
    """Return git's type number of those of the objects the repository has. Ids are 20 bytes."""
    with connection.cursor() as cursor:
        cursor.execute(_KINDS, [repo_id, [oid.hex() for oid in oids]])
        return {bytes.fromhex(oid): kind for oid, kind in cursor}


def make_tree(items: Iterable[TreeItem]) -> Tree:
    """Return the git tree of ``items``, whatever their order."""
    tree = Tree()
    for item in items:
        tree.add(item.name.encode(), item.mode, ObjectID(item.oid.encode()))
    return tree


def parse_items(data: bytes) -> Iterator[TreeItem]:
    """Yield the lines of a tree object."""
    for name, mode, oid in parse_tree(data, 20):
        yield TreeItem(name.decode("utf-8", "replace"), mode, oid.decode())

"""Which large files of all revisions take room in a repository."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, Max, Min, OuterRef, Q

from catalog.content.reading import xet_hashes
from catalog.history import log
from catalog.history.refs import DEFAULT_BRANCH, HEADS, TAGS
from catalog.history.trees import list_entries
from catalog.models import FileScan, GitObject, ModelRepo, Ref, RepoLfsObject, XetClaim
from store.core.paging import BadCursorError, decode_cursor, encode_cursor

_MAIN = HEADS + DEFAULT_BRANCH

Position = tuple[datetime, str]
"""Where a file stands in the list: when it came, and its sha256."""
_Row = tuple[datetime, str, int]
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A large file a repository owns, in some commit."""

    sha256: str
    size_bytes: int
    pushed_at: datetime
    path: str
    """Where it was last committed; empty when no head ever had it."""
    ref_name: str
    """A ref whose history has it; empty when none has."""
    xet_hash: bytes | None
    """What Xet clients fetch it by; ``None``: they cannot."""

    @property
    def short_ref(self) -> str:
        """Return the ref as people call it."""
        return self.ref_name.removeprefix(HEADS).removeprefix(TAGS)

    @property
    def position(self) -> Position:
        """Return where it stands in the list."""
        return (self.pushed_at, self.sha256)


def page_of_files(
    repo: ModelRepo, cursor: str | None, *, limit: int
) -> tuple[list[StoredFile], str | None]:
    """Return a page of ``stored_files`` and the cursor of the next one; ``None``: it is the last.

    Raises:
        BadCursorError: the cursor is not ours.
    """
    found = stored_files(repo, after=_position(cursor), limit=limit + 1)
    more = encode_cursor(list(found[limit - 1].position)) if len(found) > limit else None
    return found[:limit], more


def _position(cursor: str | None) -> Position | None:
    if not cursor:
        return None
    said, sha256 = decode_cursor(cursor, length=2)
    try:
        pushed_at = datetime.fromisoformat(said)
    except (TypeError, ValueError):
        pushed_at = None
    is_sha256 = isinstance(sha256, str) and _SHA256.fullmatch(sha256) is not None
    if pushed_at is None or pushed_at.tzinfo is None or not is_sha256:
        raise BadCursorError("This cursor is not ours. Start again without one.")
    return pushed_at, sha256


def stored_files(repo: ModelRepo, *, after: Position | None = None, limit: int) -> list[StoredFile]:
    """Return committed large files of ``repo``, verified or not, in the order they came.

    What was uploaded and never committed is not among them: the collector takes it.

    Args:
        repo: Through ``catalog.access``.
        after: The last one that is known already.
        limit: How many at most.
    """
    rows = sorted([*_owned(repo, after, limit), *_claimed(repo, after, limit)])[:limit]
    digests = {sha256 for _, sha256, _ in rows}
    paths, hashes = _paths_of(repo, digests), xet_hashes(repo, digests)
    refs = _refs_of(repo, paths)
    return [
        StoredFile(
            sha256=sha256,
            size_bytes=size_bytes,
            pushed_at=pushed_at,
            path=paths.get(sha256, ""),
            ref_name=refs.get(sha256, ""),
            xet_hash=hashes.get(sha256),
        )
        for pushed_at, sha256, size_bytes in rows
    ]


def _owned(repo: ModelRepo, after: Position | None, limit: int) -> Iterator[_Row]:
    committed = GitObject.objects.filter(repo=repo, lfs_sha256=OuterRef("lfs_object_id"))
    rows = RepoLfsObject.objects.filter(Exists(committed), repo=repo)
    names = ("created_at", "lfs_object_id", "lfs_object__size_bytes")
    ordered = rows.filter(_behind(after, *names[:2])).order_by(*names[:2])
    yield from ordered.values_list(*names)[:limit]


def _claimed(repo: ModelRepo, after: Position | None, limit: int) -> Iterator[_Row]:
    """Yield those nobody has verified yet: several people may have claimed one of them."""
    committed = GitObject.objects.filter(repo=repo, lfs_sha256=OuterRef("sha256"))
    owned = RepoLfsObject.objects.filter(repo=repo, lfs_object_id=OuterRef("sha256"))
    rows = XetClaim.objects.filter(Exists(committed), ~Exists(owned), repo=repo, is_false=False)
    first = rows.values("sha256").annotate(came_at=Min("created_at"), size=Max("file__size_bytes"))
    names = ("came_at", "sha256", "size")
    ordered = first.filter(_behind(after, *names[:2])).order_by(*names[:2])
    yield from ordered.values_list(*names)[:limit]


def _behind(after: Position | None, time: str, sha256: str) -> Q:
    if after is None:
        return Q()
    same_time = Q(**{time: after[0], f"{sha256}__gt": after[1]})
    return Q(**{f"{time}__gt": after[0]}) | same_time


def _paths_of(repo: ModelRepo, digests: set[str]) -> dict[str, str]:
    """Return a path for each digest that was ever committed; the newest one."""
    blobs = dict(
        GitObject.objects.filter(repo=repo, lfs_sha256__in=digests).values_list("oid", "lfs_sha256")
    )
    scans = FileScan.objects.filter(repo=repo, blob_oid__in=blobs).order_by("pk")
    return {blobs[oid]: path for oid, path in scans.values_list("blob_oid", "path")}


def _refs_of(repo: ModelRepo, paths: dict[str, str]) -> dict[str, str]:
    """Return a ref for each digest: one that has the file now, else one that had its path.

    The default branch comes first, then branches, pull requests and tags by age.
    """
    refs = sorted(
        Ref.objects.filter(repo=repo).order_by("pk"),
        key=lambda ref: (ref.name != _MAIN, ref.name.startswith(TAGS)),
    )
    found: dict[str, str] = {}
    for ref in refs:
        if len(found) == len(paths):
            return found
        for entry in list_entries(repo, ref.commit_oid, recursive=True):
            if entry.lfs is not None and entry.lfs.sha256 in paths:
                found.setdefault(entry.lfs.sha256, ref.name)
    for ref in refs:
        if not (left := {digest: path for digest, path in paths.items() if digest not in found}):
            break
        had = log.last_commits(repo, ref.commit_oid, left.values())
        found |= {digest: ref.name for digest, path in left.items() if path in had}
    return found

"""Giving up history: squashing it, and deleting large files from all of it.

Neither can be undone, so both are told and written into the audit trail.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from accounts.services.audit import record
from accounts.viewer import Viewer
from catalog.access import check_may
from catalog.content.quotas import charge_git
from catalog.history import log, rewriting
from catalog.history.refs import DEFAULT_BRANCH, HEADS, TAGS, resolve
from catalog.history.trees import list_entries, some_have
from catalog.models import (
    Commit,
    FileScan,
    GitObject,
    Grant,
    ModelRepo,
    Ref,
    RepoEvent,
    RepoLfsObject,
)
from catalog.services.events import emit
from catalog.services.listings import rebuild_listing
from store.core.errors import ConflictError, InvalidError

MAX_MESSAGE_CHARS = 500
MAX_DELETED = 1000
"""Large files one call deletes."""

_MAIN = HEADS + DEFAULT_BRANCH
_SHA256 = re.compile(r"[0-9a-f]{64}")


class NoBranchError(InvalidError):
    """History is squashed on branches and pull requests only."""

    code = "no_branch"


class LicensedFileError(ConflictError):
    """Somebody bought a revision with the file: it cannot be deleted."""

    code = "licensed_file"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A large file a repository owns."""

    row_id: int
    sha256: str
    size_bytes: int
    pushed_at: datetime
    path: str
    """Where it was last committed; empty when it was uploaded and never committed."""
    ref_name: str
    """A ref whose history has it; empty when none has."""


@transaction.atomic
def squash_history(viewer: Viewer, repo: ModelRepo, *, revision: str, message: str) -> str:
    """Replace the history of a branch or pull request by one commit; return the commit's id.

    Other refs keep theirs.

    Args:
        viewer: Who asks; becomes the author.
        repo: Through ``catalog.access``.
        revision: A branch or pull request ref.
        message: Of the new commit, 1 to 500 characters.

    Raises:
        ForbiddenError, RevisionNotFoundError: not the viewer's to change; no such revision.
        NoBranchError: it is a tag or a commit.
        InvalidError: no message, or a long one.
    """
    check_may(viewer, repo, to="write")
    user = viewer.identified()
    title, _, rest = message.strip().partition("\n")
    if not title or len(message) > MAX_MESSAGE_CHARS or "\0" in message:
        raise InvalidError(f"'message' has 1 to {MAX_MESSAGE_CHARS} characters.")
    found = resolve(repo, revision)
    if found.ref_name is None or not found.is_writable:
        raise NoBranchError(f"Invalid reference for a branch: {revision}", revision=revision)
    written, moved = rewriting.squash(
        repo, found.ref_name, title=title.strip(), message=rest.strip(), author=user.username
    )
    charge_git(repo, written.new_bytes)
    _follow(viewer, repo, [moved], what="repo.squash")
    return written.commit.oid


def stored_files(repo: ModelRepo, *, after_id: int = 0, limit: int) -> list[StoredFile]:
    """Return large files of ``repo``, in the order they came, after the row ``after_id``."""
    rows = list(
        RepoLfsObject.objects.filter(repo=repo, pk__gt=after_id)
        .select_related("lfs_object")
        .order_by("pk")[:limit]
    )
    paths = _paths_of(repo, {row.lfs_object_id for row in rows})
    refs = _refs_of(repo, paths)
    return [
        StoredFile(
            row_id=row.pk,
            sha256=row.lfs_object_id,
            size_bytes=row.lfs_object.size_bytes,
            pushed_at=row.created_at,
            path=paths.get(row.lfs_object_id, ""),
            ref_name=refs.get(row.lfs_object_id, ""),
        )
        for row in rows
    ]


@transaction.atomic
def delete_stored_files(
    viewer: Viewer, repo: ModelRepo, digests: Collection[str], *, rewrite_history: bool
) -> int:
    """Take large files away for good; return how many there were.

    The repository does not own them any more: their room is free, and nobody gets them here.
    What nobody else owns is left to the collector.

    Args:
        viewer: Who asks.
        repo: Through ``catalog.access``.
        digests: Their sha256s; those it does not own are passed over.
        rewrite_history: Also take them out of every commit of every ref. Otherwise the commits
            go on naming files that cannot be downloaded.

    Raises:
        ForbiddenError: not the viewer's to change.
        InvalidError: a digest is none, or there are too many.
        LicensedFileError: somebody bought a revision that has one of them. Nothing is deleted.
    """
    check_may(viewer, repo, to="write")
    if len(digests) > MAX_DELETED:
        raise InvalidError(f"Delete at most {MAX_DELETED} files at a time.")
    if wrong := [digest for digest in digests if not _SHA256.fullmatch(digest)]:
        raise InvalidError(f"'{wrong[0][:80]}' is no sha256 of 64 lower-case hex characters.")
    ModelRepo.objects.select_for_update().get(pk=repo.pk)
    owned = RepoLfsObject.objects.filter(repo=repo, lfs_object_id__in=digests)
    mine = set(owned.values_list("lfs_object_id", flat=True))
    pointers = GitObject.objects.filter(repo=repo, lfs_sha256__in=mine)
    blob_oids = set(pointers.values_list("oid", flat=True))
    _check_not_sold(repo, blob_oids)
    moved: list[rewriting.MovedRef] = []
    if rewrite_history and blob_oids:
        moved, new_bytes = rewriting.without_blobs(repo, blob_oids)
        charge_git(repo, new_bytes)
        FileScan.objects.filter(repo=repo, blob_oid__in=blob_oids).delete()
    owned.delete()
    _follow(viewer, repo, moved, what="repo.delete_files", digests=sorted(mine))
    return len(mine)


def _check_not_sold(repo: ModelRepo, blob_oids: Collection[str]) -> None:
    """Refuse to delete what holders of a license that goes on have bought."""
    going = repo.granted.filter(grant__in=Grant.objects.going_on())
    sold = Commit.objects.filter(repo=repo, oid__in=going.values("commit_oid"))
    trees = {bytes.fromhex(oid) for oid in sold.values_list("tree_oid", flat=True)}
    if some_have(repo, trees, {bytes.fromhex(oid) for oid in blob_oids}):
        raise LicensedFileError(
            f"People hold licenses for revisions of {repo.full_name} with such a file: it cannot be"
            " deleted. Publish a revision without it; buyers keep what they bought.",
            full_name=repo.full_name,
        )


def _follow(
    viewer: Viewer, repo: ModelRepo, moved: list[rewriting.MovedRef], *, what: str, **facts: object
) -> None:
    """Bring everything up to date that goes by the moved refs, and tell."""
    if any(ref.name == _MAIN for ref in moved):
        head = Ref.objects.get(repo=repo, name=_MAIN)
        rebuild_listing(repo, Commit.objects.get(repo=repo, oid=head.commit_oid))
    if moved:
        emit(
            RepoEvent.Scope.CONTENT,
            RepoEvent.Action.UPDATE,
            repo=repo,
            actor=viewer.user,
            updated_refs=[
                {"ref": ref.name, "old": ref.old_oid, "new": ref.new_oid} for ref in moved
            ],
        )
    record(
        what,
        actor=viewer.user,
        subject=repo.full_name,
        namespace=repo.namespace,
        address=viewer.address,
        refs=[ref.name for ref in moved],
        **facts,
    )


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

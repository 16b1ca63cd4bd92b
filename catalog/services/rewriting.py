"""Giving up history: squashing it, and deleting large files from all of it.

Neither can be undone, so both are told and written into the audit trail.
"""

import re
from collections.abc import Collection

from django.db import transaction

from accounts.services.audit import record
from accounts.viewer import Viewer
from catalog.access import check_may
from catalog.content.quotas import charge_git
from catalog.history import rewriting
from catalog.history.refs import DEFAULT_BRANCH, HEADS, resolve
from catalog.history.trees import some_have
from catalog.models import (
    Commit,
    Discussion,
    FileScan,
    GitObject,
    Grant,
    ModelRepo,
    Ref,
    RepoEvent,
    RepoLfsObject,
    XetClaim,
)
from catalog.reach import coverages
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
    """Somebody's license reaches a revision with the file: it cannot be deleted."""

    code = "licensed_file"


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
        LicensedFileError: somebody's license reaches a revision that has one of them. Nothing is
            deleted.
    """
    check_may(viewer, repo, to="write")
    if len(digests) > MAX_DELETED:
        raise InvalidError(f"Delete at most {MAX_DELETED} files at a time.")
    if wrong := [digest for digest in digests if not _SHA256.fullmatch(digest)]:
        raise InvalidError(f"'{wrong[0][:80]}' is no sha256 of 64 lower-case hex characters.")
    ModelRepo.objects.select_for_update().get(pk=repo.pk)
    owned = RepoLfsObject.objects.filter(repo=repo, lfs_object_id__in=digests)
    claims = XetClaim.objects.filter(repo=repo, sha256__in=digests)
    mine = set(claims.filter(is_false=False).values_list("sha256", flat=True))
    mine |= set(owned.values_list("lfs_object_id", flat=True))
    pointers = GitObject.objects.filter(repo=repo, lfs_sha256__in=mine)
    blob_oids = set(pointers.values_list("oid", flat=True))
    _check_not_sold(repo, blob_oids)
    moved: list[rewriting.MovedRef] = []
    if rewrite_history and blob_oids:
        moved = _rewrite(repo, blob_oids)
        FileScan.objects.filter(repo=repo, blob_oid__in=blob_oids).delete()
    claims.delete()  # first: one that is verified meanwhile becomes an object
    owned.delete()
    _follow(viewer, repo, moved, what="repo.delete_files", digests=sorted(mine))
    return len(mine)


def _rewrite(repo: ModelRepo, blob_oids: Collection[str]) -> list[rewriting.MovedRef]:
    """Take blobs out of every ref, and out of where pull requests began that may be merged yet.

    Otherwise each of them would seem to delete the files.
    """
    pulls = Discussion.objects.filter(repo=repo, is_pull_request=True)
    waiting = pulls.exclude(status=Discussion.Status.MERGED).select_for_update().order_by("pk")
    bases = dict(waiting.values_list("pk", "base_oid"))
    moved, new_bytes, instead = rewriting.without_blobs(repo, blob_oids, also=bases.values())
    charge_git(repo, new_bytes)
    for pk, base_oid in bases.items():
        Discussion.objects.filter(pk=pk).update(base_oid=instead[base_oid])
    return moved


def _check_not_sold(repo: ModelRepo, blob_oids: Collection[str]) -> None:
    """Refuse to delete what a license reaches: what was bought, what was before it, its updates.

    Also of a license that has ended, for another term may follow; not of one that was taken back.
    What was merely proposed nobody bought.
    """
    kept = repo.granted.exclude(grant__state=Grant.State.REVOKED).select_related("grant")
    alike = {(row.commit_oid, row.major, row.grant.updates): row for row in kept}
    if not alike or not blob_oids:
        return
    proposed = FileScan.objects.filter(repo=repo, blob_oid__in=blob_oids, is_proposed=True)
    asked = set(blob_oids) - set(proposed.values_list("blob_oid", flat=True))
    reached = {
        covered.graph.trees[oid]
        for covered in coverages(repo, list(alike.values()))
        for oid in covered.reached
        if oid in covered.graph
    }
    if some_have(repo, reached, {bytes.fromhex(oid) for oid in asked}):
        raise LicensedFileError(
            f"People hold licenses for revisions of {repo.full_name} with such a file: it cannot be"
            " deleted. Publish a revision without it; buyers keep what their licenses reach.",
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

"""Copies inside the store: somebody gets files without downloading them, by the same rules.

Who may not download a file may not have it copied either (SECURITY.md B3).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from django.db import transaction

from accounts.models import User
from accounts.viewer import Viewer
from catalog.content.ownership import owned_size
from catalog.content.quotas import StorageQuotaError
from catalog.content.uploads import check_may_upload
from catalog.history.refs import DEFAULT_BRANCH, resolve
from catalog.history.trees import list_entries
from catalog.models import FileScan, GitObject, ModelRepo
from catalog.services.duplicating import copy_objects, copy_revision, weight_of
from catalog.services.repos import NewRepo, create_repo
from licensing.delivery.policy import FileBlockedError, check_gate, check_verdict
from store.core.errors import ForbiddenError
from store.core.jobs import JobName, enqueue

FILES_AT_ONCE = 2000
BYTES_AT_ONCE = 64 * 1024 * 1024
"""Larger copies are a job: the caller gets an empty repository that fills by itself."""


class SoldCopyError(ForbiddenError):
    """The files are sold; others fetch them with a license and do not hand them on here."""

    code = "sold_copy"


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A new repository made from another."""

    repo: ModelRepo
    is_pending: bool
    """Its files are still being copied."""


def duplicate(viewer: Viewer, source: ModelRepo, new: NewRepo) -> Duplicate:
    """Make a repository with the files of ``source``'s default branch, as they are now.

    It is private if the source is, unless ``new`` says otherwise, and gated as the source is.

    Raises:
        RepoDisabledError, FileBlockedError: the viewer may not have the files.
        RepoExistsError, ForbiddenError, InvalidNameError: as ``create_repo``; nothing is made.
        StorageQuotaError: no room; nothing is made.
    """
    commit_oid = check_readable(viewer, source)
    if new.is_private is None and source.is_private:
        new = replace(new, is_private=True)
    with transaction.atomic():
        repo = create_repo(viewer, replace(new, gate=source.gate))
        files, git_bytes = weight_of(source, commit_oid)
        if files > FILES_AT_ONCE or git_bytes > BYTES_AT_ONCE:
            enqueue(
                JobName.DUPLICATE_REPO,
                source_id=source.pk,
                target_id=repo.pk,
                user_id=viewer.identified().pk,
            )
            return Duplicate(repo, is_pending=True)
        copy_revision(viewer, source, commit_oid, repo)
    return Duplicate(repo, is_pending=False)


def finish_duplicate(*, source_id: int, target_id: int, user_id: int) -> int:
    """Copy the files of a large duplicate; the job of that name. Returns how many there are.

    Rights are looked at again: they may have changed since it was asked for. Idempotent.

    Raises:
        StoreError: the person may not have the files any more, or there is no room.
    """
    repos = ModelRepo.objects.select_related("namespace").in_bulk([source_id, target_id])
    user = User.objects.filter(pk=user_id).first()
    if len(repos) < 2 or user is None:  # one was deleted meanwhile
        return 0
    viewer, source = Viewer(user=user), repos[source_id]
    if not ModelRepo.objects.visible_to(viewer).filter(pk=source.pk).exists():
        return 0
    commit_oid = check_readable(viewer, source)
    return copy_revision(viewer, source, commit_oid, repos[target_id]).file_count


def check_readable(viewer: Viewer, source: ModelRepo) -> str:
    """Return the newest commit of ``source`` if ``viewer`` may have all its files.

    Raises:
        RepoDisabledError, SoldCopyError, FileBlockedError: they may not.
    """
    _check_copyable(viewer, source)
    commit_oid = resolve(source, DEFAULT_BRANCH).commit_oid
    entries = list_entries(source, commit_oid, recursive=True)
    files = [entry for entry in entries if not entry.is_folder and not entry.is_link]
    scans = {
        (scan.blob_oid, scan.path): scan
        for scan in FileScan.objects.filter(
            repo=source, blob_oid__in={file.oid for file in files}
        ).defer("report")
    }
    for file in files:
        check_verdict(viewer, source, file.path, scans.get((file.oid, file.path)))
    return commit_oid


def _check_copyable(viewer: Viewer, source: ModelRepo) -> None:
    """Refuse to copy what is sold out of its seller's hands; holding a license does not help.

    Raises:
        RepoDisabledError, PurchaseRequiredError, GatedRepoError: as ``check_gate``.
        SoldCopyError: it is sold.
    """
    check_gate(viewer, source)
    if source.is_sold and viewer.role_at(source.namespace_id, source.public_id) is None:
        raise SoldCopyError(
            f"{source.full_name} is sold: its files are not copied to other repositories. Name it"
            " as base_model in your card instead."
        )


def share_objects(
    viewer: Viewer, source: ModelRepo, target: ModelRepo, wanted: Mapping[str, str]
) -> dict[str, str]:
    """Let ``target`` own large files of ``source``.

    Args:
        viewer: Who asks; may read both repositories.
        source: Whose files.
        target: Who gets them; the commit that names them comes later.
        wanted: Path by sha256.

    Returns:
        Why not, by sha256, for those that could not be shared.

    Raises:
        RepoDisabledError: the source is taken down.
        UnauthenticatedError, MissingScopeError: nobody is signed in; the token only reads.
    """
    _check_copyable(viewer, source)
    check_may_upload(viewer, target)
    failed = {}
    for digest, path in wanted.items():
        try:
            _check_object(viewer, source, digest, path)
            copy_objects(viewer, source, target, {digest})
        except (FileBlockedError, StorageQuotaError) as error:
            failed[digest] = error.message
    return failed


def _check_object(viewer: Viewer, source: ModelRepo, digest: str, path: str) -> None:
    """Refuse an object the viewer could not download from ``source``.

    Absent and foreign look the same: the answer never depends on what other repositories own.
    """
    blobs = GitObject.objects.filter(repo=source, lfs_sha256=digest).values_list("oid", flat=True)
    scans = list(FileScan.objects.filter(repo=source, blob_oid__in=list(blobs)).defer("report"))
    if owned_size(source, digest) is None or not scans:
        raise FileBlockedError(f"{source.full_name} has no such file: {path[:200]}")
    for scan in scans:
        check_verdict(viewer, source, scan.path, scan)

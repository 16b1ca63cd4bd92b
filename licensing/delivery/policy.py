"""May this caller have this file? The one place that decides, for every route and method."""

import re
from dataclasses import dataclass

from accounts.viewer import Viewer
from catalog.access import RepoDisabledError, can
from catalog.history.objects import FILE_MODE
from catalog.history.pointers import LfsPointer
from catalog.history.refs import DEFAULT_BRANCH, resolve
from catalog.history.trees import Entry, find_entry, missing_entry
from catalog.models import FileScan, GitObject, ModelRepo
from catalog.services.revisions import may_see_proposed
from store.core.errors import ForbiddenError

_COMMIT_ID = re.compile(r"[0-9a-f]{40}")


class FileBlockedError(ForbiddenError):
    """The store does not hand this file to others; ``extra`` has verdict, code and reason."""

    code = "file_blocked"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file somebody may have, and everything its answer needs."""

    repo: ModelRepo
    commit_oid: str
    entry: Entry
    kind: str
    """What the bytes are, as the scanner saw them; empty when it has not looked."""
    is_pinned: bool
    """The caller named a full commit id: the answer can never change."""


def authorize(viewer: Viewer, repo: ModelRepo, revision: str, path: str) -> Delivery:
    """Return the file at ``path`` of ``revision`` if ``viewer`` may have its bytes.

    ``repo`` came through ``catalog.access``, so its visibility is settled.

    Raises:
        RevisionNotFoundError: there is no such revision.
        EntryNotFoundError: it has no such file (or it is a folder or a link).
        RepoDisabledError: the repository is taken down.
        FileBlockedError: the file's verdict keeps it from others than its owners.
    """
    check_gate(viewer, repo)
    commit_oid = resolve(repo, revision).commit_oid
    entry = find_entry(repo, commit_oid, path)
    if entry.is_folder or entry.is_link:
        raise missing_entry(path, commit_oid)
    scan = FileScan.objects.filter(repo=repo, blob_oid=entry.oid, path=entry.path).first()
    if not may_see_proposed(viewer, repo, revision, commit_oid, scan):
        check_verdict(viewer, repo, entry.path, scan)
    return Delivery(
        repo=repo,
        commit_oid=commit_oid,
        entry=entry,
        kind=scan.kind if scan else "",
        is_pinned=bool(_COMMIT_ID.fullmatch(revision)),
    )


def authorize_object(viewer: Viewer, repo: ModelRepo, sha256: str) -> Delivery:
    """Return a large file by its digest, as git-lfs asks for it, if ``viewer`` may have it.

    The object must belong to ``repo`` and be committed there.

    Raises:
        EntryNotFoundError: the repository has no such file.
        RepoDisabledError: the repository is taken down.
        FileBlockedError: its verdict keeps it from others than its owners.
    """
    check_gate(viewer, repo)
    blob = GitObject.objects.filter(repo=repo, lfs_sha256=sha256).defer("data").first()
    scans = FileScan.objects.filter(repo=repo, blob_oid=blob.oid if blob else "")
    listed = scans.filter(is_proposed=False)
    scans = listed if listed.exists() else scans  # no proposal changes what a branch has
    scan = scans.order_by("id").first()
    if blob is None or scan is None or blob.lfs_size_bytes is None:
        raise missing_entry(sha256, "")
    for each in scans:  # one content under several names: the worst verdict counts
        check_verdict(viewer, repo, each.path, each)
    pointer = LfsPointer(sha256, blob.lfs_size_bytes)
    entry = Entry(
        scan.path,
        blob.oid,
        FILE_MODE,
        is_folder=False,
        size_bytes=pointer.size_bytes,
        lfs=pointer,
    )
    commit_oid = resolve(repo, DEFAULT_BRANCH).commit_oid
    return Delivery(repo, commit_oid, entry, kind=scan.kind, is_pinned=False)


def check_gate(viewer: Viewer, repo: ModelRepo) -> None:
    """Refuse the files of a repository that staff took down.

    Raises:
        RepoDisabledError: it is taken down and the viewer is not staff.
    """
    if repo.disabled_reason and not viewer.is_staff:
        raise RepoDisabledError(
            "This repository is disabled. Its page says why.", reason=repo.disabled_reason
        )


def check_verdict(viewer: Viewer, repo: ModelRepo, path: str, scan: FileScan | None) -> None:
    """Refuse a file that is not known to be harmless, unless the viewer may replace it.

    Raises:
        FileBlockedError: with verdict, code and reason.
    """
    verdict = scan.verdict if scan else FileScan.Verdict.PENDING
    if verdict in FileScan.SERVED or can(viewer, repo, to="write"):
        return
    if verdict == FileScan.Verdict.PENDING:
        message = f"{path} is being checked. Try again in a moment."
    else:
        reason = scan.reason if scan and scan.reason else "the check of this file failed"
        message = f"{path} is not served, because {reason[:1].lower()}{reason[1:]}"
    raise FileBlockedError(
        message,
        path=path,
        verdict=verdict,
        reason_code=scan.code if scan else "",
        reason=scan.reason if scan else "",
    )

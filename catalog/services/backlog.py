"""Judging what waits by its own rows: content and path are known, no revision need be searched."""

from django.utils import timezone

from catalog.formats.sources import FULL
from catalog.formats.verdicts import SCANNER_VERSION, judge
from catalog.history.objects import FILE_MODE
from catalog.history.pointers import LfsPointer
from catalog.history.trees import Entry
from catalog.models import FileScan, GitObject, ModelRepo
from catalog.services.claims import scan_of_claim
from catalog.services.sources import source_of
from store.core.errors import TransientError

_KEPT_TOGETHER = 200
"""Verdicts written in one go; what a job that dies has to find out again."""
_FOUND = ["verdict", "kind", "code", "reason", "report", "scanner_version", "scanned_at"]


def judge_backlog(repo: ModelRepo) -> int:
    """Judge every file of a repository that waits, with all the work it takes.

    Returns:
        How many were judged.

    Raises:
        TransientError: the storage cannot be reached; try again later.
    """
    waiting = FileScan.objects.filter(repo=repo, verdict=FileScan.Verdict.PENDING).order_by("pk")
    count = last = 0
    while rows := list(waiting.filter(pk__gt=last)[:_KEPT_TOGETHER]):
        last = rows[-1].pk
        entries = _entries(repo, rows)
        judged = [
            _judged(repo, row, entries[row.blob_oid]) for row in rows if row.blob_oid in entries
        ]
        FileScan.objects.bulk_create(
            judged,
            update_conflicts=True,
            unique_fields=["repo", "blob_oid", "path"],
            update_fields=_FOUND,
        )
        count += len(judged)
    return count


def _entries(repo: ModelRepo, rows: list[FileScan]) -> dict[str, Entry]:
    """Return the files the rows are about, by blob id; their paths are the rows' affair."""
    blobs = GitObject.objects.filter(repo=repo, oid__in={row.blob_oid for row in rows})
    found = {}
    for oid, size, sha256, lfs_size in blobs.values_list(
        "oid", "size_bytes", "lfs_sha256", "lfs_size_bytes"
    ):
        lfs = LfsPointer(sha256, lfs_size) if sha256 and lfs_size is not None else None
        real = lfs.size_bytes if lfs else size
        found[oid] = Entry("", oid, FILE_MODE, is_folder=False, size_bytes=real, lfs=lfs)
    return found


def _judged(repo: ModelRepo, row: FileScan, entry: Entry) -> FileScan:
    said = scan_of_claim(repo, entry)
    if said is not None:
        return FileScan(
            repo=repo,
            blob_oid=row.blob_oid,
            path=row.path,
            scanner_version=SCANNER_VERSION,
            scanned_at=timezone.now(),
            **said,
        )
    try:
        report = judge(source_of(repo, entry), row.path, budget=FULL)
    except OSError as exc:
        raise TransientError(f"The storage failed while {row.path} was checked.") from exc
    return FileScan(
        repo=repo,
        blob_oid=row.blob_oid,
        path=row.path,
        verdict=FileScan.Verdict(report.verdict.value),
        kind=report.kind.value,
        code=report.code,
        reason=report.reason,
        report=report.to_json(),
        scanner_version=SCANNER_VERSION,
        scanned_at=timezone.now(),
    )

"""Verdicts on files: at once where a bounded look is enough, by a job where it is not."""

import logging
from collections.abc import Iterable
from itertools import islice
from typing import Any

from django.db import transaction
from django.utils import timezone

from catalog.content.ownership import WRONG_SHA256, Standing, standing
from catalog.formats.sources import AT_ONCE, FULL, Budget
from catalog.formats.verdicts import SCANNER_VERSION, judge
from catalog.history.trees import Entry, find_entries
from catalog.models import Commit, FileScan, ModelRepo, Ref
from catalog.services.backlog import judge_backlog
from catalog.services.listings import rebuild_listing
from catalog.services.sources import source_of
from store.core.errors import TransientError

logger = logging.getLogger(__name__)

JUDGED_AT_ONCE = 200
"""Files of one commit that are judged while the client waits; the rest is the job's."""
KEPT_TOGETHER = 500
"""Verdicts written in one go; what a job that dies has to find out again."""

_WRONG_SHA256 = "Its content is not what its sha256 says. Upload the file again."

_FOUND = ["verdict", "kind", "code", "reason", "report", "scanner_version", "scanned_at"]


def judge_paths(
    repo: ModelRepo,
    commit_oid: str,
    paths: Iterable[str],
    *,
    budget: Budget = AT_ONCE,
    is_proposed: bool = False,
) -> int:
    """Judge the files at ``paths`` unless the same content was judged there before.

    Args:
        repo: The repository.
        commit_oid: Where the files are.
        paths: Which.
        budget: How much work each file may cost.
        is_proposed: The commit is a pull request's: nothing that is known changes by it.

    Returns:
        How many files have no final verdict yet.
    """
    entries = [
        entry
        for entry in find_entries(repo, commit_oid, paths).values()
        if not entry.is_folder and not entry.is_link
    ]
    known = _known(repo, entries, is_any_version_good=is_proposed)
    fresh = [entry for entry in entries if (entry.oid, entry.path) not in known]
    looked_at = fresh[:JUDGED_AT_ONCE] if budget is AT_ONCE else fresh
    waits = _keep(_judge(repo, entry, budget, is_proposed=is_proposed) for entry in looked_at)
    return waits + _keep(
        _row(repo, entry, is_proposed=is_proposed, verdict=FileScan.Verdict.PENDING)
        for entry in fresh[len(looked_at) :]
    )


def _known(
    repo: ModelRepo, entries: list[Entry], *, is_any_version_good: bool
) -> set[tuple[str, str]]:
    """Return (blob, path) of what was judged; a stranger's proposal has nothing judged anew."""
    scans = FileScan.objects.filter(repo=repo, blob_oid__in={entry.oid for entry in entries})
    return {
        (scan.blob_oid, scan.path)
        for scan in scans.exclude(verdict=FileScan.Verdict.PENDING).defer("report")
        if is_any_version_good or scan.scanner_version == SCANNER_VERSION
    }


def adopt_paths(repo: ModelRepo, commit_oid: str, paths: Iterable[str]) -> None:
    """Note that the files at ``paths`` are on a branch now, not only proposed."""
    entries = find_entries(repo, commit_oid, paths).values()
    here = {(entry.oid, entry.path) for entry in entries}
    proposed = FileScan.objects.filter(
        repo=repo, is_proposed=True, blob_oid__in={oid for oid, _ in here}
    )
    rows = [
        pk
        for pk, oid, path in proposed.values_list("pk", "blob_oid", "path")
        if (oid, path) in here
    ]
    FileScan.objects.filter(pk__in=rows).update(is_proposed=False)


def await_verdicts(repo: ModelRepo, files: Iterable[tuple[str, str]]) -> None:
    """Note (path, blob id) of files that nobody has looked at; known verdicts stay.

    For history that arrives whole: what stands in no head is judged by the job.
    """
    files = iter(files)
    while batch := list(islice(files, KEPT_TOGETHER)):
        FileScan.objects.bulk_create(
            [
                FileScan(
                    repo=repo,
                    blob_oid=oid,
                    path=path,
                    scanner_version=SCANNER_VERSION,
                    scanned_at=timezone.now(),
                )
                for path, oid in batch
            ],
            ignore_conflicts=True,
        )


def scan_commit(repo_id: int, commit_oid: str) -> dict[str, Any]:
    """Judge everything of a repository that waits for it; the job of that name. Idempotent.

    Returns:
        Counts for the job's result.

    Raises:
        TransientError: the storage cannot be reached; try again later.
    """
    repo = ModelRepo.objects.select_related("namespace").filter(pk=repo_id).first()
    if repo is None:  # deleted meanwhile
        return {"judged": 0}
    waiting = FileScan.objects.filter(repo=repo, verdict=FileScan.Verdict.PENDING)
    is_listed = waiting.filter(is_proposed=False).exists()
    paths = set(waiting.values_list("path", flat=True))
    judge_backlog(repo)
    judge_paths(repo, commit_oid, paths, budget=FULL)
    # Content that waits but is in no such revision any more (a squashed branch, say).
    left = FileScan.objects.filter(repo=repo, verdict=FileScan.Verdict.PENDING)
    for commit in Commit.objects.filter(repo=repo).exclude(oid=commit_oid).order_by("-depth"):
        if not (rest := set(left.values_list("path", flat=True))):
            break
        judge_paths(repo, commit.oid, rest, budget=FULL)
    if is_listed or not paths:  # what is only proposed is no part of the listing
        with transaction.atomic():
            head = Ref.objects.select_for_update().get(repo=repo, name="refs/heads/main")
            rebuild_listing(repo, Commit.objects.get(repo=repo, oid=head.commit_oid))
    return {"judged": len(paths)}


def _judge(repo: ModelRepo, entry: Entry, budget: Budget, *, is_proposed: bool) -> FileScan:
    known = Standing.VERIFIED if entry.lfs is None else standing(repo, entry.lfs.sha256)
    if known is Standing.CLAIMED:  # its verification asks for the verdict again
        return _row(repo, entry, is_proposed=is_proposed, verdict=FileScan.Verdict.PENDING)
    if known is Standing.FALSE:
        verdict, code = FileScan.Verdict.ERROR, WRONG_SHA256
        return _row(
            repo, entry, is_proposed=is_proposed, verdict=verdict, code=code, reason=_WRONG_SHA256
        )
    try:
        report = judge(source_of(repo, entry), entry.path, budget=budget)
    except OSError as exc:
        if budget is AT_ONCE:  # the job will try again; the commit need not fail
            logger.warning("the storage failed while a file was judged: %s", exc)
            pending = FileScan.Verdict.PENDING
            return _row(repo, entry, is_proposed=is_proposed, verdict=pending)
        raise TransientError(f"The storage failed while {entry.path} was checked.") from exc
    return _row(
        repo,
        entry,
        is_proposed=is_proposed,
        verdict=FileScan.Verdict(report.verdict.value),
        kind=report.kind.value,
        code=report.code,
        reason=report.reason,
        report=report.to_json(),
    )


def _row(repo: ModelRepo, entry: Entry, **values: Any) -> FileScan:
    return FileScan(
        repo=repo,
        blob_oid=entry.oid,
        path=entry.path,
        scanner_version=SCANNER_VERSION,
        scanned_at=timezone.now(),
        **values,
    )


def _keep(scans: Iterable[FileScan]) -> int:
    """Store verdicts as they come, some at a time; return how many are not final."""
    waits, scans = 0, iter(scans)
    while batch := list(islice(scans, KEPT_TOGETHER)):
        FileScan.objects.bulk_create(
            batch,
            update_conflicts=True,
            unique_fields=["repo", "blob_oid", "path"],
            update_fields=_FOUND,
        )
        waits += sum(scan.verdict == FileScan.Verdict.PENDING for scan in batch)
    return waits

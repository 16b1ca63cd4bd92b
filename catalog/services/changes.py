"""What a pull request changes, as far as its reader may see it."""

from accounts.viewer import Viewer
from catalog.history.changes import Change
from catalog.history.diffs import FileDiff, file_diffs
from catalog.models import Discussion, FileScan, ModelRepo
from catalog.services.merging import Proposal
from catalog.services.revisions import may_look

MAX_FILES = 1_000
"""Files of one answer; further ones are left out."""
UNSEEN = "not shown: the check has not found it harmless"


def diffs_of(
    viewer: Viewer, pull: Discussion, proposal: Proposal, *, most: int = MAX_FILES
) -> list[FileDiff]:
    """Return what changes line by line; files the viewer may not have by name alone.

    Args:
        viewer: Who reads.
        pull: The pull request.
        proposal: What it changes.
        most: So many files, from the first on.
    """
    changes = proposal.changes[:most]
    unseen = unseen_paths(viewer, pull, proposal, changes)
    diffs = {
        diff.change.path: diff
        for diff in file_diffs(pull.repo, [each for each in changes if each.path not in unseen])
    }
    return [diffs.get(each.path) or FileDiff(each, note=UNSEEN) for each in changes]


def unseen_paths(
    viewer: Viewer, pull: Discussion, proposal: Proposal, changes: list[Change]
) -> set[str]:
    """Return the files among ``changes`` whose content the viewer may not see."""
    scans = _scans(pull.repo, changes)
    return {
        change.path
        for change in changes
        if change.new is not None
        and not may_look(
            viewer,
            pull.repo,
            pull.ref_name,
            proposal.head_oid,
            scans.get((change.new.oid, change.path)),
        )
    }


def _scans(repo: ModelRepo, changes: list[Change]) -> dict[tuple[str, str], FileScan]:
    oids = {change.new.oid for change in changes if change.new is not None}
    rows = FileScan.objects.filter(repo=repo, blob_oid__in=oids).defer("report")
    return {(scan.blob_oid, scan.path): scan for scan in rows}

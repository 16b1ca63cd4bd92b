"""What a pull request changes, as far as its reader may see it."""

import re
from dataclasses import dataclass

from accounts.viewer import Viewer
from catalog.formats.comparing import Allowance, TensorComparison, compare_files
from catalog.formats.errors import FormatError
from catalog.formats.sources import MIB, ByteSource, BytesSource
from catalog.history.changes import Change
from catalog.history.diffs import CLOSED, UNSEEN, FileDiff, file_diffs
from catalog.history.objects import ObjectStore, TreeItem
from catalog.history.pointers import parse_pointer
from catalog.models import Discussion, FileScan, ModelRepo
from catalog.reach import may_see_revisions
from catalog.services.cards import CARD
from catalog.services.cards import MAX_BYTES as MAX_CARD_BYTES
from catalog.services.merging import Proposal
from catalog.services.preview import card_preview
from catalog.services.revisions import may_look
from catalog.services.sources import StoredSource

MAX_FILES = 1_000
"""Files of one answer; further ones are left out."""
MAX_COMPARED_BYTES = 64 * MIB
"""Read of all tensors of one page, before and after together."""

_ID = re.compile(r' id="[^"]*"')


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
    old, new = (pull.base_oid, pull.base_oid), (pull.ref_name, proposal.head_oid)
    return lines_of(viewer, pull.repo, changes, old=old, new=new)


@dataclass(frozen=True, slots=True)
class ShownChange:
    """One changed file, in the way that tells most about it."""

    diff: FileDiff
    tensors: TensorComparison | None = None
    """Of safetensors files."""
    cards: tuple[str, str] | None = None
    """HTML of a README before and after; empty where there is none."""


def shown_changes(
    viewer: Viewer, pull: Discussion, proposal: Proposal, *, most: int
) -> list[ShownChange]:
    """Return the first ``most`` files a pull request changes, ready for a page."""
    store, allowance = ObjectStore(pull.repo.pk), Allowance(MAX_COMPARED_BYTES)
    shown = []
    for diff in diffs_of(viewer, pull, proposal, most=most):
        change, tensors, cards = diff.change, None, None
        if not diff.is_unseen and change.path.endswith(".safetensors"):
            tensors = _compared(pull.repo, store, change, allowance)
        elif not diff.is_unseen and change.path == CARD:
            cards = _card(pull.repo, store, change.old), _card(pull.repo, store, change.new)
        shown.append(ShownChange(diff, tensors, cards))
    return shown


def _compared(
    repo: ModelRepo, store: ObjectStore, change: Change, allowance: Allowance
) -> TensorComparison | None:
    """Return how the tensors differ; ``None`` when one of the files is not what it says."""
    sources = [_source(repo, store, item) for item in (change.old, change.new)]
    try:
        return compare_files(sources[0], sources[1], allowance)
    except (FormatError, OSError):
        return None


def _source(repo: ModelRepo, store: ObjectStore, item: TreeItem | None) -> ByteSource | None:
    if item is None:
        return None
    data = store.blob(item.oid)
    pointer = parse_pointer(data)
    return StoredSource(repo, pointer.sha256, pointer.size_bytes) if pointer else BytesSource(data)


def _card(repo: ModelRepo, store: ObjectStore, item: TreeItem | None) -> str:
    data = store.blob(item.oid) if item is not None else b""
    if len(data) > MAX_CARD_BYTES:
        return ""
    html = card_preview(repo, data.decode("utf-8", "replace").replace("\0", "")).html
    return _ID.sub("", html)  # both cards stand on one page, and an id is there once


def unseen_paths(
    viewer: Viewer,
    repo: ModelRepo,
    changes: list[Change],
    *,
    old: tuple[str, str],
    new: tuple[str, str],
) -> set[str]:
    """Return the files among ``changes`` whose content the viewer may not see.

    Args:
        viewer: Who reads.
        repo: The repository.
        changes: What differs.
        old: How the viewer names the side before, and its commit.
        new: The same of the side after.
    """
    scans = _scans(repo, changes)

    def is_open(item: TreeItem | None, path: str, side: tuple[str, str]) -> bool:
        return item is None or may_look(viewer, repo, *side, scans.get((item.oid, path)))

    return {
        change.path
        for change in changes
        if not is_open(change.old, change.path, old) or not is_open(change.new, change.path, new)
    }


def lines_of(
    viewer: Viewer,
    repo: ModelRepo,
    changes: list[Change],
    *,
    old: tuple[str, str],
    new: tuple[str, str],
) -> list[FileDiff]:
    """Return how files differ line by line; those the viewer may not see by name alone.

    Of a repository whose gate is closed to them, or revisions no license of theirs reaches, that is
    all of them.
    """
    if not may_see_revisions(viewer, repo, *(oid for _name, oid in (old, new) if oid)):
        return [FileDiff(change, note=CLOSED) for change in changes]
    unseen = unseen_paths(viewer, repo, changes, old=old, new=new)
    seen = file_diffs(repo, [change for change in changes if change.path not in unseen])
    diffs = {diff.change.path: diff for diff in seen}
    return [diffs.get(change.path) or FileDiff(change, note=UNSEEN) for change in changes]


def _scans(repo: ModelRepo, changes: list[Change]) -> dict[tuple[str, str], FileScan]:
    oids = {item.oid for each in changes for item in (each.old, each.new) if item is not None}
    rows = FileScan.objects.filter(repo=repo, blob_oid__in=oids).defer("report")
    return {(scan.blob_oid, scan.path): scan for scan in rows}

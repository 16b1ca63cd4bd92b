"""Which files may travel inside a git pack. Verdicts bind there as they do for single files.

A pack holds the small files of history themselves, so a stranger gets none with a file that is
not known to be harmless. Large files are in it as pointers: their bytes leave through
``authorize_object``, each under its own verdict.
"""

from collections.abc import Mapping

from accounts.viewer import Viewer
from catalog.access import can
from catalog.history.objects import LINK_MODE
from catalog.history.packing import BlobCheck
from catalog.history.strict import MAX_LINK_BYTES
from catalog.models import FileScan, GitObject, ModelRepo
from licensing.delivery.policy import check_verdict

_ASKED_AT_ONCE = 10_000


def pack_check(viewer: Viewer, repo: ModelRepo) -> BlobCheck | None:
    """Return what decides about the files of a pack; ``None``: the viewer may have them all.

    ``repo`` came through ``catalog.access`` and ``check_gate``.
    """
    if can(viewer, repo, to="write"):
        return None

    def check(blobs: Mapping[bytes, int]) -> None:
        modes = {oid.hex(): mode for oid, mode in blobs.items()}
        oids = list(modes)
        for start in range(0, len(oids), _ASKED_AT_ONCE):
            part = oids[start : start + _ASKED_AT_ONCE]
            _check(viewer, repo, {oid: modes[oid] for oid in part})

    return check


def _check(viewer: Viewer, repo: ModelRepo, modes: Mapping[str, int]) -> None:
    scans = FileScan.objects.filter(repo=repo, blob_oid__in=list(modes)).defer("report")
    known, bad = set(), {}
    for scan in scans:
        known.add(scan.blob_oid)
        if scan.verdict not in FileScan.SERVED:
            bad[scan.blob_oid] = scan
    doubtful = {oid for oid, mode in modes.items() if oid not in known and mode != LINK_MODE}
    if not bad and not doubtful:
        return
    rows = GitObject.objects.filter(repo=repo, oid__in=doubtful | set(bad), lfs_sha256="")
    for oid, size_bytes in rows.values_list("oid", "size_bytes"):
        # asked for by id alone and never judged: the target of a symbolic link
        if oid in bad or modes[oid] or size_bytes > MAX_LINK_BYTES:
            path = bad[oid].path if oid in bad else oid
            check_verdict(viewer, repo, path, bad.get(oid))

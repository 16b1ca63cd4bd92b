"""Finding models by what is in them."""

import re
from typing import Any

from accounts.viewer import Viewer
from catalog.models import FileScan, GitObject, ModelRepo
from store.core.errors import InvalidError

MOST = 100


def by_hash(viewer: Viewer, sha256: str) -> list[dict[str, Any]]:
    """Return where a large file occurs, among the repositories ``viewer`` may read.

    Args:
        viewer: Who asks.
        sha256: Of the content, 64 hex characters.

    Raises:
        InvalidError: it is no sha256.
    """
    digest = sha256.lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise InvalidError("A sha256 has 64 hex characters.")
    visible = ModelRepo.objects.visible_to(viewer)
    blobs = GitObject.objects.filter(lfs_sha256=digest, repo__in=visible)
    sizes = {(row.repo_id, row.oid): row.lfs_size_bytes for row in blobs.defer("data")[:MOST]}
    scans = FileScan.objects.filter(
        repo_id__in={repo_id for repo_id, _ in sizes},
        blob_oid__in={oid for _, oid in sizes},
        is_proposed=False,
    ).select_related("repo__namespace")
    return [
        {
            "model": scan.repo.full_name,
            "path": scan.path,
            "size_bytes": sizes[scan.repo_id, scan.blob_oid],
            "verdict": scan.verdict,
        }
        for scan in scans.order_by("repo_id", "path")[:MOST]
        if (scan.repo_id, scan.blob_oid) in sizes
    ]

"""What takes room and how it is given up (contract 10): large files, and squashing history."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from accounts.viewer import Viewer
from catalog.access import repo_for
from catalog.content.xet.hashes import to_hex
from catalog.history.refs import HEADS
from catalog.history.trees import missing_entry
from catalog.services.rewriting import (
    MAX_DELETED,
    delete_stored_files,
    squash_history,
)
from catalog.services.stored_files import StoredFile, page_of_files
from hub.answers import hub_view, page_link
from hub.params import flag, number
from store.core.bodies import read_json
from store.core.clock import iso
from store.core.errors import InvalidError

PAGE = 1000


@hub_view("POST")
def super_squash(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, ref: str
) -> HttpResponseBase:
    """Make one commit of a branch's history."""
    repo = repo_for(viewer, ns, name, to="write")
    message = read_json(request).get("message")
    if message is None:
        message = f"Super-squash branch '{ref.removeprefix(HEADS)}'"
    if not isinstance(message, str):
        raise InvalidError("'message' is a text.")
    oid = squash_history(viewer, repo, revision=ref, message=message)
    return JsonResponse({"newCommitId": oid})


@hub_view("GET")
def lfs_files(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """List the large files of all revisions, one row a file."""
    repo = repo_for(viewer, ns, name, to="write")
    limit = min(number(request, "limit", PAGE, least=1), PAGE)
    rows, following = page_of_files(repo, request.GET.get("cursor"), limit=limit)
    answer = JsonResponse([_row(file) for file in rows], safe=False)
    if following is not None:
        answer["Link"] = page_link(request, cursor=following)
    return answer


def _row(file: StoredFile) -> dict[str, Any]:
    row = {
        "fileOid": file.sha256,
        "filename": file.path,
        "oid": file.sha256,
        "pushedAt": iso(file.pushed_at),
        "size": file.size_bytes,
    }
    if file.ref_name:
        row["ref"] = file.ref_name.removeprefix(HEADS)
    if file.xet_hash is not None:
        row["xetHash"] = to_hex(file.xet_hash)
    return row


@hub_view("POST")
def delete_lfs_files(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """Delete large files for good."""
    repo = repo_for(viewer, ns, name, to="write")
    deletions = read_json(request).get("deletions")
    digests = deletions.get("sha") if isinstance(deletions, dict) else None
    is_list = isinstance(digests, list) and all(isinstance(digest, str) for digest in digests)
    if not isinstance(deletions, dict) or not isinstance(digests, list) or not is_list:
        raise InvalidError(f"'deletions' has 'sha', a list of up to {MAX_DELETED} file ids.")
    rewrite = deletions.get("rewriteHistory", False)
    if not isinstance(rewrite, bool):
        raise InvalidError("'rewriteHistory' is true or false.")
    count = delete_stored_files(viewer, repo, set(digests), rewrite_history=rewrite)
    return JsonResponse({"success": True, "deleted": count})


@hub_view("DELETE")
def delete_lfs_file(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, sha: str
) -> HttpResponseBase:
    """Delete one large file for good."""
    repo = repo_for(viewer, ns, name, to="write")
    rewrite = flag(request, "rewriteHistory")
    if not delete_stored_files(viewer, repo, {sha}, rewrite_history=rewrite):
        raise missing_entry(sha, "")
    return JsonResponse({"success": True})

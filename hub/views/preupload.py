"""How each file should travel (contract 8.2), and checking a card before a commit (8.1)."""

import base64
import binascii
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from accounts.viewer import Viewer
from catalog.access import repo_for
from catalog.cards.validation import validate
from catalog.history.attributes import FILE as ATTRIBUTES_FILE
from catalog.history.attributes import Attributes
from catalog.history.errors import RevisionNotFoundError
from catalog.history.ignores import FILE as IGNORE_FILE
from catalog.history.ignores import Ignores
from catalog.history.paths import check_path
from catalog.history.refs import resolve
from catalog.history.trees import Entry, find_entries, read_blob
from catalog.models import ModelRepo
from catalog.services.large_files import is_large
from catalog.services.revisions import check_base, check_write_revision
from hub.answers import hub_view
from hub.params import flag
from store.core.bodies import read_json
from store.core.errors import InvalidError

MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_FILES = 1000
"""Files one request may ask about; clients ask about 256."""


@hub_view("POST")
def preupload(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, rev: str
) -> HttpResponseBase:
    """Say for each file: regular or LFS, ignored or not, and what is there already."""
    create_pr = flag(request, "create_pr")
    repo = repo_for(viewer, ns, name)
    check_write_revision(viewer, repo, rev, create_pr=create_pr)
    if create_pr:
        check_base(repo, rev)
    found = resolve(repo, rev)
    if not found.is_writable:
        raise RevisionNotFoundError(f"Invalid rev id: {rev}", revision=rev)
    body = read_json(request, max_bytes=MAX_BODY_BYTES)
    asked = body.get("files") or []
    if not isinstance(asked, list) or len(asked) > MAX_FILES:
        raise InvalidError(f"'files' is a list of at most {MAX_FILES} files. Ask several times.")
    files = [_file(item) for item in asked]
    paths = [path for path, _, _ in files]
    here = find_entries(repo, found.commit_oid, [*paths, ATTRIBUTES_FILE, IGNORE_FILE])
    attributes = Attributes(_text(repo, here, ATTRIBUTES_FILE, body.get("gitAttributes")))
    ignores = Ignores(_text(repo, here, IGNORE_FILE, body.get("gitIgnore")))
    answer = [
        _decision(path, size_bytes, sample, attributes, ignores, here.get(path))
        for path, size_bytes, sample in files
    ]
    return JsonResponse({"files": answer, "commitOid": found.commit_oid})


def _decision(
    path: str,
    size_bytes: int,
    sample: bytes,
    attributes: Attributes,
    ignores: Ignores,
    there: Entry | None,
) -> dict[str, Any]:
    is_lfs = is_large(attributes, path, size_bytes, sample)
    decision: dict[str, Any] = {
        "path": path,
        "uploadMode": "lfs" if is_lfs else "regular",
        "shouldIgnore": ignores.matches(path),
    }
    if there is not None and not there.is_folder:
        decision["oid"] = there.etag
    return decision


def _file(item: Any) -> tuple[str, int, bytes]:
    if not isinstance(item, dict) or not isinstance(item.get("path"), str):
        raise InvalidError("Each of 'files' is an object with path, sample and size.")
    size_bytes = item.get("size", 0)
    if not isinstance(size_bytes, int) or size_bytes < 0:
        raise InvalidError("'size' is a whole number of bytes.")
    try:
        sample = base64.b64decode(item.get("sample") or "", validate=True)
    except (binascii.Error, ValueError, TypeError) as exc:
        raise InvalidError("'sample' is not valid base64.") from exc
    return check_path(item["path"]), size_bytes, sample


def _text(repo: ModelRepo, here: dict[str, Entry], path: str, given: Any) -> str:
    """Return a rules file: the one of this commit if it has one, else the revision's."""
    if isinstance(given, str):
        return given
    entry = here.get(path)
    if entry is None or entry.is_folder or entry.lfs is not None:
        return ""
    return read_blob(repo, entry).decode("utf-8", "replace")


@hub_view("POST")
def validate_yaml(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Check a card's front matter."""
    body = read_json(request)
    report = validate(str(body.get("content") or ""), str(body.get("repoType") or "model"))
    status = 400 if report.errors else 200
    if request.headers.get("Accept", "").startswith("text/plain"):
        return HttpResponse(report.as_text(), status=status, content_type="text/plain")
    answer = {
        "errors": [{"message": message} for message in report.errors],
        "warnings": [{"message": message} for message in report.warnings],
    }
    return JsonResponse(answer, status=status)

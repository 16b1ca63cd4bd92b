"""Commits (contract 8.5): NDJSON, spooled to disk, then applied in one transaction."""

import re
import tempfile
from collections.abc import Iterator
from typing import IO, Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, JsonResponse

from accounts.services.limits import count_commit
from accounts.viewer import Viewer
from catalog.access import repo_for
from catalog.history.commits import Delete
from catalog.services.publishing import AddFile, AddLfs, Operation, publish
from catalog.services.revisions import check_write_revision
from hub.answers import hub_view
from hub.params import flag
from hub.views.repos import decode_content
from hub.warnings import warn_of_room
from store.core.bodies import body_chunks, load_json
from store.core.errors import InvalidError, TooLargeError
from store.core.web import origin

MAX_LINE_BYTES = 20 * 1024 * 1024
"""A line holds one small file in base64: 10 MB and a third, with room."""
MAX_LEGACY_BYTES = 64 * 1024 * 1024
NOTHING_TO_DO = "Add a line with the key `lfsFile`, `file` or `deletedFile`"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PARENT = re.compile(r"[0-9a-f]{5,40}", re.IGNORECASE)


@hub_view("POST")
def commit(request: HttpRequest, viewer: Viewer, ns: str, name: str, rev: str) -> HttpResponseBase:
    """Add a commit to a branch or a pull request, or open a pull request with it."""
    repo = repo_for(viewer, ns, name)
    create_pr = flag(request, "create_pr")
    check_write_revision(viewer, repo, rev, create_pr=create_pr)
    count_commit(viewer.identified().pk)
    with _spooled(request) as spool:
        is_legacy = request.content_type == "application/json"
        lines = _legacy_lines(spool) if is_legacy else _lines(spool)
        header = _header(lines)
        published = publish(
            viewer,
            repo,
            revision=rev,
            operations=_operations(lines),
            title=header["summary"].split("\n", 1)[0],
            message=_message(header),
            expected_parent=header.get("parentCommit") or "",
            create_pr=create_pr,
        )
    oid, base = published.commit.oid, f"{origin(request)}/{repo.full_name}"
    body = {
        "success": True,
        "commitOid": oid,
        "commitUrl": f"{base}/commit/{oid}",
        "hookOutput": "",
    }
    if create_pr and published.pull is not None:
        body["pullRequestUrl"] = f"{base}/discussions/{published.pull.number}"
    return warn_of_room(JsonResponse(body), repo)


def _spooled(request: HttpRequest) -> IO[bytes]:
    """Return the whole body in a temporary file: a slow client holds no transaction open."""
    settings.SPOOL_DIR.mkdir(parents=True, exist_ok=True)
    spool = tempfile.TemporaryFile(dir=settings.SPOOL_DIR)  # noqa: SIM115 - returned open
    try:
        for chunk in body_chunks(request, max_bytes=settings.ENV.max_commit_bytes):
            spool.write(chunk)
    except BaseException:
        spool.close()
        raise
    spool.seek(0)
    return spool


def _lines(spool: IO[bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (key, value) of each line."""
    number = 0
    while raw := spool.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES:
            raise InvalidError(f"Line {number} is longer than {MAX_LINE_BYTES} bytes.")
        if not raw.strip():
            continue
        try:
            line = load_json(raw)
            key, value = line["key"], line["value"]
        except (ValueError, TypeError, KeyError, RecursionError) as exc:
            raise InvalidError(f"Line {number} is not an object with 'key' and 'value'.") from exc
        if not isinstance(key, str) or not isinstance(value, dict):
            raise InvalidError(f"Line {number} is not an object with 'key' and 'value'.")
        yield key, value


def _legacy_lines(spool: IO[bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the lines that a body of the older form means: one JSON object, lists by kind."""
    raw = spool.read(MAX_LEGACY_BYTES + 1)
    if len(raw) > MAX_LEGACY_BYTES:
        raise TooLargeError(f"A JSON commit has at most {MAX_LEGACY_BYTES} bytes: send NDJSON.")
    try:
        body = load_json(raw)
    except (ValueError, RecursionError) as exc:
        raise InvalidError("The body is not valid JSON.") from exc
    if not isinstance(body, dict):
        raise InvalidError("The body must be a JSON object.")
    yield "header", {name: body.get(name) for name in ("summary", "description", "parentCommit")}
    for name, key in _LEGACY_LISTS.items():
        items = body.get(name) or []
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise InvalidError(f"`{name}` is a list of objects.")
        yield from ((key, item) for item in items)


def _header(lines: Iterator[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    key, value = next(lines, ("", {}))
    if key != "header":
        raise InvalidError("The first line must have the key `header`.")
    if not isinstance(value.get("summary"), str) or not value["summary"].strip():
        raise InvalidError("The header needs a `summary`.")
    parent = value.get("parentCommit")
    if parent is not None and not (isinstance(parent, str) and _PARENT.fullmatch(parent)):
        raise InvalidError("`parentCommit` is a commit id of 5 to 40 hex characters.")
    return value


def _message(header: dict[str, Any]) -> str:
    rest = header["summary"].partition("\n")[2].strip()
    description = header.get("description")
    parts = [rest, description.strip() if isinstance(description, str) else ""]
    return "\n\n".join(part for part in parts if part)


def _operations(lines: Iterator[tuple[str, dict[str, Any]]]) -> Iterator[Operation]:
    count = 0
    for key, value in lines:
        maker = _MAKERS.get(key)
        if maker is None:
            raise InvalidError(f"Unknown key `{key[:40]}`. {NOTHING_TO_DO}")
        count += 1
        yield maker(value)
    if not count:
        raise InvalidError(NOTHING_TO_DO)


def _path(value: dict[str, Any]) -> str:
    path = value.get("path")
    if not isinstance(path, str):
        raise InvalidError("`path` is missing.")
    return path


def _old_path(value: dict[str, Any]) -> str:
    old = value.get("oldPath") or ""
    if not isinstance(old, str):
        raise InvalidError("`oldPath` is a path.")
    return old


def _file(value: dict[str, Any]) -> Operation:
    return AddFile(_path(value), decode_content(value), _old_path(value))


def _lfs_file(value: dict[str, Any]) -> Operation:
    oid, size_bytes = value.get("oid"), value.get("size")
    if value.get("algo", "sha256") != "sha256":
        raise InvalidError("`algo` is 'sha256'.")
    if not isinstance(oid, str) or not _SHA256.fullmatch(oid):
        raise InvalidError("`oid` is a sha256 of 64 lower-case hex characters.")
    if size_bytes is not None and (not isinstance(size_bytes, int) or size_bytes < 0):
        raise InvalidError("`size` is a whole number of bytes.")
    return AddLfs(_path(value), oid, size_bytes, _old_path(value))


def _delete(value: dict[str, Any]) -> Operation:
    return Delete(_path(value).rstrip("/"))


_LEGACY_LISTS = {
    "deletedEntries": "deletedEntry",
    "deletedFiles": "deletedFile",
    "files": "file",
    "lfsFiles": "lfsFile",
}
"""Deletions first, as clients order their lines."""

_MAKERS = {
    "file": _file,
    "lfsFile": _lfs_file,
    "deletedFile": _delete,
    "deletedFolder": _delete,
    "deletedEntry": _delete,
}

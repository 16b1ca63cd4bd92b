"""Says what a license says, for people and for programs."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from licensing.documents.document import MAX_SEATS, LicenseDocument
from licensing.documents.jws import OpenedLicense
from licensing.offline.folders import FolderReport

_UPDATES = {
    "all": "every later version",
    "major": "later versions of the same line",
    "revision": "this version alone",
}
_KINDS = {
    "missing": "missing",
    "changed": "changed",
    "extra": "weights that are not licensed",
    "outside": "leads out of the folder",
    "unreadable": "cannot be read",
}
TEST_NOTICE = "TEST LICENSE: it was paid through the store's sandbox and gives no rights."


def plain(text: str) -> str:
    """Return ``text`` with everything a terminal could act on shown as an escape."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def moment(at_s: int | None) -> str:
    """Return a time as ``2026-05-01 10:11 UTC``, or ``never``."""
    if at_s is None:
        return "never"
    try:
        return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return "after the year 9999"


def license_lines(opened: OpenedLicense) -> Iterator[str]:
    """Yield what the license says, one fact a line."""
    document = opened.document
    if document.is_test:
        yield TEST_NOTICE
    for label, value in _facts(document):
        yield f"{label:<12} {value}"
    for model in document.models:
        size_bytes = sum(file.size_bytes for file in model.files)
        yield (
            f"  {model.name} at {model.revision} ({model.line}): {len(model.files)} files, "
            f"{size_bytes / 1e6:,.1f} MB"
        )
    yield f"Signed by:   key {opened.kid}"


def folder_lines(report: FolderReport) -> Iterator[str]:
    """Yield how a folder compares with the license."""
    yield (
        f"{report.folder}: {report.same_files} of {len(report.model.files)} licensed files of "
        f"{report.model.name} are here and unchanged ({report.same_bytes / 1e6:,.1f} MB)."
    )
    for item in report.differences:
        detail = f" ({item.detail})" if item.detail else ""
        yield f"  {_KINDS[item.kind]}: {item.path}{detail}"
    lost = {item.path for item in report.differences if item.kind == "missing"}
    for path in report.absent:
        if path not in lost:
            yield f"  not here: {path}"


def license_json(opened: OpenedLicense) -> dict[str, Any]:
    """Return the license for programs; files are counted, not listed."""
    document = opened.document
    return {
        "store": document.store,
        "id": document.license_id,
        "kid": opened.kid,
        "test": document.is_test,
        "offer": document.offer,
        "licensee": {"name": document.licensee.name, "kind": document.licensee.kind},
        "seats": {"count": _counted(document), "kind": document.seats.kind},
        "rights": dict(document.rights),
        "terms_sha256": document.terms.sha256,
        "updates": document.updates,
        "issued_at": document.issued_at,
        "valid_from": document.valid_from,
        "file_expires_at": document.file_expires_at,
        "license_expires_at": document.license_expires_at,
        "models": [
            {"name": model.name, "revision": model.revision, "files": len(model.files)}
            for model in document.models
        ],
    }


def folder_json(report: FolderReport) -> dict[str, Any]:
    """Return the comparison for programs."""
    return {
        "model": report.model.name,
        "folder": str(report.folder),
        "same_files": report.same_files,
        "same_bytes": report.same_bytes,
        "absent": report.absent,
        "differences": [
            {"kind": item.kind, "path": item.path, "detail": item.detail}
            for item in report.differences
        ],
    }


def _facts(document: LicenseDocument) -> Iterator[tuple[str, str]]:
    people, rights = document.licensee, document.rights
    yield "License:", f"{document.license_id}, from {document.store}"
    yield "Holder:", f"{people.name} ({people.kind})"
    yield "Offer:", document.offer
    count = _counted(document)
    yield "Seats:", f"{'unlimited' if count is None else count} {document.seats.kind}"
    yield "Rights:", ", ".join(_right(name, rights[name]) for name in rights) or "as in the terms"
    yield "Terms:", f"{document.terms.title} (sha256 {document.terms.sha256})"
    if document.terms.url:
        yield "", document.terms.url
    yield "Begins:", moment(document.valid_from)
    yield "Ends:", moment(document.license_expires_at)
    yield (
        "File:",
        f"written {moment(document.issued_at)}, good until {moment(document.file_expires_at)}",
    )
    if document.machine:
        yield "Machine:", f"{document.machine.name} {document.machine.fingerprint}"
    yield "Updates:", _UPDATES[document.updates]
    yield "Models:", str(len({model.id for model in document.models}))


def _counted(document: LicenseDocument) -> int | None:
    """Return how many seats there are; ``None``: no limit."""
    return None if document.seats.count == MAX_SEATS else document.seats.count


def _right(name: str, value: str | int | bool) -> str:
    shown = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    return f"{name.replace('_', ' ')}: {shown}"

"""Which bytes of a file one request gets, and what the answer says (RFC 9110, 13 and 14).

Behaves like a static file server of nginx with ``max_ranges 1``: several ranges in one request, and
anything malformed, are answered with the whole file.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_ONE_RANGE = re.compile(r"bytes\s*=\s*(\d{0,19})\s*-\s*(\d{0,19})\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class BytesPlan:
    """What to answer."""

    status: int
    """200, 206, 304, 412 or 416."""
    start: int
    length: int
    """Bytes of the body, also for HEAD, whose body is not sent."""
    has_body: bool
    headers: Mapping[str, str] = field(default_factory=dict)


def plan(method: str, size_bytes: int, etag: str, headers: Mapping[str, str]) -> BytesPlan:
    """Return the answer to a GET or HEAD of a file that never changes under its tag.

    Args:
        method: ``GET`` or ``HEAD``.
        size_bytes: Size of the whole file.
        etag: Its strong tag, with quotes.
        headers: Of the request; names in any case.
    """
    common = {"Accept-Ranges": "bytes", "ETag": etag}
    if (match := headers.get("If-Match")) and not _lists(match, etag, weak=False):
        return BytesPlan(412, 0, 0, has_body=False, headers=common | {"Content-Length": "0"})
    if (none_match := headers.get("If-None-Match")) and _lists(none_match, etag, weak=True):
        return BytesPlan(304, 0, 0, has_body=False, headers=common)
    sends = method == "GET"
    wanted = _wanted(headers, size_bytes, etag)
    if wanted is None:
        length = {"Content-Length": str(size_bytes)}
        return BytesPlan(200, 0, size_bytes, has_body=sends, headers=common | length)
    start, end = wanted
    if start >= size_bytes:
        outside = {"Content-Range": f"bytes */{size_bytes}", "Content-Length": "0"}
        status = 416 if size_bytes else 200
        return BytesPlan(status, 0, 0, has_body=False, headers=common | outside)
    part = {
        "Content-Range": f"bytes {start}-{end}/{size_bytes}",
        "Content-Length": str(end - start + 1),
    }
    return BytesPlan(206, start, end - start + 1, has_body=sends, headers=common | part)


def _wanted(headers: Mapping[str, str], size_bytes: int, etag: str) -> tuple[int, int] | None:
    """Return (first, last) byte asked for, last clamped; ``None``: the whole file."""
    asked = headers.get("Range")
    if not asked:
        return None
    condition = headers.get("If-Range")
    if condition and condition.strip() != etag:  # a date or another tag: the file may differ
        return None
    match = _ONE_RANGE.fullmatch(asked.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        count = int(match[2])
        return (max(0, size_bytes - count), size_bytes - 1) if count else (size_bytes, size_bytes)
    start, end = int(match[1]), int(match[2]) if match[2] else size_bytes - 1
    if match[2] and end < start:
        return None
    return start, min(end, size_bytes - 1)


def _lists(header: str, etag: str, *, weak: bool) -> bool:
    """Whether a list of tags contains ``etag``; ``*`` contains every tag."""
    tags = [tag.strip() for tag in header.split(",")]
    if weak:
        tags = [tag.removeprefix("W/") for tag in tags]
    return "*" in tags or etag in tags

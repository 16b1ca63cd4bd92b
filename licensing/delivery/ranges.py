"""Which bytes of a file a request gets, and what the answer says (RFC 9110, §13 and §14).

Pure: method and headers in, status and headers out. Where the RFC leaves a choice it is nginx's
with ``max_ranges 1``, so that our own answers and those of ``X-Accel-Redirect`` look alike; a test
asks both. Differences, all on purpose:

* A malformed ``Range`` is ignored (200; §14.2 allows both), so is one that ends before it starts;
  nginx answers 416. Empty elements of its list count for nothing (§5.6.1).
* A position of more than 63 bits is one past the end; nginx answers 416 even to ``bytes=0-9…9``.
* An empty file answers a range from 0 with 200, like nginx, but says ``Content-Range: bytes */0``
  as well: the JavaScript hub client asks every file for ``bytes=0-0`` and reads the size there.
* ``If-None-Match`` makes ``If-Modified-Since`` void, and ``If-Match`` ``If-Unmodified-Since``
  (§13.2.2), where nginx wants both to hold. ``If-Modified-Since`` takes any later date (§13.1.3),
  where nginx wants the exact one.
* 304 has the length of the file (§8.6 allows that, or none), as Django would add a wrong one.

``HEAD`` is answered like ``GET``, ranges included: the RFC defines them for ``GET`` only, but
nginx, Apache and S3 all do so.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.utils.http import http_date, parse_http_date_safe

_RANGE = re.compile(r"([0-9]+) *- *([0-9]*)|-([0-9]+)")  # spaces where nginx takes them
_STRONG_TAG = re.compile(r'"[\x21\x23-\x2b\x2d-\x7e]*"')  # commas would spoil ``_lists``
_MAX_DIGITS = 4000  # Python converts up to 4300 digits; a header line holds 8 kB
_PAST_END = (-1, 0)


@dataclass(frozen=True, slots=True)
class BytesPlan:
    """What to answer."""

    status: int
    """200, 206, 304, 412 or 416."""
    start: int
    """First byte of the body, counted from 0."""
    length: int
    """Bytes of the body, also for ``HEAD``, whose body is not sent."""
    has_body: bool
    """``GET`` with 200 or 206; an empty file has a body of no bytes."""
    headers: dict[str, str]
    """Of the answer, but for those that do not depend on the request."""


def plan(
    method: str,
    size_bytes: int,
    etag: str,
    headers: Mapping[str, str],
    *,
    last_modified: datetime | None = None,
) -> BytesPlan:
    """Return the answer to a request for one file.

    Args:
        method: ``GET`` or ``HEAD``.
        size_bytes: Size of the whole file, 0 or more.
        etag: Its strong entity tag, with quotes.
        headers: Of the request, under their usual spelling or in a mapping that ignores case
            (Django's ``request.headers``).
        last_modified: When the file changed, with its time zone. ``None``: it does not say, so
            conditions on dates do not count, and a range on a condition of a date gets the whole.

    Raises:
        ValueError: another method, or a tag that is weak, not quoted, or holds a comma.
    """
    if method not in {"GET", "HEAD"}:
        raise ValueError(f"{method} does not fetch a file")
    if not _STRONG_TAG.fullmatch(etag):
        raise ValueError(f"{etag} is not a strong entity tag with quotes and without commas")
    about = {"ETag": etag}
    changed_s = None
    if last_modified is not None:
        changed_s = int(last_modified.timestamp())
        about["Last-Modified"] = http_date(changed_s)
    if not _may_answer(headers, etag, changed_s):
        return BytesPlan(412, 0, 0, has_body=False, headers=about | {"Content-Length": "0"})
    if _is_known(headers, etag, changed_s):
        length = {"Content-Length": str(size_bytes)}
        return BytesPlan(304, 0, 0, has_body=False, headers=about | length)
    about["Accept-Ranges"] = "bytes"
    span = None
    if _range_counts(headers, etag, changed_s):
        span = _one_range(headers.get("Range", ""), size_bytes)
    return _answer(method, size_bytes, about, span)


def _answer(
    method: str, size_bytes: int, about: dict[str, str], span: tuple[int, int] | None
) -> BytesPlan:
    """Return the plan for what ``_one_range`` returned."""
    start, length = (0, size_bytes) if span is None else span
    status, has_body = 200, method == "GET"
    if span == _PAST_END:
        start, status, has_body = 0, 416, False
    elif span is not None and length:
        status = 206
        about["Content-Range"] = f"bytes {start}-{start + length - 1}/{size_bytes}"
    if span is not None and not length:
        about["Content-Range"] = f"bytes */{size_bytes}"
    about["Content-Length"] = str(length)
    return BytesPlan(status, start, length, has_body, about)


def _may_answer(headers: Mapping[str, str], etag: str, changed_s: int | None) -> bool:
    """Evaluate ``If-Match``, or else ``If-Unmodified-Since``; ``False`` is a 412."""
    if tags := headers.get("If-Match"):
        return _lists(tags, etag, weakly=False)
    since_s = _date(headers, "If-Unmodified-Since")
    return since_s is None or changed_s is None or changed_s <= since_s


def _is_known(headers: Mapping[str, str], etag: str, changed_s: int | None) -> bool:
    """Evaluate ``If-None-Match``, or else ``If-Modified-Since``; ``True`` is a 304."""
    if tags := headers.get("If-None-Match"):
        return _lists(tags, etag, weakly=True)
    since_s = _date(headers, "If-Modified-Since")
    return since_s is not None and changed_s is not None and changed_s <= since_s


def _range_counts(headers: Mapping[str, str], etag: str, changed_s: int | None) -> bool:
    """Evaluate ``If-Range``: only the very same strong tag or date lets a range count."""
    condition = headers.get("If-Range", "").strip()
    if not condition:
        return True
    if condition.endswith('"'):
        return condition == etag
    return changed_s is not None and parse_http_date_safe(condition) == changed_s


def _date(headers: Mapping[str, str], name: str) -> int | None:
    """Return a header's date in seconds since 1970, ``None`` without a valid one."""
    value = headers.get(name)
    return parse_http_date_safe(value) if value else None


def _lists(tags: str, etag: str, *, weakly: bool) -> bool:
    """Tell whether ``etag`` is in a list of tags, or the list is ``*``.

    Finds it among malformed elements too, as nginx does.

    Args:
        tags: Value of the header.
        etag: A strong tag, with quotes and without commas.
        weakly: Whether ``W/"x"`` stands for ``"x"``.
    """
    if tags.strip() == "*":
        return True
    elements = (element.strip(" \t") for element in tags.split(","))
    return any((e.removeprefix("W/") if weakly else e) == etag for e in elements)


def _one_range(value: str, size_bytes: int) -> tuple[int, int] | None:
    """Return start and length of the range to send.

    Length 0 if there is nothing to send: ``_PAST_END``, or ``(0, 0)`` for an empty file asked from
    its start. ``None`` if the header does not count: it is another unit, malformed, or has more
    than one range within the file.
    """
    unit, _, elements = value.partition("=")
    if unit.lower() != "bytes":
        return None
    spans = []
    for element in elements.split(","):
        if text := element.strip(" \t"):
            span = _range(text, size_bytes)
            if span is None:
                return None
            spans.append(span)
    within = [span for span in spans if span[1]]
    if not spans or len(within) > 1:
        return None
    if size_bytes == 0 and any(start == 0 for start, _ in spans):
        return 0, 0
    return within[0] if within else _PAST_END


def _range(text: str, size_bytes: int) -> tuple[int, int] | None:
    """Return start and length of one range, cut to the file; ``None`` if it is malformed."""
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        length = min(_position(suffix), size_bytes)
        return size_bytes - length, length
    start, stop = _position(first), _position(last) + 1 if last else size_bytes
    if last and stop <= start:
        return None
    return start, max(0, min(stop, size_bytes) - start)


def _position(digits: str) -> int:
    """Return the number; one of very many digits as a position that no file reaches."""
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS

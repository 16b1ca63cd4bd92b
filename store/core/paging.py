"""Opaque cursors for lists that grow while they are read."""

import base64
import binascii
import json
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from store.core.errors import InvalidError

MAX_CURSOR_CHARS = 512
_M = TypeVar("_M", bound=Model)


class BadCursorError(InvalidError):
    """The cursor was not made by this store; start again without one."""

    code = "bad_cursor"


def encode_cursor(position: list[Any]) -> str:
    """Return ``position`` (the sort key of the last row) as an opaque URL-safe word."""
    text = json.dumps(position, separators=(",", ":"), default=str)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *, length: int) -> list[Any]:
    """Return the position in ``cursor``.

    Args:
        cursor: What a client sent.
        length: How many values the position has.

    Raises:
        BadCursorError: it is not one of ours.
    """
    if len(cursor) > MAX_CURSOR_CHARS:
        raise BadCursorError("This cursor is not ours. Start again without one.")
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        position = json.loads(raw)
    except (binascii.Error, ValueError) as exc:
        raise BadCursorError("This cursor is not ours. Start again without one.") from exc
    if not isinstance(position, list) or len(position) != length:
        raise BadCursorError("This cursor is not ours. Start again without one.")
    return position


def decode_offset(cursor: str | None) -> int:
    """Return the number of the first row of the page ``cursor`` leads to; 0 without one.

    For lists that never change, as those of a commit are.

    Raises:
        BadCursorError: it is not one of ours.
    """
    if not cursor:
        return 0
    (start,) = decode_cursor(cursor, length=1)
    if type(start) is not int or not 0 <= start < 2**31:
        raise BadCursorError("This cursor is not ours. Start again without one.")
    return start


def keyset_page(
    rows: "QuerySet[_M]",
    cursor: str | None,
    limit: int,
    *,
    key: str = "pk",
    below: int = 2**63,
    oldest_first: bool = False,
) -> tuple[list[_M], str | None]:
    """Return one page of ``rows`` and the cursor of the next; ``None`` after the last.

    Args:
        rows: In the order of ``key``: falling, or rising with ``oldest_first``.
        cursor: What a client sent; nothing for the first page.
        limit: The most rows of a page, from 1.
        key: The field the rows are ordered by: whole numbers, each once.
        below: What every ``key`` is less than.
        oldest_first: Whether the rows come in rising order.

    Raises:
        BadCursorError: the cursor is not ours.
    """
    if cursor:
        (last,) = decode_cursor(cursor, length=1)
        if type(last) is not int or not 0 < last < below:
            raise BadCursorError("This cursor is not ours. Start again without one.")
        rows = rows.filter(**{f"{key}__{'gt' if oldest_first else 'lt'}": last})
    found = list(rows[: limit + 1])
    if len(found) <= limit:
        return found, None
    return found[:limit], encode_cursor([getattr(found[limit - 1], key)])

"""Lists that are read page by page, by the number of the last row."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest, JsonResponse

from hub.answers import page_link
from hub.params import number
from store.core.paging import BadCursorError, decode_cursor, encode_cursor

PAGE = 500
M = TypeVar("M", bound=Model)


def rows_of(
    request: HttpRequest, rows: "QuerySet[M]", *, oldest_first: bool = False
) -> tuple[list[M], str]:
    """Return one page of ``rows``, which are in the order of their numbers, and the next cursor.

    Raises:
        BadCursorError, InvalidError: ``cursor`` is not ours; ``limit`` is no number from 1.
    """
    limit = min(number(request, "limit", PAGE, least=1), PAGE)
    if cursor := request.GET.get("cursor", ""):
        (last,) = decode_cursor(cursor, length=1)
        if type(last) is not int or not 0 < last < 2**63:
            raise BadCursorError("This cursor is not ours. Start again without one.")
        rows = rows.filter(**{"pk__gt" if oldest_first else "pk__lt": last})
    found = list(rows[: limit + 1])
    following = encode_cursor([found[limit - 1].pk]) if len(found) > limit else ""
    return found[:limit], following


def answer_of(
    request: HttpRequest, found: list[M], following: str, shape: Callable[[M], dict[str, Any]]
) -> JsonResponse:
    """Answer a page as the protocol does: an array, and a ``Link`` to the next."""
    answer = JsonResponse([shape(row) for row in found], safe=False)
    if following:
        answer["Link"] = page_link(request, cursor=following)
    return answer

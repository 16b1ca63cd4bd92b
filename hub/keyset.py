"""Lists that are read page by page, by the number of the last row."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest, JsonResponse

from hub.answers import page_link
from hub.params import number
from store.core.paging import keyset_page

PAGE = 500
M = TypeVar("M", bound=Model)


def rows_of(
    request: HttpRequest, rows: "QuerySet[M]", *, oldest_first: bool = False
) -> tuple[list[M], str | None]:
    """Return one page of ``rows``, which are in the order of their numbers, and the next cursor.

    Raises:
        BadCursorError, InvalidError: ``cursor`` is not ours; ``limit`` is no number from 1.
    """
    limit = min(number(request, "limit", PAGE, least=1), PAGE)
    return keyset_page(rows, request.GET.get("cursor"), limit, oldest_first=oldest_first)


def answer_of(
    request: HttpRequest,
    found: list[M],
    following: str | None,
    shape: Callable[[M], dict[str, Any]],
) -> JsonResponse:
    """Answer a page as the protocol does: an array, and a ``Link`` to the next."""
    answer = JsonResponse([shape(row) for row in found], safe=False)
    if following:
        answer["Link"] = page_link(request, cursor=following)
    return answer

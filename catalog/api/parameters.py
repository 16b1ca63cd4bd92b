"""Query parameters of the REST API's models, as its description tells them."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from catalog.search.fields import FIELDS, MEASURES, Field
from catalog.search.ordering import ORDERS
from store.core.errors import InvalidError
from store.core.paging import keyset_page

PAGE, MAX_PAGE = 20, 100
FILES_PAGE, MAX_FILES_PAGE = 1000, 1000


def paging(usual: int = PAGE, most: int = MAX_PAGE) -> list[OpenApiParameter]:
    """Return the parameters of a list that is read page by page."""
    return [
        OpenApiParameter("cursor", str, description="From `next` of the page before."),
        OpenApiParameter("limit", int, description=f"1 to {most}, default {usual}."),
    ]


REVISION = OpenApiParameter("revision", str, description="Branch, tag or commit; default main.")


def _of_field(field: Field) -> OpenApiParameter:
    values = [value for value, _ in field.choices]
    rule = "all must apply" if field.needs_all else "one must apply"
    return OpenApiParameter(
        field.name,
        str,
        many=True,
        enum=values or None,
        description=f"{field.label}. May be repeated: {rule}.",
    )


SEARCH = [
    OpenApiParameter("q", str, description="Words in names, cards and tags."),
    OpenApiParameter("search", str, description="Part of a name."),
    OpenApiParameter("author", str, description="Person or organization that publishes it."),
    *(_of_field(field) for field in FIELDS),
    *(
        OpenApiParameter(
            f"{measure.name}_{end}",
            str,
            description=f"{measure.label}, at {word}: a number, also as 1.5M or 3B.",
        )
        for measure in MEASURES
        for end, word in (("min", "least"), ("max", "most"))
    ),
    *(
        OpenApiParameter(
            f"price_{end}",
            str,
            description=f"Price, at {word}: whole units, as 19 or 19.50. What is free costs 0.",
        )
        for end, word in (("min", "least"), ("max", "most"))
    ),
    OpenApiParameter(
        "currency",
        str,
        description="In which to compare prices, as EUR; default: the one most models have. There"
        " are no exchange rates: a model sold in others only is in no range, and sorted last.",
    ),
    OpenApiParameter(
        "sort", str, enum=list(ORDERS), description="Default: relevance with `q`, else trending."
    ),
    OpenApiParameter("facets", bool, description="Also count the facets' values."),
]


def limit_of(text: str | None, *, usual: int = PAGE, most: int = MAX_PAGE) -> int:
    """Return the page length a caller asked for.

    Raises:
        InvalidError: it is no number between 1 and ``most``.
    """
    if text is None:
        return usual
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= most:
        raise InvalidError(f"limit is a whole number from 1 to {most}.")
    return int(text)


def page_of(request: Request, rows: "QuerySet[Any]") -> tuple[list[Any], str | None]:
    """Return one page of ``rows``, which come newest first, and the cursor of the next.

    Raises:
        BadCursorError, InvalidError: ``cursor`` is not ours; ``limit`` is out of range.
    """
    limit = limit_of(request.query_params.get("limit"))
    return keyset_page(rows, request.query_params.get("cursor"), limit)

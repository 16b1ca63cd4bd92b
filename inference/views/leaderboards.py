"""Leaderboards: the list of them, one, and the same as a table for spreadsheets."""

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from catalog.search.counting import Facet
from catalog.search.query import SearchQuery
from catalog.views.listing import page_number
from inference.services import leaderboards
from inference.services.board_plot import AXES, picture
from inference.services.board_table import table_of
from licensing.services.shelf import price_notes
from store.core.spreadsheets import csv_answer

ROWS_PAGE = 50


@require_safe
def boards_page(request: HttpRequest) -> HttpResponse:
    """Show every leaderboard."""
    return render(request, "inference/leaderboards.html", {"boards": leaderboards.boards()})


@require_safe
def board_page(request: HttpRequest, key: str) -> HttpResponse:
    """Show one leaderboard: rank with doubt, picture, filters."""
    query = _query(request)
    board = leaderboards.board(key, query, has_facets=True)
    axis = AXES.get(request.GET.get("x", ""), AXES["parameters"])
    number = min(page_number(request), max(1, -(-len(board.rows) // ROWS_PAGE)))
    start = (number - 1) * ROWS_PAGE
    rows = board.rows[start : start + ROWS_PAGE]
    leaderboards.add_costs(board.rows if axis.is_cost else rows, board.currency)
    more = {} if axis.name == "parameters" else {"x": axis.name}

    def href(**changes: Any) -> str:
        return "?" + urlencode(query.to_params() | more | changes, doseq=True)

    context = {
        "board": board,
        "query": query,
        "rows": rows,
        "notes": price_notes([row.repo_id for row in rows], currency=board.currency),
        "facets": _keeping(board.facets, more),
        "currencies": sorted({*board.currencies, board.currency}) if board.currencies else [],
        "base": f"/leaderboards/{key}",
        "picture": picture(board, axis),
        "axes": [(each, href(x=each.name)) for each in AXES.values()],
        "csv_href": f"/leaderboards/{key}.csv?{query.query_string}",
        "next_href": href(page=number + 1) if start + ROWS_PAGE < len(board.rows) else "",
        "previous_href": href(page=number - 1) if number > 1 else "",
        "first": start + 1,
        "last": start + len(rows),
    }
    return render(request, "inference/leaderboard.html", context)


def _query(request: HttpRequest) -> SearchQuery:
    """Return the conditions of an address; an order means nothing on a board."""
    return replace(SearchQuery.from_params(request.GET), sort="")


def _keeping(facets: list[Facet], more: dict[str, str]) -> list[Facet]:
    """Return facets whose links keep what is not part of the search."""
    if not more:
        return facets
    rest = urlencode(more)
    return [
        replace(
            facet,
            values=[
                replace(value, query_string=f"{value.query_string}&{rest}".lstrip("&"))
                for value in facet.values
            ],
        )
        for facet in facets
    ]


@require_safe
def board_table(request: HttpRequest, key: str) -> HttpResponseBase:
    """Send a leaderboard as CSV, with the same conditions as its page."""
    board = leaderboards.board(key, _query(request))
    leaderboards.add_costs(board.rows, board.currency)
    return csv_answer(table_of(board), f"leaderboard-{board.suite.public_id}.csv")

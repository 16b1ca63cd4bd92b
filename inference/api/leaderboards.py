"""``/api/v1/leaderboards``: public models ranked by what the store measured."""

from dataclasses import replace

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from catalog.api.parameters import SEARCH, limit_of, paging
from catalog.search.query import SearchQuery
from inference.api import leaderboard_examples as examples
from inference.api.leaderboard_shapes import BoardOut, BoardsOut
from inference.services import leaderboards
from store.core.paging import decode_offset, encode_cursor

PAGE, MAX_PAGE = 50, 500
_FILTERS = [each for each in SEARCH if each.name not in {"sort", "facets"}]


class BoardsView(APIView):
    """All leaderboards."""

    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="leaderboards_list",
        summary="List the leaderboards",
        responses=BoardsOut,
        examples=[examples.BOARDS],
    )
    def get(self, request: Request) -> Response:
        """Answer every leaderboard with the number of its models."""
        return Response(BoardsOut({"results": leaderboards.boards()}).data)


class BoardView(APIView):
    """One leaderboard."""

    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="leaderboards_read",
        summary="Read a leaderboard",
        parameters=[*_FILTERS, *paging(PAGE, MAX_PAGE)],
        responses=BoardOut,
        examples=[examples.BOARD],
    )
    def get(self, request: Request, suite: str) -> Response:
        """Answer one page of the models that match, best first; ranks are among those."""
        query = replace(SearchQuery.from_params(request.query_params, strict=True), sort="")
        limit = limit_of(request.query_params.get("limit"), usual=PAGE, most=MAX_PAGE)
        start = decode_offset(request.query_params.get("cursor"))
        board = leaderboards.board(suite, query)
        end = start + limit
        rows = board.rows[start:end]
        leaderboards.add_costs(rows, board.currency)
        body = {
            "board": board,
            "results": rows,
            "next": encode_cursor([end]) if end < len(board.rows) else None,
            "total": len(board.rows),
        }
        return Response(BoardOut(body).data)

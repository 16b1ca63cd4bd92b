"""``/api/v1/sales``, ``buyers`` and ``balance``: what was sold to whom, and what is owed for it."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Namespace
from accounts.rest import check_recent, viewer
from catalog.api.parameters import page_of, paging
from licensing.api import seller_examples as examples
from licensing.api.license_shapes import licenses_json
from licensing.api.seller_serializers import (
    BalancesOut,
    BuyersPageOut,
    EntriesPageOut,
    SaleOut,
    SalesPageOut,
    SalesSummaryOut,
)
from licensing.services import balances, sales, seller_entries
from licensing.services.funnel import Funnel, funnel_of
from licensing.services.payout_prospects import prospect_of
from licensing.services.sellers import seller_for
from licensing.services.sold_licenses import country_of, sold_licenses
from licensing.services.sold_orders import FILTERS, orders_of, sold, sold_order
from store.core.errors import InvalidError

MAX_DAYS = 366
SELLER = OpenApiParameter(
    "seller", str, description="An organization you are an admin of. Default: yourself."
)


def seller_of(request: Request) -> Namespace:
    """Return the seller the query names; without a name, the caller's own name space.

    What a seller sold is money and other people's data: a session proves itself as on the pages.

    Raises:
        RecentLoginNeededError: see ``check_recent``.
        UnauthenticatedError, MissingScopeError: see there; the scope ``read`` is needed.
        SellerNotFoundError: not theirs to see.
    """
    check_recent(request)
    return seller_for(viewer(request), request.query_params.get("seller", ""))


class SalesView(APIView):
    """What was sold."""

    @extend_schema(
        operation_id="sales_list",
        summary="List sales, newest first",
        parameters=[
            SELLER,
            OpenApiParameter(
                "q", str, description="Part of a buyer's name or an offer's title, or an order."
            ),
            OpenApiParameter(
                "only", str, enum=[name for name in FILTERS if name], description="Narrow the list."
            ),
            *paging(),
        ],
        responses=SalesPageOut,
        examples=[examples.SALES],
    )
    def get(self, request: Request) -> Response:
        """Answer paid orders, each with the lines of this seller alone."""
        query = request.query_params
        rows = orders_of(seller_of(request), search=query.get("q", ""), only=query.get("only", ""))
        shown, following = page_of(request, rows)
        page = {"results": [sold(order) for order in shown], "next": following}
        return Response(SalesPageOut(page).data)


class SaleView(APIView):
    """One order that was sold."""

    @extend_schema(
        operation_id="sales_read",
        summary="Read a sale",
        parameters=[SELLER],
        responses=SaleOut,
        examples=[examples.SALE],
    )
    def get(self, request: Request, order_id: str) -> Response:
        """Answer one order as its seller sees it. Answer refunds at `/api/v1/refunds`."""
        return Response(SaleOut(sold_order(seller_of(request), order_id)).data)


class BuyersView(APIView):
    """Who holds licenses."""

    @extend_schema(
        operation_id="buyers_list",
        summary="List the licenses you sold, newest first",
        parameters=[
            SELLER,
            OpenApiParameter(
                "q", str, description="Part of a licensee's or holder's name or a title; or an id."
            ),
            *paging(),
        ],
        responses=BuyersPageOut,
        examples=[examples.BUYERS],
    )
    def get(self, request: Request) -> Response:
        """Answer who holds what, whether it counts, and how many seats are used.

        Suspend one or let it count again at `/api/v1/licenses/{id}/suspend` and `…/reinstate`.
        """
        rows = sold_licenses(seller_of(request), search=request.query_params.get("q", ""))
        shown, following = page_of(request, rows.select_related("seller", "terms"))
        found = [
            facts | {"order": row.line.order.public_id, "country": country_of(row)}
            for row, facts in zip(shown, licenses_json(shown), strict=True)
        ]
        return Response(BuyersPageOut({"results": found, "next": following}).data)


class SalesSummaryView(APIView):
    """Sums of sales."""

    @extend_schema(
        operation_id="sales_summary",
        summary="Compare a period with the one before",
        parameters=[
            SELLER,
            OpenApiParameter(
                "days", int, description=f"Up to today, UTC: 1 to {MAX_DAYS}, default 30."
            ),
        ],
        responses=SalesSummaryOut,
        examples=[examples.SUMMARY],
    )
    def get(self, request: Request) -> Response:
        """Answer sums by currency, by day, by offer and by country; and how many came how far."""
        seller = seller_of(request)
        period = sales.period_of(_days(request))
        offers, countries = sales.by_offer(seller, period), sales.by_country(seller, period)
        now, before = sales.downloads(seller, period)
        found = [
            {
                "currency": row.purse.currency,
                "is_test": row.purse.is_test,
                "now": row.now,
                "before": row.before,
                "days": _by_day(row),
                "by_offer": offers.get(row.purse, []),
                "by_country": countries.get(row.purse, []),
            }
            for row in sales.summaries(seller, period)
        ]
        answer = {
            "seller": seller.name,
            "first_day": period.first,
            "last_day": period.today,
            "downloads": {"now": now, "before": before},
            "funnels": [
                _of_funnel(funnel_of(seller, period, is_test=is_test), is_test=is_test)
                for is_test in (False, True)
            ],
            "purses": found,
        }
        return Response(SalesSummaryOut(answer).data)


def _by_day(row: sales.Summary) -> list[dict[str, Any]]:
    days = sorted(day for day in row.by_day if day >= row.period.first)
    return [asdict(row.by_day[day]) | {"day": day} for day in days]


def _of_funnel(found: Funnel, *, is_test: bool) -> dict[str, Any]:
    steps = {"views": found.views, "begun": found.begun, "paid": found.paid}
    sums = {name: found.sums(by_day) for name, by_day in steps.items()}
    return {
        "is_test": is_test,
        **{name: {"now": now, "before": before} for name, (now, before) in sums.items()},
        "days": [
            {"day": day, **{name: by_day.get(day, 0) for name, by_day in steps.items()}}
            for day in found.days
        ],
    }


def _days(request: Request) -> int:
    text = request.query_params.get("days", str(sales.USUAL_DAYS))
    if not (text.isascii() and text.isdigit() and len(text) < 4) or not 1 <= int(text) <= MAX_DAYS:
        raise InvalidError(f"days is a whole number from 1 to {MAX_DAYS}.")
    return int(text)


class BalanceView(APIView):
    """What is owed."""

    @extend_schema(
        operation_id="balance_read",
        summary="Read what is available, held and disputed",
        parameters=[SELLER],
        responses=BalancesOut,
        examples=[examples.BALANCES],
    )
    def get(self, request: Request) -> Response:
        """Answer balances by gateway and currency; each held amount with rule and date."""
        seller = seller_of(request)
        rows = balances.balances_of(seller)
        held = balances.held_of(seller)
        found = [
            {
                "gateway": row.gateway,
                "currency": row.currency,
                "is_test": row.is_test,
                "available_minor": row.available_minor,
                "held_minor": row.held_minor,
                "disputed_minor": row.disputed_minor,
                "sending_minor": row.sending_minor,
                "held": held[row.place].rows,
                "has_more": held[row.place].has_more,
                "payout": prospect_of(seller, row),
            }
            for row in rows
        ]
        return Response(BalancesOut({"seller": seller.name, "balances": found}).data)


class EntriesView(APIView):
    """The seller's ledger."""

    @extend_schema(
        operation_id="balance_entries",
        summary="List every change of your balance, newest first",
        parameters=[SELLER, *paging()],
        responses=EntriesPageOut,
        examples=[examples.ENTRIES],
    )
    def get(self, request: Request) -> Response:
        """Answer the entries whose sum, by gateway and currency, is the balance."""
        rows = seller_entries.entries_of(seller_of(request)).order_by("-pk")
        shown, following = page_of(request, rows)
        return Response(EntriesPageOut({"results": shown, "next": following}).data)

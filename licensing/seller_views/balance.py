"""A seller's money: what is owed to them, what is held and until when, what was paid out."""

from datetime import date

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.formats import date_format
from django.views.decorators.http import require_safe

from accounts.models import User
from accounts.views.guards import recent, two_factor_required, viewer_of
from licensing.gateways.base import TEST_GATEWAYS
from licensing.paper_answers import pdf_answer
from licensing.seller_views.seller_frame import of_seller, seller_context, seller_of
from licensing.services import balances
from licensing.services.payout_accounts import destinations_of
from licensing.services.payout_prospects import prospect_of
from licensing.services.payouts import pause_of
from store.core.money import Money, show
from store.core.paging import BadCursorError, keyset_page
from store.core.templatetags.store_charts import Point

HISTORY_DAYS = 90
PAGE = 50


@require_safe
@recent
def balance_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show what is available, held and disputed, each amount with its rule and date."""
    viewer, seller = viewer_of(request), seller_of(request)
    rows, held = balances.balances_of(seller), balances.held_of(seller)
    histories = balances.histories_of(seller, HISTORY_DAYS)
    found = [
        (
            row,
            held[row.place],
            _points(histories.get(row.place, []), row.currency),
            prospect_of(seller, row),
        )
        for row in rows
    ]
    context = seller_context(viewer, seller, "balance") | {
        "balances": found,
        "pause": pause_of(seller),
    }
    return render(request, "licensing/balance.html", context)


def _points(history: list[tuple[date, int]], currency: str) -> list[Point]:
    return [
        Point(date_format(day, "MONTH_DAY_FORMAT"), total, show(Money(total, currency)))
        for day, total in history
    ]


@require_safe
@two_factor_required
def payouts_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show what was paid out, with statements."""
    viewer, seller = viewer_of(request), seller_of(request)
    rows = balances.payouts_of(seller)
    try:
        found, following = keyset_page(rows, request.GET.get("cursor"), PAGE)
    except BadCursorError:  # an old link: start at the front
        found, following = keyset_page(rows, None, PAGE)
    statements = balances.statements_of(found)
    more = of_seller(viewer, seller, cursor=following or "")
    context = seller_context(viewer, seller, "payouts") | {
        "payouts": [
            (row, statements.get(row.public_id), row.gateway in TEST_GATEWAYS) for row in found
        ],
        "next_href": more if following else "",
        "pause": pause_of(seller),
        "missing": [one for one in destinations_of(seller) if not one.is_ready],
    }
    return render(request, "licensing/payouts.html", context)


@require_safe
@two_factor_required
def statement_file(request: HttpRequest, user: User, payout: str) -> HttpResponse:
    """Send the statement of a payout as PDF."""
    return pdf_answer(balances.statement_of(balances.payout_of(seller_of(request), payout)))

"""The dashboard of a seller: this time against the one before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from accounts.models import User
from accounts.views.guards import recent, viewer_of
from licensing.seller_views.seller_frame import of_seller, seller_context, seller_of
from licensing.services import sales
from licensing.services.funnel import Funnel, funnel_of
from licensing.services.sales import Figures, Summary
from licensing.services.sold_orders import orders_of, sold
from licensing.tax.countries import country_name
from store.core.money import Money, show
from store.core.templatetags.store_charts import Point
from store.core.ui.figures import THIN, exact_text, percent_text

RECENT = 8
"""Orders the dashboard shows."""
_PERIODS = {
    7: gettext_lazy("7 days"),
    30: gettext_lazy("30 days"),
    90: gettext_lazy("90 days"),
    365: gettext_lazy("a year"),
}


@dataclass(frozen=True, slots=True)
class Compared:
    """A sum beside that of the time before."""

    label: str
    text: str
    before: str
    change: str
    """In words, as ``+20 %`` or ``8 % of views``; empty: there is nothing to compare with."""


@require_safe
@recent
def overview_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show what a seller sold in a period, and in the one before."""
    viewer, seller = viewer_of(request), seller_of(request)
    period = sales.period_of(_days(request))
    found = sales.summaries(seller, period)
    chosen = sales.choose(found, request.GET.get("money", ""))
    is_test = chosen.purse.is_test if chosen is not None else None
    context = seller_context(viewer, seller, "overview") | {
        "period": period,
        "periods": [
            (words, of_seller(viewer, seller, days=str(days), money=request.GET.get("money", "")))
            for days, words in _PERIODS.items()
        ],
        "period_words": _PERIODS[period.days],
        "summary": chosen,
        "purses": [
            (row.purse, of_seller(viewer, seller, days=str(period.days), money=row.purse.key))
            for row in found
        ],
        "recent": [sold(order) for order in orders_of(seller)[:RECENT]],
        "downloads": _count(_("Downloads"), *sales.downloads(seller, period)),
        "funnel": _funnel(funnel_of(seller, period, is_test=is_test)),
    }
    if chosen is not None:
        context |= _sums(chosen)
        context["by_offer"] = sales.by_offer(seller, period).get(chosen.purse, [])
        context["by_country"] = [
            (country_name(row.key) if row.key else _("Without an address"), row)
            for row in sales.by_country(seller, period).get(chosen.purse, [])
        ]
    return render(request, "licensing/sales.html", context)


def _days(request: HttpRequest) -> int:
    asked = request.GET.get("days", "")
    known = {str(days): days for days in sales.PERIODS}
    return known.get(asked, sales.USUAL_DAYS)


def _sums(summary: Summary) -> dict[str, Any]:
    now, before, currency = summary.now, summary.before, summary.purse.currency
    return {
        "figures": [
            _count(_("Sales"), now.sales, before.sales),
            _amount(_("Paid by buyers"), now.gross_minor, before.gross_minor, currency),
            _amount(_("Given back"), now.refunded_minor, before.refunded_minor, currency),
            _amount(_("Yours"), now.earned_minor, before.earned_minor, currency),
        ],
        "earned": _points(summary.points(), currency),
        "earned_before": _points(summary.points(is_before=True), currency),
        "counted": [
            Point(_span(first, last), row.sales, exact_text(row.sales))
            for first, last, row in summary.points()
        ],
    }


def _funnel(found: Funnel) -> dict[str, Any] | None:
    """Return how many came how far, and the lines of it; ``None``: nobody came at all."""
    if found.is_empty:
        return None
    views, begun, paid = (found.sums(part) for part in (found.views, found.begun, found.paid))
    steps = [
        _count(_("Views"), *views),
        _count(_("Checkouts begun"), *begun),
        _count(_("Orders paid"), *paid),
    ]
    parts = (
        "",
        _part(_("%(part)s of views"), begun[0], views[0]),
        _part(_("%(part)s of checkouts"), paid[0], begun[0]),
    )
    has_orders = bool(found.begun or found.paid)  # otherwise the chart says "nothing yet"
    return {
        "steps": [replace(step, change=part) for step, part in zip(steps, parts, strict=True)],
        "views": _counted(found, found.views),
        "views_before": _counted(found, found.views, is_before=True),
        "begun": _counted(found, found.begun) if has_orders else [],
        "paid": _counted(found, found.paid) if has_orders else [],
    }


def _part(words: str, count: int, among: int) -> str:
    """Say which part of the step before came on; empty where that cannot be."""
    return words % {"part": percent_text(count / among)} if 0 < among >= count else ""


def _counted(found: Funnel, by_day: Mapping[date, int], *, is_before: bool = False) -> list[Point]:
    return [
        Point(_span(first, last), count, exact_text(count))
        for first, last, count in found.points(by_day, is_before=is_before)
    ]


def _points(spans: Sequence[tuple[date, date, Figures]], currency: str) -> list[Point]:
    return [
        Point(_span(first, last), row.earned_minor, show(Money(row.earned_minor, currency)))
        for first, last, row in spans
    ]


def _span(first: date, last: date) -> str:
    start, end = (date_format(day, "MONTH_DAY_FORMAT") for day in (first, last))
    return start if first == last else _("%(start)s to %(end)s") % {"start": start, "end": end}


def _count(label: str, now: int, before: int) -> Compared:
    return Compared(label, exact_text(now), exact_text(before), change_text(now, before))


def _amount(label: str, now: int, before: int, currency: str) -> Compared:
    texts = [show(Money(amount, currency)) for amount in (now, before)]
    return Compared(label, texts[0], texts[1], change_text(now, before))


def change_text(now: int, before: int) -> str:
    """Return how much more or less it is, in whole percent; empty where it cannot be told."""
    if before <= 0 or now < 0:
        return ""
    percent = round(100 * (now - before) / before)
    return f"{percent:+,d}{THIN}%" if percent else _("the same")

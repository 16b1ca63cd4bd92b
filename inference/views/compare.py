"""``/models/compare``: up to four models side by side."""

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.views.guards import viewer_of
from inference.services import comparing
from inference.services.comparing import MOST, Column
from licensing.sessions import cart_of

MOST_NAMES = 20
"""Of one address; more are not even looked up."""


@require_safe
def compare_page(request: HttpRequest) -> HttpResponse:
    """Show the models an address names: facts, terms, scores, answers."""
    names = request.GET.getlist("m")[:MOST_NAMES]
    currency = request.GET.get("currency", "").upper()[:3] or cart_of(request).currency
    found = comparing.compare(viewer_of(request), names, currency=currency)
    columns = found.columns
    context = {
        "found": found,
        "columns": [(column, _without(found.names, column)) for column in columns],
        "facts": comparing.fact_rows(columns),
        "terms": comparing.term_rows(columns),
        "scores": comparing.score_rows(columns),
        "samples": comparing.answers_side_by_side(columns, request.GET.get("suite", "")),
        "most": MOST,
    }
    answer = render(request, "inference/compare.html", context)
    answer["Cache-Control"] = "private, no-store"
    return answer


def _without(names: list[str], column: Column) -> str:
    """Return the address of the page without a model."""
    rest = urlencode({"m": [name for name in names if name != column.name]}, doseq=True)
    return f"/models/compare?{rest}" if rest else "/models/compare"

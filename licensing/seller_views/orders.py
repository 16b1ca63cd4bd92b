"""Orders as their seller sees them: what was sold, requests for refunds, money given back."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import Namespace, User
from accounts.viewer import Viewer
from accounts.views.guards import recent, viewer_of
from licensing.models import Refund
from licensing.paper_answers import pdf_answer
from licensing.seller_views.seller_frame import of_seller, seller_context, seller_of
from licensing.services import refunds, sold_orders
from licensing.services.ordering import OrderNotFoundError
from licensing.services.refunds import MAX_REASON_CHARS
from licensing.services.sold_orders import BadFilterError, SoldOrder, orders_of, sold
from licensing.tax.countries import country_name
from store.core.errors import InvalidError, StoreError
from store.core.paging import BadCursorError, keyset_page

PAGE = 50


class AnswerNeededError(InvalidError):
    """A request is declined with a reason, which the buyer reads."""

    code = "answer_needed"


@require_safe
@recent
def orders_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show what a seller sold, newest first; find an order by buyer, title or id."""
    viewer, seller = viewer_of(request), seller_of(request)
    search, only = request.GET.get("q", ""), request.GET.get("only", "")
    try:
        rows = orders_of(seller, search=search, only=only)
    except BadFilterError:  # an old link: all of them
        only = ""
        rows = orders_of(seller, search=search)
    try:
        found, following = keyset_page(rows, request.GET.get("cursor"), PAGE)
    except BadCursorError:  # an old link: start at the front
        found, following = keyset_page(rows, None, PAGE)
    more = of_seller(viewer, seller, q=search, only=only, cursor=following or "")
    context = seller_context(viewer, seller, "orders") | {
        "orders": [sold(order) for order in found],
        "search": search,
        "only": only,
        "next_href": more if following else "",
        "filters": [
            ("", _("All")),
            ("asked", _("Refund asked for")),
            ("refunded", _("Refunded")),
            ("disputed", _("Disputed")),
            ("test", _("Test sales")),
        ],
    }
    return render(request, "licensing/sold_orders.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@recent
def order_page(request: HttpRequest, user: User, order: str) -> HttpResponse:
    """Show one order; answer a request for a refund, or give a line back unasked."""
    viewer, seller = viewer_of(request), seller_of(request)
    found = sold_orders.sold_order(seller, order)
    status = 200
    if request.method == "POST":
        try:
            _act(request, viewer, found)
        except StoreError as error:
            status = error.status
            messages.error(request, error.message)
        else:
            return redirect(f"/sales/orders/{order}{of_seller(viewer, seller)}")
        found = sold_orders.sold_order(seller, order)
    context = seller_context(viewer, seller, "orders") | _told(seller, found)
    return render(request, "licensing/sold_order.html", context, status=status)


def _told(seller: Namespace, found: SoldOrder) -> dict[str, Any]:
    return {
        "sold": found,
        "order": found.order,
        "lines": [(line, found.can_give_back(line), _yours(line)) for line in found.lines],
        "answerable": [
            (refund, found.may_answer(refund))
            for refund in found.refunds
            if refund.state == Refund.State.ASKED
        ],
        "answered": [row for row in found.refunds if row.state != Refund.State.ASKED],
        "disputes": sold_orders.open_disputes(found.order),
        "papers": sold_orders.papers_of(seller, found.order),
        "max_reason_chars": MAX_REASON_CHARS,
        "country": country_name(found.order.billing.get("country", "")),
    }


def _yours(line: Any) -> int:
    """Return what a line brings its seller, without the tax, before refunds."""
    shares = sum(share.amount_minor for share in line.shares.all())
    return int(line.net_minor - line.fee_minor - shares)


def _act(request: HttpRequest, viewer: Viewer, found: SoldOrder) -> None:
    """Do what a form of the page asks for.

    Raises:
        AnswerNeededError: a request is declined without a reason.
        StoreError: what the services refuse.
    """
    sent = request.POST
    act, words = sent.get("act", ""), sent.get("words", "").strip()
    if act == "give-back":
        line = sold_orders.line_of(found, sent.get("line", ""))
        made = refunds.give_back(viewer, found.order, line, words)
        messages.success(request, _sent(made))
        return
    if act not in {"accept", "decline"}:
        raise InvalidError(_("Choose what to do."))
    asked = sold_orders.request_of(found, sent.get("refund", ""))
    refund = refunds.refund_for(viewer, asked.public_id)
    if act == "accept":
        messages.success(request, _sent(refunds.accept(viewer, refund)))
        return
    if not words:
        raise AnswerNeededError(_("Say why you decline: the buyer reads it."))
    refunds.decline(viewer, refund, words)
    messages.success(request, _("The request is declined. The buyer reads your answer."))


def _sent(refund: Refund) -> str:
    if refund.state == Refund.State.FAILED:
        return _("Access has ended, but the money could not be sent: staff will see to it.")
    return _("Given back: access has ended, and the money is on its way.")


@require_safe
@recent
def paper_file(request: HttpRequest, user: User, order: str, number: str) -> HttpResponse:
    """Send an invoice or credit note of an order as PDF."""
    seller = seller_of(request)
    found = sold_orders.sold_order(seller, order)
    papers = sold_orders.papers_of(seller, found.order)
    paper = next((row for row in papers if row.public_id == number), None)
    if paper is None:
        raise OrderNotFoundError(_("There is no such document."))
    return pdf_answer(paper)

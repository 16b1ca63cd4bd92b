"""Pages of orders: the list, one order from open to complete, its documents."""

from datetime import timedelta
from typing import Any, NamedTuple

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from accounts.viewer import Viewer
from accounts.views.guards import personal, viewer_of
from catalog.models import ModelCard, ModelRepo
from catalog.services.usage import Snippet, snippets
from catalog.views.listing import page_number
from licensing.access_orders import (
    invoice_seen_by,
    invoices_of,
    may_change,
    order_changed_by,
    order_seen_by,
    orders_of,
)
from licensing.configured import license_key_again
from licensing.models import License, Offer, Order, OrderLine
from licensing.paper_answers import pdf_answer
from licensing.services import calling_off, checkout, on_its_way, subscriptions
from licensing.services.paperwork import buyer_party
from licensing.views_checkout import WAYS, pay
from store.core.errors import StoreError
from store.core.sealing import SealBrokenError
from store.core.web import origin

PAGE = 30
FRESH = timedelta(hours=1)
"""So long after an order is complete, its page shows its buyer the keys without being asked."""
_WANTED = ("hf", "transformers", "curl")
"""Ways to use a model that the success page shows; the listing has them all."""


class Bought(NamedTuple):
    """A line of an order with what came of it."""

    line: OrderLine
    license: License | None
    key: str
    """Only on the page right after paying; else empty."""
    repos: list[ModelRepo]
    ways: list[Snippet]


class Stage(NamedTuple):
    """One step of an order."""

    title: str
    state: str
    at: Any


@require_safe
@personal
def list_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show the person's orders and those for their teams."""
    number = page_number(request)
    start = (number - 1) * PAGE
    found = list(orders_of(viewer_of(request)).prefetch_related("lines")[start : start + PAGE + 1])
    context = {
        "orders": found[:PAGE],
        "next_href": f"?page={number + 1}" if len(found) > PAGE else "",
        "previous_href": f"?page={number - 1}" if number > 1 else "",
    }
    return render(request, "licensing/orders.html", context)


@require_safe
@personal
def order_page(request: HttpRequest, user: User, order: str) -> HttpResponse:
    """Show where an order stands, what it came to and what it gave."""
    viewer = viewer_of(request)
    found = order_seen_by(viewer, order)
    is_open, is_coming = found.state == Order.State.OPEN, on_its_way.is_on_its_way(found)
    can_change = may_change(viewer, found)
    bought = _bought(request, viewer, found)
    context = {
        "order": found,
        "lines": [item.line for item in bought],
        "stages": stages_of(found, is_coming=is_coming),
        "bought": bought,
        "payments": list(found.payments.order_by("id")),
        "refunds": list(found.refunds.select_related("line").order_by("id")),
        "invoices": list(invoices_of(found)),
        "party": buyer_party(found) if can_change or viewer.is_staff else None,
        "can_change": can_change,
        "can_cancel": can_change and is_open and not found.paid_minor and not is_coming,
        "is_coming": is_coming,
        "way": WAYS.get(found.gateway.removesuffix("-test"), found.gateway),
        "instructions": _instructions(found) if is_open and can_change else "",
        "is_fresh": _is_fresh(viewer, found),
        "is_waiting": found.state == Order.State.PAID,
        "standing": _standing(viewer, bought) if can_change else None,
    }
    return render(request, "licensing/order.html", context)


def _instructions(order: Order) -> str:
    """Return how to pay where there is no page for it: a bank transfer."""
    if order.gateway != "invoice":
        return ""
    return checkout.start(order).instructions


def _is_fresh(viewer: Viewer, order: Order) -> bool:
    """Whether its buyer looks at it right after paying."""
    is_buyer = viewer.user is not None and order.buyer_id == viewer.user.pk
    return (
        is_buyer
        and order.state == Order.State.FULFILLED
        and order.fulfilled_at is not None
        and timezone.now() - order.fulfilled_at < FRESH
    )


def _bought(request: HttpRequest, viewer: Viewer, order: Order) -> list[Bought]:
    lines = order.lines.select_related("license__grant", "seller", "terms").prefetch_related(
        "repos__namespace"
    )
    is_fresh = _is_fresh(viewer, order)
    return [_of_line(request, line, is_fresh=is_fresh) for line in lines.order_by("position")]


def _of_line(request: HttpRequest, line: OrderLine, *, is_fresh: bool) -> Bought:
    row: License | None = getattr(line, "license", None)
    repos = list(line.repos.all())
    if row is None or not is_fresh:
        return Bought(line, row or _carried_on(line), "", repos, [])
    return Bought(line, row, _key_of(row), repos, ways_to_use(origin(request), repos[:1]))


def _carried_on(line: OrderLine) -> License | None:
    """Return the license a line gave more time to: another term, or a subscription's period."""
    order = line.order
    if order.fulfilled_at is None:
        return None
    if order.renews is not None:
        return License.objects.filter(line=order.renews.line_id).first()
    return order.extends


def _standing(viewer: Viewer, bought: list[Bought]) -> subscriptions.Standing | None:
    """Return how the subscription stands that an order began or paid for."""
    license_ = next((one.license for one in bought if one.license is not None), None)
    if license_ is None or license_.line.kind != Offer.Kind.SUBSCRIPTION:
        return None
    return subscriptions.standing_of(viewer, license_)


def _key_of(row: License) -> str:
    try:
        return license_key_again(row.public_id, rotation=row.key_rotation, digest=row.key_digest)
    except SealBrokenError:  # the library says what to do then
        return ""


def ways_to_use(address: str, repos: list[ModelRepo]) -> list[Snippet]:
    """Return the snippets a buyer needs first, with the store's address."""
    cards = ModelCard.objects.filter(repo__in=repos).only("repo_id", "facts")
    facts = {card.repo_id: card.facts for card in cards}
    return [
        snippet
        for repo in repos
        for snippet in snippets(address, repo, facts.get(repo.pk, {}))
        if snippet.title in _WANTED
    ]


def stages_of(order: Order, *, is_coming: bool = False) -> list[Stage]:
    """Return the steps of an order in words, each with its state and time.

    Args:
        order: Whose.
        is_coming: The buyer has paid, in a way that takes days.
    """
    state = Order.State(order.state)
    first = Stage(_("Ordered"), "done", order.created_at)
    if state == Order.State.CANCELLED:
        return [first, Stage(_("Cancelled"), "bad", order.closed_at)]
    if state == Order.State.OPEN:
        paid = _("Waiting for payment")
        if order.paid_minor:
            paid = _("Partly paid")
        if is_coming:
            paid = _("Payment on its way")
        return [first, Stage(paid, "now", None), Stage(_("Licenses"), "todo", None)]
    paid_stage = Stage(_("Paid"), "done", order.paid_at)
    if state == Order.State.PAID:
        return [first, paid_stage, Stage(_("Licenses are being made"), "now", None)]
    stages = [first, paid_stage, Stage(_("Licenses are yours"), "done", order.fulfilled_at)]
    if state == Order.State.DISPUTED:
        stages.append(Stage(_("The payment is disputed: access is frozen"), "bad", None))
    if state == Order.State.REFUNDED:
        stages.append(Stage(_("Refunded: access has ended"), "bad", order.closed_at))
    return stages


@require_POST
@personal
def pay_order(request: HttpRequest, user: User, order: str) -> HttpResponse:
    """Pay an open order, again where it failed."""
    return pay(request, user, order_changed_by(viewer_of(request), order))


@require_POST
@personal
def cancel_order(request: HttpRequest, user: User, order: str) -> HttpResponse:
    """Cancel an order that nothing was paid of."""
    found = order_changed_by(viewer_of(request), order)
    try:
        calling_off.cancel(found)
    except StoreError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("The order is cancelled. Nothing was charged."))
    return redirect(found)


@require_safe
@personal
def invoice_pdf(request: HttpRequest, user: User, invoice: str) -> HttpResponse:
    """Send a document as PDF, in the language of the page."""
    return pdf_answer(invoice_seen_by(viewer_of(request), invoice))

"""The library: what a person and their teams hold, and what can be done with each license."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from accounts.viewer import Viewer
from accounts.views.guards import personal, recent, viewer_of
from catalog.views.listing import page_number
from licensing.access import license_for, may
from licensing.access_orders import invoices_of, may_change
from licensing.models import License, Offer
from licensing.paper_answers import license_file_answer
from licensing.services import (
    activations,
    holdings,
    issuing,
    license_keys,
    refunds,
    renewing,
    subscriptions,
)
from licensing.services.holdings import Held, Show
from licensing.services.validating import message_of
from licensing.views_orders import ways_to_use
from store.core.errors import StoreError
from store.core.sealing import SealBrokenError
from store.core.web import origin

PAGE = 30
FILES_PAGE = 50
MAX_TEXT_CHARS = 80
MAX_SEATS_SHOWN = 200


@require_safe
@personal
def library_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show what the person and their teams hold."""
    show = request.GET.get("state", "")
    shown = Show(show) if show in set(Show) else Show.ALL
    text, number = request.GET.get("q", "")[:MAX_TEXT_CHARS], page_number(request)
    found, total = holdings.library_of(
        viewer_of(request), show=shown, text=text, start=(number - 1) * PAGE, limit=PAGE
    )
    query = {"q": text, "state": shown.value}
    context = {
        "held": found,
        "total": total,
        "show": shown.value,
        "text": text,
        "is_narrowed": bool(text) or shown != Show.ALL,
        "next_href": f"?{urlencode(query | {'page': number + 1})}" if number * PAGE < total else "",
        "previous_href": f"?{urlencode(query | {'page': number - 1})}" if number > 1 else "",
        "command": _command(request, found),
    }
    return render(request, "licensing/library.html", context)


def _command(request: HttpRequest, found: list[Held]) -> str:
    """Return the line that fetches the first model that can be fetched."""
    for held in found:
        if held.is_in_force and held.repos:
            name = held.repos[0].full_name
            return f"HF_ENDPOINT={origin(request)} HF_TOKEN=hf_… hf download {name}"
    return ""


@require_safe
@personal
def license_page(request: HttpRequest, user: User, ident: str) -> HttpResponse:
    """Show everything of one license."""
    found = license_for(viewer_of(request), ident)
    return _page(request, found)


def _page(request: HttpRequest, row: License, problem: StoreError | None = None) -> HttpResponse:
    viewer, order = viewer_of(request), row.line.order
    user = viewer.signed_in()
    is_holder = viewer.role_in(row.holder_id) is not None
    held = holdings.holdings_of([row], user.pk)[0]
    can_ask = is_holder and may_change(viewer, order) and holdings.may_ask_refund(order)
    open_requests = list(order.refunds.order_by("-id"))
    context = {
        "held": held,
        "license": row,
        "order": order,
        "message": message_of(held.code),
        "is_holder": is_holder,
        "can_manage": may(viewer, row, to="manage"),
        "seats": list(activations.seats_in_use(row)[:MAX_SEATS_SHOWN]),
        "updates": issuing.updates_of(row)[:20] if is_holder else [],
        "refunds": open_requests,
        "can_ask_refund": can_ask and not any(one.state == "asked" for one in open_requests),
        "refund_until": holdings.refund_until(order),
        "invoices": list(invoices_of(order)) if is_holder else [],
        "history": holdings.history_of(row) if is_holder else [],
        "ways": ways_to_use(origin(request), list(held.repos[:1])) if held.is_in_force else [],
        "problem": problem.message if problem else "",
    }
    context |= {"standing": None, "has_term": False} | _files(request, row)
    if is_holder:
        context |= _how_long(viewer, row)
    return render(
        request, "licensing/license.html", context, status=problem.status if problem else 200
    )


def _how_long(viewer: Viewer, row: License) -> dict[str, Any]:
    """Return what carries a license on: its subscription, or another term and what that costs."""
    if row.line.kind == Offer.Kind.SUBSCRIPTION:
        return {"standing": subscriptions.standing_of(viewer, row)}
    if row.grant.ends_at is None:
        return {}
    try:
        return {"has_term": True, "term": renewing.term_of(viewer, row), "refusal": ""}
    except StoreError as error:
        return {"has_term": True, "term": None, "refusal": error.message}


def _files(request: HttpRequest, row: License) -> dict[str, Any]:
    """Return one page of the files a license binds to."""
    number = page_number(request)
    start = (number - 1) * FILES_PAGE
    rows = row.files.select_related("repo__namespace").order_by("repo_id", "path")
    total = rows.count()
    return {
        "files": list(rows[start : start + FILES_PAGE]),
        "file_total": total,
        "next_href": f"?page={number + 1}#files" if start + FILES_PAGE < total else "",
        "previous_href": f"?page={number - 1}#files" if number > 1 else "",
    }


@require_POST
@recent
def key_page(request: HttpRequest, user: User, ident: str) -> HttpResponse:
    """Show the key on a page of its own that nothing keeps; or make a new one first."""
    viewer = viewer_of(request)
    is_new = "rotate" in request.POST
    row = license_for(viewer, ident, to="manage" if is_new else "use")
    context = {"license": row, "is_new": is_new, "is_lost": False}
    try:
        context["key"] = _rotated(request, row) if is_new else license_keys.reveal_key(viewer, row)
    except SealBrokenError:
        context |= {"is_lost": True, "key": ""}
    except StoreError as error:
        messages.error(request, error.message)
        return redirect(f"/library/{ident}")
    return render(request, "licensing/license_key.html", context)


def _rotated(request: HttpRequest, row: License) -> str:
    """Make a new key in place of the one the page spoke of."""
    sent = request.POST.get("rotation", "")
    rotation = int(sent) if sent.isascii() and sent.isdigit() and len(sent) < 9 else -1
    return license_keys.rotate_key(viewer_of(request), row, rotation=rotation)


@require_safe
@personal
def license_file(request: HttpRequest, user: User, ident: str) -> HttpResponse:
    """Send the signed license file."""
    return license_file_answer(license_for(viewer_of(request), ident, to="prove"))


@require_POST
@personal
def change_seat(request: HttpRequest, user: User, ident: str, seat: str) -> HttpResponse:
    """End a seat, or hand it on to another machine or person."""
    viewer = viewer_of(request)
    row = license_for(viewer, ident, to="use")
    try:
        words = _changed_seat(request, viewer, row, seat)
    except StoreError as error:
        return _page(request, row, error)
    messages.success(request, words)
    return redirect(f"/library/{ident}#seats")


def _changed_seat(request: HttpRequest, viewer: Viewer, row: License, seat: str) -> str:
    sent, held = request.POST, activations.activation_of(viewer, row, seat)
    if "transfer" not in sent:
        ended = activations.end(viewer, row, held)
        if ended.held_until is not None and ended.ended_at == ended.held_until:
            return _("The seat is free when its offline file expires.")
        return _("The seat is free.")
    to = activations.seat_of(
        row,
        viewer,
        fingerprint=sent.get("fingerprint", "").strip(),
        user=sent.get("user", "").strip(),
    )
    activations.transfer(viewer, row, held, to, label=sent.get("label", "").strip())
    return _("The seat is handed on.")


@require_http_methods(["POST"])
@personal
def ask_refund(request: HttpRequest, user: User, ident: str) -> HttpResponse:
    """Ask for the price of a license back."""
    viewer = viewer_of(request)
    row = license_for(viewer, ident, to="use")
    order = row.line.order
    try:
        if not may_change(viewer, order):
            raise refunds.NotRefundableError(
                _("Only who bought it, or may buy for the team, can ask for a refund.")
            )
        refunds.ask(viewer, order, row.line, request.POST.get("reason", ""))
    except StoreError as error:
        return _page(request, row, error)
    messages.success(request, _("You asked for a refund. The seller answers; you get a letter."))
    return redirect(f"/library/{ident}#refund")

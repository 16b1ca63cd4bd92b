"""The pretended bank's page: a test card, a confirmation, and back to the order."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from licensing.gateways.base import PaymentDeclinedError
from licensing.gateways.registry import gateway_named
from licensing.gateways.sandbox import CARDS, Card, Sandbox, card_of, charge_named
from licensing.models import Order, SandboxCharge
from licensing.services import inbox

State = SandboxCharge.State
MAX_NUMBER_CHARS = 32


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sandbox_page(request: HttpRequest, charge: str) -> HttpResponse:
    """Take a test card, as the page of a bank would. Whoever has the address may pay."""
    gateway_named(Sandbox.name)  # a site without it has no such page
    found = charge_named(charge)
    if request.method != "POST":
        return _page(request, found)
    sent = request.POST
    if sent.get("dispute") in {"won", "lost"}:
        Sandbox().settle_dispute(found.public_id, is_won=sent["dispute"] == "won")
        return _told(found)
    if _is_cancelled(found):
        return _page(request, found, status=409)
    if "refuse" in sent:
        return _page(request, found, problem=_("You did not confirm. Nothing was charged."))
    card = _card(found, sent.get("card") or sent.get("number", ""), is_confirmed="confirm" in sent)
    if card is None:
        words = _("This is no test card. Press one of the buttons, or type its number.")
        return _page(request, found, problem=words, status=400)
    try:
        found = Sandbox().pay(found.public_id, card, is_confirmed="confirm" in sent)
    except PaymentDeclinedError as error:
        found.refresh_from_db()
        inbox.receive(Sandbox.name, error.facts)
        return _page(request, found, problem=error.message, status=error.status)
    if found.state == State.CHALLENGED:
        return redirect(f"/sandbox/{found.public_id}")
    messages.success(request, _("Paid with pretended money."))
    return _told(found)


def _card(charge: SandboxCharge, given: str, *, is_confirmed: bool) -> Card | None:
    """Return the card that was chosen; a confirmation is for the card that asked for it."""
    if is_confirmed:
        is_asked = charge.state == State.CHALLENGED
        return next((card for card in CARDS if is_asked and card.name == charge.card), None)
    return card_of(given[:MAX_NUMBER_CHARS])


def _told(charge: SandboxCharge) -> HttpResponse:
    """Tell the store what happened, and go back to it."""
    inbox.receive(Sandbox.name, Sandbox().facts_of(charge.order_ref))
    return redirect(f"/orders/{charge.order_ref}")


def _page(
    request: HttpRequest, charge: SandboxCharge, *, problem: str = "", status: int = 200
) -> HttpResponse:
    context: dict[str, Any] = {
        "charge": charge,
        "cards": CARDS,
        "problem": problem,
        "is_closed": _is_cancelled(charge),
    }
    return render(request, "licensing/sandbox.html", context, status=status)


def _is_cancelled(charge: SandboxCharge) -> bool:
    """Whether the store has no use for the money any more."""
    rows = Order.objects.filter(public_id=charge.order_ref, gateway=Sandbox.name)
    return rows.filter(state=Order.State.CANCELLED).exists()

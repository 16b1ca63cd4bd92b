"""The checkout: address, tax, terms, and one button that says what is paid."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from accounts.models import User
from accounts.views.guards import personal, viewer_of
from licensing.forms_amount import AmountForm
from licensing.forms_billing import BillingForm
from licensing.gateways.base import Checkout, GatewayError, GatewayRefusedError
from licensing.gateways.registry import default_gateway
from licensing.models import License, Order, Terms
from licensing.services import checkout, placing, settling
from licensing.services.carts import Cart
from licensing.services.pricing import Priced
from licensing.sessions import cart_of, keep_cart
from licensing.tax.parties import BillingAddress, Place
from store.core.errors import InvalidError, StoreError
from store.core.ids import new_public_id
from store.core.money import Money, show

WAYS = {
    "sandbox": gettext_lazy("Test card (no real money)"),
    "stripe": gettext_lazy("Card or another way Stripe offers"),
    "invoice": gettext_lazy("Bank transfer"),
}
"""The gateways in words."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What a page says about an attempt that went wrong.

    Args:
        title: What is wrong; empty: nothing.
        details: What changed, in sentences.
        status: Of the answer.
        accepted: Hashes of terms that stay ticked.
    """

    title: str = ""
    details: list[str] = field(default_factory=list)
    status: int = 200
    accepted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a checkout takes place.

    Args:
        cart: What is bought there.
        path: Its own address.
        back: Where the wish is changed, and where one that cannot be priced leads.
        address: To be proposed; ``None``: there is none.
        extended: What gets another term; ``None``: new licenses are bought, from the cart.
        amount: Asks for the price where the buyer names it here; ``None``: it is settled.
    """

    cart: Cart
    path: str
    back: str
    address: BillingAddress | None = None
    extended: License | None = None
    amount: AmountForm | None = None


@require_http_methods(["GET", "HEAD", "POST"])
@personal
def checkout_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show what is bought and take the order."""
    address = placing.last_address(user) if request.method != "POST" else None
    return serve(request, user, Desk(cart_of(request), "/checkout", "/cart", address))


def serve(request: HttpRequest, user: User, desk: Desk) -> HttpResponse:
    """Show what is bought at a desk and take the order."""
    if request.method != "POST":
        return _page(request, desk, BillingForm(address=desk.address))
    if before := placing.order_under(user, request.POST.get("key", "")):
        return redirect(before)
    form = BillingForm(request.POST)
    if "pay" not in request.POST:
        form.is_valid()
        return _page(request, desk, form, is_quiet=True)
    return _order(request, user, desk, form)


def _order(request: HttpRequest, user: User, desk: Desk, form: BillingForm) -> HttpResponse:
    """Make the order and lead on to the payment; or show the page with what is wrong."""
    sent = request.POST
    accepted = frozenset(sent.getlist("terms"))
    try:
        if not desk.cart.items:
            raise InvalidError(_("Your cart is empty."))
        if desk.amount is not None and desk.amount.errors:
            raise InvalidError(_("Your price cannot be taken like this."))
        order, is_new = placing.place(
            viewer_of(request),
            desk.cart,
            quote_id=sent.get("quote", ""),
            key=sent.get("key", ""),
            billing=_full_address(form, is_needed="country" in sent),
            accepted_terms=accepted,
            gateway=_way(sent.get("gateway", "")),
        )
    except StoreError as error:
        return _page(request, desk, form, _said(error, accepted))
    if not is_new:
        return pay(request, user, order)
    try:
        answer = _paid(request, user, order)
    except GatewayRefusedError as error:
        return _page(request, desk, form, _refused(order, error, accepted))
    if desk.extended is None:
        keep_cart(request, Cart())
    return answer


def _refused(order: Order, error: GatewayRefusedError, accepted: frozenset[str]) -> _Said:
    """Take back an order its gateway will never collect: the cart is still there."""
    settling.cancel(order.pk)
    details = [_("Change what you buy, or choose another way to pay.")]
    return _Said(error.message, details, error.status, accepted)


def _full_address(form: BillingForm, *, is_needed: bool) -> Mapping[str, Any]:
    """Return the address as it was sent; empty where the page asked for none.

    Raises:
        InvalidError: something in it is wrong; the form says what.
    """
    if not is_needed:
        return {}
    if not form.is_valid():
        raise InvalidError(_("Something in the address needs mending."))
    address: Mapping[str, Any] = form.cleaned_data["address"].to_json()
    return address


def _way(name: str) -> str:
    return name if name in settings.ENV.gateways else ""


def _said(error: StoreError, accepted: frozenset[str]) -> _Said:
    before, now = error.extra.get("before"), error.extra.get("now")
    details = []
    if isinstance(before, dict) and isinstance(now, dict):
        details = placing.differences(before, now)
    return _Said(error.message, details, error.status, accepted)


def _page(
    request: HttpRequest,
    desk: Desk,
    form: BillingForm,
    said: _Said | None = None,
    *,
    is_quiet: bool = False,
) -> HttpResponse:
    """Show the checkout.

    Args:
        request: Who asks.
        desk: What is bought; an empty cart, or one that cannot be priced, leads back.
        form: The address.
        said: What went wrong.
        is_quiet: Show no errors of the form: only the sums were asked for.
    """
    said = said or _Said()
    billing = known_of(form)
    try:
        quote, priced = placing.show_quote(viewer_of(request), desk.cart, billing)
    except StoreError as error:
        if not billing:
            return redirect(desk.back)
        said = said if said.title else _Said(error.message, [], error.status, said.accepted)
        return _without_tax(request, desk, form, said)
    if is_quiet:
        form = BillingForm(initial=dict(form.data.items()))
    context = _context(desk, priced, form, said) | {
        "quote": quote,
        "has_tax": bool(billing.get("country")),
    }
    is_fragment = bool(getattr(request, "htmx", False)) and is_quiet
    template = "licensing/_checkout_total.html" if is_fragment else "licensing/checkout.html"
    return render(request, template, context, status=said.status)


def _without_tax(request: HttpRequest, desk: Desk, form: BillingForm, said: _Said) -> HttpResponse:
    """Show the checkout where the address allows no price; a cart that has none goes back."""
    try:
        _quote, priced = placing.show_quote(viewer_of(request), desk.cart, {})
    except StoreError:
        return redirect(desk.back)
    context = _context(desk, priced, form, said) | {"quote": None, "has_tax": False}
    return render(request, "licensing/checkout.html", context, status=said.status)


def _context(desk: Desk, priced: Priced, form: BillingForm, said: _Said) -> dict[str, Any]:
    ways = [(name, WAYS[name]) for name in settings.ENV.gateways]
    return {
        "desk": desk,
        "form": form,
        "priced": priced,
        "terms": _terms(priced),
        "said": said,
        "key": new_public_id(),
        "ways": ways,
        "is_test": default_gateway().is_test,
    }


def _terms(priced: Priced) -> list[tuple[Terms, list[str], Any]]:
    """Return each text to be accepted, with the offers it is of, and its rights."""
    found: dict[str, tuple[Terms, list[str], Any]] = {}
    for line in priced.lines:
        offer = line.offer
        entry = found.setdefault(offer.terms_id, (offer.terms, [], offer.rights))
        entry[1].append(offer.title)
    return list(found.values())


def known_of(form: BillingForm) -> dict[str, Any]:
    """Return what a form tells of the buyer, as far as tax asks; empty without a country."""
    if not form.is_bound:
        address = form.address
        return dict(address.to_json()) if address is not None else {}
    form.is_valid()
    found = form.cleaned_data
    if "address" in found:
        return dict(found["address"].to_json())
    place = found.get("region")
    if not isinstance(place, Place):
        return {}
    return {
        "country": place.country,
        "region": place.region,
        "kind": found.get("kind", "person"),
        "vat_number": found.get("vat_number", ""),
    }


def pay(request: HttpRequest, user: User, order: Order) -> HttpResponse:
    """Begin to collect an order and lead to where it is paid; the order's page where that is all.

    What a gateway will not collect is said on the order's page.
    """
    try:
        return _paid(request, user, order)
    except GatewayRefusedError as error:
        messages.error(request, error.message)
        messages.info(request, _("Nothing was charged. Cancel this order and buy another way."))
        return redirect(order)


def _paid(request: HttpRequest, user: User, order: Order) -> HttpResponse:
    """Begin to collect an order, and lead on.

    A page of another site is reached by a page in between: the policy of ours lets no form lead
    away.

    Raises:
        GatewayRefusedError: the gateway will not collect it, however often it is asked.
    """
    try:
        begun = checkout.start(order, payer=user)
    except GatewayError:
        messages.error(
            request, _("The payment service does not answer. Your order is kept: try again.")
        )
        return redirect(order)
    except checkout.OrderClosedError:
        return redirect(order)
    return _lead(request, order, begun)


def _lead(request: HttpRequest, order: Order, begun: Checkout) -> HttpResponse:
    if not begun.url:
        return redirect(order)
    if begun.url.startswith(f"{settings.PUBLIC_URL}/"):
        return redirect(urlsplit(begun.url).path)
    context = {
        "title": _("To the payment"),
        "words": _("You are being led to the payment service. If nothing happens:"),
        "action": _("Go on and pay %(amount)s")
        % {"amount": show(Money(order.due_minor, order.currency))},
        "url": begun.url,
    }
    return render(request, "licensing/leaving.html", context)

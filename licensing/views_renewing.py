"""How long a license goes on: another term is bought, a subscription is ended or resumed."""

from dataclasses import replace

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import User
from accounts.viewer import Viewer
from accounts.views.guards import personal, recent, recent_to_change, viewer_of
from licensing.access import license_for
from licensing.access_orders import may_change
from licensing.forms_amount import AmountForm
from licensing.models import License
from licensing.services import placing, renewals, renewing, resuming, subscriptions
from licensing.services.carts import Cart
from licensing.services.shelf import price_row
from licensing.views_checkout import Desk, serve
from store.core.errors import StoreError


@require_http_methods(["GET", "HEAD", "POST"])
@personal
def renew_page(request: HttpRequest, user: User, ident: str) -> HttpResponse:
    """Order another term of a license; what cannot have one leads back to its page, which says why.

    The address is that of the license's order, which may be a team's. Where the buyer names the
    price, they name it here anew.
    """
    viewer = viewer_of(request)
    row = license_for(viewer, ident, to="prove")
    back = f"/library/{row.public_id}"
    try:
        cart = renewing.cart_of(row)
    except StoreError as error:
        messages.error(request, error.message)
        return redirect(back)
    order = row.line.order
    address = placing.read_address(order.billing) if may_change(viewer, order) else None
    address = address or placing.last_address(user)
    form = _amount_form(request, cart, row)
    if form is not None and form.is_bound and form.is_valid():
        item = replace(cart.items[0], amount_minor=form.cleaned_data["amount"])
        cart = replace(cart, items=(item,))
    return serve(request, user, Desk(cart, f"{back}/renew", f"{back}#renew", address, row, form))


def _amount_form(request: HttpRequest, cart: Cart, row: License) -> AmountForm | None:
    """Return the form that asks for the price; ``None``: the seller names it."""
    offer, given = row.line.offer, cart.items[0].amount_minor
    found = price_row(offer, cart.currency) if offer is not None else None
    if offer is None or found is None or given is None:
        return None
    sent = request.POST if "amount" in request.POST else None
    return AmountForm(sent, offer=offer, price=found, given_minor=given)


@require_http_methods(["GET", "HEAD", "POST"])
@recent_to_change
def end_subscription(request: HttpRequest, user: User, ident: str) -> HttpResponse:
    """Ask whether a subscription shall end, saying until when it lasts; then end it.

    Also for who bought it and has left the team since: it is their card that is charged.
    """
    viewer = viewer_of(request)
    found = subscriptions.standing_behind(viewer, ident)
    row, status = found.license, 200
    is_member = viewer.role_in(row.holder_id) is not None
    back = _back(viewer, row)
    if request.method == "POST":
        try:
            ended = renewals.cancel_subscription(viewer, found.subscription)
        except StoreError as error:
            messages.error(request, error.message)
            status = error.status
        else:
            day = date_format(localtime(ended.paid_until), "DATE_FORMAT")
            messages.success(
                request, _("Nothing is charged any more. It was paid until %(day)s.") % {"day": day}
            )
            return redirect(back)
    context = {"standing": found, "license": row, "back": back, "is_member": is_member}
    return render(request, "licensing/subscription_end.html", context, status=status)


@require_POST
@recent
def resume_subscription(request: HttpRequest, user: User, ident: str) -> HttpResponse:
    """Go on with a subscription that was ended; its page says what is charged then, and when.

    Also for who bought it and has left the team since, as they may end it.
    """
    viewer = viewer_of(request)
    found = subscriptions.standing_behind(viewer, ident)
    try:
        resumed = resuming.resume_subscription(viewer, found.subscription)
    except StoreError as error:
        messages.error(request, error.message)
    else:
        day = date_format(localtime(resumed.paid_until), "DATE_FORMAT")
        messages.success(
            request, _("It goes on. The next period begins on %(day)s.") % {"day": day}
        )
    return redirect(_back(viewer, found.license))


@require_POST
@personal
def mend_payment(request: HttpRequest, user: User, ident: str) -> HttpResponse:
    """Lead a subscriber to where the gateway lets them change the card, or pay what is open."""
    viewer = viewer_of(request)
    found = subscriptions.standing_behind(viewer, ident)
    back = _back(viewer, found.license)
    try:
        url = subscriptions.mending_url(viewer, found, f"{settings.PUBLIC_URL}{back}")
    except StoreError as error:
        messages.error(request, error.message)
        return redirect(back)
    if not url:
        words = _(
            "Its card is that of another person: who paid first can change it. Nothing is open."
        )
        messages.error(request, words)
        return redirect(back)
    context = {
        "title": _("To your card"),
        "words": _("You are being led to the payment service. If nothing happens:"),
        "action": _("Change the card, or pay what is open"),
        "url": url,
    }
    return render(request, "licensing/leaving.html", context)


def _back(viewer: Viewer, row: License) -> str:
    """Return the subscription's page: the license's, or the order's for who left the team."""
    is_member = viewer.role_in(row.holder_id) is not None
    place = f"/library/{row.public_id}" if is_member else row.line.order.get_absolute_url()
    return f"{place}#subscription"

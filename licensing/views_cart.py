"""The cart's page: for visitors and people alike."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.views.guards import viewer_of
from catalog.models import ModelRepo
from licensing.gateways.registry import default_gateway
from licensing.models import Offer
from licensing.services import sellability
from licensing.services.carts import Cart, look_at, possible_holders, put_in, with_changes
from licensing.services.pricing import OfferClosedError, OfferNotFoundError
from licensing.sessions import cart_of, keep_cart
from store.core.errors import StoreError
from store.core.money import read_amount

MAX_SENT_CHARS = 40
"""Of a coupon's code or an amount, as typed."""


@require_POST
def add(request: HttpRequest) -> HttpResponse:
    """Put an offer into the cart.

    "Buy" goes on to the checkout, unless more is in the cart: nobody pays by surprise for what
    they put there before.
    """
    sent = request.POST
    before = cart_of(request)
    offer = _offer(sent.get("buy") or sent.get("add") or sent.get("offer") or "")
    back = f"/{offer.repos.select_related('namespace')[0].full_name}#get"
    try:
        cart = _with_offer(before, offer, sent)
    except StoreError as error:
        messages.error(request, error.message)
        return redirect(back)
    keep_cart(request, cart)
    if "buy" in sent and len(cart.items) == 1:
        return redirect("/checkout")
    messages.success(request, _("“%(title)s” is in your cart.") % {"title": offer.title})
    return redirect("/cart")


def _offer(public_id: str) -> Offer:
    """Return an offer anybody may put into a cart.

    Raises:
        OfferNotFoundError: there is none, or of private models.
        OfferClosedError: it is not for sale any more, or not now.
    """
    rows = Offer.objects.filter(public_id=public_id[:MAX_SENT_CHARS], repos__isnull=False)
    rows = rows.in_public().select_related("terms")
    found = rows.prefetch_related("prices", *sellability.READS).first()
    if found is None:
        raise OfferNotFoundError(_("There is no such offer."))
    if not sellability.can_be_bought([found]):
        raise OfferClosedError(_("“%(title)s” is not for sale now.") % {"title": found.title})
    return found


def _with_offer(cart: Cart, offer: Offer, sent: QueryDict) -> Cart:
    """Return the cart with the offer, at the price the buyer named where they may."""
    currency = sent.get("currency", "")[:3].upper()
    given = sent.get(f"amount-{offer.public_id}", "").strip()[:MAX_SENT_CHARS]
    amount_minor = None
    if given and offer.kind == Offer.Kind.PAY_WHAT_YOU_WANT:
        amount_minor = read_amount(given, currency).amount_minor
    return put_in(cart, offer, currency=currency, amount_minor=amount_minor)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def cart_page(request: HttpRequest) -> HttpResponse:
    """Show the cart with what it comes to, and take changes."""
    viewer, cart, status = viewer_of(request), cart_of(request), 200
    if request.method == "POST":
        try:
            cart = _changed(cart, request.POST)
        except StoreError as error:
            messages.error(request, error.message)
            status = error.status
        else:
            keep_cart(request, cart)
            return redirect("/checkout" if "go" in request.POST else "/cart")
    view = look_at(viewer, cart)
    context = {
        "view": view,
        "cart": cart,
        "is_test": default_gateway().is_test,
        "holders": possible_holders(viewer) if viewer.user else [],
        "like": _anywhere(view.lines[0].offer) if view.lines else None,
    }
    return render(request, "licensing/cart.html", context, status=status)


def _anywhere(offer: Offer | None) -> ModelRepo | None:
    """Return a model of an offer, to go back to."""
    return next(iter(offer.repos.all()), None) if offer else None


def _changed(cart: Cart, sent: QueryDict) -> Cart:
    """Return the cart as the form wants it.

    Raises:
        StoreError: a quantity, an amount or a currency cannot be so; nothing is changed.
    """
    if gone := sent.get("remove"):
        return cart.without(gone)
    texts = {
        item.offer: (sent.get(f"quantity-{item.offer}"), sent.get(f"amount-{item.offer}"))
        for item in cart.items
    }
    return with_changes(
        cart,
        quantities={offer: pair[0] for offer, pair in texts.items() if pair[0] is not None},
        amounts={offer: pair[1] for offer, pair in texts.items() if pair[1] is not None},
        currency=sent.get("currency") or cart.currency,
        coupon=sent.get("coupon", cart.coupon).strip()[:MAX_SENT_CHARS],
        holder=sent.get("holder", cart.holder)[:MAX_SENT_CHARS],
    )

"""From a checkout's page to an order: what was shown is what is ordered, and once."""

from collections.abc import Collection, Mapping
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.viewer import Viewer
from licensing.models import Order, Quote
from licensing.services.carts import Cart
from licensing.services.ordering import IdempotencyKeyReusedError, open_order
from licensing.services.pricing import Priced, Wish
from licensing.services.quotes import (
    PriceChangedError,
    QuoteExpiredError,
    QuoteNotFoundError,
    TermsChangedError,
    buying_namespace,
    make_quote,
    quote_of,
)
from licensing.tax.parties import BillingAddress
from store.core.errors import StoreError
from store.core.money import Money, show


def show_quote(viewer: Viewer, cart: Cart, billing: Mapping[str, Any]) -> tuple[Quote, Priced]:
    """Quote a cart for the page that shows it.

    Raises:
        StoreError: it cannot be bought like this; see ``quotes.make_quote``.
    """
    return make_quote(
        viewer,
        list(cart.items),
        currency=cart.currency,
        holder=cart.holder,
        coupon=cart.coupon,
        billing=dict(billing),
        extends=cart.extends,
    )


def place(
    viewer: Viewer,
    cart: Cart,
    *,
    quote_id: str,
    key: str,
    billing: Mapping[str, Any],
    accepted_terms: Collection[str],
    gateway: str = "",
) -> tuple[Order, bool]:
    """Order a cart as the page showed it. The same page sent twice orders once.

    Args:
        viewer: Who buys.
        cart: What is in the cart now.
        quote_id: What the page showed.
        key: Made for the page.
        billing: Name and address as the form was sent; the page may have shown less of it.
        accepted_terms: Hashes that were ticked.
        gateway: How to pay; empty: the site's first way.

    Returns:
        The order, and whether it is new.

    Raises:
        PriceChangedError, TermsChangedError: not what was shown; ``extra.before`` and
            ``extra.now`` tell.
        QuoteExpiredError: it was shown too long ago, or to somebody else.
        StoreError: see ``ordering.open_order``. Nothing is ordered.
    """
    user = viewer.signed_in()
    if before := order_under(user, key):
        return before, False
    quote = shown = _shown(user, quote_id)
    if Wish.from_json(shown.wish) != _wish(viewer, cart, billing):
        quote, priced = show_quote(viewer, cart, billing)
        if priced.digest != shown.digest:
            raise _changed(shown.priced, priced.to_json())
    try:
        return open_order(
            viewer, quote.public_id, key=key, accepted_terms=accepted_terms, gateway=gateway
        )
    except IdempotencyKeyReusedError:  # sent twice at once
        if before := order_under(user, key):
            return before, False
        raise
    except (PriceChangedError, TermsChangedError) as error:
        error.extra["before"] = shown.priced
        raise


def order_under(user: User, key: str) -> Order | None:
    """Return the order a page has made already."""
    return Order.objects.filter(buyer=user, idempotency_key=key).first() if key else None


def _shown(user: User, quote_id: str) -> Quote:
    """Return what the page showed, while it is good."""
    too_old = QuoteExpiredError(_("This page is too old. Look at it once more."))
    try:
        found = quote_of(user, quote_id)
    except QuoteNotFoundError as error:
        raise too_old from error
    if found.expires_at <= timezone.now():
        raise too_old
    return found


def _wish(viewer: Viewer, cart: Cart, billing: Mapping[str, Any]) -> Wish:
    holder = buying_namespace(viewer, cart.holder)[1]
    return Wish(cart.items, cart.currency, holder.pk, dict(billing), cart.coupon, cart.extends)


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> StoreError:
    agreed, asked = ({line["terms"]["sha256"] for line in each["lines"]} for each in (before, now))
    if agreed != asked:
        return TermsChangedError(_("The terms are other ones now."), before=before, now=now)
    return PriceChangedError(_("It comes to something else now."), before=before, now=now)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say in sentences what is other than it was shown.

    Args:
        before: ``Priced.to_json()`` as shown.
        now: The same as it is.
    """
    told = []
    was = {line["offer"]: line for line in before["lines"]}
    for line in now["lines"]:
        old, title = was.pop(line["offer"], None), line["title"]
        if old is None:
            told.append(_("“%(title)s” came to the cart.") % {"title": title})
            continue
        if old["terms"] != line["terms"]:
            told.append(_("The terms of “%(title)s” are other ones now.") % {"title": title})
        if before["currency"] == now["currency"] and old["unit_minor"] != line["unit_minor"]:
            told.append(
                _("“%(title)s” cost %(old)s; now it costs %(new)s.")
                % {
                    "title": title,
                    "old": show(Money(old["unit_minor"], now["currency"])),
                    "new": show(Money(line["unit_minor"], now["currency"])),
                }
            )
        if old["version"] != line["version"]:
            told.append(_("The seller changed “%(title)s”.") % {"title": title})
    told += [_("“%(title)s” left the cart.") % {"title": old["title"]} for old in was.values()]
    totals = [Money(each["gross_minor"], each["currency"]) for each in (before, now)]
    if totals[0] != totals[1]:
        told.append(
            _("The total was %(old)s; now it is %(new)s.")
            % {"old": show(totals[0]), "new": show(totals[1])}
        )
    return told


def last_address(user: User) -> BillingAddress | None:
    """Return the address of a buyer's newest order that has one; ``None``: there is none."""
    rows = Order.objects.filter(buyer=user, billing__country__isnull=False).order_by("-id")
    kept = rows.values_list("billing", flat=True)[:3]
    return next((found for one in kept if (found := read_address(one)) is not None), None)


def read_address(billing: Mapping[str, Any]) -> BillingAddress | None:
    """Return the address of an order; ``None``: a script's may hold less than the form asks for."""
    try:
        return BillingAddress.from_json(billing)
    except StoreError:
        return None

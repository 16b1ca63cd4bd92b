"""What another term of a license costs; ordered like everything else."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from accounts.viewer import Viewer
from licensing.models import License, Offer, Quote
from licensing.services import extending, quotes
from licensing.services.carts import Cart
from licensing.services.pricing import Item, Priced, PricedLine, Wish, price, proposed
from licensing.services.shelf import price_row


@dataclass(frozen=True, slots=True)
class Term:
    """Another term of a license, as its page offers it.

    Args:
        line: The offer at what it costs now, before tax.
        currency: Of the price.
        ends_at: Until when the license would be, if it were paid now.
    """

    line: PricedLine
    currency: str
    ends_at: datetime


def quote_renewal(
    viewer: Viewer,
    row: License,
    *,
    currency: str,
    amount_minor: int | None = None,
    coupon: str = "",
    billing: dict[str, Any] | None = None,
) -> tuple[Quote, Priced]:
    """Price another term of a license; the order of this quote extends it.

    Args:
        viewer: Who buys; a token needs the scope ``buy``.
        row: The license.
        currency: In which to pay.
        amount_minor: Pay-what-you-want: what they give for one unit.
        coupon: A code; empty: none.
        billing: Name and address.

    Raises:
        NotExtendableError: with the reason; ``other_offer``: what was bought is no offer now.
        ForbiddenError, InvalidError, ConflictError, NotFoundError: see ``quotes.make_quote``.
    """
    return quotes.make_quote(
        viewer,
        [Item(_offer_of(row).public_id, row.line.quantity, amount_minor)],
        currency=currency,
        holder=row.holder.name,
        coupon=coupon,
        billing=billing,
        extends=row.public_id,
    )


def cart_of(row: License) -> Cart:
    """Return what another term is ordered with: the license's offer as it was bought before.

    In the currency it was paid in, or the offer's first where it has no price in that. Who named
    the price names the same again, if it is enough now; else what is proposed to everybody.

    Raises:
        NotExtendableError: see ``quote_renewal``.
    """
    offer, line = _offer_of(row), row.line
    found = price_row(offer, line.order.currency)
    currency = found.currency if found is not None else line.order.currency
    amount, now = None, timezone.now()
    if offer.kind == Offer.Kind.PAY_WHAT_YOU_WANT and found is not None:
        is_enough = currency == line.order.currency and line.unit_minor >= found.at(now)
        amount = line.unit_minor if is_enough else proposed(found, now)
    items = (Item(offer.public_id, line.quantity, amount),)
    return Cart(items, currency, holder=row.holder.name, extends=row.public_id)


def term_of(viewer: Viewer, row: License) -> Term:
    """Return what another term costs now and until when it is, for somebody who may buy it.

    Raises:
        NotExtendableError, ForbiddenError, InvalidError, ConflictError, NotFoundError: see
            ``quote_renewal``. The page says them.
    """
    cart = cart_of(row)
    user, holder = quotes.buying_namespace(viewer, cart.holder)
    wish = Wish(cart.items, cart.currency, holder.pk, {}, extends=cart.extends)
    (line,) = price(wish, buyer_id=user.pk).lines
    begins = max(row.grant.ends_at or timezone.now(), timezone.now())
    return Term(line, cart.currency, begins + timedelta(days=line.offer.term_days or 0))


def _offer_of(row: License) -> Offer:
    """Return the offer of which a license can have another term.

    Raises:
        NotExtendableError: it cannot.
    """
    if reason := extending.reason_against(row):
        raise extending.refusal(reason)
    if row.line.offer is None:
        raise extending.refusal("other_offer")
    return row.line.offer

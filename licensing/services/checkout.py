"""Paying an order: the gateway is asked outside of transactions, its facts go to the inbox."""

from django.conf import settings
from django.utils.translation import gettext as _

from accounts.models import User
from licensing.gateways.base import Charge, Checkout, Later, PaymentDeclinedError
from licensing.gateways.registry import gateway_named
from licensing.models import Order, OrderLine
from licensing.services import inbox, settling
from store.core.errors import ConflictError


class OrderClosedError(ConflictError):
    """The order is paid, cancelled or refunded: there is nothing to pay."""

    code = "order_closed"


def start(order: Order, *, payer: User | None = None, method: str = "") -> Checkout:
    """Begin to collect an open order, or pay it at once. Safe to repeat.

    Args:
        order: What to pay. Refreshed from the database afterwards.
        payer: Who pays; nobody pays with a card another person saved. ``None``: no saved card.
        method: How to pay without a browser, a name the gateway knows; empty: in a browser.

    Raises:
        OrderClosedError: nothing is to be paid any more.
        PaymentDeclinedError: it was refused; the order stays open.
        GatewayError: try again.
    """
    if order.gross_minor == 0:
        settling.take_free(order.pk)
        order.refresh_from_db()
        return Checkout()
    if order.state != Order.State.OPEN:
        raise OrderClosedError(
            _("There is nothing to pay for this order any more."), state=order.state
        )
    try:
        checkout = gateway_named(order.gateway).start(_charge(order, payer, method))
    except PaymentDeclinedError as error:
        inbox.receive(order.gateway, error.facts)
        raise
    inbox.receive(order.gateway, checkout.facts)
    order.refresh_from_db()
    return checkout


def _charge(order: Order, payer: User | None, method: str) -> Charge:
    here = f"{settings.PUBLIC_URL}/orders/{order.public_id}"
    first = order.lines.order_by("position").first()
    begins = first if order.renews_id is None else None
    return Charge(
        order_ref=order.public_id,
        amount_minor=order.due_minor,
        currency=order.currency,
        title=first.title if first is not None else settings.SITE_NAME,
        payer_email=payer.email if payer is not None else "",
        success_url=here,
        cancel_url=f"{here}?paid=no",
        method=method,
        interval=begins.interval if begins is not None else "",
        later=_later(order, begins) if begins is not None else None,
        tax_minor=order.tax_minor if order.paid_minor == 0 else 0,
        payer_id=payer.pk if payer is not None else None,
        expires_at=order.expires_at,
    )


def _later(order: Order, line: OrderLine) -> Later | None:
    """Return what later periods cost than the one that begins a subscription."""
    full = line.later_gross_minor
    if line.discount_periods is None or full is None:
        return None
    name = order.coupon.code if order.coupon is not None else ""
    return Later(line.discount_periods, full, line.later_tax_minor or 0, name)

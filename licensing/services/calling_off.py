"""Cancelling an order that is not paid, so that nobody can go on to pay it."""

from django.utils.translation import gettext as _

from licensing.gateways.registry import UnknownGatewayError, gateway_named
from licensing.models import Order
from licensing.services import inbox, on_its_way, settling
from licensing.services.settling import NotCancellableError


def close_payment(order: Order) -> None:
    """Close what is open at the gateway to pay an order with, and note what came before.

    Outside of transactions. A gateway the site has no more takes nothing either.

    Raises:
        NotCancellableError: a payment that takes days is on its way.
        GatewayError: it could not be closed; try again.
    """
    if order.state != Order.State.OPEN or order.gross_minor == 0:
        return
    try:
        told = gateway_named(order.gateway).call_off(order.public_id)
    except UnknownGatewayError:
        return
    inbox.receive(order.gateway, told)
    if on_its_way.is_on_its_way(order):
        raise NotCancellableError(
            _(
                "Your payment is on its way and cannot be stopped here. When it has come, ask for a"
                " refund instead."
            )
        )


def cancel(order: Order) -> Order:
    """Cancel an open order; part payments go back. Cancelling again changes nothing.

    Raises:
        NotCancellableError: it was paid, or a payment is on its way.
        GatewayError: its page at the gateway could not be closed. The order stays open, as somebody
            might pay there what is called cancelled here.
    """
    close_payment(order)
    return settling.cancel(order.pk)

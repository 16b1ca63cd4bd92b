"""Orders nobody paid in time."""

import logging

from django.utils import timezone

from licensing.gateways.base import GatewayError
from licensing.gateways.registry import UnknownGatewayError, gateway_named
from licensing.models import Order
from licensing.services import inbox, settling

logger = logging.getLogger(__name__)
_AT_ONCE = 500


def close_expired() -> int:
    """Cancel open orders that are past their time; run by the beat.

    The gateway is asked first whether money came that no message told of; one that cannot be
    reached leaves its orders open for the next time. So does whatever goes wrong with one order:
    it is logged, the reconciler lists it, and the others go on.

    Returns:
        How many were cancelled.
    """
    late = Order.objects.filter(state=Order.State.OPEN, expires_at__lt=timezone.now())
    closed, away = 0, set[str]()
    for order in late.order_by("expires_at").iterator(chunk_size=_AT_ONCE):
        if order.gateway in away:
            continue
        try:
            closed += _close(order)
        except (GatewayError, UnknownGatewayError):
            away.add(order.gateway)
        except Exception:
            logger.exception("order %s could not be closed", order.public_id)
    return closed


def _close(order: Order) -> bool:
    """Cancel a late order, unless it was paid after all, or its payment is on its way."""
    gateway = gateway_named(order.gateway)
    inbox.receive(order.gateway, gateway.facts_of(order.public_id))
    order.refresh_from_db()
    if order.expires_at > timezone.now():
        return False
    inbox.receive(order.gateway, gateway.call_off(order.public_id))
    try:
        return settling.cancel(order.pk).state == Order.State.CANCELLED
    except settling.NotCancellableError:
        return False

"""Orders nobody paid in time."""

from django.utils import timezone

from licensing.gateways.base import GatewayError
from licensing.gateways.registry import UnknownGatewayError, gateway_named
from licensing.models import Order
from licensing.services import inbox, settling

_AT_ONCE = 500


def close_expired() -> int:
    """Cancel open orders that are past their time; run by the beat.

    The gateway is asked first whether money came that no message told of; one that cannot be
    reached leaves its orders open for the next time.

    Returns:
        How many were cancelled.
    """
    late = Order.objects.filter(state=Order.State.OPEN, expires_at__lt=timezone.now())
    closed, away = 0, set[str]()
    for order in late.order_by("expires_at").iterator(chunk_size=_AT_ONCE):
        if order.gateway in away:
            continue
        try:
            facts = gateway_named(order.gateway).facts_of(order.public_id)
        except (GatewayError, UnknownGatewayError):
            away.add(order.gateway)
            continue
        inbox.receive(order.gateway, facts)
        try:
            closed += settling.cancel(order.pk).state == Order.State.CANCELLED
        except settling.NotCancellableError:  # it was paid after all
            continue
    return closed

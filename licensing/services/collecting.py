"""What gateways that collect by themselves are told of subscriptions: whether they go on."""

from enum import Enum, auto

from licensing.gateways.registry import gateway_named
from licensing.models import Order, Subscription
from licensing.services import granting, inbox


class _Course(Enum):
    """What becomes of a subscription at its gateway."""

    GOES_ON = auto()
    ENDS = auto()
    """With the period that is paid."""
    IS_OVER = auto()


def tell_gateway(order_id: int) -> bool:
    """Tell the gateway whether a subscription goes on; the work of a job. Safe to repeat.

    What is true is looked up again once it was told: of several jobs, late ones and repeated ones,
    whichever speaks last has said what is true then.

    Args:
        order_id: The order that began it. One that was cancelled, or taken back before it was
            fulfilled, has no subscription here; the gateway has one since it was paid.

    Returns:
        Whether there was something to tell.

    Raises:
        GatewayRefusedError: it will not.
        GatewayError: try again.
    """
    told = None
    while (course := _course_of(first := Order.objects.get(pk=order_id))) not in {None, told}:
        _tell(first, course)
        told = course
    return told is not None


def _course_of(first: Order) -> _Course | None:
    """Return what is true now; ``None``: the first period is still to be paid, or delivered."""
    subscription = Subscription.objects.filter(line__order=first).first()
    if subscription is None:
        return None if first.closed_at is None else _Course.IS_OVER
    if subscription.state in granting.GOING:
        return _Course.GOES_ON
    is_over = subscription.state == Subscription.State.ENDED
    return _Course.IS_OVER if is_over else _Course.ENDS


def _tell(first: Order, course: _Course) -> None:
    gateway = gateway_named(first.gateway)
    if course is _Course.GOES_ON:
        inbox.receive(first.gateway, gateway.resume_subscription(first.public_id))
    else:
        gateway.end_subscription(first.public_id, at_once=course is _Course.IS_OVER)

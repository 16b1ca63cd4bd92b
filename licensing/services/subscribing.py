"""What gateways that collect by themselves tell of subscriptions; orders are locked here."""

from licensing.gateways.base import Fact
from licensing.models import Order
from licensing.services import granting, order_letters
from licensing.services.fact_errors import TooEarlyError
from store.core.jobs import JobName, enqueue

State = Order.State


def renewal_failed(order: Order, fact: Fact) -> bool:
    """A period of the order's subscription was not paid; the gateway may try again."""
    _check_begun(order)
    if not granting.mark_overdue(order, fact.key):
        return False
    enqueue(JobName.SUBSCRIPTION_UNPAID, key=f"order-{order.pk}", order_id=order.pk)
    return True


def ended(order: Order, fact: Fact) -> bool:
    """The gateway will not collect any more; what is paid stays paid.

    Where nobody here had ended it, the subscriber is told.
    """
    _check_begun(order)
    if not granting.end_subscription(order):
        return False
    order_letters.tell_ended(order)
    return True


def _check_begun(order: Order) -> None:
    """Let what is said of a subscription wait until its first period was paid.

    A cancelled order that was paid became no sale: there is nothing to wait for.
    """
    is_unpaid = order.state == State.CANCELLED and not order.paid_minor
    if is_unpaid or order.state in {State.OPEN, State.PAID}:
        raise TooEarlyError("Its subscription has not begun yet.")

"""Payments that take days: a direct debit the buyer gave, whose money is not here yet.

What is known of them are the facts of the inbox. An order is kept open for such a payment, and
closes when it failed or did not come in ``WAIT_FOR``.
"""

from datetime import timedelta

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from licensing.gateways.base import Fact, FactKind
from licensing.models import Order, PaymentEvent

WAIT_FOR = timedelta(days=14)
"""The slowest ways to pay that Stripe has (BECS, SEPA debits) take up to 14 days."""
ANOTHER_TRY_FOR = timedelta(hours=24)
"""So long an order stays open after its payment failed."""


def is_on_its_way(order: Order) -> bool:
    """Whether the buyer has paid an open order, and the money may still come. One query."""
    if order.state != Order.State.OPEN:
        return False
    failed = _told(order, FactKind.PAYMENT_FAILED).filter(
        fact__subject_id=OuterRef("fact__subject_id")
    )
    return _told(order, FactKind.PAYMENT_PENDING).filter(~Exists(failed)).exists()


def wait(order: Order, fact: Fact) -> bool:
    """Keep a locked order open for a payment that takes days; ``False``: it is not waited for."""
    until = fact.at + WAIT_FOR
    if not is_on_its_way(order) or until <= order.expires_at:
        return False
    order.expires_at = until
    order.save(update_fields=["expires_at"])
    return True


def give_up(order: Order, fact: Fact) -> bool:
    """Wait no more for a payment that failed; ``False``: nobody waited.

    The locked order stays open for a while, for another attempt.
    """
    waited = _told(order, FactKind.PAYMENT_PENDING).filter(fact__subject_id=fact.subject_id)
    if order.state != Order.State.OPEN or not waited.exists():
        return False
    order.expires_at = timezone.now() + ANOTHER_TRY_FOR
    order.save(update_fields=["expires_at"])
    return True


def _told(order: Order, kind: FactKind) -> QuerySet[PaymentEvent]:
    return PaymentEvent.objects.filter(
        gateway=order.gateway, order_ref=order.public_id, kind=kind.value
    )

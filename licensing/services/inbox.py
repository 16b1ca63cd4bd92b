"""The inbox of payment facts: kept first, applied afterwards, once."""

import logging
from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from licensing.gateways.base import Fact
from licensing.models import Order, PaymentEvent
from licensing.services import settling
from store.core.jobs import JobName, enqueue

logger = logging.getLogger(__name__)
Outcome = PaymentEvent.Outcome
_MAX_NOTE_CHARS = 300


@transaction.atomic
def keep(gateway: str, facts: Sequence[Fact]) -> list[int]:
    """Keep verified facts and ask for the work they mean; a known one is not kept again.

    Returns:
        Ids of those that still wait to be applied.
    """
    waiting = []
    for fact in facts:
        event, is_new = PaymentEvent.objects.get_or_create(
            gateway=gateway,
            external_id=fact.event_id,
            defaults={
                "kind": fact.kind.value,
                "order_ref": fact.order_ref,
                "fact": fact.to_json(),
            },
        )
        if is_new:
            enqueue(JobName.APPLY_PAYMENT, event_id=event.pk)
        if event.outcome == Outcome.WAITING:
            waiting.append(event.pk)
    return waiting


def receive(gateway: str, facts: Sequence[Fact]) -> None:
    """Keep facts and apply them at once; what a crash interrupts is applied by the job."""
    for event_id in keep(gateway, facts):
        apply(event_id)


def apply(event_id: int) -> str:
    """Apply one fact of the inbox. Safe to repeat, and to run beside itself.

    A fact that comes before the one it follows from (a refund before its payment) waits, and is
    looked at again after every other fact of the order.

    Returns:
        What came of it.
    """
    order_id = None
    with transaction.atomic():
        event = PaymentEvent.objects.select_for_update().get(pk=event_id)
        if event.outcome != Outcome.WAITING:
            return event.outcome
        fact = Fact.from_json(event.fact)
        rows = Order.objects.select_for_update().filter(gateway=event.gateway)
        order = rows.filter(public_id=fact.order_ref).first()
        if order is None:
            _park(event, "There is no such order.")
        elif order.currency != fact.currency:
            _park(event, f"The order is in {order.currency}, the fact in {fact.currency}.")
        else:
            order_id = order.pk
            _settle(event, order, fact)
    if event.outcome == Outcome.APPLIED and order_id is not None:
        _apply_early(event)
        settling.fulfil_if_paid(order_id)
    return event.outcome


def _settle(event: PaymentEvent, order: Order, fact: Fact) -> None:
    try:
        with transaction.atomic():
            is_news = settling.settle(order, fact)
    except settling.TooEarlyError as error:
        event.note = error.message[:_MAX_NOTE_CHARS]
        event.save(update_fields=["note"])
        return
    except settling.DoesNotFitError as error:
        _park(event, error.message)
        return
    event.outcome = Outcome.APPLIED if is_news else Outcome.NOTHING_NEW
    event.applied_at, event.note = timezone.now(), ""
    event.save(update_fields=["outcome", "applied_at", "note"])
    for other in _early(event):  # after a crash these jobs look at them again
        enqueue(JobName.APPLY_PAYMENT, key=f"event-{other}", event_id=other)


def _apply_early(event: PaymentEvent) -> None:
    """Look again at what came too early for an order."""
    for other in _early(event):
        apply(other)


def _early(event: PaymentEvent) -> list[int]:
    """Return the ids of the order's other facts that wait."""
    rows = PaymentEvent.objects.filter(
        gateway=event.gateway, order_ref=event.order_ref, outcome=Outcome.WAITING
    )
    return list(rows.exclude(pk=event.pk).order_by("id").values_list("pk", flat=True))


def _park(event: PaymentEvent, note: str) -> None:
    """Set a fact aside for people; the gateway is not asked to send it again."""
    logger.error("payment event %s is parked: %s", event.pk, note)
    event.outcome, event.applied_at = Outcome.PARKED, timezone.now()
    event.note = note[:_MAX_NOTE_CHARS]
    event.save(update_fields=["outcome", "applied_at", "note"])

"""The inbox of payment facts: kept first, applied afterwards, once."""

import logging
from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from licensing.gateways.base import Fact, FactKind
from licensing.models import Order, Payment, PaymentEvent
from licensing.services import renewals, settling
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
            enqueue(JobName.APPLY_PAYMENT, delay_s=settling.SPARE_S, event_id=event.pk)
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
    is_news = False
    with transaction.atomic():
        event = PaymentEvent.objects.select_for_update().get(pk=event_id)
        fact = Fact.from_json(event.fact)
        order = _order_of(event, fact)
        if event.outcome == Outcome.WAITING:
            order, is_news = _settle(event, order, fact)
    # Somebody else may have applied it, and stopped here. What came early is looked at after the
    # grants are made: so every order of the same facts ends the same, and what is said of a
    # subscription finds it.
    is_granted = order is not None and settling.fulfil_if_paid(order.pk)
    if is_news or is_granted:
        _apply_early(event)
    return event.outcome


def _order_of(event: PaymentEvent, fact: Fact) -> Order | None:
    """Return the order a fact is about, locked.

    What happened to a payment happened to the order that payment was for: the facts of a
    subscription all name the order that began it, and its renewals are orders of their own.
    """
    rows = Order.objects.select_for_update().filter(gateway=event.gateway)
    if fact.payment_id and fact.kind not in {FactKind.PAID, FactKind.RENEWED}:
        payments = Payment.objects.filter(gateway=event.gateway, external_id=fact.payment_id)
        if order_id := payments.values_list("order_id", flat=True).first():
            return rows.get(pk=order_id)
    return rows.filter(public_id=fact.order_ref).first()


def _settle(event: PaymentEvent, order: Order | None, fact: Fact) -> tuple[Order | None, bool]:
    """Apply a waiting fact; return the order it went to, and whether it was news."""
    if order is None:
        return _park(event, "There is no such order.")
    if order.currency != fact.currency:
        return _park(event, f"The order is in {order.currency}, the fact in {fact.currency}.")
    try:
        with transaction.atomic():
            if fact.kind == FactKind.RENEWED:
                order, fact = renewals.for_fact(order, fact)
            is_news = settling.settle(order, fact)
    except settling.TooEarlyError as error:
        event.note = error.message[:_MAX_NOTE_CHARS]
        event.save(update_fields=["note"])
        return None, False
    except (settling.DoesNotFitError, renewals.NotRenewableError) as error:
        return _park(event, error.message)
    event.outcome = Outcome.APPLIED if is_news else Outcome.NOTHING_NEW
    event.applied_at, event.note = timezone.now(), ""
    event.save(update_fields=["outcome", "applied_at", "note"])
    if is_news:
        for other in _early(event):  # after a crash these jobs look at them again
            key = f"event-{other}"
            enqueue(JobName.APPLY_PAYMENT, delay_s=settling.SPARE_S, key=key, event_id=other)
    return order, is_news


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


def _park(event: PaymentEvent, note: str) -> tuple[None, bool]:
    """Set a fact aside for people; the gateway is not asked to send it again."""
    logger.error("payment event %s is parked: %s", event.pk, note)
    event.outcome, event.applied_at = Outcome.PARKED, timezone.now()
    event.note = note[:_MAX_NOTE_CHARS]
    event.save(update_fields=["outcome", "applied_at", "note"])
    return None, False

"""What staff do about orders and about facts that did not fit."""

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.viewer import Viewer
from licensing.gateways.registry import gateway_named
from licensing.models import Order, PaymentEvent
from licensing.services import calling_off, inbox, office, settling
from store.core.errors import ConflictError

Outcome = PaymentEvent.Outcome
_MAX_NOTE_CHARS = 300


class EventClosedError(ConflictError):
    """The fact was applied, or is nothing new: there is nothing to do about it."""

    code = "event_closed"


def cancel(viewer: Viewer, order: Order, reason: str) -> Order:
    """Cancel an open order; part payments go back.

    Raises:
        ForbiddenError, ReasonNeededError: see there.
        NotCancellableError: it was paid, is cancelled already, or a payment is on its way. Nothing
            changes.
        GatewayError: its page at the gateway could not be closed; nothing changes.
    """
    office.staff_of(viewer)
    text = office.clean_reason(reason)
    calling_off.close_payment(order)
    with transaction.atomic():
        locked = Order.objects.select_for_update().get(pk=order.pk)
        if locked.state != Order.State.OPEN:
            raise settling.NotCancellableError(
                _("Only an open order can be cancelled. This one is: %(state)s.")
                % {"state": locked.get_state_display()}
            )
        found = settling.cancel(order.pk)
        _note(viewer, "order.cancel", found, text)
    return found


def fetch(viewer: Viewer, order: Order, reason: str) -> int:
    """Ask the gateway for all that happened to an order, and apply what no message told.

    Returns:
        How many facts were new.

    Raises:
        ForbiddenError, ReasonNeededError: see there.
        GatewayError, UnknownGatewayError: it cannot be asked; nothing changes.
    """
    office.staff_of(viewer)
    text = office.clean_reason(reason)
    facts = gateway_named(order.gateway).facts_of(order.public_id)
    idents = [fact.event_id for fact in facts]
    rows = PaymentEvent.objects.filter(gateway=order.gateway, external_id__in=idents)
    new = len(set(idents)) - rows.count()
    with transaction.atomic():
        _note(viewer, "order.fetch", order, text, facts=len(facts), new=new)
        inbox.keep(order.gateway, facts)
    inbox.receive(order.gateway, facts)
    return new


def apply_again(viewer: Viewer, event: PaymentEvent, reason: str) -> str:
    """Try once more to apply a fact that was set aside, after its cause was mended.

    Returns:
        What came of it.

    Raises:
        ForbiddenError, ReasonNeededError: see there.
        EventClosedError: it was applied. Nothing changes.
    """
    office.staff_of(viewer)
    text = office.clean_reason(reason)
    with transaction.atomic():
        locked = _unapplied(event)
        locked.outcome, locked.applied_at = Outcome.WAITING, None
        locked.save(update_fields=["outcome", "applied_at"])
        _note_event(viewer, "payment_event.apply", locked, text)
    return inbox.apply(event.pk)


def dismiss(viewer: Viewer, event: PaymentEvent, reason: str) -> None:
    """Say that a fact that was set aside means nothing here; the reconciler lists it no more.

    Raises:
        ForbiddenError, ReasonNeededError: see there.
        EventClosedError: it was applied. Nothing changes.
    """
    office.staff_of(viewer)
    text = office.clean_reason(reason)
    with transaction.atomic():
        locked = _unapplied(event)
        locked.outcome, locked.applied_at = Outcome.NOTHING_NEW, timezone.now()
        locked.note = text[:_MAX_NOTE_CHARS]
        locked.save(update_fields=["outcome", "applied_at", "note"])
        _note_event(viewer, "payment_event.dismiss", locked, text)


def _unapplied(event: PaymentEvent) -> PaymentEvent:
    locked = PaymentEvent.objects.select_for_update().get(pk=event.pk)
    if locked.outcome not in {Outcome.PARKED, Outcome.WAITING}:
        raise EventClosedError(
            _("There is nothing to do about this message: %(outcome)s.")
            % {"outcome": locked.get_outcome_display()}
        )
    return locked


def _note(viewer: Viewer, action: str, order: Order, reason: str, **detail: object) -> None:
    office.note(
        viewer,
        action,
        subject=order.public_id,
        namespace=order.holder,
        reason=reason,
        **detail,
    )


def _note_event(viewer: Viewer, action: str, event: PaymentEvent, reason: str) -> None:
    office.note(
        viewer,
        action,
        subject=event.external_id,
        reason=reason,
        gateway=event.gateway,
        kind=event.kind,
        order=event.order_ref,
    )

"""Refunds that no gateway can send any more: staff send the money, and say so."""

from datetime import date

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.viewer import Viewer
from licensing.gateways.transfer import Transfer
from licensing.models import Order, Refund
from licensing.services import booking, office, returning, transfers
from store.core.errors import ConflictError, InvalidError

MAX_REFERENCE_CHARS = 128


class RefundNotFailedError(ConflictError):
    """Only a refund that the gateway could not send is sent by hand."""

    code = "refund_not_failed"


class BadRefundReferenceError(InvalidError):
    """Money sent by hand is known by the bank's reference, once."""

    code = "bad_refund_reference"


def mark_sent(
    viewer: Viewer, refund: Refund, reference: str, reason: str, *, sent_on: date | None = None
) -> Refund:
    """Say that a refund was sent by hand: it is done, and the ledger has it.

    Refunds of bank transfers are always sent so; others once the gateway has failed to.

    Args:
        viewer: A member of staff.
        refund: One that failed.
        reference: The bank's number of the transfer.
        reason: For the audit trail.
        sent_on: The day, of a refund of a bank transfer; ``None``: today.

    Raises:
        ForbiddenError, ReasonNeededError, BadRefundReferenceError: see there. Of bank transfers,
            what ``transfers.mark_refund_sent`` raises.
        RefundNotFailedError: it did not fail. Nothing changes.
    """
    office.staff_of(viewer)
    text, known = office.clean_reason(reason), _checked(reference)
    if refund.order.gateway == Transfer.name:
        today = timezone.now().date()
        return transfers.mark_refund_sent(viewer, refund, known, sent_on or today, reason=text)
    with transaction.atomic():
        order = Order.objects.select_for_update().get(pk=refund.order_id)
        locked = Refund.objects.select_for_update().get(pk=refund.pk)
        if locked.state != Refund.State.FAILED:
            raise RefundNotFailedError(
                _("This refund did not fail: %(state)s.") % {"state": locked.get_state_display()}
            )
        if order.refunds.filter(external_id=known).exclude(pk=locked.pk).exists():
            raise BadRefundReferenceError(_("Another refund of this order has this reference."))
        locked.state, locked.done_at = Refund.State.DONE, timezone.now()
        locked.external_id = known
        locked.save(update_fields=["state", "done_at", "external_id"])
        first = locked.payment or order.payments.earliest("id")
        returning.count_back(order, first, locked.amount_minor)
        booking.book_refund_sent(
            order, locked, from_deposits_minor=locked.amount_minor, is_by_hand=True
        )
        _note(viewer, order, locked, text)
    return locked


def _note(viewer: Viewer, order: Order, refund: Refund, reason: str) -> None:
    office.note(
        viewer,
        "refund.sent_by_hand",
        subject=order.public_id,
        namespace=order.holder,
        reason=reason,
        refund=refund.public_id,
        reference=refund.external_id,
        amount_minor=refund.amount_minor,
        currency=order.currency,
    )


def _checked(reference: str) -> str:
    known = reference.strip()
    if not 1 <= len(known) <= MAX_REFERENCE_CHARS or not known.isprintable():
        raise BadRefundReferenceError(
            _("Give the bank's reference, up to %(most)d characters.")
            % {"most": MAX_REFERENCE_CHARS}
        )
    return known

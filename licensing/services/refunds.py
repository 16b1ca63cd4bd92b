"""Refunds: asked for by the buyer, decided by the seller or staff, sent by the gateway.

Deciding ends access and books the money back to the buyer in one transaction; sending it comes
after, and is tried until the gateway has said yes or no.
"""

from contextlib import suppress
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Role, Scope
from accounts.services.audit import record
from accounts.viewer import Viewer
from licensing.gateways.base import GatewayRefusedError
from licensing.gateways.registry import UnknownGatewayError, gateway_named
from licensing.models import Order, OrderLine, Refund
from licensing.services import disputing, inbox, office, returning, telling
from store.core.errors import ConflictError, ForbiddenError, NotFoundError, TransientError

State = Refund.State
REFUNDABLE = (Order.State.PAID, Order.State.FULFILLED)
MAX_REASON_CHARS = 500
_DECIDERS = {Role.ADMIN}


class NotRefundableError(ConflictError):
    """There is nothing to give back, or it is too late; ``extra.reason`` says which, stable."""

    code = "not_refundable"


class RefundNotFoundError(NotFoundError):
    """There is no such refund, or it is not this person's to answer."""

    code = "refund_not_found"


class RefundAnsweredError(ConflictError):
    """The refund was answered before."""

    code = "refund_answered"


@transaction.atomic
def ask(viewer: Viewer, order: Order, line: OrderLine | None, reason: str) -> Refund:
    """Ask for the price of a line, or of all lines, within the refund window.

    Returns:
        The request; the open one if there is one.

    Raises:
        NotRefundableError: ``too_late``, ``nothing_left``, ``wrong_state``.
    """
    user = viewer.signed_in()
    locked = Order.objects.select_for_update().get(pk=order.pk)
    parts = _parts(locked, line)
    paid_at = locked.paid_at or timezone.now()
    if timezone.now() > paid_at + timedelta(days=settings.ENV.refund_days):
        raise NotRefundableError(
            _("Refunds can be asked for within %(n)d days. Write to the seller instead.")
            % {"n": settings.ENV.refund_days},
            reason="too_late",
        )
    waiting = locked.refunds.filter(state=State.ASKED, line=line).order_by("id").first()
    if waiting is not None:
        return waiting
    refund = Refund.objects.create(
        order=locked,
        line=line,
        state=State.ASKED,
        amount_minor=sum(parts.values()),
        reason=reason.strip()[:MAX_REASON_CHARS],
        asked_by=user,
    )
    telling.note_request(locked, list(parts))
    record(
        "refund.ask",
        actor=user,
        subject=locked.public_id,
        namespace=locked.holder,
        address=viewer.address,
    )
    return refund


def refund_for(viewer: Viewer, public_id: str) -> Refund:
    """Return a refund the viewer may answer: of their own sales, or any as staff.

    Args:
        viewer: Who answers; a token needs the scope ``write``, one of staff ``admin``.
        public_id: The refund's.

    Raises:
        UnauthenticatedError, MissingScopeError: see there.
        RefundNotFoundError: there is none, or not for them.
    """
    viewer.require(Scope.WRITE)
    found = Refund.objects.select_related("order", "line").filter(public_id=public_id).first()
    if found is None or not may_decide(viewer, found.order, found.line):
        raise RefundNotFoundError(_("There is no such refund."))
    return found


def may_decide(viewer: Viewer, order: Order, line: OrderLine | None) -> bool:
    """Whether the viewer may give this money back: staff, or admins of every seller of it."""
    return viewer.is_staff or _sold(viewer, order, line)


def acts_as_staff(viewer: Viewer, order: Order, line: OrderLine | None) -> bool:
    """Whether the viewer may give this money back as staff alone: they did not sell it."""
    return viewer.is_staff and not _sold(viewer, order, line)


def _sold(viewer: Viewer, order: Order, line: OrderLine | None) -> bool:
    lines = [line] if line is not None else list(order.lines.all())
    return all(viewer.role_in(row.seller_id) in _DECIDERS for row in lines)


def _reason(viewer: Viewer, order: Order, line: OrderLine | None, text: str) -> str:
    """Return why somebody decides so; staff must say it.

    Raises:
        ReasonNeededError: staff said nothing, or too much.
    """
    if acts_as_staff(viewer, order, line):
        return office.clean_reason(text)
    return text.strip()[:MAX_REASON_CHARS]


def decline(viewer: Viewer, refund: Refund, answer: str) -> Refund:
    """Refuse a request, with a reason the buyer reads.

    Raises:
        RefundAnsweredError: it was answered before.
        ReasonNeededError: staff gave no reason.
    """
    answer = _reason(viewer, refund.order, refund.line, answer)
    with transaction.atomic():
        Order.objects.select_for_update().get(pk=refund.order_id)
        locked = _waiting(refund)
        locked.state, locked.answer = State.DECLINED, answer
        locked.decided_by, locked.decided_at = viewer.user, timezone.now()
        locked.save()
        _note(viewer, locked, "refund.decline", locked.answer)
        telling.note_answer(locked)
    return locked


def accept(viewer: Viewer, refund: Refund, *, why: str = "") -> Refund:
    """Grant a request: access ends now, the money is sent.

    Args:
        viewer: Who decides; they passed ``refund_for``.
        refund: The request.
        why: For the audit trail; staff must say it.

    Raises:
        RefundAnsweredError, NotRefundableError, ReasonNeededError: see there; nothing changes.
    """
    why = _reason(viewer, refund.order, refund.line, why)
    with transaction.atomic():
        order = Order.objects.select_for_update().get(pk=refund.order_id)
        locked = _waiting(refund)
        _decide(viewer, order, locked, _parts(order, locked.line), why)
    return send_now(locked)


def give_back(viewer: Viewer, order: Order, line: OrderLine | None, reason: str) -> Refund:
    """Refund without being asked: all that is left of a line, or of the order.

    Raises:
        ForbiddenError: not theirs to give back.
        NotRefundableError: nothing is left.
        ReasonNeededError: staff gave no reason.
    """
    if not may_decide(viewer, order, line):
        raise ForbiddenError(_("Only the seller and staff can refund this."))
    reason = _reason(viewer, order, line, reason)
    with transaction.atomic():
        locked = Order.objects.select_for_update().get(pk=order.pk)
        refund = Refund.objects.create(
            order=locked,
            line=line,
            state=State.ASKED,
            amount_minor=0,
            reason=reason,
        )
        _decide(viewer, locked, refund, _parts(locked, line), refund.reason)
    return send_now(refund)


def _parts(order: Order, line: OrderLine | None) -> dict[OrderLine, int]:
    """Return what is left to give back, by line. Lines of a free order count with 0."""
    if order.state not in REFUNDABLE:
        raise NotRefundableError(
            _("This order cannot be refunded now: it is %(state)s.")
            % {"state": order.get_state_display()},
            reason="wrong_state",
        )
    rows = order.lines.order_by("position")  # read anew: the caller's line is from before the lock
    lines = list(rows.filter(pk=line.pk) if line is not None else rows)
    left = {row: row.gross_minor - row.refunded_minor for row in lines}
    parts = {row: amount for row, amount in left.items() if amount or row.taken_back_at is None}
    if not parts:
        raise NotRefundableError(_("It was refunded already."), reason="nothing_left")
    return parts


def _waiting(refund: Refund) -> Refund:
    locked = Refund.objects.select_for_update().get(pk=refund.pk)
    if locked.state != State.ASKED:
        raise RefundAnsweredError(_("This request was answered already."), state=locked.state)
    return locked


def _decide(
    viewer: Viewer, order: Order, refund: Refund, parts: dict[OrderLine, int], why: str
) -> None:
    refund.amount_minor = sum(parts.values())
    refund.state = State.SENDING if refund.amount_minor else State.DONE
    refund.decided_by, refund.decided_at = viewer.user, timezone.now()
    refund.save()
    returning.take_back(order, refund.public_id, parts)
    _note(viewer, refund, "refund.accept", why)
    telling.note_answer(refund)
    returning.plan(order, refund)


def _note(viewer: Viewer, refund: Refund, action: str, reason: str) -> None:
    record(
        action,
        actor=viewer.user,
        subject=refund.order.public_id,
        namespace=refund.order.holder,
        address=viewer.address,
        amount_minor=refund.amount_minor,
        currency=refund.order.currency,
        reason=reason,
    )


def send_now(refund: Refund) -> Refund:
    """Try to send a decided refund in this request; the jobs go on where it fails."""
    with suppress(TransientError, UnknownGatewayError):
        send(refund.pk)
    refund.refresh_from_db()
    return refund


def send(refund_id: int) -> str:
    """Ask the gateway to send a refund back. Safe to repeat: its key is the refund's id.

    While a bank decides on a dispute of the order it waits: the bank has the money, and may keep
    it.

    Returns:
        The state afterwards.

    Raises:
        GatewayError: try again.
    """
    refund = Refund.objects.select_related("order", "payment").get(pk=refund_id)
    if refund.state != State.SENDING:
        return refund.state
    if disputing.is_disputed(refund.order):
        return refund.state
    payment = refund.payment
    if payment is None:
        return _failed(refund, _("No payment has so much left. Send it by hand."))
    try:
        facts = gateway_named(refund.order.gateway).refund(
            payment_id=payment.external_id,
            amount_minor=refund.amount_minor,
            currency=refund.order.currency,
            key=refund.public_id,
        )
    except GatewayRefusedError as error:
        return _failed(refund, error.message)
    inbox.receive(refund.order.gateway, facts)
    refund.refresh_from_db()
    return refund.state


def _failed(refund: Refund, why: str) -> str:
    """Note that the gateway will not do it: access stays ended, staff must send the money."""
    rows = Refund.objects.filter(pk=refund.pk, state=State.SENDING)
    rows.update(state=State.FAILED, answer=why[:MAX_REASON_CHARS])
    return str(State.FAILED)

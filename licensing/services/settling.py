"""The state machine of orders: the one place that changes their state and their sums.

Every function here runs with the order's row locked. States follow from facts that only grow,
so facts may come in any order, more than once, and after a crash at any point:

    open → paid → fulfilled → refunded
              ↘ disputed ↗  (and back, when the dispute is won)
    open → cancelled (→ paid, when the money comes after all)
"""

from collections.abc import Callable, Mapping

from django.db import transaction
from django.db.models import Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from licensing.gateways.base import Fact, FactKind
from licensing.models import Dispute, Order, OrderLine, Payment, Refund
from licensing.services import booking, granting, telling
from store.core.errors import ConflictError
from store.core.jobs import JobName, enqueue

State = Order.State
CLOSED = (State.REFUNDED, State.CANCELLED)


class TooEarlyError(ConflictError):
    """The fact follows from one that has not been heard of yet; it waits."""

    code = "too_early"


class DoesNotFitError(ConflictError):
    """The fact contradicts what is known; people must look at it."""

    code = "does_not_fit"


class NotCancellableError(ConflictError):
    """Money came for the order already; ask for a refund."""

    code = "not_cancellable"


def settle(order: Order, fact: Fact) -> bool:
    """Apply one fact to a locked order; ``False``: it was known.

    Raises:
        TooEarlyError: what it follows from is not known yet.
        DoesNotFitError: it contradicts what is known.
    """
    steps: Mapping[FactKind, Callable[[Order, Fact], bool]] = {
        FactKind.PAID: _paid,
        FactKind.PAYMENT_FAILED: _payment_failed,
        FactKind.REFUNDED: _refunded,
        FactKind.REFUND_FAILED: _refund_failed,
        FactKind.DISPUTE_OPENED: _dispute_opened,
        FactKind.DISPUTE_WON: _dispute_won,
        FactKind.DISPUTE_LOST: _dispute_lost,
        FactKind.SUBSCRIPTION_ENDED: _subscription_ended,
    }
    return steps[fact.kind](order, fact)


def advance(order: Order) -> None:
    """Bring a locked order to the state its sums ask for, and ask for what follows."""
    if order.state in {State.OPEN, State.CANCELLED} and order.due_minor == 0 and _wants(order):
        booking.book_sale(order)
        order.state, order.paid_at, order.closed_at = State.PAID, timezone.now(), None
        order.save(update_fields=["state", "paid_at", "closed_at"])
        enqueue(JobName.FULFIL_ORDER, key=f"order-{order.pk}", order_id=order.pk)
    _send_surplus_back(order)


def _wants(order: Order) -> bool:
    """Whether a full payment makes it a sale; a free order that was cancelled stays so."""
    return order.state == State.OPEN or order.gross_minor > 0


def fulfil_if_paid(order_id: int) -> bool:
    """Grant what a paid order promised; ``False``: nothing was to be done. Safe to repeat."""
    with transaction.atomic():
        order = Order.objects.select_for_update().get(pk=order_id)
        if order.state != State.PAID:
            return False
        granting.fulfil(order)
        order.state, order.fulfilled_at = State.FULFILLED, timezone.now()
        order.save(update_fields=["state", "fulfilled_at"])
        telling.note_sale(order)
        enqueue(JobName.TELL_SALE, key=f"order-{order.pk}", order_id=order.pk)
    return True


def take_free(order_id: int) -> bool:
    """Move on an order there is nothing to pay for; ``False``: it is none."""
    with transaction.atomic():
        order = Order.objects.select_for_update().get(pk=order_id)
        if order.state != State.OPEN or order.gross_minor:
            return False
        advance(order)
    return fulfil_if_paid(order_id)


def cancel(order_id: int) -> Order:
    """Cancel an open order. Part payments go back.

    Raises:
        NotCancellableError: it was paid.
    """
    with transaction.atomic():
        order = Order.objects.select_for_update().get(pk=order_id)
        if order.state == State.CANCELLED:
            return order
        if order.state != State.OPEN:
            raise NotCancellableError("This order was paid. Ask for a refund instead.")
        order.state, order.closed_at = State.CANCELLED, timezone.now()
        order.save(update_fields=["state", "closed_at"])
        _send_surplus_back(order)
    return order


def _paid(order: Order, fact: Fact) -> bool:
    """Count a payment, once by its id."""
    payment, is_new = Payment.objects.get_or_create(
        gateway=order.gateway,
        external_id=fact.payment_id,
        defaults={"order": order, "amount_minor": fact.amount_minor, "at": fact.at},
    )
    if payment.order_id != order.pk or payment.amount_minor != fact.amount_minor:
        raise DoesNotFitError("This payment is known with another order or amount.")
    if not is_new:
        return False
    booking.book_payment(order, payment)
    order.paid_minor += payment.amount_minor
    order.save(update_fields=["paid_minor"])
    advance(order)
    return True


def _payment_failed(order: Order, fact: Fact) -> bool:
    """Nothing was charged: the order stays open for another attempt."""
    if order.renews is not None and order.state == State.OPEN:
        enqueue(JobName.SUBSCRIPTION_UNPAID, key=f"order-{order.pk}", order_id=order.pk)
        return True
    return False


def _payment_of(order: Order, fact: Fact) -> Payment:
    found = Payment.objects.filter(
        order=order, gateway=order.gateway, external_id=fact.payment_id
    ).first()
    if found is None:
        raise TooEarlyError("Its payment has not been heard of yet.")
    return found


def _refunded(order: Order, fact: Fact) -> bool:
    """A refund arrived: one we asked for, or one made at the gateway by hand."""
    payment = _payment_of(order, fact)
    refund = _known_refund(order, fact)
    if refund is not None and refund.state == Refund.State.DONE:
        return False
    if refund is None:
        left = payment.amount_minor - payment.refunded_minor
        if fact.amount_minor > left:
            raise DoesNotFitError("More went back than was paid.")
        refund = _refund_by_hand(order, payment, fact)
    elif refund.amount_minor != fact.amount_minor:
        raise DoesNotFitError(f"Refund {refund.public_id} was of another amount.")
    refund.state, refund.done_at = Refund.State.DONE, timezone.now()
    refund.payment, refund.external_id = payment, fact.subject_id or fact.event_id
    refund.save(update_fields=["state", "done_at", "payment", "external_id"])
    payment.refunded_minor += fact.amount_minor
    payment.save(update_fields=["refunded_minor"])
    booking.book_refund_sent(order, refund)
    return True


def _known_refund(order: Order, fact: Fact) -> Refund | None:
    rows = Refund.objects.filter(order=order)
    if fact.key:
        return rows.filter(public_id=fact.key).first()
    return rows.filter(external_id=fact.subject_id or fact.event_id).first()


def _refund_by_hand(order: Order, payment: Payment, fact: Fact) -> Refund:
    """Note a refund nobody asked us for; it ends access only when all of the price is back."""
    surplus = order.paid_minor - order.refunded_minor - _sold_minor(order)
    is_surplus = fact.amount_minor <= surplus
    refund = Refund.objects.create(
        order=order,
        payment=payment,
        state=Refund.State.SENDING,
        amount_minor=fact.amount_minor,
        is_surplus=is_surplus,
        reason="Made at the payment service.",
        decided_at=timezone.now(),
    )
    if is_surplus:
        _count_refund(order, fact.amount_minor)
    else:
        take_back(order, refund, spread_over(order, fact.amount_minor))
    return refund


def spread_over(order: Order, amount_minor: int) -> dict[OrderLine, int]:
    """Return which lines an amount without a line is taken from: in order, each to its end."""
    left, parts = amount_minor, {}
    for line in order.lines.order_by("position"):
        part = min(left, line.gross_minor - line.refunded_minor)
        if part:
            parts[line] = part
            left -= part
    return parts


def take_back(order: Order, refund: Refund, parts: Mapping[OrderLine, int]) -> None:
    """Undo lines, wholly or in part, of a locked order: ledger, access, invoice.

    A line whose whole price goes back loses its grant at once. ``refund`` says why and is sent by
    a job of its own.
    """
    booking.book_refund(order, refund, parts)
    for line, part in parts.items():
        line.refunded_minor += part
        line.save(update_fields=["refunded_minor"])
        if line.refunded_minor == line.gross_minor:
            granting.revoke(line)
    _count_refund(order, sum(parts.values()))
    granting.credit(order, refund, parts)
    telling.note_refund(order, list(parts))
    if not order.lines.filter(taken_back_at=None).exists():
        order.state, order.closed_at = State.REFUNDED, timezone.now()
        order.save(update_fields=["state", "closed_at"])


def _count_refund(order: Order, amount_minor: int) -> None:
    order.refunded_minor += amount_minor
    order.save(update_fields=["refunded_minor"])


def _refund_failed(order: Order, fact: Fact) -> bool:
    """The money did not arrive: it is still owed; staff must find another way."""
    refund = _known_refund(order, fact)
    if refund is None:
        raise TooEarlyError("Its refund has not been heard of yet.")
    if refund.state != Refund.State.SENDING:
        return False
    refund.state, refund.answer = Refund.State.FAILED, fact.note[:500]
    refund.save(update_fields=["state", "answer"])
    return True


def _dispute(order: Order, fact: Fact) -> tuple[Dispute, bool]:
    _payment_of(order, fact)
    found, is_new = Dispute.objects.get_or_create(
        gateway=order.gateway,
        external_id=fact.subject_id,
        defaults={"order": order, "amount_minor": fact.amount_minor, "opened_at": fact.at},
    )
    if found.order_id != order.pk:
        raise DoesNotFitError("This dispute is about another order.")
    return found, is_new


def _dispute_opened(order: Order, fact: Fact) -> bool:
    """Freeze: the sellers' part is held back, grants open nothing until it is decided."""
    dispute, is_new = _dispute(order, fact)
    if is_new:
        _freeze(order, dispute)
    return is_new


def _freeze(order: Order, dispute: Dispute) -> None:
    booking.book_dispute_opened(order, dispute)
    granting.freeze(order)
    if order.state in {State.PAID, State.FULFILLED}:
        order.state = State.DISPUTED
        order.save(update_fields=["state"])


def _dispute_won(order: Order, fact: Fact) -> bool:
    dispute, is_new = _dispute(order, fact)
    if is_new:
        _freeze(order, dispute)
    if dispute.state != Dispute.State.OPEN:
        return False
    _close(dispute, Dispute.State.WON)
    booking.book_dispute_won(order, dispute)
    is_over = not order.disputes.filter(state=Dispute.State.OPEN).exists()
    if order.state == State.DISPUTED and is_over:
        granting.thaw(order)
        order.state = State.FULFILLED if order.fulfilled_at else State.PAID
        order.save(update_fields=["state"])
        enqueue(JobName.FULFIL_ORDER, key=f"order-{order.pk}", order_id=order.pk)
    return True


def _dispute_lost(order: Order, fact: Fact) -> bool:
    """The bank took the money back: as a refund, but without asking anybody."""
    dispute, is_new = _dispute(order, fact)
    if is_new:
        _freeze(order, dispute)
    if dispute.state != Dispute.State.OPEN:
        return False
    _close(dispute, Dispute.State.LOST)
    booking.book_dispute_lost(order, dispute)
    payment = _payment_of(order, fact)
    back = min(
        fact.amount_minor,
        payment.amount_minor - payment.refunded_minor,
        order.paid_minor - order.refunded_minor,
    )
    payment.refunded_minor += back
    payment.save(update_fields=["refunded_minor"])
    _count_refund(order, back)
    for line in order.lines.all():
        granting.revoke(line)
    if order.state != State.REFUNDED:
        order.state, order.closed_at = State.REFUNDED, timezone.now()
        order.save(update_fields=["state", "closed_at"])
    return True


def _close(dispute: Dispute, state: Dispute.State) -> None:
    dispute.state, dispute.closed_at = state, timezone.now()
    dispute.save(update_fields=["state", "closed_at"])


def _subscription_ended(order: Order, fact: Fact) -> bool:
    """The gateway will not collect any more; what is paid stays paid."""
    return granting.end_subscription(order)


def _sold_minor(order: Order) -> int:
    """Return how much of what was paid is the price of something still sold."""
    if order.state in {State.OPEN, State.CANCELLED}:
        return 0
    back = order.lines.aggregate(total=Coalesce(Sum("refunded_minor"), 0))["total"]
    return order.gross_minor - int(back)


def _send_surplus_back(order: Order) -> None:
    """Ask for a refund of what is for nothing: paid twice, too much, or for a cancelled order."""
    if order.state == State.OPEN:
        return
    surplus = order.paid_minor - order.refunded_minor - _sold_minor(order)
    if surplus <= 0:
        return
    for payment in order.payments.order_by("-id"):
        planned = Refund.objects.filter(payment=payment, state=Refund.State.SENDING)
        waiting = planned.aggregate(total=Coalesce(Sum("amount_minor"), 0))["total"]
        part = min(surplus, payment.amount_minor - payment.refunded_minor - int(waiting))
        if part <= 0:
            continue
        refund = Refund.objects.create(
            order=order,
            payment=payment,
            state=Refund.State.SENDING,
            amount_minor=part,
            is_surplus=True,
            reason="Paid twice or too much.",
            decided_at=timezone.now(),
        )
        _count_refund(order, part)
        enqueue(JobName.SEND_REFUND, key=f"refund-{refund.pk}", refund_id=refund.pk)
        surplus -= part

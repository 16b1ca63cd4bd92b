"""The state machine of orders: the one place that changes their state and their sums.

Every function here runs with the order's row locked. States follow from facts that only grow,
so facts may come in any order, more than once, and after a crash at any point:

    open → paid → fulfilled → refunded
              ↘ disputed ↗  (and back, when the dispute is won)
    open → cancelled (→ paid, when the money comes after all and still buys the same;
                      → open, a period of a subscription that goes on again)
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from catalog.models import ModelRepo
from licensing.gateways.base import Fact, FactKind
from licensing.models import Offer, Order, Payment, Refund, Subscription
from licensing.services import (
    booking,
    disputing,
    granting,
    on_its_way,
    returning,
    reviving,
    sellability,
    subscribing,
    telling,
)
from licensing.services.fact_errors import DoesNotFitError, TooEarlyError
from licensing.services.returning import SPARE_S
from store.core.errors import ConflictError
from store.core.jobs import JobName, enqueue

State = Order.State
_WITHOUT_MONEY = (
    FactKind.PAYMENT_FAILED,
    FactKind.SUBSCRIPTION_ENDED,
    FactKind.RENEWAL_FAILED,
)


class NotCancellableError(ConflictError):
    """Money came for the order already; ask for a refund."""

    code = "not_cancellable"


def settle(order: Order, fact: Fact) -> bool:
    """Apply one fact to a locked order; ``False``: it was known.

    Raises:
        TooEarlyError: what it follows from is not known yet.
        DoesNotFitError: it contradicts what is known.
    """
    if fact.amount_minor < 1 and fact.kind not in _WITHOUT_MONEY:
        raise DoesNotFitError("Nothing is no amount.")
    steps: Mapping[FactKind, Callable[[Order, Fact], bool]] = {
        FactKind.PAID: _paid,
        FactKind.PAYMENT_PENDING: on_its_way.wait,
        FactKind.PAYMENT_FAILED: _payment_failed,
        FactKind.REFUNDED: _refunded,
        FactKind.REFUND_FAILED: _refund_failed,
        FactKind.DISPUTE_OPENED: disputing.opened,
        FactKind.DISPUTE_WON: disputing.won,
        FactKind.DISPUTE_LOST: disputing.lost,
        FactKind.SUBSCRIPTION_ENDED: subscribing.ended,
        FactKind.RENEWED: _paid,
        FactKind.RENEWAL_FAILED: subscribing.renewal_failed,
    }
    return steps[fact.kind](order, fact)


def advance(order: Order) -> None:
    """Bring a locked order to the state its sums ask for, and ask for what follows."""
    if not returning.is_sold(order) and order.due_minor == 0:
        if _wants(order):
            _sell(order)
        else:
            _refuse(order)
    returning.send_surplus_back(order)


def _refuse(order: Order) -> None:
    """Leave a paid order cancelled; a gateway that began a subscription with it is to end that."""
    if order.state == State.OPEN:
        _cancel(order)
    if order.renews is None and order.lines.filter(kind=Offer.Kind.SUBSCRIPTION).exists():
        granting.have_gateway_told(order)


def _sell(order: Order) -> None:
    booking.book_sale(order)
    order.state, order.paid_at, order.closed_at = State.PAID, timezone.now(), None
    order.save(update_fields=["state", "paid_at", "closed_at"])
    enqueue(JobName.FULFIL_ORDER, delay_s=SPARE_S, key=f"order-{order.pk}", order_id=order.pk)
    if disputing.is_disputed(order):  # a part payment was, before the rest came
        disputing.hold(order, f"sale:{order.public_id}")


def _wants(order: Order) -> bool:
    """Whether a full payment makes it a sale.

    A free order that was cancelled stays so, as does one whose price cannot be had any more; and a
    subscription that was taken back or ended, or of models that are free for all by now, is not
    carried on: the money goes back.
    """
    if order.renews is not None:
        models = ModelRepo.objects.filter(pk__in=order.lines.values("repos"))
        if order.renews.state == Subscription.State.ENDED or sellability.are_open(models):
            return False
    return order.state == State.OPEN or (order.gross_minor > 0 and reviving.is_still_had(order))


def fulfil_if_paid(order_id: int) -> bool:
    """Grant what a paid order promised; ``False``: nothing was to be done. Safe to repeat."""
    with transaction.atomic():
        order = Order.objects.select_for_update().get(pk=order_id)
        if order.state != State.PAID:
            return False
        returning.give_back_gone(order)
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
        _cancel(order)
        returning.send_surplus_back(order)
    return order


def _cancel(order: Order) -> None:
    order.state, order.closed_at = State.CANCELLED, timezone.now()
    order.save(update_fields=["state", "closed_at"])


def reopen(order: Order, *, until: datetime) -> None:
    """Let the locked, cancelled order of a period be paid again."""
    order.state, order.closed_at, order.expires_at = State.OPEN, None, until
    order.save(update_fields=["state", "closed_at", "expires_at"])


def _paid(order: Order, fact: Fact) -> bool:
    """Count a payment, once by its id.

    The price is the order's. A gateway that collects whole charges cannot have collected another
    amount for it, so such a payment is no payment of this order, whatever it names.
    """
    if fact.is_exact and fact.amount_minor != order.gross_minor:
        raise DoesNotFitError(f"{fact.amount_minor} was paid, the order is {order.gross_minor}.")
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
    return on_its_way.give_up(order, fact)


def _refunded(order: Order, fact: Fact) -> bool:
    """A refund arrived: one we asked for, or one made at the gateway by hand."""
    payment = returning.payment_of(order, fact)
    refund = _known_refund(order, fact)
    if refund is not None and _is_over(refund, fact):
        return False
    owed = fact.amount_minor
    if refund is None:
        if fact.amount_minor > payment.amount_minor:
            raise DoesNotFitError("More went back than was paid.")
        refund, owed = _refund_by_hand(order, payment, fact)
    elif refund.amount_minor != fact.amount_minor:
        raise DoesNotFitError(f"Refund {refund.public_id} was of another amount.")
    elif refund.state == Refund.State.COVERED:  # it went back twice: nobody was owed this one
        owed = 0
    refund.state, refund.done_at = Refund.State.DONE, timezone.now()
    refund.payment, refund.external_id = payment, fact.subject_id or fact.event_id
    refund.save(update_fields=["state", "done_at", "payment", "external_id"])
    returning.count_back(order, payment, fact.amount_minor)
    booking.book_refund_sent(order, refund, from_deposits_minor=owed)
    return True


def _known_refund(order: Order, fact: Fact) -> Refund | None:
    """Return the refund by our id, or by the gateway's: it may tell one twice in other words."""
    rows = Refund.objects.filter(order=order)
    asked = rows.filter(public_id=fact.key).first() if fact.key else None
    return asked or rows.filter(external_id=fact.subject_id or fact.event_id).first()


def _is_over(refund: Refund, fact: Fact) -> bool:
    """Whether a refund is done, or is known to have failed under the same id at the gateway."""
    has_failed = refund.state == Refund.State.FAILED and refund.external_id == fact.subject_id
    return refund.state == Refund.State.DONE or (bool(fact.subject_id) and has_failed)


def _refund_by_hand(order: Order, payment: Payment, fact: Fact) -> tuple[Refund, int]:
    """Note a refund nobody asked us for; it ends access only when all of the price is back.

    Returns:
        The refund, and how much of it the buyer was owed then.
    """
    refund = Refund(
        order=order,
        payment=payment,
        state=Refund.State.DONE,
        amount_minor=fact.amount_minor,
        reason="Made at the payment service.",
        decided_at=timezone.now(),
    )
    gone = returning.note_gone(order, payment, refund.public_id, fact.amount_minor)
    refund.is_surplus = not gone.price_minor
    refund.save()
    return refund, gone.owed_minor + gone.price_minor


def _refund_failed(order: Order, fact: Fact) -> bool:
    """The money did not arrive: it is still owed; staff must find another way.

    Banks may say so days after the gateway called it done.
    """
    refund = _known_refund(order, fact)
    if refund is None:
        raise TooEarlyError("Its refund has not been heard of yet.")
    was_done = refund.state == Refund.State.DONE and refund.external_id == fact.subject_id
    if refund.state != Refund.State.SENDING and not was_done:
        return False
    if was_done:
        booking.book_refund_returned(order, refund)
        returning.count_returned(order, refund)
    refund.state, refund.answer = Refund.State.FAILED, fact.note[:500]
    refund.external_id, refund.done_at = fact.subject_id, None
    refund.save(update_fields=["state", "answer", "external_id", "done_at"])
    return True

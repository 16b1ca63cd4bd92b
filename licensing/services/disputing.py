"""Disputes: the buyer's bank asks for a payment back, keeps it, or lets it go.

Every function runs with the order's row locked.
"""

from django.utils import timezone

from licensing.gateways.base import Fact
from licensing.models import Dispute, Order
from licensing.services import booking, granting, returning
from licensing.services.fact_errors import DoesNotFitError
from licensing.services.returning import SPARE_S
from store.core.jobs import JobName, enqueue

State = Order.State


def opened(order: Order, fact: Fact) -> bool:
    """Freeze: the sellers' part is held back, grants open nothing until it is decided."""
    return _dispute(order, fact)[1]


def won(order: Order, fact: Fact) -> bool:
    """The money stays: let everything go on as it was."""
    dispute, _is_new = _dispute(order, fact)
    if dispute.state != Dispute.State.OPEN:
        return False
    _close(dispute, Dispute.State.WON)
    if not is_disputed(order):
        booking.book_dispute_won(order, dispute)
        _go_on(order)
    return True


def lost(order: Order, fact: Fact) -> bool:
    """The bank took the money back: as a refund, but without asking anybody.

    Where it was the price of something, everything the order gave ends, even if the bank took a
    part only. A payment too many that the bank took back ends nothing.
    """
    dispute, _is_new = _dispute(order, fact)
    if dispute.state != Dispute.State.OPEN:
        return False
    dispute.amount_minor = fact.amount_minor  # what was taken, whatever was asked for
    _close(dispute, Dispute.State.LOST)
    payment = returning.payment_of(order, fact)
    gone = returning.note_gone(order, payment, f"dispute-{dispute.pk}", dispute.amount_minor)
    returning.count_back(order, payment, dispute.amount_minor)
    if gone.price_minor:
        returning.end_all(order)
    booking.book_dispute_lost(
        order,
        dispute,
        from_deposits_minor=gone.owed_minor + gone.price_minor,
        is_last=not is_disputed(order),
    )
    if not is_disputed(order):
        _go_on(order)
    return True


def is_disputed(order: Order) -> bool:
    """Whether a bank has still to decide on a payment of the order."""
    return order.disputes.filter(state=Dispute.State.OPEN).exists()


def hold(order: Order, ident: str) -> None:
    """Hold back what a sold order brings, and what it gave.

    Args:
        order: The locked order, disputed.
        ident: Names why in the ledger, once each.
    """
    if order.state in {State.PAID, State.FULFILLED}:
        booking.book_dispute_opened(order, ident)
        granting.freeze(order)
        order.state = State.DISPUTED
        order.save(update_fields=["state"])


def _dispute(order: Order, fact: Fact) -> tuple[Dispute, bool]:
    """Return the dispute a fact is about; the first fact of it freezes the order."""
    returning.payment_of(order, fact)
    found, is_new = Dispute.objects.get_or_create(
        gateway=order.gateway,
        external_id=fact.subject_id,
        defaults={"order": order, "amount_minor": fact.amount_minor, "opened_at": fact.at},
    )
    if found.order_id != order.pk:
        raise DoesNotFitError("This dispute is about another order.")
    if is_new:
        hold(order, booking.ident_of(found))
    return found, is_new


def _close(dispute: Dispute, state: Dispute.State) -> None:
    dispute.state, dispute.closed_at = state, timezone.now()
    dispute.save(update_fields=["state", "closed_at", "amount_minor"])


def _go_on(order: Order) -> None:
    """Let an order that nobody disputes any more go on: grants, what is to be granted, refunds."""
    granting.thaw(order)
    if order.state == State.DISPUTED:
        order.state = State.FULFILLED if order.fulfilled_at else State.PAID
        order.save(update_fields=["state"])
        enqueue(JobName.FULFIL_ORDER, delay_s=SPARE_S, key=f"order-{order.pk}", order_id=order.pk)
    returning.ask_again(order)

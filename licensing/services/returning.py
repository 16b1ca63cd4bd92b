"""Money that goes back: from which payments, out of which lines, and what it ends.

Every function runs with the order's row locked. An order counts money as given back when that is
decided; a payment counts it when it has left.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Count, F, Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from licensing.documents.document import MAX_FILES
from licensing.gateways.base import Fact
from licensing.models import Order, OrderLine, Payment, Refund
from licensing.services import booking, granting, paperwork, telling
from licensing.services.fact_errors import TooEarlyError
from store.core.jobs import JobName, enqueue
from store.core.money import spread

State = Order.State
SPARE_S = 10
"""A job that only finishes what a crash interrupted starts so much later, in seconds."""


@dataclass(frozen=True, slots=True)
class Gone:
    """What an amount that left a payment was.

    Args:
        owed_minor: The buyer's already: a refund on its way, or for nothing sold.
        price_minor: The price of something that was sold.
    """

    owed_minor: int
    price_minor: int


def payment_of(order: Order, fact: Fact) -> Payment:
    """Return the payment a fact is about.

    Raises:
        TooEarlyError: it has not been heard of yet.
    """
    found = Payment.objects.filter(
        order=order, gateway=order.gateway, external_id=fact.payment_id
    ).first()
    if found is None:
        raise TooEarlyError("Its payment has not been heard of yet.")
    return found


def is_sold(order: Order) -> bool:
    """Whether the order's lines were sold; before that all that came is the buyer's."""
    return order.state not in {State.OPEN, State.CANCELLED}


def surplus_minor(order: Order) -> int:
    """Return what came and is the price of nothing, less what goes back already."""
    sold = 0
    if is_sold(order):
        back = order.lines.aggregate(total=Coalesce(Sum("refunded_minor"), 0))["total"]
        sold = order.gross_minor - int(back)
    return max(0, order.paid_minor - order.refunded_minor - sold)


def free_minor(payment: Payment) -> int:
    """Return what is left of a payment and goes back by no refund yet."""
    rows = payment.refunds.filter(state__in=Refund.OWED)
    planned = rows.aggregate(total=Coalesce(Sum("amount_minor"), 0))["total"]
    return max(0, payment.amount_minor - payment.refunded_minor - int(planned))


def send_surplus_back(order: Order) -> None:
    """Ask for a refund of what is for nothing: paid twice, too much, or for a cancelled order.

    The newest payments go back first: they are the ones too many.
    """
    surplus = surplus_minor(order) if order.state != State.OPEN else 0
    for payment in order.payments.order_by("-id"):
        part = min(surplus, free_minor(payment))
        if part:
            refund = Refund.objects.create(
                order=order,
                payment=payment,
                state=Refund.State.SENDING,
                amount_minor=part,
                is_surplus=True,
                reason="Paid twice or too much.",
                decided_at=timezone.now(),
            )
            _count(order, part)
            ask_to_send(refund)
            surplus -= part


def plan(order: Order, refund: Refund) -> None:
    """Say from which payments a decided refund is sent, and have it sent.

    A payment cannot send back more than came with it: what came in parts goes back in parts, each
    a refund of its own.
    """
    left = refund.amount_minor
    pieces: list[tuple[Payment | None, int]] = []
    for source in order.payments.order_by("id"):
        part = min(left, free_minor(source))
        if part:
            pieces.append((source, part))
            left -= part
    if left:  # no payment has it: people must send it another way
        pieces.append((None, left))
    for number, (payment, part) in enumerate(pieces):
        piece = refund if number == 0 else _sibling(refund)
        piece.payment, piece.amount_minor = payment, part
        piece.save()
        ask_to_send(piece)


def _sibling(refund: Refund) -> Refund:
    return Refund(
        order=refund.order,
        line=refund.line,
        state=Refund.State.SENDING,
        reason=refund.reason,
        asked_by=refund.asked_by,
        decided_by=refund.decided_by,
        decided_at=refund.decided_at,
    )


def ask_to_send(refund: Refund) -> None:
    """Have a job send a decided refund."""
    enqueue(JobName.SEND_REFUND, key=f"refund-{refund.pk}", refund_id=refund.pk)


def ask_again(order: Order) -> None:
    """Have everything sent that waited for the end of a dispute, or was refused during one."""
    refused = order.refunds.filter(state=Refund.State.FAILED, external_id="")
    refused.update(state=Refund.State.SENDING, answer="")
    for refund in order.refunds.filter(state=Refund.State.SENDING).order_by("id"):
        ask_to_send(refund)


def note_gone(order: Order, payment: Payment, ident: str, amount_minor: int) -> Gone:
    """Account for money that left a payment without our asking: by hand, or by a bank.

    It settles refunds of the payment that were on their way, as far as the payment has not
    enough for both; then it is what was for nothing, then the price of lines. What is left after
    that nobody was owed: the ledger lets the store bear it.

    Args:
        order: The locked order.
        payment: Which payment it left.
        ident: Names it in the ledger and on credit notes.
        amount_minor: How much.
    """
    covered = _cover(payment, amount_minor)
    rest = min(amount_minor - covered, free_minor(payment))
    unused = min(rest, surplus_minor(order))
    _count(order, unused)
    parts = spread_over(order, rest - unused) if is_sold(order) else {}
    if parts:
        take_back(order, ident, parts)
    return Gone(covered + unused, sum(parts.values()))


def _cover(payment: Payment, amount_minor: int) -> int:
    """Settle refunds on their way with money that went back otherwise; return how much."""
    lacking, covered = amount_minor - free_minor(payment), 0
    for refund in payment.refunds.filter(state__in=Refund.OWED).order_by("id"):
        if covered < lacking and refund.amount_minor <= amount_minor - covered:
            refund.state, refund.done_at = Refund.State.COVERED, timezone.now()
            refund.save(update_fields=["state", "done_at"])
            covered += refund.amount_minor
    return covered


def count_back(order: Order, first: Payment, amount_minor: int) -> None:
    """Note on payments that so much of them went back: ``first``, then the order's others."""
    left = amount_minor
    for payment in [first, *order.payments.exclude(pk=first.pk).order_by("id")]:
        part = min(left, payment.amount_minor - payment.refunded_minor)
        payment.refunded_minor += part
        payment.save(update_fields=["refunded_minor"])
        left -= part


def count_returned(order: Order, refund: Refund) -> None:
    """Undo ``count_back``: the money of a refund is at the gateway again."""
    left = refund.amount_minor
    mine = refund.payment_id
    for payment in sorted(order.payments.all(), key=lambda row: (row.pk != mine, row.pk)):
        part = min(left, payment.refunded_minor)
        payment.refunded_minor -= part
        payment.save(update_fields=["refunded_minor"])
        left -= part


def spread_over(order: Order, amount_minor: int) -> dict[OrderLine, int]:
    """Return which lines an amount without a line is taken from.

    From the one line of which just so much is left, else from all by what is left of each: nobody
    knows which was meant, so no seller pays for another.
    """
    left = {
        line: line.gross_minor - line.refunded_minor for line in order.lines.order_by("position")
    }
    left = {line: rest for line, rest in left.items() if rest}
    amount_minor = min(amount_minor, sum(left.values()))
    if not amount_minor:
        return {}
    meant = [line for line, rest in left.items() if rest == amount_minor]
    if len(meant) == 1:
        return {meant[0]: amount_minor}
    parts = zip(left, spread(amount_minor, list(left.values())), strict=True)
    return {line: part for line, part in parts if part}


def take_back(order: Order, ident: str, parts: Mapping[OrderLine, int]) -> None:
    """Undo lines, wholly or in part, of a sold order: ledger, access, invoice.

    A line whose whole price goes back loses its grant at once.

    Args:
        order: The locked order.
        ident: Public id of the refund, or another name of what takes it back.
        parts: Amounts by line, read under the lock; 0 for a line that was free.
    """
    booking.book_refund(order, ident, parts)
    for line, part in parts.items():
        line.refunded_minor += part
        line.save(update_fields=["refunded_minor"])
        if line.refunded_minor == line.gross_minor:
            granting.revoke(line)
    _count(order, sum(parts.values()))
    paperwork.credit_note(order, ident, parts)
    telling.note_refund(order, list(parts))
    close_if_over(order)


def end_all(order: Order) -> None:
    """Take back what every line gave; the bank took the price."""
    for line in order.lines.filter(taken_back_at=None).order_by("position"):
        granting.revoke(line)
    close_if_over(order)


def close_if_over(order: Order) -> None:
    """Close a sold order that gives nothing any more."""
    if order.state != State.REFUNDED and not order.lines.filter(taken_back_at=None).exists():
        order.state, order.closed_at = State.REFUNDED, timezone.now()
        order.save(update_fields=["state", "closed_at"])


def give_back_gone(order: Order) -> None:
    """Give the price of lines back that cannot be granted any more.

    A model was deleted meanwhile, or has more files than a license names. A bundle that lost one of
    its models is not what was bought: all of its price goes back.
    """
    lines = order.lines.filter(taken_back_at=None).annotate(
        left=Count("repos"), files=Coalesce(Sum("repos__listing__file_count"), 0)
    )
    lost = Q(left__lt=F("model_count"))
    if order.extends_id is None:  # another term names no files anew
        lost |= Q(files__gt=MAX_FILES)
    gone = list(lines.filter(lost).order_by("position"))
    if not gone or order.renews_id is not None:
        return
    parts: dict[OrderLine, int] = {line: line.gross_minor - line.refunded_minor for line in gone}
    refund = Refund.objects.create(
        order=order,
        state=Refund.State.SENDING if any(parts.values()) else Refund.State.DONE,
        amount_minor=sum(parts.values()),
        reason="The model was deleted, or has too many files, before it could be delivered.",
        decided_at=timezone.now(),
    )
    take_back(order, refund.public_id, parts)
    plan(order, refund)


def _count(order: Order, amount_minor: int) -> None:
    order.refunded_minor += amount_minor
    order.save(update_fields=["refunded_minor"])

"""Bank transfers: what staff say arrived or was sent back, and reminders to those who wait."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.services.audit import record
from accounts.viewer import Viewer
from licensing.gateways import references
from licensing.gateways.transfer import Transfer
from licensing.models import BankTransfer, Order, Refund
from licensing.services import inbox, order_letters
from licensing.services.statements import StatementLine, read_statement
from store.core.errors import ConflictError, ForbiddenError, InvalidError
from store.core.money import MAX_MINOR

REMIND_AFTER = (timedelta(days=7), timedelta(days=21))
MAX_REF_CHARS = 90
_AT_ONCE = 500


class NotATransferError(ConflictError):
    """The order is not paid by bank transfer, or in another currency."""

    code = "not_a_transfer"


class TransferKnownError(ConflictError):
    """A transfer with this number was noted before, and says something else."""

    code = "transfer_known"


class BadTransferError(InvalidError):
    """A transfer has an amount, a number of the bank's, and a day that is not to come."""

    code = "bad_transfer"


class RefundNotWaitingError(ConflictError):
    """The refund does not wait to be sent by hand."""

    code = "refund_not_waiting"


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a statement.

    Args:
        matched: Transfers that went to their orders.
        known: Lines that were noted before.
        unmatched: Lines that fit no order, now listed.
    """

    matched: int
    known: int
    unmatched: int


def note_transfer(
    viewer: Viewer,
    order: Order,
    amount_minor: int,
    bank_ref: str,
    received_on: date,
    *,
    reason: str = "",
) -> BankTransfer:
    """Say that money arrived for an order. Safe to repeat with the same values.

    Parts add up; what is too much is sent back as a refund.

    Args:
        viewer: A member of staff.
        order: What it was for.
        amount_minor: In the order's currency, from 1.
        bank_ref: The bank's number of the transfer, at most 90 characters.
        received_on: The day it was booked.
        reason: For the audit trail.

    Raises:
        ForbiddenError, NotATransferError, TransferKnownError, BadTransferError: see there; nothing
            is noted.
    """
    user = _staff(viewer)
    if order.gateway != Transfer.name:
        raise NotATransferError(_("This order is not paid by bank transfer."))
    values = {"amount_minor": amount_minor, "currency": order.currency, "booked_on": received_on}
    with transaction.atomic():
        ref = _checked_ref(bank_ref)
        row = _note(viewer, user, ref, order=order, values=values, reason=reason)
    _apply(order)
    return row


def assign(
    viewer: Viewer, transfer: BankTransfer, order: Order, *, reason: str = ""
) -> BankTransfer:
    """Say what a listed transfer was for.

    Raises:
        ForbiddenError, NotATransferError, TransferKnownError: see there; nothing changes.
    """
    _staff(viewer)
    if order.gateway != Transfer.name or order.currency != transfer.currency:
        raise NotATransferError(_("This order is not paid by transfer, or in another currency."))
    with transaction.atomic():
        locked = BankTransfer.objects.select_for_update().get(pk=transfer.pk)
        if locked.order_id not in {None, order.pk}:
            raise TransferKnownError(_("This transfer was for another order."))
        if locked.order_id is None:
            locked.order = order
            locked.save(update_fields=["order"])
            _record(viewer, "transfer.assign", locked, reason)
    _apply(order)
    return locked


def unmatched() -> QuerySet[BankTransfer]:
    """Return the transfers nobody has said what they were for, the newest first."""
    return BankTransfer.objects.filter(order=None).order_by("-booked_on", "-id")


def import_statement(viewer: Viewer, data: bytes, *, reason: str = "") -> Imported:
    """Note every transfer of a bank's statement. Safe to repeat with the same file.

    Each new transfer is an event of the audit trail, with the reason.

    Raises:
        ForbiddenError: not staff.
        BadStatementError, TooLargeError: see ``read_statement``; nothing is noted.
    """
    user = _staff(viewer)
    lines = read_statement(data)
    rows: list[BankTransfer] = []
    known = 0
    with transaction.atomic():
        for line in lines:
            if BankTransfer.objects.filter(bank_ref=line.bank_ref).exists():
                known += 1
            else:
                rows.append(_note_line(viewer, user, line, reason))
    matched = [row for row in rows if row.order_id is not None]
    for order in Order.objects.filter(transfers__in=matched).distinct():
        _apply(order)
    return Imported(len(matched), known, len(rows) - len(matched))


def mark_refund_sent(
    viewer: Viewer, refund: Refund, bank_ref: str, sent_on: date, *, reason: str = ""
) -> Refund:
    """Say that a refund was transferred back: it is done, and the ledger has it.

    Raises:
        ForbiddenError, NotATransferError, RefundNotWaitingError, TransferKnownError,
        BadTransferError: see there; nothing changes.
    """
    user = _staff(viewer)
    order = refund.order
    if order.gateway != Transfer.name:
        raise NotATransferError(_("This order was not paid by bank transfer."))
    with transaction.atomic():
        Order.objects.select_for_update().get(pk=order.pk)
        refund.refresh_from_db()
        sent = BankTransfer.objects.filter(refund=refund).first()
        if sent is None and refund.state not in {Refund.State.SENDING, Refund.State.FAILED}:
            raise RefundNotWaitingError(_("This refund does not wait to be sent."))
        if sent is not None and sent.bank_ref != bank_ref.strip():
            raise TransferKnownError(
                _("This refund was sent before, as %(ref)s.") % {"ref": sent.bank_ref}
            )
        values = {
            "amount_minor": -refund.amount_minor,
            "currency": order.currency,
            "booked_on": sent_on,
            "refund": refund,
        }
        ref = _checked_ref(bank_ref)
        _note(viewer, user, ref, order=order, values=values, reason=reason)
    _apply(order)
    refund.refresh_from_db()
    return refund


def remind() -> int:
    """Write to buyers whose transfer has not come, after one week and after three.

    Returns:
        How many letters were asked for.
    """
    now, asked = timezone.now(), 0
    for number, after in enumerate(REMIND_AFTER, start=1):
        waiting = Order.objects.filter(
            gateway=Transfer.name, state=Order.State.OPEN, gross_minor__gt=0
        )
        late = waiting.filter(created_at__lte=now - after, expires_at__gt=now)
        fresh = late.exclude(reminders__number__gte=number)
        for order in fresh.order_by("id")[:_AT_ONCE]:
            asked += order_letters.ask_for_transfer(order, number)
    return asked


def order_of_text(text: str, currency: str) -> Order | None:
    """Return the one order whose reference a payer wrote; ``None``: none, or several."""
    found: list[Order] = []
    for start in references.find(text):
        rows = Order.objects.filter(gateway=Transfer.name, public_id__startswith=start)
        found += rows[:2]
    return found[0] if len(found) == 1 and found[0].currency == currency else None


def _staff(viewer: Viewer) -> User:
    user = viewer.signed_in()
    if not viewer.is_staff:
        raise ForbiddenError(_("Only staff can say what the bank did."))
    return user


def _checked_ref(bank_ref: str) -> str:
    found = bank_ref.strip()
    if not 1 <= len(found) <= MAX_REF_CHARS or not found.isprintable():
        raise BadTransferError(_("Give the bank's number of the transfer, up to 90 characters."))
    return found


def _note_line(viewer: Viewer, user: User, line: StatementLine, reason: str) -> BankTransfer:
    values = {
        "amount_minor": line.money.amount_minor,
        "currency": line.money.currency,
        "booked_on": line.booked_on,
        "text": line.text,
    }
    order = order_of_text(line.text, line.money.currency)
    return _note(viewer, user, line.bank_ref, order=order, values=values, reason=reason)


def _note(
    viewer: Viewer,
    user: User,
    bank_ref: str,
    *,
    order: Order | None,
    values: dict[str, object],
    reason: str = "",
) -> BankTransfer:
    """Write a transfer down, once by its number."""
    amount, booked_on = values["amount_minor"], values["booked_on"]
    is_sane = isinstance(amount, int) and 1 <= abs(amount) <= MAX_MINOR
    is_past = isinstance(booked_on, date) and booked_on <= timezone.now().date()
    wrong_way = isinstance(amount, int) and (amount < 0) != ("refund" in values)
    if not is_sane or not is_past or wrong_way:
        raise BadTransferError(_("Give an amount above 0 and a day that is not in the future."))
    row, is_new = BankTransfer.objects.get_or_create(
        bank_ref=bank_ref, defaults={**values, "order": order, "noted_by": user}
    )
    if is_new:
        _record(viewer, "transfer.note", row, reason)
        return row
    same: Sequence[str] = ("amount_minor", "currency", "booked_on")
    is_same = all(getattr(row, name) == values[name] for name in same)
    if not is_same or row.order != order or row.refund != values.get("refund"):
        raise TransferKnownError(
            _("The transfer %(ref)s was noted before, with other values.") % {"ref": bank_ref}
        )
    return row


def _record(viewer: Viewer, action: str, row: BankTransfer, reason: str) -> None:
    record(
        action,
        actor=viewer.user,
        subject=row.order.public_id if row.order is not None else "",
        namespace=row.order.holder if row.order is not None else None,
        address=viewer.address,
        bank_ref=row.bank_ref,
        amount_minor=row.amount_minor,
        currency=row.currency,
        reason=reason,
    )


def _apply(order: Order) -> None:
    """Let the order know; what a crash interrupts here is found by the reconciler."""
    inbox.receive(Transfer.name, Transfer().facts_of(order.public_id))

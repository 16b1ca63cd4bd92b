"""What each step of an order is in the ledger. Amounts are the order's minor units.

payment       gateway +, deposits -            the buyer's money is here, and still theirs
sale          deposits +, payable -, fees -    it is the sellers', the upstream owners', ours
refund        the sale backwards, in part or whole: it is the buyer's again
refund sent   deposits +, gateway -            it has left
disputed      payable +, disputed -            held back until the bank decides
lost          disputed +, fees +, gateway -    the bank took it
"""

from collections.abc import Mapping
from datetime import timedelta

from django.conf import settings
from django.db.models import Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from licensing.models import (
    Dispute,
    LedgerAccount,
    LedgerEntry,
    LedgerMovement,
    Order,
    OrderLine,
    Payment,
    Refund,
)
from licensing.services.ledger import Entry, book
from store.core.money import spread

Account = LedgerAccount.Kind
Kind = LedgerMovement.Kind
Purpose = LedgerEntry.Purpose


def _book(order: Order, kind: LedgerMovement.Kind, ident: str, entries: list[Entry]) -> bool:
    key = f"{kind}:{ident}"
    return book(kind, key, entries, gateway=order.gateway, currency=order.currency, order=order)


def book_payment(order: Order, payment: Payment) -> None:
    """Money came."""
    amount = payment.amount_minor
    _book(
        order,
        Kind.PAYMENT,
        f"{payment.gateway}:{payment.external_id}",
        [
            Entry(Account.GATEWAY, amount, Purpose.MONEY),
            Entry(Account.DEPOSITS, -amount, Purpose.MONEY),
        ],
    )


def book_sale(order: Order) -> None:
    """It is for something now: each line to its seller, less fee and shares."""
    available = timezone.now() + timedelta(days=settings.ENV.payout_hold_days)
    entries: list[Entry] = []
    for line in order.lines.prefetch_related("shares"):
        entries += _sold(line, available)
    if entries:
        _book(order, Kind.SALE, order.public_id, entries)


def _sold(line: OrderLine, available: object) -> list[Entry]:
    """Return what a line's price is divided into; all of it is held for the refund window."""
    shares = list(line.shares.all())
    price = line.net_minor - line.fee_minor - sum(share.amount_minor for share in shares)
    held = {
        "line": line,
        "hold": LedgerEntry.Hold.REFUND_WINDOW,
        "available_at": available,
    }

    def owed(namespace_id: int, amount: int, purpose: LedgerEntry.Purpose) -> Entry:
        return Entry(Account.PAYABLE, -amount, purpose, namespace_id, **held)  # type: ignore[arg-type]

    return [
        Entry(Account.DEPOSITS, line.gross_minor, Purpose.PRICE, line=line),
        owed(line.seller_id, price, Purpose.PRICE),
        owed(line.seller_id, line.tax_minor, Purpose.TAX),
        Entry(Account.FEES, -line.fee_minor, Purpose.FEE, line=line),
        *(owed(share.namespace_id, share.amount_minor, Purpose.SHARE) for share in shares),
    ]


def book_refund(order: Order, refund: Refund, parts: Mapping[OrderLine, int]) -> None:
    """Undo ``parts`` of the sale: the money is the buyer's again.

    What was divided is taken back in the same proportion, so that several part refunds come to
    exactly the whole. ``line.refunded_minor`` is as it was before this refund.
    """
    entries: list[Entry] = []
    for line, part in parts.items():
        owed = _original(line)
        weights = [-entry.amount_minor for entry in owed]
        before = spread(line.refunded_minor, weights) if owed else []
        after = spread(line.refunded_minor + part, weights) if owed else []
        for entry, was, now in zip(owed, before, after, strict=True):
            entries.append(_back(entry, now - was))
        if owed:
            entries.append(Entry(Account.DEPOSITS, -part, Purpose.PRICE, line=line))
    if entries:
        _book(order, Kind.REFUND, refund.public_id, entries)


def _original(line: OrderLine) -> list[LedgerEntry]:
    """Return what the sale of a line was divided into."""
    rows = LedgerEntry.objects.filter(line=line, movement__kind=Kind.SALE, amount_minor__lt=0)
    return list(rows.select_related("account").order_by("id"))


def _back(entry: LedgerEntry, amount_minor: int) -> Entry:
    """Return an entry that takes back so much of one of the sale, held as long as that one."""
    return Entry(
        Account(entry.account.kind),
        amount_minor,
        Purpose(entry.purpose),
        entry.account.namespace_id,
        line=entry.line,
        hold=LedgerEntry.Hold(entry.hold),
        available_at=entry.available_at,
    )


def book_refund_sent(order: Order, refund: Refund) -> None:
    """The money has left."""
    amount = refund.amount_minor
    _book(
        order,
        Kind.REFUND_SENT,
        refund.public_id,
        [
            Entry(Account.DEPOSITS, amount, Purpose.MONEY),
            Entry(Account.GATEWAY, -amount, Purpose.MONEY),
        ],
    )


def book_dispute_opened(order: Order, dispute: Dispute) -> None:
    """Hold back what this order still brings its sellers, each part with the hold it had."""
    entries = []
    for part in _still_owed(order):
        entries += _moved(part, -part.amount_minor, Account.PAYABLE, Account.DISPUTED)
    if entries:
        _book(order, Kind.DISPUTE_OPENED, _ident(dispute), entries)


def book_dispute_won(order: Order, dispute: Dispute) -> None:
    """Let go what this dispute held back; what was held for a time is so again."""
    entries = []
    for part in _held_by(dispute):
        entries += _moved(part, -part.amount_minor, Account.DISPUTED, Account.PAYABLE)
    if entries:
        _book(order, Kind.DISPUTE_WON, _ident(dispute), entries)


def book_dispute_lost(order: Order, dispute: Dispute) -> None:
    """The bank took the money: first what was held back, then the fee, then the sellers' rest."""
    left = dispute.amount_minor
    entries: list[Entry] = []

    def taken(owed: int) -> int:
        nonlocal left
        part = min(owed, left)
        left -= part
        return part

    for held in _held_by(dispute):
        part = taken(-held.amount_minor)
        entries.append(_like(held, Account.DISPUTED, part))
        entries += _moved(held, -held.amount_minor - part, Account.DISPUTED, Account.PAYABLE)
    for account in (Account.FEES, Account.DEPOSITS):
        owed = _owed(order, account)
        entries.append(Entry(account, taken(owed), Purpose.PRICE))
    for rest in _still_owed(order):
        entries.append(_like(rest, Account.PAYABLE, taken(-rest.amount_minor)))
    if left:  # nothing of the order is left: the store bears it
        entries.append(Entry(Account.FEES, left, Purpose.FEE))
    entries.append(Entry(Account.GATEWAY, -dispute.amount_minor, Purpose.MONEY))
    _book(order, Kind.DISPUTE_LOST, _ident(dispute), entries)


def _ident(dispute: Dispute) -> str:
    return f"{dispute.gateway}:{dispute.external_id}"


def _owed(order: Order, kind: LedgerAccount.Kind) -> int:
    """Return what an account that is nobody's still has to give of an order, from 0."""
    rows = LedgerEntry.objects.filter(movement__order=order, account__kind=kind)
    return max(0, -int(rows.aggregate(total=Coalesce(Sum("amount_minor"), 0))["total"]))


def _held_by(dispute: Dispute) -> list[LedgerEntry]:
    """Return what one dispute held back, entry by entry."""
    rows = LedgerEntry.objects.filter(
        movement__key=f"{Kind.DISPUTE_OPENED}:{_ident(dispute)}", account__kind=Account.DISPUTED
    )
    return list(rows.select_related("account").order_by("id"))


def _still_owed(order: Order) -> list[LedgerEntry]:
    """Return what sellers still have to get of an order, by owner and hold; nothing is stored.

    Parts keep their holds, so that what is moved away and back is held as long as before, and is
    never taken from what other orders brought.
    """
    rows = LedgerEntry.objects.filter(movement__order=order, account__kind=Account.PAYABLE)
    sums = rows.values("account", "hold", "available_at").annotate(total=Sum("amount_minor"))
    owed = sums.filter(total__lt=0).order_by("account", "available_at", "hold")
    accounts = LedgerAccount.objects.in_bulk([row["account"] for row in owed])
    return [
        LedgerEntry(
            account=accounts[row["account"]],
            amount_minor=row["total"],
            hold=row["hold"],
            available_at=row["available_at"],
        )
        for row in owed
    ]


def _like(part: LedgerEntry, account: LedgerAccount.Kind, amount_minor: int) -> Entry:
    """Return an entry of the same owner and hold."""
    return Entry(
        account,
        amount_minor,
        Purpose.PRICE,
        part.account.namespace_id,
        hold=LedgerEntry.Hold(part.hold),
        available_at=part.available_at,
    )


def _moved(
    part: LedgerEntry, owed: int, source: LedgerAccount.Kind, target: LedgerAccount.Kind
) -> list[Entry]:
    """Return the entries that move so much of what is owed from one account to another."""
    return [_like(part, source, owed), _like(part, target, -owed)]

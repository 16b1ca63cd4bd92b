"""What each step of an order is in the ledger. Amounts are the order's minor units.

payment       gateway +, deposits -            the buyer's money is here, and still theirs
sale          deposits +, payable -, fees -    it is the sellers', the upstream owners', ours
refund        the sale backwards, in part or whole: it is the buyer's again
refund sent   deposits +, gateway -            it has left
returned      gateway +, deposits -            the buyer's bank did not take it
disputed      payable +, disputed -            held back until the bank decides
won           disputed +, payable -            let go when no bank has to decide any more
lost          deposits +, gateway -            the bank took it, after a refund of what it took

What leaves although nobody was owed it (a bank takes back what was refunded) is a loss of the
store: fees +.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Sum
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
    if not any(entry.amount_minor for entry in entries):
        return False
    key = f"{kind}:{ident}"
    return book(kind, key, entries, gateway=order.gateway, currency=order.currency, order=order)


def ident_of(dispute: Dispute) -> str:
    """Return what names a dispute in the ledger."""
    return f"{dispute.gateway}:{dispute.external_id}"


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
    for line in order.lines.order_by("position").prefetch_related("shares"):
        entries += _sold(line, available)
    _book(order, Kind.SALE, order.public_id, entries)


def _sold(line: OrderLine, available: datetime) -> list[Entry]:
    """Return what a line's price is divided into; all of it is held for the refund window."""
    shares = list(line.shares.all())
    price = line.net_minor - line.fee_minor - sum(share.amount_minor for share in shares)
    held: dict[str, Any] = {
        "line": line,
        "hold": LedgerEntry.Hold.REFUND_WINDOW,
        "available_at": available,
    }

    def owed(namespace_id: int, amount: int, purpose: LedgerEntry.Purpose) -> Entry:
        return Entry(Account.PAYABLE, -amount, purpose, namespace_id, **held)

    return [
        Entry(Account.DEPOSITS, line.gross_minor, Purpose.PRICE, line=line),
        owed(line.seller_id, price, Purpose.PRICE),
        owed(line.seller_id, line.tax_minor, Purpose.TAX),
        Entry(Account.FEES, -line.fee_minor, Purpose.FEE, line=line),
        *(owed(share.namespace_id, share.amount_minor, Purpose.SHARE) for share in shares),
    ]


def book_refund(order: Order, ident: str, parts: Mapping[OrderLine, int]) -> None:
    """Undo ``parts`` of the sale: the money is the buyer's again.

    What each still has of it is taken back in proportion: several part refunds come to exactly the
    whole, and none gives anybody anything. What is held back by a dispute is taken from there.
    """
    entries: list[Entry] = []
    for line, part in parts.items():
        left = _left_of(line)
        if left:
            backs = spread(part, [minor for _entry, minor in left])
            pairs = zip(left, backs, strict=True)
            entries += [_back(entry, back) for (entry, _minor), back in pairs if back]
            entries.append(Entry(Account.DEPOSITS, -part, Purpose.PRICE, line=line))
    _book(order, Kind.REFUND, ident, entries + _from_held(order, entries))


def _from_held(order: Order, entries: list[Entry]) -> list[Entry]:
    """Return what must come out of a dispute's hold, so that owners can give ``entries`` back."""
    taken: dict[int, int] = defaultdict(int)
    for entry in entries:
        if entry.account == Account.PAYABLE:
            taken[entry.namespace_id or 0] += entry.amount_minor
    owed = _owed(order, Account.PAYABLE)
    short = {owner: amount - owed.get(owner, 0) for owner, amount in taken.items()}
    return _moved(order, {owner: lack for owner, lack in short.items() if lack > 0})


def _left_of(line: OrderLine) -> list[tuple[LedgerEntry, int]]:
    """Return what the sale of a line was divided into, each with what is not taken back yet.

    What went back is told by account and purpose: of two shares of one owner the first is taken
    first, which is the same to them.
    """
    rows = LedgerEntry.objects.filter(line=line).exclude(account__kind=Account.DEPOSITS)
    rows = rows.select_related("account").order_by("id")
    back: dict[tuple[int, str], int] = defaultdict(int)
    for entry in rows.filter(movement__kind=Kind.REFUND):
        back[entry.account_id, entry.purpose] += entry.amount_minor
    left = []
    for entry in rows.filter(movement__kind=Kind.SALE, amount_minor__lt=0):
        gone = min(back[entry.account_id, entry.purpose], -entry.amount_minor)
        back[entry.account_id, entry.purpose] -= gone
        left.append((entry, -entry.amount_minor - gone))
    return left


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


def book_refund_sent(
    order: Order, refund: Refund, *, from_deposits_minor: int, is_by_hand: bool = False
) -> None:
    """The money has left.

    Args:
        order: The locked order.
        refund: What was sent.
        from_deposits_minor: How much of it the buyer was owed; the rest is the store's loss.
        is_by_hand: By people, perhaps after it had left the gateway once and come back.
    """
    ident = f"{refund.public_id}:by-hand" if is_by_hand else refund.public_id
    _book(order, Kind.REFUND_SENT, ident, _left(refund.amount_minor, from_deposits_minor))


def _left(amount_minor: int, from_deposits_minor: int) -> list[Entry]:
    """Return the entries of money that left a gateway."""
    return [
        Entry(Account.DEPOSITS, from_deposits_minor, Purpose.MONEY),
        Entry(Account.FEES, amount_minor - from_deposits_minor, Purpose.MONEY),
        Entry(Account.GATEWAY, -amount_minor, Purpose.MONEY),
    ]


def book_refund_returned(order: Order, refund: Refund) -> None:
    """The money had left and came back: it is still the buyer's."""
    amount = refund.amount_minor
    _book(
        order,
        Kind.REFUND_RETURNED,
        refund.public_id,
        [
            Entry(Account.GATEWAY, amount, Purpose.MONEY),
            Entry(Account.DEPOSITS, -amount, Purpose.MONEY),
        ],
    )


def book_dispute_opened(order: Order, ident: str) -> None:
    """Hold back what this order still brings its sellers."""
    owed = _owed(order, Account.PAYABLE)
    entries = _moved(order, {owner: -amount for owner, amount in owed.items()})
    _book(order, Kind.DISPUTE_OPENED, ident, entries)


def book_dispute_won(order: Order, dispute: Dispute) -> None:
    """Let go what was held back."""
    _book(
        order,
        Kind.DISPUTE_WON,
        ident_of(dispute),
        _moved(order, _owed(order, Account.DISPUTED)),
    )


def book_dispute_lost(
    order: Order, dispute: Dispute, *, from_deposits_minor: int, is_last: bool
) -> None:
    """The bank took the money.

    Args:
        order: The locked order; what the bank took was given back to the buyer before.
        dispute: What was lost.
        from_deposits_minor: How much of it the buyer was owed; the rest is the store's loss.
        is_last: No other dispute holds what is left for the sellers.
    """
    entries = _left(dispute.amount_minor, from_deposits_minor)
    if is_last:
        entries += _moved(order, _owed(order, Account.DISPUTED))
    _book(order, Kind.DISPUTE_LOST, ident_of(dispute), entries)


def _moved(order: Order, amounts: Mapping[int, int]) -> list[Entry]:
    """Return entries that let amounts out of the hold of a dispute, or (negative) into it.

    They are available when the sale is: a dispute neither shortens nor lengthens that.
    """
    sale = LedgerEntry.objects.filter(
        movement__order=order, movement__kind=Kind.SALE, account__kind=Account.PAYABLE
    ).first()
    if sale is None:
        return []
    held: dict[str, Any] = {
        "hold": LedgerEntry.Hold(sale.hold),
        "available_at": sale.available_at,
    }
    return [
        Entry(account, signed, Purpose.PRICE, owner, **held)
        for owner, amount in sorted(amounts.items())
        for account, signed in ((Account.DISPUTED, amount), (Account.PAYABLE, -amount))
    ]


def _owed(order: Order, kind: LedgerAccount.Kind) -> dict[int, int]:
    """Return what accounts of one kind have to give of an order, by owner, where it is not 0."""
    rows = LedgerEntry.objects.filter(movement__order=order, account__kind=kind)
    sums = rows.values("account__namespace_id").annotate(total=Sum("amount_minor"))
    return {row["account__namespace_id"]: -row["total"] for row in sums if row["total"]}

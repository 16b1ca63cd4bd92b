"""A seller's bookings and payouts as CSV, written as they are read.

Spreadsheets run what begins like a formula, and titles come from strangers: such text gets a
``'`` in front. Numbers are written as numbers.
"""

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal

from accounts.models import Namespace
from licensing.models import LedgerAccount, LedgerEntry, Payout
from store.core.money import Money

Cell = str | int | Decimal | datetime | None
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_AT_ONCE = 1000
LEDGER_HEAD = (
    *("booked_at", "movement", "account", "purpose", "order", "line", "title", "amount"),
    *("currency", "gateway", "hold", "available_at", "payout"),
)
PAYOUT_HEAD = (
    *("id", "created_at", "state", "amount", "currency", "gateway", "available_until"),
    *("closed_at", "reference", "failure", "statement"),
)


def ledger_rows(namespace: Namespace) -> Iterator[list[Cell]]:
    """Yield every booking on a seller's accounts, the oldest first, with a head.

    Amounts are what the seller is owed by it: their sum is what the store still owes, payouts on
    their way included.
    """
    yield list(LEDGER_HEAD)
    rows = LedgerEntry.objects.filter(account__namespace=namespace).select_related(
        "account", "movement__order", "line", "settled_by__payout"
    )
    for row in rows.order_by("id").iterator(chunk_size=_AT_ONCE):
        settled = getattr(row, "settled_by", None)
        yield [
            row.movement.at,
            row.movement.kind,
            row.account.kind,
            row.purpose,
            row.movement.order.public_id if row.movement.order is not None else None,
            row.line.public_id if row.line is not None else None,
            row.line.title if row.line is not None else None,
            Money(-row.amount_minor, row.account.currency).decimal,
            row.account.currency,
            row.account.gateway,
            row.hold if row.account.kind == LedgerAccount.Kind.PAYABLE else None,
            row.available_at,
            settled.payout.public_id if settled is not None else None,
        ]


def payout_rows(namespace: Namespace | None = None) -> Iterator[list[Cell]]:
    """Yield the payouts of a seller, or of all with their names, the oldest first, with a head."""
    yield [*PAYOUT_HEAD, *(["seller"] if namespace is None else [])]
    rows = Payout.objects.select_related("statement", "namespace").order_by("id")
    if namespace is not None:
        rows = rows.filter(namespace=namespace)
    for row in rows.iterator(chunk_size=_AT_ONCE):
        cells: list[Cell] = [
            row.public_id,
            row.created_at,
            row.state,
            Money(row.amount_minor, row.currency).decimal,
            row.currency,
            row.gateway,
            row.until,
            row.closed_at,
            row.external_id,
            row.failure,
            row.statement.text_number if row.statement is not None else None,
        ]
        yield [*cells, *([row.namespace.name] if namespace is None else [])]


def csv_lines(rows: Iterable[Iterable[Cell]]) -> Iterator[bytes]:
    """Yield rows as CSV in UTF-8, one at a time; nothing is gathered in memory."""
    writer = csv.writer(_Echo())
    yield "\ufeff".encode()  # spreadsheets then know that it is UTF-8
    for row in rows:
        yield str(writer.writerow([written(cell) for cell in row])).encode()


def written(cell: Cell) -> str:
    """Return a cell as it is written: text that begins like a formula is made text for good."""
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.isoformat(timespec="seconds")
    if isinstance(cell, str):
        return f"'{cell}" if cell.startswith(_FORMULA) else cell
    return str(cell)


class _Echo:
    """What ``csv`` writes to: it hands each line back."""

    def write(self, line: str) -> str:
        return line

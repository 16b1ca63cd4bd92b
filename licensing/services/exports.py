"""All payouts of the site as one table, for its books.

Lines come as they are read. What others wrote runs in no spreadsheet; numbers stay numbers.
"""

from collections.abc import Iterator
from datetime import datetime

from licensing.models import Payout
from store.core.money import Money
from store.core.spreadsheets import plain_cell

_AT_ONCE = 500
PAYOUTS_HEAD = [
    *("payout", "seller", "made_at", "state", "amount", "currency", "gateway"),
    *("available_until", "closed_at", "reference", "failure", "statement"),
]


def all_payouts_table() -> Iterator[list[str]]:
    """Yield the payouts of every seller, oldest first; the head before them."""
    yield PAYOUTS_HEAD
    rows = Payout.objects.select_related("statement", "namespace").order_by("pk")
    for row in rows.iterator(chunk_size=_AT_ONCE):
        yield [
            row.public_id,
            row.namespace.name,
            _moment(row.created_at),
            row.state,
            f"{Money(row.amount_minor, row.currency).decimal:f}",
            row.currency,
            row.gateway,
            _moment(row.until),
            _moment(row.closed_at),
            plain_cell(row.external_id),
            plain_cell(row.failure),
            row.statement.text_number if row.statement is not None else "",
        ]


def _moment(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at else ""

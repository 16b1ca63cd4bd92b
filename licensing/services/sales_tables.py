"""A seller's books as tables: what was sold, to whom, every entry of the ledger, every payout.

Lines come as they are read, so a table of any length takes little memory. Amounts are in whole
units with a point (``19.00``), each beside its currency. What others wrote runs in no spreadsheet.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from accounts.models import Namespace
from licensing.gateways.base import TEST_GATEWAYS
from licensing.models import License
from licensing.services.balances import payouts_of
from licensing.services.license_facts import LicenseFacts, facts_of_many
from licensing.services.paperwork import licensee_name
from licensing.services.sales import sold_lines
from licensing.services.seller_entries import entries_of, is_test, owed_minor, own_order
from licensing.services.sold_licenses import country_of, sold_licenses
from licensing.services.validating import standing_of
from store.core.money import Money
from store.core.spreadsheets import plain_cell

_AT_ONCE = 500
SALES_HEAD = [
    *("order", "paid_at", "test", "state", "offer", "models", "buyer", "country", "quantity"),
    *("currency", "net", "tax", "tax_rate_percent", "gross", "discount", "fee", "shares"),
    *("receives", "refunded"),
]
ENTRIES_HEAD = [
    *("at", "test", "gateway", "account", "movement", "purpose", "order", "currency", "amount"),
    *("hold", "available_at"),
]
BUYERS_HEAD = [
    *("license", "since", "until", "test", "state", "offer", "models", "licensee", "holder"),
    *("country", "seats", "seat_kind", "used_seats", "order", "suspended_for"),
]
PAYOUTS_HEAD = ["payout", "made_at", "test", "gateway", "state", "currency", "amount", "closed_at"]


def sales_table(seller: Namespace) -> Iterator[list[str]]:
    """Yield what a seller sold, a line of an order each, oldest first; the head before them."""
    yield SALES_HEAD
    rows = sold_lines(seller).select_related("order__holder__user", "order__holder__organization")
    for line in rows.prefetch_related("shares").order_by("pk").iterator(chunk_size=_AT_ONCE):
        order, currency = line.order, line.order.currency
        shares = sum(share.amount_minor for share in line.shares.all())
        yield [
            order.public_id,
            _moment(order.paid_at),
            _yes(order.is_test),
            order.state,
            plain_cell(line.title),
            plain_cell(line.detail),
            plain_cell(licensee_name(order)),
            plain_cell(str(order.billing.get("country", ""))),
            str(line.quantity),
            currency,
            _units(line.net_minor, currency),
            _units(line.tax_minor, currency),
            f"{int(line.tax.get('rate_basis_points', 0)) / 100:g}",
            _units(line.gross_minor, currency),
            _units(line.discount_minor, currency),
            _units(line.fee_minor, currency),
            _units(shares, currency),
            _units(line.net_minor - line.fee_minor - shares, currency),
            _units(line.refunded_minor, currency),
        ]


def buyers_table(seller: Namespace) -> Iterator[list[str]]:
    """Yield the licenses a seller sold, oldest first; the head before them."""
    yield BUYERS_HEAD
    rows = sold_licenses(seller).order_by("pk").iterator(chunk_size=_AT_ONCE)
    while some := list(islice(rows, _AT_ONCE)):
        facts = facts_of_many([row.pk for row in some])
        for row in some:
            yield _license(row, facts[row.pk])


def _license(row: License, facts: LicenseFacts) -> list[str]:
    return [
        row.public_id,
        _moment(facts.starts_at),
        _moment(facts.ends_at),
        _yes(row.is_test),
        standing_of(facts).value,
        plain_cell(row.title),
        plain_cell(", ".join(model.name for model in facts.models)),
        plain_cell(row.licensee),
        plain_cell(row.holder.name),
        plain_cell(country_of(row)),
        str(facts.seats or ""),
        facts.seat_kind,
        str(facts.used_seats),
        row.line.order.public_id,
        plain_cell(row.suspended_for),
    ]


def entries_table(seller: Namespace) -> Iterator[list[str]]:
    """Yield every change of what is owed to a seller, oldest first; their sum is the balance."""
    yield ENTRIES_HEAD
    for entry in entries_of(seller).iterator(chunk_size=_AT_ONCE):
        account, movement = entry.account, entry.movement
        yield [
            _moment(movement.at),
            _yes(is_test(entry)),
            account.gateway,
            account.kind,
            movement.kind,
            entry.purpose,
            own_order(entry),
            account.currency,
            _units(owed_minor(entry), account.currency),
            entry.hold,
            _moment(entry.available_at),
        ]


def payouts_table(seller: Namespace) -> Iterator[list[str]]:
    """Yield the payouts of a seller, oldest first; the head before them."""
    yield PAYOUTS_HEAD
    for payout in payouts_of(seller).order_by("pk").iterator(chunk_size=_AT_ONCE):
        yield [
            payout.public_id,
            _moment(payout.created_at),
            _yes(payout.gateway in TEST_GATEWAYS),
            payout.gateway,
            payout.state,
            payout.currency,
            _units(payout.amount_minor, payout.currency),
            _moment(payout.closed_at),
        ]


TABLES = {
    "sales": sales_table,
    "buyers": buyers_table,
    "entries": entries_table,
    "payouts": payouts_table,
}


def _units(amount_minor: int, currency: str) -> str:
    return f"{Money(amount_minor, currency).decimal:f}"


def _moment(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at else ""


def _yes(value: object) -> str:
    return "yes" if value else "no"

"""What the store owes a seller: available, held (and until when), disputed, paid out.

All of it is read from the ledger. Money of different gateways and currencies never mixes.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from django.db.models import Min, Q, QuerySet, Sum, Value
from django.db.models.functions import TruncDate
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import Namespace
from licensing.gateways.base import TEST_GATEWAYS
from licensing.invoices.document import DocumentKind
from licensing.models import Invoice, LedgerAccount, LedgerEntry, OrderLine, Payout
from store.core.errors import NotFoundError

Kind = LedgerAccount.Kind
Place = tuple[str, str]
"""A gateway and a currency: what one balance is of."""
_PLACE = ("account__gateway", "account__currency")
MOST_HELD = 200
"""Held amounts of a kind that are listed one by one; the rest is in the table to download."""


class PayoutNotFoundError(NotFoundError):
    """The seller has no such payout."""

    code = "payout_not_found"


class StatementNotFoundError(NotFoundError):
    """The payout has no statement yet."""

    code = "statement_not_found"


@dataclass(frozen=True, slots=True)
class Balance:
    """What is owed to a seller at one gateway in one currency, in minor units."""

    gateway: str
    currency: str
    available_minor: int
    """Payable now, see ``payout_prospects``. Negative: refunds took more than there was."""
    held_minor: int
    disputed_minor: int
    sending_minor: int
    """On its way."""

    @property
    def is_test(self) -> bool:
        """No real money."""
        return self.gateway in TEST_GATEWAYS

    @property
    def place(self) -> Place:
        """Gateway and currency."""
        return self.gateway, self.currency

    @property
    def total_minor(self) -> int:
        """All that is owed and has not left."""
        return self.available_minor + self.held_minor + self.disputed_minor


@dataclass(frozen=True, slots=True)
class Held:
    """An amount of one order that cannot be paid out yet."""

    order: str
    """Public id; empty: a share of what somebody else sold, whose order is not theirs to see."""
    amount_minor: int
    rule: str
    """Why, in words."""
    release: str
    """What lets it go, in words."""
    available_at: datetime | None
    """When; ``None``: nobody knows yet."""


class HeldPart(NamedTuple):
    """The held amounts of one gateway and currency, as far as they are listed."""

    rows: list[Held]
    has_more: bool
    """There are more than ``MOST_HELD``; the table of entries has them all."""


def balances_of(seller: Namespace, *, now: datetime | None = None) -> list[Balance]:
    """Return what is owed to a seller, real money first. One query."""
    is_due = Q(available_at__lte=now or timezone.now())
    payable = Q(account__kind=Kind.PAYABLE)
    rows = (
        _entries(seller, (Kind.PAYABLE, Kind.DISPUTED, Kind.PAYOUTS))
        .values(*_PLACE)
        .annotate(
            available=Sum("amount_minor", filter=payable & is_due, default=0),
            held=Sum("amount_minor", filter=payable & ~is_due, default=0),
            disputed=Sum("amount_minor", filter=Q(account__kind=Kind.DISPUTED), default=0),
            sending=Sum("amount_minor", filter=Q(account__kind=Kind.PAYOUTS), default=0),
        )
    )
    found = [
        Balance(
            *_place(row),
            -row["available"],
            -row["held"],
            -row["disputed"],
            -row["sending"],
        )
        for row in rows
    ]
    return sorted(found, key=lambda row: (row.is_test, row.currency, row.gateway))


def held_of(seller: Namespace, *, now: datetime | None = None) -> dict[Place, HeldPart]:
    """Return what cannot be paid out yet, by gateway and currency; first what goes first.

    At most ``MOST_HELD`` amounts of each kind in each place.
    """
    waiting = _entries(seller, (Kind.PAYABLE,)).filter(available_at__gt=now or timezone.now())
    sums = (
        _by_order(waiting, "hold", "available_at").order_by("available_at", "movement__order_id"),
        _by_order(_entries(seller, (Kind.DISPUTED,)), "account__kind").order_by(
            "movement__order_id"
        ),
    )
    rows: dict[Place, list[Any]] = {}
    for balance in balances_of(seller, now=now):
        here = {"account__gateway": balance.gateway, "account__currency": balance.currency}
        rows[balance.place] = [list(kind.filter(**here)[: MOST_HELD + 1]) for kind in sums]
    own = _own_orders(seller, (row for kinds in rows.values() for kind in kinds for row in kind))
    return {
        place: HeldPart(
            [_held(row, own) for kind in kinds for row in kind[:MOST_HELD]],
            any(len(kind) > MOST_HELD for kind in kinds),
        )
        for place, kinds in rows.items()
    }


def _own_orders(seller: Namespace, rows: Iterable[Mapping[str, Any]]) -> set[int]:
    """Return which of the orders are of what the seller sold, by id."""
    ids = {row["movement__order_id"] for row in rows}
    mine = OrderLine.objects.filter(seller=seller, order_id__in=ids)
    return set(mine.values_list("order_id", flat=True))


def _by_order(rows: QuerySet[LedgerEntry], *names: str) -> Any:
    """Return the sums of each order, without those that come to nothing."""
    keys = (*_PLACE, "movement__order__public_id", "movement__order_id", *names)
    sums = rows.values(*keys).annotate(total=Sum("amount_minor"), since=Min("movement__at"))
    return sums.exclude(total=0)


def _held(row: dict[str, Any], own: set[int]) -> Held:
    until: datetime | None = row.get("available_at")
    if until is None:
        rule = _("The buyer's bank disputes the payment.")
        release = _("Released when the bank decides for you; lost if it decides for the buyer.")
    else:
        rule = rule_text(row["hold"], round((until - row["since"]) / timedelta(days=1)))
        release = _("Released by itself on that day, unless the order is refunded.")
    is_own = row["movement__order_id"] in own
    return Held(
        order=row["movement__order__public_id"] if is_own else "",
        amount_minor=-row["total"],
        rule=rule,
        release=release,
        available_at=until,
    )


def rule_text(hold: str, days: int) -> str:
    """Return in words why an amount waits.

    Args:
        hold: ``LedgerEntry.Hold``.
        days: How long it waits in all.
    """
    if hold == LedgerEntry.Hold.REFUND_WINDOW:
        return ngettext(
            "Held for %(n)d day after the sale, as buyers can get their money back at first.",
            "Held for %(n)d days after the sale, as buyers can get their money back at first.",
            days,
        ) % {"n": days}
    return _("It is not due yet.")


def histories_of(seller: Namespace, days: int) -> dict[Place, list[tuple[date, int]]]:
    """Return what was owed in all at the end of each of the last days, oldest first.

    By gateway and currency. Two queries.
    """
    today = timezone.now().astimezone(UTC).date()
    first = today - timedelta(days=days - 1)
    start = datetime.combine(first, time.min, UTC)
    rows = _entries(seller, (Kind.PAYABLE, Kind.DISPUTED))
    changes: dict[Place, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    for row in _totals(rows.filter(movement__at__lt=start), day=Value(first - timedelta(days=1))):
        changes[_place(row)][row["day"]] -= row["total"]
    later = rows.filter(movement__at__gte=start)
    for row in _totals(later, day=TruncDate("movement__at", tzinfo=UTC)):
        changes[_place(row)][row["day"]] -= row["total"]
    return {place: _running(first, days, by_day) for place, by_day in changes.items()}


def _totals(rows: QuerySet[LedgerEntry], *, day: Any) -> Any:
    return rows.values(*_PLACE, day=day).annotate(total=Sum("amount_minor"))


def _running(first: date, days: int, changes: Mapping[date, int]) -> list[tuple[date, int]]:
    total, found = changes.get(first - timedelta(days=1), 0), []
    for number in range(days):
        day = first + timedelta(days=number)
        total += changes.get(day, 0)
        found.append((day, total))
    return found


def payouts_of(seller: Namespace) -> QuerySet[Payout]:
    """Return the payouts of a seller, newest first."""
    return Payout.objects.filter(namespace=seller).order_by("-pk")


def payout_of(seller: Namespace, public_id: str) -> Payout:
    """Return a payout of a seller.

    Raises:
        PayoutNotFoundError: they have none of this id.
    """
    found = payouts_of(seller).filter(public_id=public_id).first()
    if found is None:
        raise PayoutNotFoundError(_("There is no such payout."))
    return found


def statement_of(payout: Payout) -> Invoice:
    """Return the statement of a payout.

    Raises:
        StatementNotFoundError: it is not made yet.
    """
    found = statements_of([payout]).get(payout.public_id)
    if found is None:
        raise StatementNotFoundError(_("There is no such statement."))
    return found


def statements_of(payouts: Iterable[Payout]) -> dict[str, Invoice]:
    """Return the statements of payouts, by the payout's public id.

    A statement is issued under the key ``payout:`` and that id.
    """
    keys = [f"payout:{payout.public_id}" for payout in payouts]
    rows = Invoice.objects.filter(key__in=keys, kind=DocumentKind.STATEMENT.value)
    return {row.key.removeprefix("payout:"): row for row in rows}


def _entries(seller: Namespace, kinds: Iterable[LedgerAccount.Kind]) -> QuerySet[LedgerEntry]:
    return LedgerEntry.objects.filter(account__namespace=seller, account__kind__in=list(kinds))


def _place(row: Mapping[str, Any]) -> Place:
    return row["account__gateway"], row["account__currency"]

"""The double-entry ledger: each movement is booked once, whole, and balances.

Signs: what the store *has* (money at a gateway) is positive, what it *owes* or earned is negative,
so the entries of a movement add up to zero. ``balance`` of what is owed is shown positive.

Our own few tables and not a ledger library: the ones for Django count in decimals and know no
"booked once under this key", which is what a repeated message needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from licensing.models import LedgerAccount, LedgerEntry, LedgerMovement, Order, OrderLine
from store.core.errors import StoreError

Kind = LedgerAccount.Kind


class UnbalancedError(StoreError):
    """The entries do not add up to nothing: a fault of ours; nothing is booked."""

    code = "unbalanced"
    status = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a movement that is to be booked.

    Args:
        account: ``gateway``, ``payable`` and so on.
        amount_minor: Signed, see above; 0 is left out.
        purpose: What it is on a statement.
        namespace_id: Whose, for accounts that belong to somebody.
        line: The order line it comes from.
        hold: The rule that holds it.
        available_at: Until when; ``None``: not held.
    """

    account: LedgerAccount.Kind
    amount_minor: int
    purpose: LedgerEntry.Purpose
    namespace_id: int | None = None
    line: OrderLine | None = None
    hold: LedgerEntry.Hold = LedgerEntry.Hold.NONE
    available_at: datetime | None = field(default=None)


@transaction.atomic
def book(
    kind: LedgerMovement.Kind,
    key: str,
    entries: Sequence[Entry],
    *,
    gateway: str,
    currency: str,
    order: Order | None = None,
) -> bool:
    """Book a movement; ``False``: it was booked before under this key, and nothing is added.

    Raises:
        UnbalancedError: the entries do not add up to nothing.
    """
    if sum(entry.amount_minor for entry in entries) != 0:
        raise UnbalancedError(f"The movement {key} does not balance.")
    try:
        with transaction.atomic():
            movement = LedgerMovement.objects.create(kind=kind, key=key, order=order)
    except IntegrityError:
        return False
    now = timezone.now()
    wanted = {(entry.account, entry.namespace_id) for entry in entries if entry.amount_minor}
    accounts = {  # made in one order by all, so that two sales do not wait for each other
        (kind_, owner): account(kind_, gateway, currency, owner)
        for kind_, owner in sorted(wanted, key=lambda pair: (pair[0], pair[1] or 0))
    }
    LedgerEntry.objects.bulk_create(
        LedgerEntry(
            movement=movement,
            account=accounts[entry.account, entry.namespace_id],
            line=entry.line,
            purpose=entry.purpose,
            amount_minor=entry.amount_minor,
            hold=entry.hold,
            available_at=entry.available_at or now,
        )
        for entry in entries
        if entry.amount_minor
    )
    return True


def account(
    kind: LedgerAccount.Kind, gateway: str, currency: str, namespace_id: int | None = None
) -> LedgerAccount:
    """Return the account, made on first use."""
    row, _made = LedgerAccount.objects.get_or_create(
        kind=kind,
        gateway=gateway,
        currency=currency,
        namespace_id=namespace_id,  # type: ignore[misc]
    )
    return row


def balance(
    kind: LedgerAccount.Kind,
    *,
    gateway: str,
    currency: str,
    namespace_id: int | None = None,
    until: datetime | None = None,
) -> int:
    """Return what an account holds, in minor units: positive is had (or owed to its owner).

    Args:
        kind: Which account.
        gateway: At which gateway.
        currency: In which currency.
        namespace_id: Whose, for accounts that belong to somebody.
        until: Only what is available by then; ``None``: all of it.
    """
    rows = LedgerEntry.objects.filter(
        account__kind=kind,
        account__gateway=gateway,
        account__currency=currency,
        account__namespace_id=namespace_id,  # type: ignore[misc]
    )
    if until is not None:
        rows = rows.filter(available_at__lte=until)
    total: int = rows.aggregate(total=Coalesce(Sum("amount_minor"), 0))["total"]
    return total if kind == Kind.GATEWAY else -total


def off_balance() -> list[int]:
    """Return the ids of movements that do not add up; the database lets none in."""
    totals = LedgerEntry.objects.values(
        "movement_id", "account__currency", "account__gateway"
    ).annotate(total=Sum("amount_minor"))
    return sorted({row["movement_id"] for row in totals.exclude(total=0)})

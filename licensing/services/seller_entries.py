"""A seller's ledger: each change of what is owed to them. Their sum is the balance."""

from django.db.models import QuerySet

from accounts.models import Namespace
from licensing.gateways.base import TEST_GATEWAYS
from licensing.models import LedgerAccount, LedgerEntry

_KINDS = (LedgerAccount.Kind.PAYABLE, LedgerAccount.Kind.DISPUTED, LedgerAccount.Kind.PAYOUTS)


def entries_of(seller: Namespace) -> QuerySet[LedgerEntry]:
    """Return every entry of a seller's accounts, oldest first."""
    rows = LedgerEntry.objects.filter(account__namespace=seller, account__kind__in=_KINDS)
    return rows.select_related("account", "movement__order", "line").order_by("pk")


def owed_minor(entry: LedgerEntry) -> int:
    """Return what an entry adds to what is owed to its seller, in minor units: below zero, takes.

    The store's books have it the other way: what is owed is a credit, and negative.
    """
    return -entry.amount_minor


def own_order(entry: LedgerEntry) -> str:
    """Return the public id of the order behind an entry; empty: it is another seller's, or none.

    Of a sale that only brought a share, its order is nobody's business here.
    """
    order, line = entry.movement.order, entry.line
    is_own = line is None or line.seller_id == entry.account.namespace_id
    return order.public_id if order is not None and is_own else ""


def is_test(entry: LedgerEntry) -> bool:
    """Whether it is no real money."""
    return entry.account.gateway in TEST_GATEWAYS

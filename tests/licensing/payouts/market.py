"""Sellers with money that can be paid out."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.models import Namespace, User
from accounts.viewer import Viewer
from licensing.gateways.sandbox import Sandbox
from licensing.models import LedgerAccount, LedgerEntry, LedgerMovement, Order, Payout
from licensing.services import inbox, ledger
from licensing.services.balances import Balance, balances_of
from licensing.services.ledger import Entry
from store.core.ids import new_public_id
from tests.factories import make_user, proved_viewer

Account = LedgerAccount.Kind
Kind = LedgerMovement.Kind
Purpose = LedgerEntry.Purpose


def earn(
    owner: Namespace,
    amount_minor: int,
    *,
    gateway: str = "sandbox",
    currency: str = "EUR",
    in_days: float = -1,
) -> None:
    """Book money that came for a seller, available so many days from now."""
    ledger.book(
        Kind.SALE,
        f"test:{new_public_id()}",
        [
            Entry(Account.GATEWAY, amount_minor, Purpose.MONEY),
            Entry(
                Account.PAYABLE,
                -amount_minor,
                Purpose.PRICE,
                owner.pk,
                hold=LedgerEntry.Hold.REFUND_WINDOW,
                available_at=timezone.now() + timedelta(days=in_days),
            ),
        ],
        gateway=gateway,
        currency=currency,
    )


def take(owner: Namespace, amount_minor: int, **where: Any) -> None:
    """Book money that a seller has to give back."""
    earn(owner, -amount_minor, **where)


def a_seller(name: str = "maria") -> Namespace:
    """Somebody who sells."""
    return Namespace.objects.get(pk=make_user(name).namespace.pk)


def staff_viewer(name: str = "carol") -> Viewer:
    """A member of staff."""
    found = User.objects.filter(username=name).first()
    return proved_viewer(found or make_user(name, is_staff=True))


def owed(owner: Namespace, gateway: str = "sandbox", currency: str = "EUR") -> int:
    """What the ledger owes a seller: payable and disputed entries together."""
    rows = LedgerEntry.objects.filter(
        account__namespace=owner,
        account__gateway=gateway,
        account__currency=currency,
        account__kind__in=[Account.PAYABLE, Account.DISPUTED],
    )
    return -sum(rows.values_list("amount_minor", flat=True))


def at_gateway(gateway: str = "sandbox", currency: str = "EUR") -> int:
    """What the ledger has at a gateway."""
    return ledger.balance(Account.GATEWAY, gateway=gateway, currency=currency)


def rows_of(owner: Namespace) -> list[tuple[str, int]]:
    """State and amount of a seller's payouts, in order."""
    return list(
        Payout.objects.filter(namespace=owner).order_by("id").values_list("state", "amount_minor")
    )


def dispute(order: Order, outcome: str = "") -> None:
    """Have a sandbox payment disputed, and the dispute decided (``won``, ``lost``)."""
    from licensing.models import SandboxCharge

    charge = SandboxCharge.objects.get(order_ref=order.public_id)
    Sandbox().dispute(charge.public_id)
    if outcome:
        Sandbox().settle_dispute(charge.public_id, is_won=outcome == "won")
    inbox.receive("sandbox", Sandbox().facts_of(order.public_id))
    order.refresh_from_db()


def balance_of(seller: Namespace, gateway: str, currency: str) -> Balance:
    """Return what is owed to a seller at one gateway in one currency; nothing, if there is none."""
    found = {row.place: row for row in balances_of(seller)}
    return found.get((gateway, currency), Balance(gateway, currency, 0, 0, 0, 0))

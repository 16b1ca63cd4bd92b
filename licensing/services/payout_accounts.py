"""Where a seller's money goes, gateway by gateway."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils.translation import gettext as _

from accounts.models import Namespace
from licensing.gateways.registry import gateway_named
from licensing.models import SellerAccount
from licensing.services.seller_accounts import AccountNotReadyError, payable_account
from licensing.services.seller_profiles import profile_of
from store.core.errors import ConflictError

BY_HAND = frozenset({"invoice"})
"""Gateways that send nothing themselves: staff transfer the money and say so."""


NOWHERE = "none"
"""State of a destination that the seller has not named yet."""


class NoPayoutAccountError(ConflictError):
    """The seller has not said where their money shall go."""

    code = "no_payout_account"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one gateway of this site sends a seller's money.

    Args:
        gateway: Its name, with its mode.
        is_test: It sends no real money.
        state: ``SellerAccount.State``, or ``none``: there is nowhere to send it yet.
        note: Why the gateway restricts it, in its own word; usually empty.
        told_at: When the gateway said so; ``None``: it was never asked, or nobody has to be.
        account: What a gateway with accounts knows them by; ``None``: there is none, or no need.
    """

    gateway: str
    is_test: bool
    state: str
    note: str = ""
    told_at: datetime | None = None
    account: SellerAccount | None = None

    @property
    def is_ready(self) -> bool:
        """Money can be sent there."""
        return self.state == SellerAccount.State.READY


def destinations_of(namespace: Namespace) -> list[Destination]:
    """Return where each gateway of this site sends a seller's money, in the order of the setting.

    A payout of any gateway in the list goes to ``payout_account``. Two queries.
    """
    accounts = {row.gateway: row for row in SellerAccount.objects.filter(namespace=namespace)}
    found = []
    for name in settings.ENV.gateways:
        gateway = gateway_named(name)
        row = accounts.get(gateway.name)
        if row is not None:
            told = Destination(gateway.name, gateway.is_test, row.state, row.note, row.told_at, row)
        else:
            is_there = bool(_FINDERS[gateway.name](namespace))
            state = SellerAccount.State.READY.value if is_there else NOWHERE
            told = Destination(gateway.name, gateway.is_test, state)
        found.append(told)
    return found


def payout_account(namespace: Namespace, gateway: str) -> str:
    """Return where a gateway sends a seller's money: its own id of them, or lines of a bank.

    Raises:
        NoPayoutAccountError: the seller has none there yet.
    """
    find = _FINDERS.get(gateway)
    found = find(namespace) if find is not None else ""
    if not found:
        raise NoPayoutAccountError(
            _(
                "%(seller)s has no account at '%(gateway)s' to be paid at. The seller adds one on"
                " their sales pages; the money waits."
            )
            % {"seller": namespace.name, "gateway": gateway}
        )
    return found


def _at_sandbox(namespace: Namespace) -> str:
    """The pretended bank knows everybody."""
    return f"sandbox:{namespace.name}"


def _at_bank(namespace: Namespace) -> str:
    return profile_of(namespace).bank_details


def _at_stripe(gateway: str) -> Callable[[Namespace], str]:
    """Return what finds connected accounts; test mode has accounts of its own."""

    def find(namespace: Namespace) -> str:
        try:
            return payable_account(namespace, gateway)
        except AccountNotReadyError:
            return ""

    return find


_FINDERS: Mapping[str, Callable[[Namespace], str]] = {
    "sandbox": _at_sandbox,
    "invoice": _at_bank,
    "stripe": _at_stripe("stripe"),
    "stripe-test": _at_stripe("stripe-test"),
}
"""One line for each gateway that can pay out."""

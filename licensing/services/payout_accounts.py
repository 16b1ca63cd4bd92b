"""Where a seller's money goes, gateway by gateway."""

from collections.abc import Callable, Mapping

from django.utils.translation import gettext as _

from accounts.models import Namespace
from licensing.services.seller_accounts import AccountNotReadyError, payable_account
from licensing.services.seller_profiles import profile_of
from store.core.errors import ConflictError

BY_HAND = frozenset({"invoice"})
"""Gateways that send nothing themselves: staff transfer the money and say so."""


class NoPayoutAccountError(ConflictError):
    """The seller has not said where their money shall go."""

    code = "no_payout_account"


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

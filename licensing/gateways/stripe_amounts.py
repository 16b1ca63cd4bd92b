"""Amounts as Stripe counts them.

Stripe counts in a currency's smallest unit as ISO 4217 does, with exceptions it documents under
"Supported currencies": some have fewer or more decimals there, and of those with three decimals
the last one must be 0.
"""

from django.utils.translation import gettext as _

from licensing.gateways.base import GatewayRefusedError
from store.core.money import Money, currencies, show

_DECIMALS = {"MGA": 0, "ISK": 2, "UGX": 2}
"""Where Stripe's decimals are not those of ISO 4217."""
_WHOLE_TENS = 3
"""Currencies of so many decimals are charged in tens of the smallest unit."""


def to_stripe(amount_minor: int, currency: str) -> int:
    """Return an amount of ours as Stripe counts it.

    Raises:
        GatewayRefusedError: Stripe cannot charge it exactly.
    """
    ours = currencies()[currency]
    theirs = _DECIMALS.get(currency, ours)
    step = 10 ** max(0, ours - theirs) * (10 if theirs == _WHOLE_TENS else 1)
    if amount_minor % step:
        raise GatewayRefusedError(
            _("Stripe cannot charge %(amount)s exactly. Choose another way to pay.")
            % {"amount": show(Money(amount_minor, currency))}
        )
    return int(amount_minor * 10**theirs // 10**ours)


def from_stripe(amount: int, currency: str) -> int:
    """Return an amount of Stripe's in minor units of ours.

    What our units cannot express is rounded down; it then fits no order, and people look at it.

    Args:
        amount: As Stripe counts it.
        currency: Three capitals. One nobody knows counts as Stripe does.
    """
    ours = currencies().get(currency)
    if ours is None:
        return amount
    return int(amount * 10**ours // 10 ** _DECIMALS.get(currency, ours))

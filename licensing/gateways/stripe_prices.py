"""What a checkout at Stripe asks for: prices as lines, and the discount of the first periods."""

from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from licensing.gateways.base import Charge, Later
from licensing.gateways.stripe_amounts import to_stripe
from licensing.gateways.stripe_client import calling, client
from licensing.gateways.stripe_facts import ORDER
from licensing.models import Offer

if TYPE_CHECKING:
    from stripe.params import CouponCreateParams

_MONTHS = {Offer.Interval.MONTH: 1, Offer.Interval.YEAR: 12}
"""Stripe counts how long a coupon lasts in months."""


def lines(charge: Charge) -> list[Any]:
    """Return price and tax as lines of their own; Stripe reckons nothing.

    Those of a subscription are for every period. Of one that begins cheaper it is the full price,
    off which its ``coupon`` is taken.
    """
    amount, tax = charge.amount_minor, charge.tax_minor
    if charge.later is not None:
        amount, tax = charge.later.amount_minor, charge.later.tax_minor
    return [
        {
            "quantity": 1,
            "price_data": {
                "currency": charge.currency.lower(),
                "unit_amount": to_stripe(part, charge.currency),
                "product_data": {"name": name},
                **({"recurring": {"interval": charge.interval}} if charge.interval else {}),
            },
        }
        for name, part in ((charge.title, amount - tax), (_("Tax"), tax))
        if part
    ]


def coupon(charge: Charge, later: Later) -> str:
    """Return the id of a coupon at Stripe that takes off what the first periods cost less.

    Made for one order: a seller's own coupon is not Stripe's to know, and is checked here. Where
    Stripe has forgotten the key and makes another, that is as good.

    Raises:
        GatewayRefusedError: Stripe cannot take exactly so much off.
        GatewayError: try again.
    """
    off = later.amount_minor - charge.amount_minor
    params: CouponCreateParams = {
        "amount_off": to_stripe(off, charge.currency),
        "currency": charge.currency.lower(),
        "duration": "once" if later.after == 1 else "repeating",
        "metadata": {ORDER: charge.order_ref},
    }
    if later.discount:
        params["name"] = later.discount
    if later.after > 1:
        params["duration_in_months"] = later.after * _MONTHS[Offer.Interval(charge.interval)]
    with calling():
        made = client().v1.coupons.create(params, {"idempotency_key": f"{charge.order_ref}-coupon"})
    return made.id

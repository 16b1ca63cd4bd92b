"""Shapes of a seller's own affairs in the REST API: coupons, profile, payouts."""

from typing import Any

from rest_framework import serializers

from licensing.invoices.document import MAX_ADDRESS_CHARS, MAX_ADDRESS_LINES
from licensing.models import Coupon, Payout, SellerAccount
from licensing.services.payout_accounts import NOWHERE
from licensing.services.seller_profiles import MAX_PREFIX_CHARS
from licensing.tax.numbers import MAX_TAX_NUMBER_CHARS

MAX_OFFERS = 1000
MAX_REGISTRATIONS = 300


class _CouponFields(serializers.Serializer[Any]):
    """What a coupon says, asked and answered alike."""

    code = serializers.CharField(max_length=40, help_text="3 to 40 letters, digits and hyphens.")
    basis_points = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Hundredths of a percent taken off; or:",
    )
    amount_minor = serializers.IntegerField(
        required=False, allow_null=True, default=None, help_text="What is taken off."
    )
    currency = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=3, help_text="Of the amount."
    )
    periods = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        help_text="How many periods of a subscription it lowers, from the first on: 1 to 120;"
        " null: all of them.",
    )
    starts_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    ends_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    most_uses = serializers.IntegerField(
        required=False, allow_null=True, default=None, help_text="Orders in all; null: any number."
    )
    most_uses_each = serializers.IntegerField(
        required=False, allow_null=True, default=None, help_text="Orders of one buyer."
    )


class CouponIn(_CouponFields):
    """A coupon as its seller wants it."""

    offers = serializers.ListField(
        child=serializers.CharField(max_length=24),
        required=False,
        default=list,
        max_length=MAX_OFFERS,
        help_text="Ids of offers of the seller; empty: all of them.",
    )


class CouponOut(_CouponFields):
    """A coupon, and how often it was used."""

    id = serializers.CharField(source="public_id")
    offers = serializers.SerializerMethodField(help_text="Ids; empty: all of the seller's.")
    uses = serializers.IntegerField(help_text="Orders made with it that were not cancelled.")
    is_active = serializers.BooleanField(help_text="false: it was ended.")
    created_at = serializers.DateTimeField()

    def get_offers(self, coupon: Coupon) -> list[str]:
        """Return the ids of the offers."""
        return [offer.public_id for offer in coupon.offers.all()]


class CouponsPageOut(serializers.Serializer[Any]):
    """Coupons, newest first."""

    results = CouponOut(many=True)
    next = serializers.CharField(allow_null=True, help_text="Cursor of the next page.")


class _ProfileFields(serializers.Serializer[Any]):
    """What a seller says of themselves, asked and answered alike."""

    legal_name = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=200, help_text="As on invoices."
    )
    address = serializers.ListField(
        child=serializers.CharField(max_length=MAX_ADDRESS_CHARS),
        required=False,
        default=list,
        max_length=MAX_ADDRESS_LINES,
        help_text="Lines, without the country.",
    )
    country = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=2, help_text="ISO 3166-1."
    )
    region = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=6,
        help_text="Second half of ISO 3166-2; in the US and Canada it is needed.",
    )
    is_registered = serializers.BooleanField(
        required=False, default=False, help_text="Registered for VAT or GST there."
    )
    vat_number = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=MAX_TAX_NUMBER_CHARS
    )
    uses_oss = serializers.BooleanField(
        required=False, default=False, help_text="The EU's One Stop Shop."
    )
    registrations = serializers.ListField(
        child=serializers.CharField(max_length=6),
        required=False,
        default=list,
        max_length=MAX_REGISTRATIONS,
        help_text="Where else tax is collected: `AU`, `GB`, `US-NY`.",
    )
    invoice_prefix = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=MAX_PREFIX_CHARS,
        help_text="What invoice numbers begin with; empty: the store chooses.",
    )


class SellerProfileIn(_ProfileFields):
    """The whole profile as it shall be. What is left out is emptied, but for the bank account."""


class SellerProfileOut(_ProfileFields):
    """Who a seller is on documents."""

    seller = serializers.CharField()
    name_on_documents = serializers.CharField()
    numbers_begin_with = serializers.CharField(help_text="Of invoices from now on.")
    has_bank_details = serializers.BooleanField(
        help_text="They are read and changed on /sales/profile alone."
    )
    tax_rate_missing = serializers.CharField(
        help_text="Where tax is collected and no rate is known: sales there are refused. Empty: all"
        " are known."
    )


class StatementOut(serializers.Serializer[Any]):
    """The document that says what a payout is made of."""

    number = serializers.CharField()
    url = serializers.CharField(help_text="PDF, with the same token.")


class PayoutOut(serializers.Serializer[Any]):
    """Money sent to a seller."""

    id = serializers.CharField()
    gateway = serializers.CharField()
    is_test = serializers.BooleanField(help_text="No real money.")
    currency = serializers.CharField()
    amount_minor = serializers.IntegerField()
    state = serializers.ChoiceField(choices=Payout.State.choices)
    failure = serializers.CharField(
        help_text="Why it failed; then the money is in the balance. While it is sent: why it waits."
    )
    until = serializers.DateTimeField(help_text="It has all that was available at this moment.")
    created_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True, help_text="null: it is on its way.")
    statement = StatementOut(allow_null=True)


class PayoutsPageOut(serializers.Serializer[Any]):
    """Payouts, newest first."""

    results = PayoutOut(many=True)
    next = serializers.CharField(allow_null=True, help_text="Cursor of the next page.")


class DestinationOut(serializers.Serializer[Any]):
    """Where one gateway of the site sends a seller's money."""

    gateway = serializers.CharField()
    is_test = serializers.BooleanField(help_text="No real money.")
    state = serializers.ChoiceField(
        choices=[NOWHERE, *SellerAccount.State.values],
        help_text="`none`: the seller has not said where to; what is owed waits.",
    )
    note = serializers.CharField(help_text="Why the gateway restricts it, in its own word.")
    told_at = serializers.DateTimeField(
        allow_null=True, help_text="When the gateway said so; null: it was not asked."
    )


class DestinationsOut(serializers.Serializer[Any]):
    """Where a seller's money goes."""

    seller = serializers.CharField()
    page = serializers.CharField(help_text="Where a person changes it, in a browser.")
    results = DestinationOut(many=True)

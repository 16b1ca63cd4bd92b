"""Shapes of the REST API's sales. Amounts are whole minor units of a currency of ISO 4217."""

from typing import Any

from rest_framework import serializers

from licensing.api.license_serializers import LicenseOut
from licensing.api.order_serializers import RefundOut
from licensing.models import LedgerEntry, Order
from licensing.services import seller_entries


class SoldLineOut(serializers.Serializer[Any]):
    """One thing that was sold."""

    id = serializers.CharField(source="public_id")
    title = serializers.CharField()
    models = serializers.CharField(source="detail", help_text="By name, as they were called then.")
    offer = serializers.SerializerMethodField(help_text="Empty: the offer is gone.")
    license = serializers.SerializerMethodField(help_text="Empty: not granted yet.")
    quantity = serializers.IntegerField()
    net_minor = serializers.IntegerField()
    tax_minor = serializers.IntegerField()
    gross_minor = serializers.IntegerField()
    discount_minor = serializers.IntegerField()
    discount_periods = serializers.IntegerField(
        allow_null=True,
        help_text="Of the first order of a subscription: the discount ends after so many periods;"
        " null: it does not, or there is none.",
    )
    fee_minor = serializers.IntegerField(help_text="What the store keeps.")
    shares_minor = serializers.SerializerMethodField(help_text="What owners upstream get.")
    refunded_minor = serializers.IntegerField()

    def get_offer(self, line: Any) -> str:
        """Return the offer's id."""
        return str(line.offer.public_id) if line.offer else ""

    def get_license(self, line: Any) -> str:
        """Return the license's id."""
        found = getattr(line, "license", None)
        return str(found.public_id) if found else ""

    def get_shares_minor(self, line: Any) -> int:
        """Return the sum of the shares."""
        return sum(share.amount_minor for share in line.shares.all())


class SaleOut(serializers.Serializer[Any]):
    """An order as its seller sees it: their lines alone."""

    order = serializers.CharField(source="order.public_id")
    state = serializers.ChoiceField(choices=Order.State.choices, source="order.state")
    is_test = serializers.BooleanField(source="order.is_test", help_text="No real money.")
    paid_at = serializers.DateTimeField(source="order.paid_at")
    currency = serializers.CharField(source="order.currency")
    buyer = serializers.CharField(help_text="Name on the license.")
    holder = serializers.CharField(
        source="order.holder.name", help_text="The person or organization that holds the licenses."
    )
    country = serializers.SerializerMethodField(help_text="Of the buyer's address; may be empty.")
    gross_minor = serializers.IntegerField()
    refunded_minor = serializers.IntegerField()
    lines = SoldLineOut(many=True)
    refunds = RefundOut(many=True)

    def get_country(self, sold: Any) -> str:
        """Return two capitals."""
        return str(sold.order.billing.get("country", ""))


class SalesPageOut(serializers.Serializer[Any]):
    """Sales, newest first."""

    results = SaleOut(many=True)
    next = serializers.CharField(allow_null=True, help_text="Cursor of the next page.")


class SalesFiguresOut(serializers.Serializer[Any]):
    """Sums of some days."""

    sales = serializers.IntegerField(help_text="Paid lines of orders, free ones among them.")
    gross_minor = serializers.IntegerField(help_text="What buyers paid, with tax.")
    refunded_minor = serializers.IntegerField(help_text="What went back in this time.")
    earned_minor = serializers.IntegerField(
        help_text="What came to the seller after fee, shares and refunds, with collected tax."
    )


class DayOut(SalesFiguresOut):
    """Sums of one day (UTC)."""

    day = serializers.DateField()


class SoldLicenseOut(LicenseOut):
    """A license as its seller sees it."""

    order = serializers.CharField(help_text="The order it was bought by.")
    country = serializers.CharField(help_text="Of the buyer's address; may be empty.")


class BuyersPageOut(serializers.Serializer[Any]):
    """One page of sold licenses, newest first."""

    results = SoldLicenseOut(many=True)
    next = serializers.CharField(allow_null=True)


class SumOut(serializers.Serializer[Any]):
    """What one offer or one country brought."""

    key = serializers.CharField(help_text="Id of the offer, or the country; may be empty.")
    title = serializers.CharField(help_text="Of the offer.")
    sales = serializers.IntegerField()
    gross_minor = serializers.IntegerField()
    net_minor = serializers.IntegerField()
    refunded_minor = serializers.IntegerField(help_text="Of what was sold in this time.")


class PurseOut(serializers.Serializer[Any]):
    """What was sold in one currency, real or in tests; nothing of two purses is added."""

    currency = serializers.CharField()
    is_test = serializers.BooleanField(help_text="No real money.")
    now = SalesFiguresOut()
    before = SalesFiguresOut(help_text="The same number of days before.")
    days = DayOut(many=True, help_text="Days of the period with something to tell.")
    by_offer = SumOut(many=True)
    by_country = SumOut(many=True)


class CountsOut(serializers.Serializer[Any]):
    """A count in a period and before it."""

    now = serializers.IntegerField()
    before = serializers.IntegerField()


class FunnelDayOut(serializers.Serializer[Any]):
    """How many came how far on one day."""

    day = serializers.DateField()
    views = serializers.IntegerField()
    begun = serializers.IntegerField()
    paid = serializers.IntegerField()


class FunnelOut(serializers.Serializer[Any]):
    """From looking to paying, with real money or in tests."""

    is_test = serializers.BooleanField(help_text="Of begun and paid; views are the same in both.")
    views = CountsOut(
        help_text="People who opened the page of a model the seller has offers for, once a day."
    )
    begun = CountsOut(help_text="Orders placed, paid or not; renewals are none.")
    paid = CountsOut(help_text="Of those the ones paid, on the day they were; free ones, too.")
    days = FunnelDayOut(many=True, help_text="Days of the period with something to tell.")


class SalesSummaryOut(serializers.Serializer[Any]):
    """What a seller sold in a period, against the one before."""

    seller = serializers.CharField()
    first_day = serializers.DateField()
    last_day = serializers.DateField()
    downloads = CountsOut(help_text="By people, of all the seller's models.")
    funnels = FunnelOut(many=True, help_text="Two: real money first.")
    purses = PurseOut(many=True)


class HeldOut(serializers.Serializer[Any]):
    """An amount that cannot be paid out yet."""

    order = serializers.CharField(help_text="Empty: a share of somebody else's sale.")
    amount_minor = serializers.IntegerField()
    rule = serializers.CharField(help_text="Why it is held, in words.")
    release = serializers.CharField(help_text="What releases it, in words.")
    available_at = serializers.DateTimeField(allow_null=True, help_text="null: nobody knows yet.")


class EntryOut(serializers.Serializer[Any]):
    """A change of what is owed to a seller."""

    at = serializers.DateTimeField(source="movement.at")
    gateway = serializers.CharField(source="account.gateway")
    is_test = serializers.SerializerMethodField(help_text="No real money.")
    account = serializers.CharField(
        source="account.kind", help_text="`payable`, `disputed` or `payouts` (on their way)."
    )
    movement = serializers.CharField(source="movement.kind", help_text="What happened.")
    purpose = serializers.CharField()
    order = serializers.SerializerMethodField(
        help_text="Empty: none, or a share of somebody else's sale."
    )
    currency = serializers.CharField(source="account.currency")
    amount_minor = serializers.SerializerMethodField(help_text="Below zero: taken.")
    hold = serializers.CharField(help_text="The rule it is held by; empty: none.")
    available_at = serializers.DateTimeField(allow_null=True)

    def get_is_test(self, entry: LedgerEntry) -> bool:
        """Return whether it is no real money."""
        return seller_entries.is_test(entry)

    def get_order(self, entry: LedgerEntry) -> str:
        """Return the order's id."""
        return seller_entries.own_order(entry)

    def get_amount_minor(self, entry: LedgerEntry) -> int:
        """Return what it adds to what is owed."""
        return seller_entries.owed_minor(entry)


class EntriesPageOut(serializers.Serializer[Any]):
    """One page of entries, newest first."""

    results = EntryOut(many=True)
    next = serializers.CharField(allow_null=True)


class ProspectOut(serializers.Serializer[Any]):
    """What becomes of available money."""

    obstacle = serializers.ChoiceField(
        choices=["", "too_little", "paused", "no_account", "unknown_gateway"],
        help_text="Why it is not paid out; empty: the next payout takes it.",
    )
    rule = serializers.CharField(help_text="That in words.")
    release = serializers.CharField(help_text="What lets it go, in words.")
    on = serializers.DateField(
        allow_null=True, help_text="The day of the next payout; `null`: not known."
    )
    least_minor = serializers.IntegerField(help_text="Less than this is not paid out.")
    day = serializers.IntegerField(
        help_text="Of each month, on which the store pays out; 0: whenever its staff do."
    )
    sending = serializers.CharField(help_text="What becomes of money on its way, in words.")


class BalanceOut(serializers.Serializer[Any]):
    """What is owed at one gateway in one currency."""

    gateway = serializers.CharField()
    currency = serializers.CharField()
    is_test = serializers.BooleanField(help_text="No real money.")
    available_minor = serializers.IntegerField(help_text="Payable now, see `payout`.")
    held_minor = serializers.IntegerField()
    disputed_minor = serializers.IntegerField()
    sending_minor = serializers.IntegerField(help_text="On its way.")
    held = HeldOut(many=True, help_text="Held and disputed amounts, at most 200 of each.")
    has_more = serializers.BooleanField(help_text="`held` does not list all of them.")
    payout = ProspectOut()


class BalancesOut(serializers.Serializer[Any]):
    """What the store owes a seller."""

    seller = serializers.CharField()
    balances = BalanceOut(many=True)

"""Shapes of the REST API's till: quotes, orders, refunds. Amounts are whole minor units."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from licensing.api.invoice_serializers import InvoiceOut
from licensing.models import License, Order, OrderLine, Refund
from store.core.money import Money

_AMOUNT = "In minor units."


class ItemIn(serializers.Serializer[Any]):
    """One offer somebody wants."""

    offer = serializers.CharField(max_length=24)
    quantity = serializers.IntegerField(required=False, default=1)
    amount_minor = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Pay-what-you-want: for one unit.",
    )


class QuoteIn(serializers.Serializer[Any]):
    """What somebody wants to buy."""

    items = ItemIn(many=True)
    currency = serializers.CharField(max_length=3)
    holder = serializers.CharField(
        max_length=42, required=False, default="", help_text="A team you buy for; empty: you."
    )
    coupon = serializers.CharField(max_length=40, required=False, default="", allow_blank=True)
    billing = serializers.DictField(
        required=False,
        allow_null=True,
        default=None,
        help_text="`kind` (person, business), `name`, `lines`, `postcode`, `city`, `country`,"
        " `region`, `vat_number`. Left out: as in your last order.",
    )


class LineOut(serializers.Serializer[Any]):
    """What one offer comes to: quoted or ordered."""

    title = serializers.CharField()
    quantity = serializers.IntegerField()
    unit_minor = serializers.IntegerField()
    discount_minor = serializers.IntegerField()
    net_minor = serializers.IntegerField()
    tax_minor = serializers.IntegerField()
    gross_minor = serializers.IntegerField()
    discount_periods = serializers.IntegerField(
        allow_null=True,
        help_text="Of a subscription: the discount ends after so many periods, this one included;"
        " null: it does not.",
    )
    later_gross_minor = serializers.IntegerField(
        allow_null=True, help_text="What each period after those costs; null: what this one does."
    )


class QuotedLineOut(LineOut):
    """One line of a quote."""

    offer = serializers.CharField()
    models = serializers.ListField(child=serializers.CharField())
    tax = serializers.DictField()
    terms = serializers.DictField(help_text="Accept them by their `sha256`.")
    rights = serializers.DictField()
    seats = serializers.IntegerField()
    seat_kind = serializers.CharField()
    term_days = serializers.IntegerField(allow_null=True)
    updates = serializers.CharField()


class QuoteOut(serializers.Serializer[Any]):
    """Prices and terms, good for half an hour."""

    id = serializers.CharField(source="public_id")
    expires_at = serializers.DateTimeField()
    currency = serializers.CharField(source="priced.currency")
    lines = QuotedLineOut(many=True, source="priced.lines")
    net_minor = serializers.IntegerField(source="priced.net_minor")
    tax_minor = serializers.IntegerField(source="priced.tax_minor")
    gross_minor = serializers.IntegerField(source="priced.gross_minor")
    coupon = serializers.CharField(source="priced.coupon")


class OrderIn(serializers.Serializer[Any]):
    """A purchase of what was quoted."""

    quote = serializers.CharField(max_length=24)
    accepted_terms = serializers.ListField(
        child=serializers.CharField(max_length=64),
        max_length=50,
        help_text="Hashes of the terms you accept: those of every line.",
    )
    gateway = serializers.CharField(max_length=12, required=False, default="")
    payment_method = serializers.CharField(
        max_length=64,
        required=False,
        default="",
        help_text="Pays at once without a browser: a saved method, or of the sandbox"
        " `test_success`. Left out: open `checkout.url`.",
    )


class PayIn(serializers.Serializer[Any]):
    """How to pay an open order."""

    payment_method = serializers.CharField(max_length=64, required=False, default="")


class OrderLineOut(LineOut):
    """One line of an order."""

    id = serializers.CharField(source="public_id")
    detail = serializers.CharField()
    refunded_minor = serializers.IntegerField()
    terms_sha256 = serializers.CharField(source="terms_id")
    license = serializers.SerializerMethodField(help_text="Id of the license; empty before.")

    def get_license(self, line: OrderLine) -> str:
        """Return the id of the license the line gave."""
        try:
            return line.license.public_id
        except License.DoesNotExist:
            return ""


class RefundOut(serializers.Serializer[Any]):
    """Money that goes back."""

    id = serializers.CharField(source="public_id")
    state = serializers.ChoiceField(choices=Refund.State.choices)
    amount_minor = serializers.IntegerField()
    reason = serializers.CharField()
    answer = serializers.CharField()
    created_at = serializers.DateTimeField()


class CheckoutOut(serializers.Serializer[Any]):
    """How to go on paying."""

    url = serializers.CharField(help_text="Page to pay on; empty: nothing to open.")
    instructions = serializers.CharField()
    needs_browser = serializers.BooleanField()


class OrderOut(serializers.Serializer[Any]):
    """A purchase."""

    id = serializers.CharField(source="public_id")
    state = serializers.ChoiceField(choices=Order.State.choices)
    holder = serializers.CharField(source="holder.name")
    gateway = serializers.CharField()
    is_test = serializers.BooleanField(help_text="No real money: the sandbox.")
    currency = serializers.CharField()
    net_minor = serializers.IntegerField()
    tax_minor = serializers.IntegerField()
    gross_minor = serializers.IntegerField()
    paid_minor = serializers.IntegerField()
    refunded_minor = serializers.IntegerField()
    total = serializers.SerializerMethodField(help_text="The gross sum in whole units.")
    lines = OrderLineOut(many=True)
    refunds = RefundOut(many=True)
    invoices = serializers.SerializerMethodField(help_text="Also credit notes, oldest first.")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    checkout = serializers.SerializerMethodField(help_text="While it is open.")

    def get_total(self, order: Order) -> str:
        """Return the sum for people."""
        return f"{Money(order.gross_minor, order.currency).decimal:f}"

    @extend_schema_field(InvoiceOut(many=True))
    def get_invoices(self, order: Order) -> list[dict[str, Any]]:
        """Return the documents the view read."""
        papers = [one for one in self.context["papers"] if one.order_ref == order.public_id]
        return [dict(InvoiceOut(one).data) for one in papers]

    def get_checkout(self, order: Order) -> dict[str, Any] | None:
        """Return how to go on; nothing where the order was only read."""
        checkout = self.context.get("checkout")
        if checkout is None or order.state != Order.State.OPEN:
            return None
        return dict(CheckoutOut(checkout).data)


class OrdersPageOut(serializers.Serializer[Any]):
    """One page of orders, newest first."""

    results = OrderOut(many=True)
    next = serializers.CharField(allow_null=True)


class RefundIn(serializers.Serializer[Any]):
    """A wish for money back."""

    line = serializers.CharField(
        max_length=24, required=False, default="", help_text="Id of a line; empty: all of it."
    )
    reason = serializers.CharField(max_length=500, allow_blank=True, required=False, default="")


class AcceptIn(serializers.Serializer[Any]):
    """A refund that is granted."""

    reason = serializers.CharField(
        max_length=300,
        allow_blank=True,
        required=False,
        default="",
        help_text="For the audit trail. Staff must give one.",
    )


class AnswerIn(serializers.Serializer[Any]):
    """Why a wish is not granted."""

    answer = serializers.CharField(max_length=500)

"""Shapes of the REST API's shop. Amounts are whole minor units of a currency of ISO 4217."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.models import Grant
from licensing.api.invoice_serializers import InvoiceOut
from licensing.models import License, Offer, Order, OrderLine, Refund, SeatKind
from licensing.services.offer_drafts import draft_of
from licensing.services.storefront import offer_facts
from store.core.money import Money

_AMOUNT = "In minor units."


class TermsRefOut(serializers.Serializer[Any]):
    """Terms by the hash of their text."""

    sha256 = serializers.CharField()
    title = serializers.CharField()
    url = serializers.CharField(help_text="Path of the text.")


class TermsOut(serializers.Serializer[Any]):
    """A text people agree to."""

    sha256 = serializers.CharField(help_text="Of the text as UTF-8.")
    title = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    text = serializers.CharField()


class PriceOut(serializers.Serializer[Any]):
    """What an offer costs in one currency."""

    currency = serializers.CharField()
    amount_minor = serializers.IntegerField(help_text="Now; the least with pay-what-you-want.")
    amount = serializers.CharField(help_text="The same in whole units.")
    suggested_minor = serializers.IntegerField(allow_null=True)


class OfferOut(serializers.Serializer[Any]):
    """One way to get a license, as buyers see it now."""

    id = serializers.CharField()
    title = serializers.CharField()
    kind = serializers.ChoiceField(choices=Offer.Kind.choices)
    interval = serializers.CharField(help_text="`month` or `year` for a subscription.")
    prices = PriceOut(many=True)
    terms = TermsRefOut()
    seats = serializers.IntegerField(help_text="0: any number.")
    seat_kind = serializers.ChoiceField(choices=SeatKind.choices)
    term_days = serializers.IntegerField(allow_null=True, help_text="Empty: for good.")
    updates = serializers.ChoiceField(choices=Grant.Updates.choices)
    rights = serializers.DictField()
    models = serializers.ListField(child=serializers.CharField())

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Show an offer of the database, or facts that were made of one."""
        shown = offer_facts(instance) if isinstance(instance, Offer) else instance
        return super().to_representation(shown)


class OffersOut(serializers.Serializer[Any]):
    """The offers of a model."""

    results = OfferOut(many=True)
    opens_at = serializers.DateTimeField(
        allow_null=True, help_text="When the model becomes free for all."
    )


class OpeningIO(serializers.Serializer[Any]):
    """When a model that is sold becomes free for all."""

    opens_at = serializers.DateTimeField(
        allow_null=True, help_text="A moment in the future; `null`: it stays for sale."
    )


class RevenueAskIn(serializers.Serializer[Any]):
    """What the owner of a model asks of sales of models made from it."""

    basis_points = serializers.IntegerField(
        help_text="Of the price without tax and the store's fee, 10,000 being all: 0 (nothing) to"
        " 5,000."
    )


class NamedAskOut(serializers.Serializer[Any]):
    """What the owner of a model upstream asks."""

    owner = serializers.CharField()
    model = serializers.CharField()
    basis_points = serializers.IntegerField()


class RevenueAskOut(RevenueAskIn):
    """What is asked of both sides of a model."""

    upstream = NamedAskOut(
        many=True, help_text="What owners of models it was made from ask of its own sales."
    )


class NewPriceIn(serializers.Serializer[Any]):
    """A price in one currency."""

    currency = serializers.CharField(max_length=3)
    amount_minor = serializers.IntegerField(help_text=_AMOUNT)
    suggested_minor = serializers.IntegerField(required=False, allow_null=True, default=None)
    launch_minor = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Who subscribes meanwhile keeps it for every period.",
    )
    launch_from = serializers.DateTimeField(required=False, allow_null=True, default=None)
    launch_until = serializers.DateTimeField(required=False, allow_null=True, default=None)


class OfferIn(serializers.Serializer[Any]):
    """An offer as its seller wants it."""

    title = serializers.CharField(max_length=120)
    description = serializers.CharField(
        max_length=500, required=False, default="", allow_blank=True
    )
    kind = serializers.ChoiceField(choices=Offer.Kind.choices)
    interval = serializers.ChoiceField(
        choices=["", *Offer.Interval.values], required=False, default=""
    )
    prices = NewPriceIn(many=True, required=False, default=list)
    terms = serializers.CharField(
        max_length=64, help_text="Id of shipped terms, as `store-commercial`, or `own`."
    )
    own_text = serializers.CharField(required=False, default="", allow_blank=True)
    rights = serializers.DictField(
        required=False, allow_null=True, default=None, help_text="With own terms."
    )
    seats = serializers.IntegerField(required=False, default=1)
    seat_kind = serializers.ChoiceField(
        choices=SeatKind.choices, required=False, default=SeatKind.MACHINES.value
    )
    term_days = serializers.IntegerField(required=False, allow_null=True, default=None)
    updates = serializers.ChoiceField(
        choices=Grant.Updates.choices, required=False, default=Grant.Updates.ALL.value
    )
    trial_tokens = serializers.IntegerField(required=False, default=0)
    is_tax_included = serializers.BooleanField(required=False, default=False)
    lineage_confirmed = serializers.BooleanField(
        required=False,
        default=False,
        help_text="You confirm that base licenses the store does not know allow the sale.",
    )
    models = serializers.ListField(
        child=serializers.CharField(max_length=140),
        required=False,
        default=list,
        help_text="Further models of a bundle, as `ns/name`. `PUT` leaves the models as they are.",
    )


class _OfferHeadOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    is_active = serializers.BooleanField(help_text="On the shelf.")
    position = serializers.IntegerField(help_text="Among the seller's offers, from the top.")
    version = serializers.IntegerField(help_text="Rises with each change.")
    terms_sha256 = serializers.CharField(help_text="Of the text buyers accept.")


class OwnOfferOut(_OfferHeadOut, OfferIn):
    """An offer as its seller wrote it: sent back with `PUT` it stays as it is."""

    def to_representation(self, instance: Offer) -> dict[str, Any]:
        """Show what a change of the offer takes, and what stands around it."""
        shown = asdict(draft_of(instance)) | {
            "id": instance.public_id,
            "is_active": instance.is_active,
            "position": instance.position,
            "version": instance.version,
            "terms_sha256": instance.terms_id,
            "models": [repo.full_name for repo in instance.repos.all()],
        }
        shown["terms"], shown["rights"] = shown.pop("terms_id"), instance.rights
        return super().to_representation(shown)


class OwnOffersOut(serializers.Serializer[Any]):
    """One page of a model's offers, newest first."""

    results = OwnOfferOut(many=True)
    next = serializers.CharField(allow_null=True)


class OfferStateIn(serializers.Serializer[Any]):
    """Whether an offer can be bought."""

    is_active = serializers.BooleanField()


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

"""Shapes of the REST API's shelf: offers, prices, terms. Amounts are whole minor units."""

from dataclasses import asdict
from typing import Any

from rest_framework import serializers

from catalog.models import Grant
from licensing.models import Offer, SeatKind
from licensing.services.offer_drafts import draft_of
from licensing.services.storefront import offer_facts

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

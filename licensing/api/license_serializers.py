"""Shapes of the REST API's licenses, their keys and their seats."""

from typing import Any

from rest_framework import serializers

from catalog.models import Grant
from licensing.models import Offer, SeatKind, Subscription
from licensing.services.issuing import MAX_HOURS, MIN_HOURS, USUAL_HOURS
from licensing.services.license_keys import MAX_REASON_CHARS
from licensing.services.validating import Code

CODES = [code.value for code in Code]


class LicensedModelOut(serializers.Serializer[Any]):
    """A model a license is for."""

    id = serializers.CharField(help_text="The store's id of it, which no rename changes.")
    name = serializers.CharField(help_text="As it is called now.")
    revision = serializers.CharField(help_text="The commit that was bought.")


class SeatsOut(serializers.Serializer[Any]):
    """How many may use a license."""

    count = serializers.IntegerField(allow_null=True, help_text="null: any number.")
    kind = serializers.ChoiceField(choices=SeatKind.choices)
    used = serializers.IntegerField()


class LicenseFactsOut(serializers.Serializer[Any]):
    """What a license says, for whoever has its key."""

    id = serializers.CharField()
    title = serializers.CharField()
    licensee = serializers.CharField(help_text="The name on it.")
    is_test = serializers.BooleanField(help_text="No real money was paid.")
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField(allow_null=True, help_text="null: never.")
    seats = SeatsOut()
    rights = serializers.DictField(help_text="What the terms allow, in short.")
    terms_sha256 = serializers.CharField(help_text="Of the text; /terms/{sha256} has it.")
    updates = serializers.ChoiceField(choices=Grant.Updates.choices)
    models = LicensedModelOut(many=True)


class LicenseOut(LicenseFactsOut):
    """A license, for its holder, its seller and staff. Its key is not in it."""

    code = serializers.ChoiceField(choices=CODES, help_text="VALID, or what is wrong.")
    message = serializers.CharField()
    seller = serializers.CharField()
    holder = serializers.CharField()
    terms_title = serializers.CharField()
    created_at = serializers.DateTimeField()
    key_rotation = serializers.IntegerField(help_text="How often the key was replaced.")
    suspended_for = serializers.CharField(help_text="Why it is suspended, or empty.")
    is_renewable = serializers.BooleanField(help_text="Another term can be bought for it.")


class LicensesPageOut(serializers.Serializer[Any]):
    """One page of licenses, newest first."""

    results = LicenseOut(many=True)
    next = serializers.CharField(allow_null=True)


class ScopeIn(serializers.Serializer[Any]):
    """What a program is about to do; all of it may be left out."""

    fingerprint = serializers.CharField(required=False, help_text="The machine it runs on.")
    user = serializers.CharField(required=False, help_text="The person who uses it.")
    model = serializers.CharField(required=False, help_text="ns/name, or the store's id of it.")
    revision = serializers.CharField(required=False, help_text="A commit, 40 hex digits.")
    sha256 = serializers.CharField(required=False, help_text="Of a file it loads.")
    entitlements = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="Rights: hosted_service, …"
    )


class ValidateIn(serializers.Serializer[Any]):
    """A key, and what it is needed for."""

    key = serializers.CharField()
    scope = ScopeIn(required=False)


class ValidationOut(serializers.Serializer[Any]):
    """The answer to a validation."""

    code = serializers.ChoiceField(choices=CODES, help_text="VALID, or what is wrong.")
    is_valid = serializers.BooleanField()  # type: ignore[assignment]
    message = serializers.CharField()
    checked_at = serializers.DateTimeField(help_text="By the store's clock.")
    license = LicenseFactsOut(allow_null=True, help_text="null with NOT_FOUND.")


class SeatIn(serializers.Serializer[Any]):
    """Who has a seat: a machine, or with seats of people a person."""

    fingerprint = serializers.CharField(
        required=False, default="", help_text="1 to 128 printable ASCII characters."
    )
    user = serializers.CharField(required=False, default="")


class NewSeatIn(SeatIn):
    """Who is to have a seat."""

    label = serializers.CharField(  # type: ignore[assignment]
        required=False, allow_blank=True, default="", help_text="What people call the machine."
    )


class KeySeatIn(SeatIn):
    """A key, and who has a seat."""

    key = serializers.CharField()


class ActivateIn(NewSeatIn):
    """A key, and who is to have a seat."""

    key = serializers.CharField()


class HoursIn(NewSeatIn):
    """A machine an offline file is for."""

    fingerprint = serializers.CharField()
    hours = serializers.IntegerField(
        required=False, default=USUAL_HOURS, min_value=MIN_HOURS, max_value=MAX_HOURS
    )


class CheckoutIn(HoursIn):
    """A key, and the machine an offline file is for."""

    key = serializers.CharField()


class ActivationOut(serializers.Serializer[Any]):
    """A machine or a person that has a seat."""

    id = serializers.CharField()
    fingerprint = serializers.CharField(help_text="Of a machine; empty for people.")
    user = serializers.CharField(allow_null=True, help_text="The person, if it is one.")
    label = serializers.CharField()  # type: ignore[assignment]
    created_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField(help_text="When it was last heard of.")
    held_until = serializers.DateTimeField(
        allow_null=True, help_text="Until then an offline file holds the seat."
    )
    ended_at = serializers.DateTimeField(
        allow_null=True, help_text="When the seat is free; may lie ahead."
    )


class ActivationsOut(serializers.Serializer[Any]):
    """All seats that are taken, oldest first."""

    results = ActivationOut(many=True)


class LicenseFileOut(serializers.Serializer[Any]):
    """What a ``*.gpts-license`` file has in it."""

    format = serializers.CharField()
    license = serializers.CharField(help_text="The signed text (JWS compact serialization).")


class CheckoutOut(serializers.Serializer[Any]):
    """An offline file, with the seat it holds."""

    file = LicenseFileOut(help_text="Write it to disk as it is.")
    file_name = serializers.CharField()
    expires_at = serializers.DateTimeField()
    activation = ActivationOut()


class KeyOut(serializers.Serializer[Any]):
    """The key of a license."""

    key = serializers.CharField()
    key_rotation = serializers.IntegerField()


class RotateIn(serializers.Serializer[Any]):
    """Which key is to be replaced."""

    key_rotation = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        min_value=0,
        help_text="As you read it; the request is refused if somebody was faster.",
    )


class SuspendIn(serializers.Serializer[Any]):
    """Why."""

    reason = serializers.CharField(max_length=MAX_REASON_CHARS, help_text="The holder reads it.")


class LicensedFileOut(serializers.Serializer[Any]):
    """A file a license covers, as it was when it was bought."""

    model = serializers.CharField()
    path = serializers.CharField()
    sha256 = serializers.CharField()
    size_bytes = serializers.IntegerField()


class LicensedFilesPageOut(serializers.Serializer[Any]):
    """One page of files."""

    results = LicensedFileOut(many=True)
    next = serializers.CharField(allow_null=True)


class UpdateOut(serializers.Serializer[Any]):
    """A commit that came after the bought one."""

    model = serializers.CharField()
    commit = serializers.CharField()
    title = serializers.CharField()
    at = serializers.DateTimeField()
    is_covered = serializers.BooleanField(help_text="The license reaches it.")


class UpdatesOut(serializers.Serializer[Any]):
    """What happened since, newest first for each model."""

    results = UpdateOut(many=True)


class SubscriptionOut(serializers.Serializer[Any]):
    """What carries a license on: it is paid again each period until somebody ends it."""

    license = serializers.CharField()
    state = serializers.ChoiceField(choices=Subscription.State.choices)
    interval = serializers.ChoiceField(choices=Offer.Interval.choices)
    periods = serializers.IntegerField(help_text="How many were paid.")
    paid_until = serializers.DateTimeField(help_text="Once ended, access ends then.")
    next_charge_at = serializers.DateTimeField(allow_null=True, help_text="null: never again.")
    is_resumable = serializers.BooleanField(
        help_text="It was ended and can go on again, until the end of what is paid."
    )
    amount_minor = serializers.IntegerField(
        help_text="Of the next period with today's tax; once ended, of the last."
    )
    later_amount_minor = serializers.IntegerField(
        allow_null=True,
        help_text="Of each period once its discount has ended; null: it has, or there is none.",
    )
    later_from = serializers.DateTimeField(
        allow_null=True, help_text="When the first period begins that costs so much."
    )
    currency = serializers.CharField()


class RenewIn(serializers.Serializer[Any]):
    """How another term is to be paid."""

    currency = serializers.CharField(max_length=3)
    amount_minor = serializers.IntegerField(
        required=False, allow_null=True, default=None, help_text="Pay what you want: for one unit."
    )
    coupon = serializers.CharField(required=False, allow_blank=True, default="", max_length=40)


class RenewalTermsOut(serializers.Serializer[Any]):
    """Terms to accept."""

    sha256 = serializers.CharField()
    title = serializers.CharField()


class RenewalOut(serializers.Serializer[Any]):
    """A quote for another term; its order extends the license."""

    quote = serializers.CharField()
    license = serializers.CharField()
    expires_at = serializers.DateTimeField()
    currency = serializers.CharField()
    net_minor = serializers.IntegerField()
    tax_minor = serializers.IntegerField()
    gross_minor = serializers.IntegerField()
    terms = RenewalTermsOut(many=True)

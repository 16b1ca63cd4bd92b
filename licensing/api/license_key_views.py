"""The license API for programs: a key in the body, no account needed."""

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema

from licensing.api import license_examples as examples
from licensing.api.by_key import ByKeyView, caller, text_of
from licensing.api.license_serializers import (
    ActivateIn,
    ActivationOut,
    CheckoutIn,
    CheckoutOut,
    KeySeatIn,
    ValidateIn,
    ValidationOut,
)
from licensing.api.license_shapes import activation_json, checkout_json, facts_json, moment
from licensing.models import License
from licensing.services import activations, issuing
from licensing.services.activations import Seat
from licensing.services.validating import read_scope, validate
from store.core.errors import InvalidError

SEAT = frozenset({"fingerprint", "user"})


class ValidateView(ByKeyView):
    """Whether a key counts."""

    members = frozenset({"scope"})

    @extend_schema(
        operation_id="licenses_validate",
        summary="Validate a license key",
        request=ValidateIn,
        responses=ValidationOut,
        examples=[examples.VALIDATE_BODY, examples.VALID, examples.NOT_FOUND],
    )
    def post(self, request: HttpRequest) -> JsonResponse:
        """Answer 200 with a code, for keys that do not exist, too; branch on the code."""
        body = self.read(request)
        now = timezone.now()
        found = validate(body["key"], read_scope(body.get("scope")), now=now)
        return JsonResponse(
            {
                "code": found.code.value,
                "is_valid": found.is_valid,
                "message": found.message,
                "checked_at": moment(now),
                "license": None if found.facts is None else facts_json(found.facts),
            }
        )


class ActivateView(ByKeyView):
    """Seats."""

    members = SEAT | {"label"}

    @extend_schema(
        operation_id="licenses_activate",
        summary="Take a seat for a machine or a person",
        request=ActivateIn,
        responses={200: ActivationOut, 201: ActivationOut},
        examples=[examples.ACTIVATE_BODY, examples.ACTIVATED],
    )
    def post(self, request: HttpRequest) -> JsonResponse:
        """Answer the activation: 201 for a new one, 200 for the one that was there.

        A person needs a token of their own, or is a member of the license's holder.
        """
        body = self.read(request)
        license_, seat = _seat(request, body)
        row, is_new = activations.activate(license_, seat, label=text_of(body, "label"))
        return JsonResponse(activation_json(row), status=201 if is_new else 200)


class HeartbeatView(ByKeyView):
    """Signs of life."""

    members = SEAT

    @extend_schema(
        operation_id="licenses_heartbeat",
        summary="Say that a seat is still in use",
        request=KeySeatIn,
        responses=ActivationOut,
        examples=[examples.SEAT_BODY, examples.ACTIVATION],
    )
    def post(self, request: HttpRequest) -> JsonResponse:
        """Answer the activation. Validating for a machine counts as a sign of life, too."""
        body = self.read(request)
        return JsonResponse(activation_json(activations.heartbeat(*_seat(request, body))))


class DeactivateView(ByKeyView):
    """Seats given back."""

    members = SEAT

    @extend_schema(
        operation_id="licenses_deactivate",
        summary="Give a seat back",
        request=KeySeatIn,
        responses=ActivationOut,
        examples=[examples.SEAT_BODY, examples.DEACTIVATED],
    )
    def post(self, request: HttpRequest) -> JsonResponse:
        """Answer the activation; ``ended_at`` says when the seat is free.

        That is now, or when an offline file of the seat expires.
        """
        body = self.read(request)
        return JsonResponse(activation_json(activations.deactivate(*_seat(request, body))))


class CheckoutView(ByKeyView):
    """Offline files."""

    members = SEAT | {"label", "hours"}

    @extend_schema(
        operation_id="licenses_checkout",
        summary="Check out an offline license file for a machine",
        request=CheckoutIn,
        responses={201: CheckoutOut},
        examples=[examples.CHECKOUT_BODY, examples.CHECKED_OUT],
    )
    def post(self, request: HttpRequest) -> JsonResponse:
        """Answer a signed file that holds a seat until it expires."""
        body = self.read(request)
        license_ = activations.license_by_key(body["key"])
        hours = body.get("hours", issuing.USUAL_HOURS)
        if type(hours) is not int:
            raise InvalidError(_("'hours' is a whole number."), field="hours")
        found = issuing.check_out(
            license_,
            caller(request),
            fingerprint=text_of(body, "fingerprint"),
            user=text_of(body, "user"),
            hours=hours,
            label=text_of(body, "label"),
        )
        return JsonResponse(checkout_json(license_, found), status=201)


def _seat(request: HttpRequest, body: dict[str, Any]) -> tuple[License, Seat]:
    """Return the license of the key, and who is meant."""
    license_ = activations.license_by_key(body["key"])
    seat = activations.seat_of(
        license_,
        caller(request),
        fingerprint=text_of(body, "fingerprint"),
        user=text_of(body, "user"),
    )
    return license_, seat

"""Seats of a license for those who hold it, with a token or in a browser."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.rest import viewer
from accounts.viewer import Viewer
from licensing.access import license_for
from licensing.api import license_examples as examples
from licensing.api.license_serializers import (
    ActivationOut,
    ActivationsOut,
    CheckoutOut,
    HoursIn,
    NewSeatIn,
)
from licensing.api.license_shapes import activation_json, checkout_json
from licensing.api.license_views import read
from licensing.models import License
from licensing.services import activations, issuing
from licensing.services.activations import Seat


class ActivationsView(APIView):
    """All seats of a license."""

    @extend_schema(
        operation_id="licenses_activations",
        summary="List the seats that are taken",
        responses=ActivationsOut,
        examples=[examples.ACTIVATIONS],
    )
    def get(self, request: Request, public_id: str) -> Response:
        """Answer machines or people, oldest first."""
        row = license_for(viewer(request), public_id, to="prove")
        results = [activation_json(each) for each in activations.seats_in_use(row)]
        return Response(ActivationsOut({"results": results}).data)

    @extend_schema(
        operation_id="licenses_activations_create",
        summary="Take a seat of a license you hold",
        request=NewSeatIn,
        responses={200: ActivationOut, 201: ActivationOut},
        examples=[examples.NEW_SEAT_BODY, examples.ACTIVATED],
    )
    def post(self, request: Request, public_id: str) -> Response:
        """Answer the activation: 201 for a new one, 200 for the one that was there."""
        who, wanted = viewer(request), read(NewSeatIn(data=request.data))
        row = license_for(who, public_id, to="use")
        found, is_new = activations.activate(row, _seat(row, who, wanted), label=wanted["label"])
        done = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
        return Response(ActivationOut(activation_json(found)).data, status=done)


class ActivationView(APIView):
    """One seat."""

    @extend_schema(
        operation_id="licenses_activations_end",
        summary="End an activation",
        responses={200: ActivationOut},
        examples=[examples.DEACTIVATED],
    )
    def delete(self, request: Request, public_id: str, activation: str) -> Response:
        """Answer the activation; ``ended_at`` says when the seat is free."""
        who = viewer(request)
        row = license_for(who, public_id, to="use")
        found = activations.activation_of(who, row, activation)
        return Response(ActivationOut(activation_json(activations.end(who, row, found))).data)


class TransferView(APIView):
    """A seat that changes hands."""

    @extend_schema(
        operation_id="licenses_activations_transfer",
        summary="Hand a seat on to another machine or person",
        request=NewSeatIn,
        responses={201: ActivationOut},
        examples=[examples.NEW_SEAT_BODY, examples.ACTIVATED],
    )
    def post(self, request: Request, public_id: str, activation: str) -> Response:
        """Answer the new activation; the old one has ended. Or nothing has changed."""
        who, wanted = viewer(request), read(NewSeatIn(data=request.data))
        row = license_for(who, public_id, to="use")
        found = activations.activation_of(who, row, activation)
        begun = activations.transfer(
            who, row, found, _seat(row, who, wanted), label=wanted["label"]
        )
        return Response(ActivationOut(activation_json(begun)).data, status=status.HTTP_201_CREATED)


class HeldFilesView(APIView):
    """Offline files."""

    @extend_schema(
        operation_id="licenses_offline_files",
        summary="Check out an offline file of a license you hold",
        request=HoursIn,
        responses={201: CheckoutOut},
        examples=[examples.HOURS_BODY, examples.CHECKED_OUT],
    )
    def post(self, request: Request, public_id: str) -> Response:
        """Answer a signed file for one machine that holds a seat until it expires."""
        who, wanted = viewer(request), read(HoursIn(data=request.data))
        row = license_for(who, public_id, to="use")
        found = issuing.check_out(row, who, **wanted)
        body = checkout_json(row, found)
        return Response(CheckoutOut(body).data, status=status.HTTP_201_CREATED)


def _seat(row: License, who: Viewer, wanted: dict[str, Any]) -> Seat:
    return activations.seat_of(row, who, fingerprint=wanted["fingerprint"], user=wanted["user"])

"""Licenses for their holders, their sellers and staff, with a token or in a browser."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Scope
from accounts.rest import check_recent, viewer
from accounts.viewer import Viewer
from catalog.api import parameters
from licensing.access import license_for, licenses_of
from licensing.api import license_examples as examples
from licensing.api.license_serializers import (
    KeyOut,
    LicensedFilesPageOut,
    LicenseOut,
    LicensesPageOut,
    RenewalOut,
    RenewIn,
    RotateIn,
    SubscriptionOut,
    SuspendIn,
    UpdatesOut,
)
from licensing.api.license_shapes import license_json, licenses_json, moment, subscription_json
from licensing.models import LicensedFile
from licensing.paper_answers import license_file_answer
from licensing.services import (
    issuing,
    license_keys,
    renewals,
    renewing,
    resuming,
    subscriptions,
)

FILES_PAGE = 1000


def read(form: serializers.Serializer[Any]) -> dict[str, Any]:
    """Return the values of a body.

    Raises:
        ValidationError: some are missing or wrong.
    """
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)


class LicensesView(APIView):
    """All licenses of the caller."""

    @extend_schema(
        operation_id="licenses_list",
        summary="List licenses",
        parameters=[
            OpenApiParameter("sold", bool, description="Those you sold instead of those you hold."),
            *parameters.paging(),
        ],
        responses=LicensesPageOut,
        examples=[examples.LICENSES],
    )
    def get(self, request: Request) -> Response:
        """Answer one page of what the caller and their organizations hold, newest first."""
        sold = request.query_params.get("sold") in {"1", "true"}
        rows, following = parameters.page_of(request, licenses_of(viewer(request), sold=sold))
        body = {"results": licenses_json(rows), "next": following}
        return Response(LicensesPageOut(body).data)


class LicenseView(APIView):
    """One license."""

    @extend_schema(
        operation_id="licenses_read",
        summary="Read a license",
        responses=LicenseOut,
        examples=[examples.LICENSE],
    )
    def get(self, request: Request, public_id: str) -> Response:
        """Answer the license, without its key."""
        row = license_for(viewer(request), public_id)
        return Response(LicenseOut(license_json(row)).data)


class KeyView(APIView):
    """Its key."""

    @extend_schema(
        operation_id="licenses_key",
        summary="Show the key of a license",
        request=None,
        responses=KeyOut,
        examples=[examples.KEY],
    )
    def post(self, request: Request, public_id: str) -> Response:
        """Answer the key to those who hold the license; it is noted in the audit trail."""
        check_recent(request)
        who = viewer(request)
        row = license_for(who, public_id, to="use")
        return _key(license_keys.reveal_key(who, row), row.key_rotation)


class RotateView(APIView):
    """A new key."""

    @extend_schema(
        operation_id="licenses_rotate",
        summary="Replace the key of a license",
        request=RotateIn,
        responses=KeyOut,
        examples=[examples.ROTATE_BODY, examples.NEW_KEY],
    )
    def post(self, request: Request, public_id: str) -> Response:
        """Answer the new key. The old one is dead at once; seats stay."""
        check_recent(request)
        who, wanted = viewer(request), read(RotateIn(data=request.data))
        row = license_for(who, public_id, to="manage")
        key = license_keys.rotate_key(who, row, rotation=wanted["key_rotation"])
        row.refresh_from_db(fields=["key_rotation"])
        return _key(key, row.key_rotation)


class SuspendView(APIView):
    """A license that does not count for a while."""

    @extend_schema(
        operation_id="licenses_suspend",
        summary="Suspend a license you sold",
        request=SuspendIn,
        responses=LicenseOut,
        examples=[examples.SUSPEND_BODY, examples.SUSPENDED],
    )
    def post(self, request: Request, public_id: str) -> Response:
        """Answer the license, which opens nothing until it is reinstated."""
        check_recent(request)
        who, wanted = viewer(request), read(SuspendIn(data=request.data))
        row = license_for(who, public_id, to="police")
        license_keys.suspend(who, row, wanted["reason"])
        return _read_again(request, public_id)


class ReinstateView(APIView):
    """A license that counts again."""

    @extend_schema(
        operation_id="licenses_reinstate",
        summary="Let a suspended license count again",
        request=None,
        responses=LicenseOut,
        examples=[examples.LICENSE],
    )
    def post(self, request: Request, public_id: str) -> Response:
        """Answer the license. What a dispute froze stays frozen."""
        check_recent(request)
        who = viewer(request)
        license_keys.reinstate(who, license_for(who, public_id, to="police"))
        return _read_again(request, public_id)


class FileView(APIView):
    """The signed file."""

    @extend_schema(
        operation_id="licenses_file",
        summary="Download the signed license file",
        parameters=[
            OpenApiParameter(
                "days", int, description=f"Its life, 1 to {issuing.MAX_DAYS}: the default."
            )
        ],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, public_id: str) -> HttpResponse:
        """Send a ``*.gpts-license`` file, which proves the license without the store."""
        row = license_for(viewer(request), public_id, to="prove")
        text = request.query_params.get("days")
        days = None if text is None else parameters.limit_of(text, most=issuing.MAX_DAYS)
        return license_file_answer(row, days=days)


class FilesView(APIView):
    """The files it is for."""

    @extend_schema(
        operation_id="licenses_files",
        summary="List the licensed files with their digests",
        parameters=parameters.paging(FILES_PAGE, FILES_PAGE),
        responses=LicensedFilesPageOut,
        examples=[examples.LICENSED_FILES],
    )
    def get(self, request: Request, public_id: str) -> Response:
        """Answer one page of the files as they were when they were bought."""
        row = license_for(viewer(request), public_id)
        rows: QuerySet[LicensedFile] = LicensedFile.objects.filter(license=row)
        most = parameters.limit_of(
            request.query_params.get("limit"), usual=FILES_PAGE, most=FILES_PAGE
        )
        page, following = parameters.keyset_page(
            rows.select_related("repo__namespace").order_by("id"),
            request.query_params.get("cursor"),
            most,
            oldest_first=True,
        )
        results = [
            {
                "model": one.repo.full_name,
                "path": one.path,
                "sha256": one.sha256,
                "size_bytes": one.size_bytes,
            }
            for one in page
        ]
        return Response(LicensedFilesPageOut({"results": results, "next": following}).data)


class UpdatesView(APIView):
    """What came after."""

    @extend_schema(
        operation_id="licenses_updates",
        summary="List the updates since the purchase",
        responses=UpdatesOut,
        examples=[examples.UPDATES],
    )
    def get(self, request: Request, public_id: str) -> Response:
        """Answer the newest commits of each model, and whether the license reaches them."""
        row = license_for(viewer(request), public_id)
        return Response(UpdatesOut({"results": issuing.updates_of(row)}).data)


class SubscriptionView(APIView):
    """What carries it on."""

    @extend_schema(
        operation_id="licenses_subscription",
        summary="Read the subscription of a license",
        responses=SubscriptionOut,
        examples=[examples.SUBSCRIPTION],
    )
    def get(self, request: Request, public_id: str) -> Response:
        """Answer until when it is paid, and what the next charge is."""
        who = viewer(request)
        who.require(Scope.READ)
        return _subscription(who, public_id)


class EndSubscriptionView(APIView):
    """Its end."""

    @extend_schema(
        operation_id="licenses_subscription_cancel",
        summary="End the subscription of a license",
        request=None,
        responses=SubscriptionOut,
        examples=[examples.SUBSCRIPTION_ENDED],
    )
    def post(self, request: Request, public_id: str) -> Response:
        """Answer until when it lasts: to the end of what is paid. Ending again changes nothing."""
        check_recent(request)
        who = viewer(request)
        who.require(Scope.WRITE)
        found = subscriptions.standing_behind(who, public_id)
        renewals.cancel_subscription(who, found.subscription)
        return _subscription(who, public_id)


class ResumeSubscriptionView(APIView):
    """Its going on after all."""

    @extend_schema(
        operation_id="licenses_subscription_resume",
        summary="Go on with a subscription that was ended",
        request=None,
        responses=SubscriptionOut,
        examples=[examples.SUBSCRIPTION_RESUMED],
    )
    def post(self, request: Request, public_id: str) -> Response:
        """Answer when it is charged next. Resuming what goes on changes nothing.

        Refused with `not_resumable` once what was paid has run out, or something else ended it.
        """
        check_recent(request)
        who = viewer(request)
        who.require(Scope.BUY)
        found = subscriptions.standing_behind(who, public_id)
        resuming.resume_subscription(who, found.subscription)
        return _subscription(who, public_id)


def _subscription(who: Viewer, public_id: str) -> Response:
    found = subscriptions.standing_behind(who, public_id)
    return Response(SubscriptionOut(subscription_json(found)).data)


class RenewView(APIView):
    """Another term."""

    @extend_schema(
        operation_id="licenses_renew",
        summary="Ask what another term costs",
        request=RenewIn,
        responses={201: RenewalOut},
        examples=[examples.RENEW_BODY, examples.RENEWAL],
    )
    def post(self, request: Request, public_id: str) -> Response:
        """Answer a quote, made out to the address of the first order.

        Ordered like any other, it extends this license.
        """
        who, wanted = viewer(request), read(RenewIn(data=request.data))
        row = license_for(who, public_id, to="prove")
        quote, priced = renewing.quote_renewal(
            who, row, billing=dict(row.line.order.billing), **wanted
        )
        terms = {line.offer.terms_id: line.offer.terms.title for line in priced.lines}
        body = {
            "quote": quote.public_id,
            "license": row.public_id,
            "expires_at": moment(quote.expires_at),
            "currency": priced.wish.currency,
            "net_minor": priced.net_minor,
            "tax_minor": priced.tax_minor,
            "gross_minor": priced.gross_minor,
            "terms": [{"sha256": sha256, "title": title} for sha256, title in terms.items()],
        }
        return Response(RenewalOut(body).data, status=status.HTTP_201_CREATED)


def _key(key: str, rotation: int) -> Response:
    answer = Response(KeyOut({"key": key, "key_rotation": rotation}).data)
    answer["Cache-Control"] = "no-store"
    return answer


def _read_again(request: Request, public_id: str) -> Response:
    return Response(LicenseOut(license_json(license_for(viewer(request), public_id))).data)

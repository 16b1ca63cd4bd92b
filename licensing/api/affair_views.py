"""``/api/v1/coupons``, ``seller-profile`` and ``payouts``: a seller's own affairs."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Namespace
from accounts.rest import check_two_factor, viewer
from catalog.api.parameters import page_of, paging
from licensing.api import affair_examples as examples
from licensing.api.affair_serializers import (
    CouponIn,
    CouponOut,
    CouponsPageOut,
    DestinationsOut,
    PayoutOut,
    PayoutsPageOut,
    SellerProfileIn,
    SellerProfileOut,
)
from licensing.api.license_views import read
from licensing.api.seller_views import SELLER, seller_of
from licensing.gateways.base import TEST_GATEWAYS
from licensing.models import Payout
from licensing.paper_answers import pdf_answer
from licensing.services import balances, seller_profiles
from licensing.services.coupon_making import CouponDraft, coupons_of, end_coupon, make_coupon
from licensing.services.payout_accounts import destinations_of
from licensing.services.seller_accounts import page_of_seller
from licensing.services.seller_profiles import ProfileChange
from licensing.services.sellers import check_runs
from licensing.services.taxing import rate_missing


class CouponsView(APIView):
    """Words that lower a seller's prices."""

    @extend_schema(
        operation_id="coupons_list",
        summary="List your coupons, newest first",
        parameters=[SELLER, *paging()],
        responses=CouponsPageOut,
        examples=[examples.COUPONS],
    )
    def get(self, request: Request) -> Response:
        """Answer coupons, good and ended, with how often each was used."""
        shown, following = page_of(request, coupons_of(seller_of(request)).order_by("-id"))
        return Response(CouponsPageOut({"results": shown, "next": following}).data)

    @extend_schema(
        operation_id="coupons_create",
        summary="Make a coupon",
        parameters=[SELLER],
        request=CouponIn,
        responses={201: CouponOut},
        examples=[examples.COUPON_BODY, examples.COUPON_MADE],
    )
    def post(self, request: Request) -> Response:
        """Answer the coupon. It takes off a rate or an amount; codes are not used again."""
        seller, wanted = seller_of(request), read(CouponIn(data=request.data))
        draft = CouponDraft(**wanted | {"offers": tuple(wanted["offers"])})
        made = make_coupon(viewer(request), seller, draft)
        return Response(_coupon(seller, made.pk), status=status.HTTP_201_CREATED)


class EndCouponView(APIView):
    """The end of a coupon."""

    @extend_schema(
        operation_id="coupons_end",
        summary="End a coupon",
        parameters=[SELLER],
        request=None,
        responses=CouponOut,
        examples=[examples.COUPON_ENDED],
    )
    def post(self, request: Request, coupon_id: str) -> Response:
        """Answer the coupon. Orders made with it keep their price; ending again changes nothing."""
        seller = seller_of(request)
        return Response(_coupon(seller, end_coupon(viewer(request), seller, coupon_id).pk))


def _coupon(seller: Namespace, pk: int) -> Any:
    return CouponOut(coupons_of(seller).get(pk=pk)).data


class SellerProfileView(APIView):
    """Who a seller is on documents."""

    @extend_schema(
        operation_id="seller_profile_read",
        summary="Read who you are on documents",
        parameters=[SELLER],
        responses=SellerProfileOut,
        examples=[examples.PROFILE],
    )
    def get(self, request: Request) -> Response:
        """Answer the profile, and the place where you collect tax and no rate is known."""
        return _profile(seller_of(request))

    @extend_schema(
        operation_id="seller_profile_update",
        summary="Change who you are on documents",
        parameters=[SELLER],
        request=SellerProfileIn,
        responses=SellerProfileOut,
        examples=[examples.PROFILE_BODY, examples.PROFILE],
    )
    def put(self, request: Request) -> Response:
        """Replace the profile. What was issued stays as it is, and so does the bank account.

        Where money goes is changed in a browser alone, by somebody who has given two factors.
        """
        who, seller = viewer(request), seller_of(request)
        user = check_runs(who, seller)
        wanted = read(SellerProfileIn(data=request.data))
        for name in ("address", "registrations"):
            wanted[name] = tuple(wanted[name])
        seller_profiles.change(seller, ProfileChange(**wanted), actor=user, address=who.address)
        return _profile(seller)


def _profile(seller: Namespace) -> Response:
    profile = seller_profiles.profile_of(seller)
    missing = rate_missing(profile, on=timezone.now().date())
    body = {str(name): getattr(profile, str(name)) for name in SellerProfileIn().fields} | {
        "seller": seller.name,
        "name_on_documents": seller_profiles.name_on_documents(profile),
        "numbers_begin_with": seller_profiles.prefix_of(profile),
        "has_bank_details": bool(profile.bank_details),
        "tax_rate_missing": missing.message if missing is not None else "",
    }
    return Response(SellerProfileOut(body).data)


class PayoutsView(APIView):
    """What was paid out."""

    @extend_schema(
        operation_id="payouts_list",
        summary="List payouts, newest first",
        parameters=[SELLER, *paging()],
        responses=PayoutsPageOut,
        examples=[examples.PAYOUTS],
    )
    def get(self, request: Request) -> Response:
        """Answer what was sent to you, what is on its way, and what failed."""
        shown, following = page_of(request, balances.payouts_of(_paid_seller(request)))
        return Response(PayoutsPageOut({"results": _payouts(shown), "next": following}).data)


class PayoutView(APIView):
    """One payout."""

    @extend_schema(
        operation_id="payouts_read",
        summary="Read a payout",
        parameters=[SELLER],
        responses=PayoutOut,
        examples=[examples.PAYOUT],
    )
    def get(self, request: Request, payout_id: str) -> Response:
        """Answer it with the address of its statement."""
        (found,) = _payouts([balances.payout_of(_paid_seller(request), payout_id)])
        return Response(PayoutOut(found).data)


class StatementView(APIView):
    """What a payout is made of."""

    @extend_schema(
        operation_id="payouts_statement",
        summary="Download the statement of a payout",
        parameters=[SELLER],
        responses={(200, "application/pdf"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, payout_id: str) -> HttpResponse:
        """Send the document as PDF, in the language you ask for."""
        payout = balances.payout_of(_paid_seller(request), payout_id)
        answer = pdf_answer(balances.statement_of(payout))
        answer["Cache-Control"] = "private, no-store"
        return answer


class PayoutAccountView(APIView):
    """Where payouts go."""

    @extend_schema(
        operation_id="payouts_account",
        summary="Ask where your money goes",
        parameters=[SELLER],
        responses=DestinationsOut,
        examples=[examples.DESTINATIONS],
    )
    def get(self, request: Request) -> Response:
        """Answer for each gateway of the site whether it can pay you. A page changes it."""
        seller = _paid_seller(request)
        body = {
            "seller": seller.name,
            "page": page_of_seller(seller),
            "results": destinations_of(seller),
        }
        return Response(DestinationsOut(body).data)


def _paid_seller(request: Request) -> Namespace:
    """Return whose payouts are meant, to somebody who passed two factors.

    Raises:
        TwoFactorNeededError: see ``check_two_factor``; and all of ``seller_of``.
    """
    seller = seller_of(request)
    check_two_factor(request)
    return seller


def _payouts(rows: Sequence[Payout]) -> list[dict[str, Any]]:
    """Return ``PayoutOut`` of each; one query for their statements."""
    statements = balances.statements_of(rows)
    found = []
    for row in rows:
        paper = statements.get(row.public_id)
        url = f"/api/v1/payouts/{row.public_id}/statement"
        found.append(
            {
                "id": row.public_id,
                "gateway": row.gateway,
                "is_test": row.gateway in TEST_GATEWAYS,
                "currency": row.currency,
                "amount_minor": row.amount_minor,
                "state": row.state,
                "failure": row.failure,
                "until": row.until,
                "created_at": row.created_at,
                "closed_at": row.closed_at,
                "statement": {"number": paper.text_number, "url": url} if paper else None,
            }
        )
    return found

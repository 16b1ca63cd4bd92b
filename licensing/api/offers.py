"""``/api/v1/models/{ns}/{name}/offers`` and ``/api/v1/offers``: what is for sale."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.permissions import IsAuthenticated, IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.rest import check_recent, viewer
from catalog.access import check_may, repo_for
from catalog.api.parameters import page_of, paging
from catalog.models import ModelRepo
from licensing.api import examples
from licensing.api.offer_serializers import (
    OfferIn,
    OffersOut,
    OfferStateIn,
    OpeningIO,
    OwnOfferOut,
    OwnOffersOut,
    RevenueAskIn,
    RevenueAskOut,
    TermsOut,
)
from licensing.models import Offer, Terms
from licensing.services import offers, upstream
from licensing.services.offers import NewPrice, OfferDraft
from licensing.terms.rights import Rights
from store.core.errors import InvalidError, NotFoundError


class ModelOffersView(APIView):
    """The offers of a model."""

    permission_classes = (IsAuthenticatedOrReadOnly,)

    @extend_schema(
        operation_id="offers_list",
        summary="List what a model costs",
        responses=OffersOut,
        examples=[examples.OFFERS],
    )
    def get(self, request: Request, ns: str, name: str) -> Response:
        """Answer the offers that can be bought; none: the model is free."""
        repo = repo_for(viewer(request), ns, name)
        body = {"results": offers.offers_of(repo), "opens_at": repo.opens_at}
        return Response(OffersOut(body).data)

    @extend_schema(
        operation_id="offers_create",
        summary="Offer a model",
        request=OfferIn,
        responses={201: OwnOfferOut},
        examples=[examples.OFFER_BODY, examples.OFFER],
    )
    def post(self, request: Request, ns: str, name: str) -> Response:
        """Put a model up for sale, alone or with others of yours."""
        check_recent(request)
        who = viewer(request)
        repo = repo_for(who, ns, name, to="admin")
        draft, names = _draft(request)
        others = [_named(request, each) for each in names]
        made = offers.make_offer(who, [repo, *others], draft)
        return Response(_shown(made.pk), status=status.HTTP_201_CREATED)


class OwnOffersView(APIView):
    """The offers of a model as their seller sees them."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(
        operation_id="offers_list_own",
        summary="List all offers of a model of yours",
        parameters=[
            OpenApiParameter("model", str, required=True, description="As `ns/name`."),
            *paging(),
        ],
        responses=OwnOffersOut,
        examples=[examples.OWN_OFFERS],
    )
    def get(self, request: Request) -> Response:
        """Answer the offers as you wrote them, newest first, also those off the shelf."""
        repo = _named(request, request.query_params.get("model", ""), field="model")
        rows = _rows().filter(pk__in=Offer.objects.of_repo(repo).values("pk")).order_by("-pk")
        found, following = page_of(request, rows)
        return Response(OwnOffersOut({"results": found, "next": following}).data)


class OfferView(APIView):
    """One offer."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(
        operation_id="offers_read",
        summary="Read an offer of yours",
        responses=OwnOfferOut,
        examples=[examples.OFFER],
    )
    def get(self, request: Request, offer_id: str) -> Response:
        """Answer an offer as you wrote it, on the shelf or off it.

        Change what you like and `PUT` it back: the rest stays. What buyers see, `offers` of its
        models answers.
        """
        who = viewer(request)
        offer = offers.offer_for(who, offer_id)
        for repo in offer.repos.all():
            check_may(who, repo, to="admin")
        return Response(_shown(offer.pk))

    @extend_schema(
        operation_id="offers_update",
        summary="Change an offer",
        request=OfferIn,
        responses=OwnOfferOut,
        examples=[examples.OFFER_BODY, examples.OFFER],
    )
    def put(self, request: Request, offer_id: str) -> Response:
        """Replace an offer; its models stay. Orders that exist keep what they were made with.

        What is left out gets its default: read the offer first, and send all of it.
        """
        check_recent(request)
        who = viewer(request)
        offer = offers.offer_for(who, offer_id)
        draft, _names = _draft(request)
        return Response(_shown(offers.change_offer(who, offer, draft).pk))

    @extend_schema(
        operation_id="offers_set_state",
        summary="Take an offer off the shelf, or put it back",
        request=OfferStateIn,
        responses=OwnOfferOut,
        examples=[examples.OFFER_STATE, examples.OFFER],
    )
    def patch(self, request: Request, offer_id: str) -> Response:
        """Say whether it can be bought."""
        check_recent(request)
        who = viewer(request)
        offer = offers.offer_for(who, offer_id)
        form = OfferStateIn(data=request.data)
        form.is_valid(raise_exception=True)
        changed = offers.set_active(who, offer, is_active=form.validated_data["is_active"])
        return Response(_shown(changed.pk))


class OpeningView(APIView):
    """When a model becomes free for all by itself."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(
        operation_id="offers_set_opening",
        summary="Say when a model becomes free for all",
        request=OpeningIO,
        responses=OpeningIO,
        examples=[examples.OPENING_BODY, examples.OPENING],
    )
    def put(self, request: Request, ns: str, name: str) -> Response:
        """Time early access, or end that with `null`. `offers` of the model tells the moment."""
        check_recent(request)
        who = viewer(request)
        repo = repo_for(who, ns, name, to="admin")
        form = OpeningIO(data=request.data)
        form.is_valid(raise_exception=True)
        changed = offers.set_opening(who, repo, form.validated_data["opens_at"])
        return Response(OpeningIO({"opens_at": changed.opens_at}).data)


class RevenueAskView(APIView):
    """What the owner of a model asks of sales of what is made from it."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(
        operation_id="revenue_ask_read",
        summary="Read what share of sales is asked",
        responses=RevenueAskOut,
        examples=[examples.REVENUE_ASK],
    )
    def get(self, request: Request, ns: str, name: str) -> Response:
        """Answer what the owner of a model asks, and what is asked of its own sales."""
        return Response(_asked(repo_for(viewer(request), ns, name, to="admin")))

    @extend_schema(
        operation_id="revenue_ask_set",
        summary="Ask for a share of sales",
        request=RevenueAskIn,
        responses=RevenueAskOut,
        examples=[examples.REVENUE_ASK_BODY, examples.REVENUE_ASK],
    )
    def put(self, request: Request, ns: str, name: str) -> Response:
        """Ask for a part of each sale of models made from yours; 0: nothing."""
        check_recent(request)
        who = viewer(request)
        repo = repo_for(who, ns, name, to="admin")
        form = RevenueAskIn(data=request.data)
        form.is_valid(raise_exception=True)
        upstream.set_ask(who, repo, form.validated_data["basis_points"])
        return Response(_asked(repo))


def _asked(repo: ModelRepo) -> Any:
    asks = {"basis_points": upstream.ask_for(repo), "upstream": upstream.named_asks(repo)}
    return RevenueAskOut(asks).data


class TermsView(APIView):
    """A text people agree to."""

    permission_classes = (IsAuthenticatedOrReadOnly,)

    @extend_schema(
        operation_id="terms_read",
        summary="Read terms by their hash",
        responses=TermsOut,
        examples=[examples.TERMS],
    )
    def get(self, request: Request, sha256: str) -> Response:
        """Answer the text; its SHA-256 is the address."""
        found = Terms.objects.filter(sha256=sha256.lower()).first()
        if found is None:
            raise NotFoundError("There are no such terms.")
        return Response(TermsOut(found).data)


def _draft(request: Request) -> tuple[OfferDraft, list[str]]:
    """Return the offer of the body, and the names of further models."""
    form = OfferIn(data=request.data)
    form.is_valid(raise_exception=True)
    values: dict[str, Any] = dict(form.validated_data)
    names = values.pop("models")
    rights = values.pop("rights")
    prices = tuple(NewPrice(**price) for price in values.pop("prices"))
    draft = OfferDraft(
        terms_id=values.pop("terms"),
        prices=prices,
        rights=Rights.from_json(rights) if rights is not None else None,
        **values,
    )
    return draft, names


def _named(request: Request, full_name: str, *, field: str = "models") -> ModelRepo:
    namespace, slash, name = full_name.partition("/")
    if not slash:
        raise InvalidError(f"'{field}' names a model as namespace/name.")
    return repo_for(viewer(request), namespace, name, to="admin")


def _shown(offer_pk: int) -> Any:
    return OwnOfferOut(_rows().get(pk=offer_pk)).data


def _rows() -> QuerySet[Offer]:
    return Offer.objects.select_related("terms").prefetch_related("prices", "repos__namespace")

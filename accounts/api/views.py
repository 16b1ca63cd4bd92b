"""``/api/v1/me``, tokens and organizations."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.permissions import IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api import examples
from accounts.api.serializers import (
    MemberIn,
    MeOut,
    NewOrganizationIn,
    NewTokenIn,
    NewTokenOut,
    OrganizationOut,
    TokensOut,
)
from accounts.models import AccessToken, Organization, Role, Scope, User
from accounts.rest import check_new_token, viewer
from accounts.services.people import create_organization, set_member
from accounts.services.tokens import create_token, revoke_token
from accounts.viewer import Viewer
from store.core.errors import ForbiddenError, NotFoundError
from store.core.money import Money, check_currency


class MeView(APIView):
    """The caller."""

    @extend_schema(operation_id="me", summary="Who am I", responses=MeOut, examples=[examples.ME])
    def get(self, request: Request) -> Response:
        """Answer the person behind the token or the session."""
        return Response(MeOut(viewer(request).identified()).data)


class TokensView(APIView):
    """The caller's tokens."""

    @extend_schema(
        operation_id="tokens_list",
        summary="List tokens",
        responses=TokensOut,
        examples=[examples.TOKENS],
    )
    def get(self, request: Request) -> Response:
        """Answer all tokens, newest first, without their secrets."""
        rows: QuerySet[AccessToken] = AccessToken.objects.filter(user=_owner(viewer(request)))
        return Response(TokensOut({"results": rows.order_by("-created_at")}).data)

    @extend_schema(
        operation_id="tokens_create",
        summary="Make a token",
        request=NewTokenIn,
        responses={201: NewTokenOut},
        examples=[examples.TOKEN_BODY, examples.NEW_TOKEN],
    )
    def post(self, request: Request) -> Response:
        """Make a token; its text is in this answer and nowhere else.

        A token that was made by a second factor, or by a token that was, opens what asks for one.
        """
        who, owner = viewer(request), _owner(viewer(request))
        form = NewTokenIn(data=request.data)
        form.is_valid(raise_exception=True)
        scopes = [Scope(scope) for scope in form.validated_data["scopes"]]
        check_new_token(request, scopes)
        token, text = create_token(
            owner,
            name=form.validated_data["name"],
            scopes=scopes,
            expires_at=form.validated_data["expires_at"],
            spend_limit=_limit(form.validated_data),
            by=who,
        )
        return Response(
            NewTokenOut(token, context={"text": text}).data, status=status.HTTP_201_CREATED
        )


def _limit(values: Mapping[str, Any]) -> Money | None:
    amount = values["spend_limit_minor"]
    return None if amount is None else Money(amount, check_currency(values["spend_currency"]))


class TokenView(APIView):
    """One token."""

    @extend_schema(operation_id="tokens_revoke", summary="Revoke a token", responses={204: None})
    def delete(self, request: Request, token_id: int) -> Response:
        """End the token at once."""
        revoke_token(_owner(viewer(request)), token_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class OrganizationsView(APIView):
    """Organizations."""

    @extend_schema(
        operation_id="organizations_create",
        summary="Make an organization",
        request=NewOrganizationIn,
        responses={201: OrganizationOut},
        examples=[examples.ORGANIZATION_BODY, examples.NEW_ORGANIZATION],
    )
    def post(self, request: Request) -> Response:
        """Make an organization with the caller as its admin."""
        user = viewer(request).require(Scope.WRITE)
        form = NewOrganizationIn(data=request.data)
        form.is_valid(raise_exception=True)
        organization = create_organization(creator=user, **form.validated_data)
        return Response(OrganizationOut(organization).data, status=status.HTTP_201_CREATED)


class OrganizationView(APIView):
    """One organization."""

    permission_classes = (IsAuthenticatedOrReadOnly,)

    @extend_schema(
        operation_id="organizations_read",
        summary="Read an organization",
        responses=OrganizationOut,
        examples=[examples.ORGANIZATION],
    )
    def get(self, request: Request, name: str) -> Response:
        """Answer the organization with its members."""
        return Response(OrganizationOut(_organization(name)).data)


class MemberView(APIView):
    """One person's place in an organization."""

    @extend_schema(
        operation_id="organizations_set_member",
        summary="Give somebody a role",
        request=MemberIn,
        responses=OrganizationOut,
        examples=[examples.ROLE_BODY, examples.ORGANIZATION],
    )
    def put(self, request: Request, name: str, user: str) -> Response:
        """Add the person, or change their role."""
        form = MemberIn(data=request.data)
        form.is_valid(raise_exception=True)
        return self._set(request, name, user, Role(form.validated_data["role"]))

    @extend_schema(
        operation_id="organizations_remove_member",
        summary="Take somebody out",
        responses={200: OrganizationOut},
        examples=[examples.ORGANIZATION],
    )
    def delete(self, request: Request, name: str, user: str) -> Response:
        """Take the person out; the last admin stays."""
        return self._set(request, name, user, None)

    def _set(self, request: Request, name: str, user: str, role: Role | None) -> Response:
        who, organization = viewer(request), _organization(name)
        actor = who.require(Scope.ADMIN if who.token else Scope.WRITE)
        if who.role_in(organization.namespace.pk) != Role.ADMIN and actor.username != user:
            raise ForbiddenError(f"Only admins of {name} may change its members.")
        if role is not None and who.role_in(organization.namespace.pk) != Role.ADMIN:
            raise ForbiddenError(f"Only admins of {name} may give roles.")
        person = User.objects.filter(username__iexact=user).first()
        if person is None:
            raise NotFoundError(f"There is nobody called {user} here.")
        set_member(organization, person, role, actor=actor)
        return Response(OrganizationOut(organization).data)


def _owner(who: Viewer) -> User:
    """Return the caller if they may manage tokens: a browser session, or an admin token.

    A lesser token must not make itself a stronger one.
    """
    return who.require(Scope.ADMIN)


def _organization(name: str) -> Organization:
    found = Organization.objects.filter(name__iexact=name).first()
    if found is None:
        raise NotFoundError(f"There is no organization called {name} here.")
    return found

"""Shapes of the REST API's people, tokens and organizations."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.forms import check_plain
from accounts.models import AccessToken, Organization, Role, Scope, User


class MeOut(serializers.Serializer[Any]):
    """Who the caller is."""

    name = serializers.CharField(source="username")
    full_name = serializers.CharField()
    email = serializers.EmailField()
    is_staff = serializers.BooleanField()
    organizations = serializers.SerializerMethodField()

    def get_organizations(self, user: User) -> dict[str, str]:
        """Return the caller's role in each organization, by name."""
        return dict(user.memberships.values_list("organization__name", "role"))


class TokenOut(serializers.Serializer[Any]):
    """A token, without its secret."""

    id = serializers.IntegerField(source="pk")
    name = serializers.CharField()
    tail = serializers.CharField(help_text="The last characters, to recognize it by.")
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=Scope.choices))
    is_fine_grained = serializers.BooleanField(
        help_text="It has no scopes; its settings page says what it reaches."
    )
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)


class TokensOut(serializers.Serializer[Any]):
    """All tokens of the caller, newest first."""

    results = TokenOut(many=True)


class NewTokenOut(TokenOut):
    """A new token with its secret, shown this once."""

    token = serializers.SerializerMethodField()

    def get_token(self, token: AccessToken) -> str:
        """Return the secret."""
        text: str = self.context["text"]
        return text


class NewTokenIn(serializers.Serializer[Any]):
    """What a token is for."""

    name = serializers.CharField(max_length=96)
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=Scope.choices))
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    spend_limit_minor = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        help_text="The most it may order in a calendar month, in minor units.",
    )
    spend_currency = serializers.CharField(max_length=3, required=False, default="EUR")


class MemberOut(serializers.Serializer[Any]):
    """A member of an organization."""

    name = serializers.CharField(source="user.username")
    full_name = serializers.CharField(source="user.full_name")
    role = serializers.ChoiceField(choices=Role.choices)


class OrganizationOut(serializers.Serializer[Any]):
    """An organization."""

    name = serializers.CharField()
    full_name = serializers.CharField()
    bio = serializers.CharField()
    homepage = serializers.CharField(help_text="An address, or empty.")
    is_private_by_default = serializers.BooleanField()
    members = serializers.SerializerMethodField()

    @extend_schema_field(MemberOut(many=True))
    def get_members(self, organization: Organization) -> list[dict[str, str]]:
        """Return everybody with their role."""
        rows = organization.memberships.select_related("user").order_by("user__username")
        return [dict(MemberOut(row).data) for row in rows]


class NewOrganizationIn(serializers.Serializer[Any]):
    """What an organization starts as."""

    name = serializers.CharField(max_length=42)
    full_name = serializers.CharField(
        max_length=120, required=False, default="", validators=[check_plain]
    )
    is_private_by_default = serializers.BooleanField(required=False, default=False)


class MemberIn(serializers.Serializer[Any]):
    """The role to give."""

    role = serializers.ChoiceField(choices=Role.choices)

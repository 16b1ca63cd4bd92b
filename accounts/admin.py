"""People in the administration."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from accounts.models import AccessToken, AuditEvent, Membership, Namespace, Organization, User


@admin.register(User)
class UserAdmin(admin.ModelAdmin[User]):
    """People; passwords are changed by their owners or by ``adduser``."""

    list_display = ("username", "email", "full_name", "is_staff", "is_active", "date_joined")
    search_fields = ("username", "email", "full_name")
    list_filter = ("is_staff", "is_active")
    fields = ("username", "email", "full_name", "bio", "is_active", "is_staff")
    readonly_fields = ("username",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """People are made with their name space, by signing up or ``adduser``."""
        return False


class MembershipInline(admin.TabularInline[Membership, Organization]):
    """Members on the organization's page."""

    model = Membership
    extra = 0
    raw_id_fields = ("user",)


@admin.register(Organization)
class OrganizationAdmin(admin.ModelAdmin[Organization]):
    """Organizations and their members."""

    list_display = ("name", "full_name", "created_at")
    search_fields = ("name", "full_name")
    readonly_fields = ("name", "public_id")
    exclude = ("homepage",)
    inlines = [MembershipInline]


@admin.register(AccessToken)
class AccessTokenAdmin(admin.ModelAdmin[AccessToken]):
    """Tokens: who has them and when they were used; never what they are."""

    list_display = ("name", "user", "scopes", "last_used_at", "expires_at", "revoked_at")
    search_fields = ("name", "user__username")
    exclude = ("digest",)
    readonly_fields = ("user", "name", "tail", "scopes", "last_used_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Tokens are made by their owners."""
        return False


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    """Rows that nobody edits."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """The audit trail."""

    list_display = ("at", "actor_name", "action", "subject", "address")
    search_fields = ("actor_name", "action", "subject")
    list_filter = ("action",)


@admin.register(Namespace)
class NamespaceAdmin(ReadOnlyAdmin):
    """Names that are or were taken."""

    list_display = ("name", "user", "organization", "created_at")
    search_fields = ("name",)

"""People in the administration."""

from typing import Any, TypeVar
from urllib.parse import urlencode

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin import ModelAdmin
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.models import AccessToken, AuditEvent, Membership, Namespace, Organization, User
from accounts.services.audit import record
from accounts.services.tokens import revoke_token
from accounts.views.guards import passed_as_staff, to_second_factor
from store.core.errors import ForbiddenError
from store.core.redirects import next_path
from store.core.web import client_address

M = TypeVar("M", bound=Model)


class StaffOnlyError(ForbiddenError):
    """Somebody who is no member of staff asked for the administration."""

    code = "staff_only"


def staff_login(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
    """Send people to the one sign-in there is, with its limits and its rotation of sessions.

    Staff without two-factor authentication are sent to set it up, and those who have not used it
    in this session to use it.

    Raises:
        StaffOnlyError: they are signed in, and no members of staff.
    """
    target = next_path(request, otherwise="/admin/")
    if not request.user.is_authenticated:
        return redirect(f"/login?{urlencode({'next': target})}")
    if not request.user.is_staff:
        raise StaffOnlyError(str(_("The administration is for staff.")))
    if not staff_may_enter(request):
        return to_second_factor(request, request.user, target)
    return redirect(target)


def staff_may_enter(request: HttpRequest) -> bool:
    """Whether the administration is open: to staff, by two factors unless the site needs none."""
    user = request.user
    if not isinstance(user, User) or not (user.is_active and user.is_staff):
        return False
    return passed_as_staff(request, user)


def password_change(
    request: HttpRequest, extra_context: dict[str, Any] | None = None
) -> HttpResponse:
    """Send staff to their account page, which limits guesses and writes a letter."""
    return redirect("/settings/account")


admin.site.unregister(Group)  # there is one kind of staff
admin.site.unregister(EmailAddress)  # people have one, in their own row
admin.site.unregister(Authenticator)  # its page would show sealed secrets, and let staff edit them
admin.site.has_permission = staff_may_enter  # type: ignore[method-assign]
admin.site.login = staff_login  # type: ignore[method-assign]
admin.site.password_change = password_change  # type: ignore[method-assign,assignment]
admin.site.site_header = settings.SITE_NAME
admin.site.site_title = settings.SITE_NAME
admin.site.index_title = _("Administration")


class AuditedAdmin(ModelAdmin[M]):
    """Writes an audit event for everything that is done here, beside Django's own log."""

    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}

    def log_addition(self, request: HttpRequest, obj: M, message: Any) -> Any:
        _note(request, "admin.add", obj)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: M, message: Any) -> Any:
        _note(request, "admin.change", obj, changes=message)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[M]) -> Any:
        for obj in queryset:
            _note(request, "admin.delete", obj)
        return super().log_deletions(request, queryset)


def _staff(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None


def _note(request: HttpRequest, action: str, obj: Model, changes: object = None) -> None:
    record(
        action,
        actor=_staff(request),
        subject=f"{type(obj).__name__} {obj.pk}: {obj}",
        address=client_address(request),
        changes=changes,
    )


class ReadOnlyAdmin(AuditedAdmin[M]):
    """Rows that nobody edits."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(User)
class UserAdmin(AuditedAdmin[User]):
    """People. They make and delete their accounts themselves; staff may lock one."""

    list_display = ("username", "email", "full_name", "is_staff", "is_active", "date_joined")
    search_fields = ("username", "email", "full_name")
    list_filter = ("is_staff", "is_active")
    fields = (
        *("username", "email", "full_name", "bio", "homepage"),
        *("is_active", "is_staff", "date_joined", "last_login"),
    )
    readonly_fields = ("username", "date_joined", "last_login")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """People are made with their name space, by signing up or by ``adduser``."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A deletion in a hurry would take more with it than anybody sees."""
        return False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: Any) -> None:
        """Staff may do everything here: there is one kind of staff."""
        obj.is_superuser = obj.is_staff
        super().save_model(request, obj, form, change)


class MembershipInline(admin.TabularInline[Membership, Organization]):
    """Members on the organization's page; they are changed on its own settings page."""

    model = Membership
    extra = 0
    fields = ("user", "role", "created_at")
    readonly_fields = ("user", "role", "created_at")
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The last admin must stay, which only the service makes sure of."""
        return False


@admin.register(Organization)
class OrganizationAdmin(AuditedAdmin[Organization]):
    """Organizations and their members."""

    list_display = ("name", "full_name", "created_at")
    search_fields = ("name", "full_name")
    fields = ("name", "full_name", "bio", "homepage", "is_private_by_default", "created_at")
    readonly_fields = ("name", "created_at")
    inlines = [MembershipInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Organizations are made with their name space, on the site or by ``addorg``."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Their admins delete them, once they are empty."""
        return False


@admin.register(AccessToken)
class AccessTokenAdmin(ReadOnlyAdmin[AccessToken]):
    """Tokens: whose they are and when they were used, never what they are. Staff may end them."""

    list_display = ("name", "tail", "user", "role", "last_used_at", "expires_at", "revoked_at")
    list_select_related = ("user",)
    search_fields = ("name", "tail", "user__username")
    fields = (
        *("user", "name", "tail", "scopes", "is_fine_grained", "reaches_gated"),
        *("created_at", "last_used_at", "expires_at", "revoked_at"),
    )
    actions = ["revoke"]

    @admin.action(description=_("Revoke the chosen tokens"))
    def revoke(self, request: HttpRequest, queryset: QuerySet[AccessToken]) -> None:
        """End the chosen tokens at once."""
        count = 0
        for token in queryset.select_related("user").filter(revoked_at=None):
            revoke_token(
                token.user, token.pk, actor=_staff(request), address=client_address(request)
            )
            count += 1
        text = ngettext("%(n)d token is revoked.", "%(n)d tokens are revoked.", count)
        self.message_user(request, text % {"n": count}, messages.SUCCESS)


class StaffFilter(admin.SimpleListFilter):
    """By who acted, of the people in staff; everybody else is found by the search."""

    title = _("member of staff")
    parameter_name = "staff"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        people = User.objects.filter(is_staff=True).order_by("username")
        return [(str(person.pk), person.username) for person in people]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AuditEvent]
    ) -> QuerySet[AuditEvent]:
        chosen = self.value() or ""
        return queryset.filter(actor=int(chosen)) if chosen.isdecimal() else queryset


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin[AuditEvent]):
    """The audit trail."""

    list_display = ("at", "actor_name", "action", "subject", "reason", "address")
    list_filter = ("action", StaffFilter)
    date_hierarchy = "at"
    search_fields = ("=actor_name", "action", "subject")

    @admin.display(description=_("reason"))
    def reason(self, event: AuditEvent) -> str:
        """What staff gave as the reason."""
        return str(event.detail.get("reason", ""))


@admin.register(Namespace)
class NamespaceAdmin(ReadOnlyAdmin[Namespace]):
    """Names that are or were taken. Staff can give one more room, or less."""

    list_display = ("name", "user", "organization", "storage_quota_bytes", "created_at")
    fields = ("name", "user", "organization", "created_at", "storage_quota_bytes")
    readonly_fields = ("name", "user", "organization", "created_at")
    list_select_related = ("user", "organization")
    search_fields = ("name",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only the quota is editable."""
        return True

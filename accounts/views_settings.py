"""Settings: profile, password, tokens, organizations, activity."""

from django.contrib import messages
from django.contrib.auth import logout, update_session_auth_hash
from django.db.models import Q
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.forms import (
    DeleteAccountForm,
    MemberForm,
    OrganizationForm,
    PasswordForm,
    ProfileForm,
    TokenForm,
)
from accounts.models import AccessToken, AuditEvent, Organization, Role, Scope, User
from accounts.services import profile
from accounts.services.people import create_organization, set_member
from accounts.services.tokens import create_token, revoke_token
from accounts.viewer import Viewer
from store.core.errors import ForbiddenError, NotFoundError, StoreError


def _person(request: HttpRequest) -> tuple[Viewer, User]:
    """Return who changes their settings; tokens cannot.

    Raises:
        UnauthenticatedError: nobody is signed in.
    """
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    return viewer, viewer.require(Scope.ADMIN)


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def profile_page(request: HttpRequest) -> HttpResponse:
    """Change profile, password, or delete the account."""
    _viewer, user = _person(request)
    chosen = request.POST.get("form", "")
    names = ("profile", "password", "delete")
    data = {name: request.POST if chosen == name else None for name in names}
    shown = {"full_name": user.full_name, "bio": user.bio, "homepage": user.homepage}
    forms: dict[str, Form] = {
        "profile": ProfileForm(data["profile"], initial=shown | {"email": user.email}),
        "password": PasswordForm(data["password"]),
        "delete": DeleteAccountForm(data["delete"]),
    }
    form = forms.get(chosen)
    if form is not None and form.is_valid():
        try:
            return _apply(request, user, chosen, form)
        except StoreError as error:
            form.add_error(None, error.message)
    return render(request, "accounts/profile.html", {"forms": forms, "section": "profile"})


def _apply(request: HttpRequest, user: User, chosen: str, form: Form) -> HttpResponse:
    if chosen == "profile":
        profile.change_profile(user, **form.cleaned_data)
        messages.success(request, _("Your profile is saved."))
    elif chosen == "password":
        profile.change_password(user, **form.cleaned_data)
        update_session_auth_hash(request, user)
        messages.success(request, _("The password is changed; other sessions have ended."))
    else:
        profile.delete_account(user, **form.cleaned_data)
        logout(request)
        return redirect("/")
    return redirect("/settings")


@require_http_methods(["GET", "HEAD", "POST"])
def tokens_page(request: HttpRequest) -> HttpResponse:
    """Show tokens and make one; its text is shown this once."""
    _viewer, user = _person(request)
    form, text = TokenForm(request.POST or None), ""
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            _token, text = create_token(
                user,
                name=values["name"],
                scopes=[Scope(values["scope"])],
                expires_at=values["expires_at"],
            )
            form = TokenForm()
        except StoreError as error:
            form.add_error(None, error.message)
    tokens = AccessToken.objects.filter(user=user, revoked_at=None).order_by("-created_at")
    context = {"form": form, "tokens": tokens, "text": text, "section": "tokens"}
    answer = render(request, "accounts/tokens.html", context)
    answer["Cache-Control"] = "no-store"
    return answer


@require_POST
def revoke_page(request: HttpRequest, token_id: int) -> HttpResponse:
    """End a token."""
    _viewer, user = _person(request)
    revoke_token(user, token_id)
    messages.success(request, _("The token is revoked."))
    return redirect("/settings/tokens")


@require_http_methods(["GET", "HEAD", "POST"])
def organizations_page(request: HttpRequest) -> HttpResponse:
    """Show the person's organizations and make one."""
    _viewer, user = _person(request)
    form = OrganizationForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = create_organization(creator=user, **form.cleaned_data)
            return redirect(f"/settings/organizations/{made.name}")
        except StoreError as error:
            form.add_error("name", error.message)
    memberships = user.memberships.select_related("organization").order_by("organization__name")
    context = {"form": form, "memberships": memberships, "section": "organizations"}
    return render(request, "accounts/organizations.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def organization_page(request: HttpRequest, name: str) -> HttpResponse:
    """Show and change an organization's members."""
    viewer, user = _person(request)
    organization = Organization.objects.filter(name__iexact=name).first()
    role = viewer.role_in(organization.namespace.pk) if organization else None
    if organization is None or role is None:
        raise NotFoundError(_("You have no organization of this name."))
    form = MemberForm(request.POST if "username" in request.POST else None)
    if request.method == "POST":
        if role != Role.ADMIN:
            raise ForbiddenError(_("Only admins change members."))
        try:
            if _change_member(request, organization, form, user):
                return redirect(f"/settings/organizations/{organization.name}")
        except StoreError as error:
            messages.error(request, error.message)
    context = {
        "organization": organization,
        "members": organization.memberships.select_related("user").order_by("user__username"),
        "form": form,
        "is_admin": role == Role.ADMIN,
        "section": "organizations",
    }
    return render(request, "accounts/organization.html", context)


def _change_member(
    request: HttpRequest, organization: Organization, form: MemberForm, actor: User
) -> bool:
    """Apply the posted change; ``False``: the form has errors."""
    remove = request.POST.get("remove", "")
    if not remove and not form.is_valid():
        return False
    name = remove or form.cleaned_data["username"]
    person = User.objects.filter(username__iexact=name).first()
    if person is None:
        raise NotFoundError(_("There is nobody called %s here.") % name[:42])
    role = None if remove else Role(form.cleaned_data["role"])
    set_member(organization, person, role, actor=actor)
    return True


@require_safe
def activity_page(request: HttpRequest) -> HttpResponse:
    """Show what happened to the account and its organizations."""
    viewer, user = _person(request)
    admin_of = [pk for pk, role in viewer.roles.items() if role == Role.ADMIN]
    events = AuditEvent.objects.filter(Q(actor=user) | Q(namespace_id__in=admin_of))[:200]
    return render(request, "accounts/activity.html", {"events": events, "section": "activity"})

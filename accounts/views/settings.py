"""Profile, account and activity of the person in the browser."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth import logout, update_session_auth_hash
from django.db.models import Q
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from accounts.forms import DeleteAccountForm, EmailForm, PasswordForm, ProfileForm, refuse
from accounts.models import AuditEvent, Role, User
from accounts.services.passwords import change_password
from accounts.services.profile import change_email, change_profile, delete_account
from accounts.views.guards import personal, viewer_of
from store.core.errors import StoreError
from store.core.web import client_address

ACTIVITY_PAGE = 50


@require_http_methods(["GET", "HEAD", "POST"])
@personal
def profile_page(request: HttpRequest, user: User) -> HttpResponse:
    """Change what others see."""
    shown = {"full_name": user.full_name, "bio": user.bio, "homepage": user.homepage}
    form = ProfileForm(request.POST if request.method == "POST" else None, initial=shown)
    if form.is_valid():
        change_profile(user, **form.cleaned_data, address=client_address(request))
        messages.success(request, _("Your profile is saved."))
        return redirect("/settings")
    context = {"form": form, "section": "profile"}
    return render(request, "accounts/profile.html", context, status=400 if form.errors else 200)


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@personal
def account_page(request: HttpRequest, user: User) -> HttpResponse:
    """Change address or password, or leave."""
    chosen = request.POST.get("form", "")
    steps: dict[str, tuple[type[Form], Callable[..., HttpResponse]]] = {
        "email": (EmailForm, _change_email),
        "password": (PasswordForm, _change_password),
        "delete": (DeleteAccountForm, _delete),
    }
    forms = {
        name: kind(
            request.POST if name == chosen else None,
            auto_id=f"{name}_%s",
            initial={"email": user.email} if name == "email" else None,
        )
        for name, (kind, _step) in steps.items()
    }
    status = 200
    if chosen in forms:
        form, status = forms[chosen], 400
        if form.is_valid():
            try:
                return steps[chosen][1](request, user, **form.cleaned_data)
            except StoreError as error:
                refuse(form, error)
                status = error.status
                user.refresh_from_db()
    context = {"forms": forms, "section": "account"}
    return render(request, "accounts/account.html", context, status=status)


def _change_email(request: HttpRequest, user: User, **values: Any) -> HttpResponse:
    change_email(user, **values, address=client_address(request))
    messages.success(request, _("Your e-mail address is changed."))
    return redirect("/settings/account")


def _change_password(request: HttpRequest, user: User, **values: Any) -> HttpResponse:
    change_password(user, **values, address=client_address(request))
    update_session_auth_hash(request, user)
    messages.success(request, _("The password is changed. All other sessions have ended."))
    return redirect("/settings/account")


def _delete(request: HttpRequest, user: User, **values: Any) -> HttpResponse:
    delete_account(user, **values, address=client_address(request))
    logout(request)
    messages.success(request, _("Your account is deleted."))
    return redirect("/")


@require_safe
@personal
def activity_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show what happened to the account and to the organizations the person runs."""
    runs = [pk for pk, role in viewer_of(request).roles.items() if role == Role.ADMIN]
    events = AuditEvent.objects.filter(Q(actor=user) | Q(namespace_id__in=runs))
    before = request.GET.get("before", "")
    if before.isdecimal() and len(before) < 19:
        events = events.filter(pk__lt=int(before))
    rows = list(events[: ACTIVITY_PAGE + 1])
    more = f"?before={rows[ACTIVITY_PAGE - 1].pk}" if len(rows) > ACTIVITY_PAGE else ""
    context = {"events": rows[:ACTIVITY_PAGE], "older": more, "section": "activity"}
    return render(request, "accounts/activity.html", context)

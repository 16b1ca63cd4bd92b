"""Two-factor authentication of the person in the browser."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.forms import AuthenticatorForm, KeyForm, refuse
from accounts.models import User
from accounts.services import freshness, security_keys, two_factor
from accounts.views.guards import is_recent, personal, recent
from store.core.errors import StoreError
from store.core.web import client_address

HOME = "/settings/security"


@require_safe
@personal
def security_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show what is set up, and every step from there."""
    context = {
        "standing": two_factor.standing_of(user),
        "is_recent": is_recent(request),
        "section": "security",
    }
    return render(request, "accounts/security.html", context)


@sensitive_variables("codes")
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@recent
def authenticator_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show the secret of a new authenticator app, and turn it on by the app's first code."""
    if two_factor.standing_of(user).authenticator is not None:
        messages.info(request, _("You have an authenticator app already."))
        return redirect(HOME)
    form = AuthenticatorForm(request.POST if request.method == "POST" else None)
    status = 200
    if form.is_valid():
        try:
            codes = two_factor.add_authenticator(
                user, **form.cleaned_data, address=client_address(request)
            )
        except StoreError as error:
            refuse(form, error)
            status = error.status
        else:
            return _added(request, codes, _("The authenticator app is set up."))
    elif form.errors:
        status = 400
    sealed = "" if "sealed" in form.errors else request.POST.get("sealed", "")
    enrolment = two_factor.enrolment_of(user, sealed)
    context = {"form": form, "enrolment": enrolment, "section": "security"}
    return render(request, "accounts/authenticator.html", context, status=status)


@require_POST
@recent
def remove_authenticator_page(request: HttpRequest, user: User) -> HttpResponse:
    """Remove the authenticator app."""
    two_factor.remove_authenticator(user, address=client_address(request))
    messages.success(request, _("The authenticator app is removed. Its codes open nothing here."))
    return redirect(HOME)


@sensitive_variables("codes")
@require_http_methods(["GET", "HEAD", "POST"])
@recent
def key_page(request: HttpRequest, user: User) -> HttpResponse:
    """Add a security key."""
    form, status = KeyForm(request.POST if request.method == "POST" else None), 200
    if form.is_valid():
        try:
            codes = security_keys.add(
                user,
                name=form.cleaned_data["name"],
                answer=form.cleaned_data["credential"],
                address=client_address(request),
            )
        except StoreError as error:
            form.add_error(None, error.message)
            status = error.status
        else:
            return _added(request, codes, _("The security key is added."))
    elif form.errors:
        status = 400
    context = {"form": form, "section": "security"}
    return render(request, "accounts/security_key.html", context, status=status)


@require_POST
@recent
def key_options(request: HttpRequest, user: User) -> HttpResponse:
    """Tell the browser what to ask a new key."""
    return JsonResponse(security_keys.begin_adding(user))


@require_POST
@recent
def remove_key_page(request: HttpRequest, user: User, key_id: int) -> HttpResponse:
    """Remove a security key."""
    security_keys.remove(user, key_id, address=client_address(request))
    messages.success(request, _("The security key is removed. It opens nothing here."))
    return redirect(HOME)


@sensitive_variables("codes")
@require_POST
@recent
def recovery_codes_page(request: HttpRequest, user: User) -> HttpResponse:
    """Make new recovery codes; they stand in this answer and nowhere else."""
    codes = two_factor.renew_recovery_codes(user, address=client_address(request))
    messages.success(request, _("Here are your new recovery codes. The old ones are void."))
    return _codes_page(request, codes)


@require_POST
@recent
def turn_off_page(request: HttpRequest, user: User) -> HttpResponse:
    """Turn two-factor authentication off."""
    two_factor.disable(user, actor=user, address=client_address(request))
    messages.success(request, _("Two-factor authentication is off."))
    return redirect(HOME)


def _added(request: HttpRequest, codes: list[str], text: str) -> HttpResponse:
    """Say that a factor is there, with the recovery codes that come with the first one."""
    freshness.confirm(request.session, by_second_factor=True)
    messages.success(request, text)
    return _codes_page(request, codes) if codes else redirect(HOME)


def _codes_page(request: HttpRequest, codes: list[str]) -> HttpResponse:
    context = {"codes": codes, "text": "\n".join(codes), "section": "security"}
    return render(request, "accounts/recovery_codes.html", context, status=201)

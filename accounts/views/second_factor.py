"""The second step of a log-in, and confirming in an open session that it is still oneself."""

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts.forms import CodeForm, ConfirmPasswordForm, refuse
from accounts.models import User
from accounts.services import freshness, second_step, security_keys
from accounts.services.passwords import confirm_password
from accounts.services.second_step import Expected
from accounts.services.signing_in import prove, take_second_step
from accounts.services.two_factor import has_two_factor, standing_of
from accounts.views.guards import personal, viewer_of
from accounts.views.signing import DEVICE_COOKIE, enter, form_page
from store.core.errors import StoreError, UnauthenticatedError
from store.core.redirects import next_path
from store.core.web import client_address


@never_cache
@sensitive_post_parameters("code", "credential")
@require_http_methods(["GET", "HEAD", "POST"])
def two_factor_page(request: HttpRequest) -> HttpResponse:
    """Take the code, or what a security key answered, and sign the person in."""
    if not viewer_of(request).is_visitor:
        return redirect(next_path(request))
    waited = _expected(request)
    if waited is None:
        messages.info(request, _("Sign in with your password first: the code is asked for then."))
        return redirect("/login")
    key = request.POST.get("credential", "")
    form = CodeForm(request.POST if request.method == "POST" and not key else None)
    problem: StoreError | None = None
    if key or form.is_valid():
        try:
            take_second_step(waited.user, **_given(request, form, key))
        except StoreError as error:
            problem = _refuse(form, error, key)
        else:
            second_step.end(request.session)
            return enter(request, waited.user, target=waited.next_path, by_second_factor=True)
    context = {
        "has_keys": bool(standing_of(waited.user).keys),
        "key_problem": problem.message if problem and key else "",
    }
    return form_page(request, "accounts/two_factor.html", form, problem, **context)


@never_cache
@require_POST
def log_in_options(request: HttpRequest) -> HttpResponse:
    """Tell the browser what a security key must sign for the log-in.

    Raises:
        UnauthenticatedError: nobody's password was right in the last minutes.
    """
    waited = _expected(request)
    if waited is None:
        raise UnauthenticatedError(_("This took too long. Sign in with your password again."))
    return JsonResponse(security_keys.begin_use(waited.user))


@sensitive_post_parameters("password", "code", "credential")
@require_http_methods(["GET", "HEAD", "POST"])
@personal
def confirm_page(request: HttpRequest, user: User) -> HttpResponse:
    """Ask for the password or the second factor again, and go on to where the person wanted."""
    standing = standing_of(user)
    needs_second = standing.is_on and _wants_second_factor(request)
    sent = request.POST.get("form", "") if request.method == "POST" else ""
    is_by_password = sent == "password" and not needs_second
    key = request.POST.get("credential", "") if sent == "code" else ""
    password_form = ConfirmPasswordForm(request.POST if is_by_password else None)
    code_form = CodeForm(request.POST if sent == "code" and not key else None)
    code_form.fields["code"].widget.attrs.pop("autofocus", None)  # two forms stand here
    form: Form = password_form if is_by_password else code_form
    problem: StoreError | None = None
    if key or form.is_valid():
        try:
            if is_by_password:
                confirm_password(user, password_form.cleaned_data["password"])
            else:
                prove(user, **_given(request, code_form, key))
        except StoreError as error:
            problem = _refuse(form, error, key)
        else:
            request.session.cycle_key()
            freshness.confirm(request.session, by_second_factor=not is_by_password)
            return redirect(next_path(request))
    context = {
        "password_form": None if needs_second else password_form,
        "code_form": code_form if standing.is_on else None,
        "has_keys": bool(standing.keys),
        "key_problem": problem.message if problem and key else "",
        "factor": "second" if needs_second else "",
    }
    return form_page(request, "accounts/confirm.html", form, problem, **context)


@require_POST
@personal
def confirm_options(request: HttpRequest, user: User) -> HttpResponse:
    """Tell the browser what a security key must sign to confirm who sits here."""
    return JsonResponse(security_keys.begin_use(user))


def _expected(request: HttpRequest) -> Expected | None:
    """Return whose code is waited for, unless they turned it off meanwhile."""
    waited = second_step.expected(request.session)
    return waited if waited is not None and has_two_factor(waited.user) else None


def _refuse(form: Form, error: StoreError, key: str) -> StoreError:
    """Show the refusal in the form; that of a key has a place of its own."""
    if not key:
        refuse(form, error)
    return error


def _wants_second_factor(request: HttpRequest) -> bool:
    return "second" in {request.GET.get("factor"), request.POST.get("factor")}


def _given(request: HttpRequest, form: CodeForm, key: str) -> dict[str, str]:
    """Return what the person gave, and from where, as the services take it."""
    return {
        "code": "" if key else form.cleaned_data.get("code", ""),
        "key": key,
        "address": client_address(request),
        "device_cookie": request.COOKIES.get(DEVICE_COOKIE, ""),
    }

"""Signing up, in and out."""

from django.contrib.auth import authenticate, login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts.forms import LoginForm, NewPasswordForm, ResetForm, SignUpForm
from accounts.services import limits, profile
from accounts.services.audit import record
from accounts.services.people import create_user
from store.core.errors import InvalidError, NotFoundError, StoreError
from store.core.web import client_address

_BACKEND = "accounts.signin.NameOrEmailBackend"


def next_page(request: HttpRequest) -> str:
    """Return where to go afterwards: a page of this site, or the front page."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    target = target.replace("\\", "").strip()
    is_ours = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return target if is_ours and target.startswith("/") else "/"


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_up(request: HttpRequest) -> HttpResponse:
    """Make an account and log in."""
    form = SignUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        address = client_address(request)
        try:
            limits.count_signup(address)
            user = create_user(**form.cleaned_data, address=address)
        except StoreError as error:
            form.add_error(_field_of(error), error.message)
        else:
            login(request, user, backend=_BACKEND)
            return redirect(next_page(request))
    context = {"form": form, "next": next_page(request)}
    return render(request, "accounts/signup.html", context, status=400 if form.errors else 200)


def _field_of(error: StoreError) -> str | None:
    return {"invalid_name": "username", "weak_password": "password"}.get(error.code)


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def log_in(request: HttpRequest) -> HttpResponse:
    """Log in with a name or an address."""
    form = LoginForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        name, password = form.cleaned_data["username"], form.cleaned_data["password"]
        try:
            limits.count_login(name, client_address(request))
            user = authenticate(request, username=name, password=password)
            if user is None:
                raise InvalidError(_("Name or password is wrong."))
        except StoreError as error:
            form.add_error(None, error.message)
        else:
            limits.forget_logins(name)
            login(request, user, backend=_BACKEND)
            return redirect(next_page(request))
    context = {"form": form, "next": next_page(request)}
    return render(request, "accounts/login.html", context, status=400 if form.errors else 200)


@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    logout(request)
    return redirect("/")


@require_http_methods(["GET", "HEAD", "POST"])
def ask_reset(request: HttpRequest) -> HttpResponse:
    """Mail a link for a new password; the answer is the same for everybody."""
    form = ResetForm(request.POST or None)
    is_sent = False
    if request.method == "POST" and form.is_valid():
        name = form.cleaned_data["name"]
        try:
            limits.count_reset(name, client_address(request))
        except StoreError as error:
            form.add_error(None, error.message)
        else:
            profile.send_reset(name)
            is_sent = True
    return render(request, "accounts/reset.html", {"form": form, "is_sent": is_sent})


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def do_reset(request: HttpRequest, uid: str, token: str) -> HttpResponse:
    """Set a new password by the mailed link."""
    user = profile.user_of_reset(uid, token)
    if user is None:
        raise NotFoundError(_("This link was used or is too old. Ask for another."))
    form = NewPasswordForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            profile.reset_password(user, form.cleaned_data["password"])
        except StoreError as error:
            form.add_error("password", error.message)
        else:
            record("user.login", actor=user, address=client_address(request))
            login(request, user, backend=_BACKEND)
            return redirect("/")
    answer = render(request, "accounts/new_password.html", {"form": form})
    answer["Referrer-Policy"] = "no-referrer"  # the address is a secret
    return answer

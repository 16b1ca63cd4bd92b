"""Signing up, in and out."""

from django.conf import settings
from django.contrib.auth import login, logout
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts.forms import LoginForm, SignUpForm, refuse
from accounts.models import User
from accounts.services import freshness, limits, second_step
from accounts.services.people import create_user
from accounts.services.signing_in import DEVICE_AGE_S, device_cookie_for, sign_in
from accounts.services.two_factor import has_two_factor
from accounts.views.guards import viewer_of
from store.core.errors import RateLimitedError, StoreError
from store.core.redirects import next_path
from store.core.web import client_address

BACKEND = "accounts.signin.NameOrEmailBackend"
DEVICE_COOKIE = "device"


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_up_page(request: HttpRequest) -> HttpResponse:
    """Make an account and sign in."""
    if not viewer_of(request).is_visitor:
        return redirect(next_path(request))
    form = SignUpForm(request.POST if request.method == "POST" else None)
    problem: StoreError | None = None
    if form.is_valid():
        address = client_address(request)
        try:
            limits.count_sign_up(address)
            user = create_user(**form.cleaned_data, address=address)
        except StoreError as error:
            refuse(form, problem := error)
        else:
            return enter(request, user)
    return form_page(request, "accounts/signup.html", form, problem)


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def log_in_page(request: HttpRequest) -> HttpResponse:
    """Sign in with a name or an address."""
    if not viewer_of(request).is_visitor:
        return redirect(next_path(request))
    form = LoginForm(request.POST if request.method == "POST" else None)
    problem: StoreError | None = None
    if form.is_valid():
        try:
            user = sign_in(
                name=form.cleaned_data["username"],
                password=form.cleaned_data["password"],
                address=client_address(request),
                device_cookie=request.COOKIES.get(DEVICE_COOKIE, ""),
            )
        except StoreError as error:
            refuse(form, problem := error)
        else:
            if has_two_factor(user):
                second_step.begin(request.session, user, next_path=next_path(request))
                return redirect("/login/two-factor")
            return enter(request, user)
    return form_page(request, "accounts/login.html", form, problem)


@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    logout(request)
    return redirect("/")


def enter(
    request: HttpRequest, user: User, *, target: str = "", by_second_factor: bool = False
) -> HttpResponse:
    """Start a session with a key of its own, and remember the browser."""
    login(request, user, backend=BACKEND)
    freshness.confirm(request.session, by_second_factor=by_second_factor)
    answer = redirect(target or next_path(request))
    answer.set_cookie(
        DEVICE_COOKIE,
        device_cookie_for(user),
        max_age=DEVICE_AGE_S,
        path="/login",
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return answer


def form_page(
    request: HttpRequest, template: str, form: Form, problem: StoreError | None, **more: object
) -> HttpResponse:
    """Show the form, after a refusal with its status."""
    status = problem.status if problem else 400 if form.errors else 200
    context = {"form": form, "next": next_path(request)} | more
    answer = render(request, template, context, status=status)
    if isinstance(problem, RateLimitedError):
        answer["Retry-After"] = str(problem.retry_after_s)
    return answer

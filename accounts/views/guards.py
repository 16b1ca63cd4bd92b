"""Who may open a page about themselves, and how lately they must have proved who they are."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from accounts.models import User
from accounts.services import freshness
from accounts.services.two_factor import has_two_factor
from accounts.viewer import Viewer
from store.core.errors import ForbiddenError
from store.core.redirects import own_path
from store.core.web import wants_json

P = ParamSpec("P")


class BrowserOnlyError(ForbiddenError):
    """A token was sent to a page that changes its owner's account."""

    code = "browser_only"


class RecentLoginNeededError(ForbiddenError):
    """The last proof of who sits at this session is too old for this page."""

    code = "recent_login_needed"


class TwoFactorNeededError(ForbiddenError):
    """The page is for people with two-factor authentication."""

    code = "two_factor_needed"


def viewer_of(request: HttpRequest) -> Viewer:
    """Return who asks."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    return viewer


def personal(
    view: Callable[Concatenate[HttpRequest, User, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Give the view the person in this browser; ask visitors to sign in; let nothing cache it.

    A token never opens these pages, whatever its scope: a page trusts its session and the form's
    secret, and programs have the REST API with its scopes.
    """

    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        viewer = viewer_of(request)
        if viewer.token is not None:
            raise BrowserOnlyError(_("This page is for browsers. Programs use /api/v1."))
        if viewer.is_visitor and not wants_json(request):
            return redirect(f"/login?{urlencode({'next': request.get_full_path()})}")
        return view(request, viewer.signed_in(), *args, **kwargs)

    return cast("Callable[Concatenate[HttpRequest, P], HttpResponse]", never_cache(guarded))


def recent(
    view: Callable[Concatenate[HttpRequest, User, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Open a ``personal`` page to somebody who gave a password or a second factor lately.

    Others confirm first and come back: to this page, or to the one whose form they sent. What they
    sent is not done; they see the form again and decide anew.
    """

    @wraps(view)
    def guarded(
        request: HttpRequest, user: User, *args: P.args, **kwargs: P.kwargs
    ) -> HttpResponse:
        if is_recent(request):
            return view(request, user, *args, **kwargs)
        return confirm_first(request, page_of(request))

    return personal(cast("Callable[Concatenate[HttpRequest, User, P], HttpResponse]", guarded))


def recent_to_change(
    view: Callable[Concatenate[HttpRequest, User, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Open a ``personal`` page to read; what its forms send is taken as by a ``recent`` page."""
    reading, changing = personal(view), recent(view)

    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        chosen = reading if request.method in {"GET", "HEAD"} else changing
        return chosen(request, *args, **kwargs)

    return cast("Callable[Concatenate[HttpRequest, P], HttpResponse]", guarded)


def recent_to_open(
    view: Callable[Concatenate[HttpRequest, User, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Open a page with a long form as a ``recent`` one.

    Who types for longer than the proof lasts is not sent away from what they typed: the view calls
    ``check_recent`` before it does anything, and shows the refusal in the form.
    """
    opening, sending = recent(view), personal(view)

    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        chosen = opening if request.method in {"GET", "HEAD"} else sending
        return chosen(request, *args, **kwargs)

    return cast("Callable[Concatenate[HttpRequest, P], HttpResponse]", guarded)


def two_factor_required(
    view: Callable[Concatenate[HttpRequest, User, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Open a ``recent`` page to somebody with two-factor authentication, used in this session."""

    @wraps(view)
    def guarded(
        request: HttpRequest, user: User, *args: P.args, **kwargs: P.kwargs
    ) -> HttpResponse:
        if passed_two_factor(request, user):
            return view(request, user, *args, **kwargs)
        if wants_json(request):
            check_two_factor(request, user)
        return to_second_factor(request, user, page_of(request))

    return recent(cast("Callable[Concatenate[HttpRequest, User, P], HttpResponse]", guarded))


def confirm_first(request: HttpRequest, target: str) -> HttpResponse:
    """Send somebody to confirm that it is them and then on to ``target``; programs are told.

    Raises:
        RecentLoginNeededError: a program asks.
    """
    if wants_json(request):
        raise _recent_login_needed()
    return redirect(confirm_path(target))


def _recent_login_needed() -> RecentLoginNeededError:
    return RecentLoginNeededError(_("Confirm that it is you at /login/confirm, then retry."))


def check_recent(request: HttpRequest) -> None:
    """Refuse a session whose person gave no password and no second factor lately.

    Raises:
        RecentLoginNeededError: the last proof is too old.
    """
    if not is_recent(request):
        raise _recent_login_needed()


def check_two_factor(request: HttpRequest, user: User) -> None:
    """Refuse a session in which no second factor was given.

    Raises:
        TwoFactorNeededError: it is to be given, or to be set up first.
    """
    if passed_two_factor(request, user):
        return
    if has_two_factor(user):
        raise TwoFactorNeededError(
            _("Give your second factor at /login/confirm?factor=second, then retry.")
        )
    raise TwoFactorNeededError(_("Set up two-factor authentication at /settings/security."))


def is_recent(request: HttpRequest) -> bool:
    """Whether the person of this session gave a password or a second factor lately."""
    return freshness.is_recent(request.session)


def passed_two_factor(request: HttpRequest, user: User) -> bool:
    """Whether ``user`` has two-factor authentication and used it in this session."""
    return freshness.passed_second_factor(request.session) and has_two_factor(user)


def passed_as_staff(request: HttpRequest, user: User) -> bool:
    """Whether a member of staff proved enough to act as such: two factors, unless the site says."""
    return settings.ENV.staff_two_factor == "off" or passed_two_factor(request, user)


def check_admin_token(request: HttpRequest, user: User) -> None:
    """Refuse a token of scope ``admin`` to a member of staff who has not passed as such.

    Raises:
        TwoFactorNeededError: see ``check_two_factor``.
    """
    if user.is_staff and not passed_as_staff(request, user):
        check_two_factor(request, user)


def to_second_factor(request: HttpRequest, user: User, target: str) -> HttpResponse:
    """Send somebody to give their second factor, or to set one up; say why."""
    if has_two_factor(user):
        return redirect(confirm_path(target, by_second_factor=True))
    messages.warning(
        request, _("That page needs two-factor authentication. Set it up here, then open it again.")
    )
    return redirect("/settings/security")


def confirm_path(target: str, *, by_second_factor: bool = False) -> str:
    """Return the address at which somebody confirms that it is them, and then goes on."""
    factor = {"factor": "second"} if by_second_factor else {}
    return f"/login/confirm?{urlencode({'next': target} | factor)}"


def page_of(request: HttpRequest) -> str:
    """Return the page somebody is at: the one they asked for, or whose form they sent."""
    if request.method in {"GET", "HEAD"}:
        return request.get_full_path()
    came_from = urlsplit(request.headers.get("Referer", ""))
    if came_from.netloc != request.get_host():
        return request.get_full_path()
    query = f"?{came_from.query}" if came_from.query else ""
    return own_path(came_from.path + query, otherwise=request.get_full_path())

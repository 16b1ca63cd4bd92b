"""The REST framework's view of the viewer."""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from accounts.models import AccessToken, Scope, User
from accounts.viewer import Viewer
from accounts.views import guards


def viewer(request: Request) -> Viewer:
    """Return who is asking, as the middleware found out."""
    found: Viewer = request._request.viewer  # type: ignore[attr-defined]  # noqa: SLF001
    return found


def check_recent(request: Request) -> None:
    """Refuse a browser's session without a recent login, as a ``recent`` page does.

    Tokens are as good as their scopes: whoever makes one proves who they are. Visitors are told to
    sign in elsewhere.

    Raises:
        RecentLoginNeededError: the last proof of who sits there is too old.
    """
    if _in_session(request) is not None:
        guards.check_recent(request._request)  # noqa: SLF001


def check_two_factor(request: Request) -> None:
    """Refuse a session as a page for two factors does, and a token that was made without them.

    Raises:
        RecentLoginNeededError, TwoFactorNeededError: see there.
    """
    check_recent(request)
    who = viewer(request)
    if who.user is None or who.passed_two_factor:
        return
    if who.token is None:
        guards.check_two_factor(request._request, who.user)  # noqa: SLF001
    raise guards.TwoFactorNeededError(
        _("This needs a token that was made after a second factor. Make one at /settings/tokens.")
    )


def check_new_token(request: Request, scopes: list[Scope]) -> None:
    """Refuse a session a token that its pages would not make.

    Raises:
        RecentLoginNeededError, TwoFactorNeededError: see there.
    """
    check_recent(request)
    user = _in_session(request)
    if user is not None and Scope.ADMIN in scopes:
        guards.check_admin_token(request._request, user)  # noqa: SLF001


def _in_session(request: Request) -> User | None:
    """Return the person who came with a session; ``None``: a token, or nobody."""
    found = viewer(request)
    return found.user if found.token is None else None


class ViewerAuthentication(BaseAuthentication):
    """Takes the person from ``request.viewer``; a session needs its CSRF secret to write."""

    def authenticate(self, request: Request) -> tuple[User, AccessToken | None] | None:
        who = viewer(request)
        if who.user is None:
            return None
        if who.token is None:
            self._check_csrf(request)
        return who.user, who.token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"

    def _check_csrf(self, request: Request) -> None:
        check = CSRFCheck(lambda _request: None)  # type: ignore[arg-type]
        check.process_request(request._request)  # noqa: SLF001
        if reason := check.process_view(request._request, None, (), {}):  # type: ignore[arg-type]  # noqa: SLF001
            raise PermissionDenied(f"CSRF check failed: {reason}")


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How ``ViewerAuthentication`` stands in the API's description: registered by being defined."""

    target_class = ViewerAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "An access token from /settings/tokens. Without one you see what a"
            " visitor sees.",
        }

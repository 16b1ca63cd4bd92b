"""The REST framework's view of the viewer."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from accounts.models import AccessToken, User
from accounts.viewer import Viewer
from accounts.views import guards


def viewer(request: Request) -> Viewer:
    """Return who is asking, as the middleware found out."""
    found: Viewer = request._request.viewer  # type: ignore[attr-defined]  # noqa: SLF001
    return found


def check_recent(request: Request) -> None:
    """Refuse a browser's session without a recent login, as a ``recent`` page does.

    Tokens are as good as their scopes; visitors are told to sign in elsewhere.

    Raises:
        RecentLoginNeededError: the last proof of who sits there is too old.
    """
    if _in_session(request) is not None:
        guards.check_recent(request._request)  # noqa: SLF001


def check_two_factor(request: Request) -> None:
    """Refuse a browser's session as a page for two factors does; tokens keep to their scopes.

    Raises:
        RecentLoginNeededError, TwoFactorNeededError: see there.
    """
    check_recent(request)
    if (user := _in_session(request)) is not None:
        guards.check_two_factor(request._request, user)  # noqa: SLF001


def check_staff(request: Request) -> None:
    """Refuse a session of staff that the administration would not let in, or ask who it is.

    Raises:
        RecentLoginNeededError, TwoFactorNeededError: see there.
    """
    check_recent(request)
    user = _in_session(request)
    if user is not None and not guards.passed_as_staff(request._request, user):  # noqa: SLF001
        guards.check_two_factor(request._request, user)  # noqa: SLF001


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

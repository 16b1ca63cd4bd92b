"""Works out who is asking, once for each request."""

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.functional import SimpleLazyObject

from accounts.basic import challenge_for, viewer_by_basic
from accounts.models import User
from accounts.services import freshness
from accounts.services.tokens import authenticate
from accounts.throttling import REFUSED, SIGN_INS, count_refused_token, refusal
from accounts.viewer import Viewer
from store.core.errors import BadCredentialsError, RateLimitedError, TransientError
from store.core.web import client_address, error_page

Handler = Callable[[HttpRequest], HttpResponseBase]

_OWN_TOKENS = re.compile(r"/xet/|/v1/telemetry$|/metrics$")
"""Addresses that check tokens of their own; nobody is anybody there by other means."""

_BAD_CREDENTIALS = "Invalid credentials in Authorization header"
"""What the Hub's clients look for in the header, lest they take the answer for a missing model."""


def proven_viewer(request: HttpRequest, header: str) -> Viewer:
    """Return who the ``Authorization`` header stands for.

    ``Bearer`` carries a token as it is; git and git-lfs send ``Basic`` (``accounts.basic``).

    Raises:
        BadCredentialsError: the header cannot be read, or is not valid.
        RateLimitedError: too many passwords were tried.
        TransientError: a password came that nobody can count.
    """
    address = client_address(request)
    kind, _, value = header.partition(" ")
    if kind.lower() == "bearer":
        return authenticate(value.strip(), address=address)
    if kind.lower() == "basic":
        return viewer_by_basic(request, value, address=address)
    raise BadCredentialsError


def viewer_of(request: HttpRequest) -> Viewer:
    """Return the viewer of ``request``: its token's owner, its session's person, or a visitor.

    Raises:
        BadCredentialsError: a token was sent and it is not valid. It never falls back to the
            session: a program must hear that its token is dead.
    """
    header = request.headers.get("Authorization", "").strip()
    if header:
        return proven_viewer(request, header)
    user, address = request.user, client_address(request)
    if not isinstance(user, User):
        return Viewer(address=address)
    proved = freshness.passed_second_factor(request.session)
    return Viewer(user=user, address=address, gave_second_factor=proved)


class ViewerMiddleware:
    """Sets ``request.viewer``; a bad token is answered at once, whatever the page."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if _OWN_TOKENS.match(request.path_info):
            request.viewer = Viewer(address=client_address(request))  # type: ignore[attr-defined]
        elif "Authorization" in request.headers:
            try:
                request.viewer = viewer_of(request)  # type: ignore[attr-defined]
            except BadCredentialsError as error:
                return self._refuse(request, error)
            except RateLimitedError as too_many:
                return refusal(request, too_many, SIGN_INS)
            except TransientError as error:
                return _open_to_all(error_page(request, error), error.message)
            # A request that proves itself by a token cannot be forged through a cookie.
            request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]  # noqa: SLF001
        else:
            request.viewer = SimpleLazyObject(lambda: viewer_of(request))  # type: ignore[attr-defined]
        return self.get_response(request)

    def _refuse(self, request: HttpRequest, error: BadCredentialsError) -> HttpResponseBase:
        try:
            count_refused_token(request)
        except RateLimitedError as too_many:
            return refusal(request, too_many, REFUSED)
        is_plain = error.code == BadCredentialsError.code  # others say what to do instead
        why = _BAD_CREDENTIALS if is_plain else error.message
        response = _open_to_all(error_page(request, error), why)
        response["WWW-Authenticate"] = challenge_for(request)
        return response


def _open_to_all(answer: HttpResponse, why: str) -> HttpResponse:
    """Say why where hub clients look, and let programs in pages of other sites read it."""
    answer["X-Error-Message"] = why
    answer["Access-Control-Allow-Origin"] = "*"
    return answer

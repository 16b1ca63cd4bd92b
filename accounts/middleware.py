"""Works out who is asking, once for each request."""

import base64
import binascii
import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.utils.functional import SimpleLazyObject

from accounts.models import User
from accounts.services.tokens import authenticate
from accounts.throttling import REFUSED, count_refused_token, refusal
from accounts.viewer import Viewer
from store.core.errors import BadCredentialsError, RateLimitedError
from store.core.web import client_address, error_page

Handler = Callable[[HttpRequest], HttpResponseBase]

_OWN_TOKENS = re.compile(r"/xet/|/v1/telemetry$")
"""Addresses that check tokens of their own; nobody is anybody there by other means."""


def sent_token(request: HttpRequest) -> str | None:
    """Return the token in ``Authorization``, or ``None`` when there is no such header.

    ``Bearer`` carries it as it is; git and git-lfs send it as the password (or the name) of
    ``Basic``.

    Raises:
        BadCredentialsError: the header is there and cannot be read.
    """
    header = request.headers.get("Authorization", "").strip()
    if not header:
        return None
    kind, _, value = header.partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() == "basic":
        try:
            name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as exc:
            raise BadCredentialsError("Invalid credentials in Authorization header") from exc
        return password or name
    raise BadCredentialsError("Invalid credentials in Authorization header")


def viewer_of(request: HttpRequest) -> Viewer:
    """Return the viewer of ``request``: its token's owner, its session's person, or a visitor.

    Raises:
        BadCredentialsError: a token was sent and it is not valid. It never falls back to the
            session: a program must hear that its token is dead.
    """
    address = client_address(request)
    token = sent_token(request)
    if token is not None:
        return authenticate(token, address=address)
    user = request.user
    return Viewer(user=user if isinstance(user, User) else None, address=address)


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
        response = error_page(request, error)
        response["X-Error-Message"] = error.message
        response["Access-Control-Allow-Origin"] = "*"  # programs in pages of other sites read it
        response["WWW-Authenticate"] = 'Bearer realm="Authentication required", charset="UTF-8"'
        return response

"""Browser login as programs speak it (contract 3.4): device codes, tokens, who is it.

The pages people see are ``accounts.views.oauth``.
"""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse, QueryDict

from accounts.services import code_login, device_login, limits, oauth, publishers
from accounts.services.oauth import Issued, OAuthError
from accounts.viewer import Viewer
from catalog.services import ci_publishing
from hub import shapes
from hub.answers import header_text, hub_view
from store.core.bodies import body_chunks, read_json
from store.core.errors import UnauthenticatedError
from store.core.web import client_address, origin

MAX_BYTES = 64 * 1024
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_CLAIMS = ("sub", "name", "preferred_username", "profile", "picture", "email", "orgs")
EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_TYPES = "urn:ietf:params:oauth:token-type:"


@hub_view("POST")
def device(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Begin the login of a program that has no browser."""
    try:
        started = device_login.start(
            _sent(request).get("client_id", ""),
            address=client_address(request),
            agent=request.headers.get("User-Agent", ""),
        )
    except OAuthError as error:
        return _refused(error)
    page = f"{origin(request)}/oauth/verify"
    return _answer(
        {
            "device_code": started.device_code,
            "user_code": started.request.user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?code={started.request.user_code}",
            "expires_in": int(device_login.LIFE.total_seconds()),
            "interval": started.request.interval_s,
        }
    )


@hub_view("POST")
def token(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Hand out a token for a device code, a code of a page, a refresh token, or a CI identity."""
    sent = _sent(request)
    grant = _GRANTS.get(sent.get("grant_type", ""))
    if grant is None:
        message = f"grant_type is one of {', '.join(_GRANTS)}."
        return _refused(OAuthError("unsupported_grant_type", message))
    try:
        return _answer(grant(sent, client_address(request)))
    except OAuthError as error:
        return _refused(error)


@hub_view("GET", "POST")
def userinfo(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Say who the person behind a token is, as far as they agreed."""
    user = viewer.identified()
    if viewer.token is None:
        raise UnauthenticatedError("Send an access token.")
    return _answer(shapes.userinfo(origin(request), user, viewer.token))


@hub_view("GET")
def configuration(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Tell programs where everything is."""
    base = origin(request)
    return JsonResponse(
        {
            "issuer": base,
            "authorization_endpoint": f"{base}/oauth/authorize",
            "device_authorization_endpoint": f"{base}/oauth/device",
            "token_endpoint": f"{base}/oauth/token",
            "userinfo_endpoint": f"{base}/oauth/userinfo",
            "scopes_supported": list(code_login.KNOWN),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": list(_GRANTS),
            "subject_types_supported": ["public"],
            "token_endpoint_auth_methods_supported": ["none"],
            "code_challenge_methods_supported": ["S256"],
            "claims_supported": list(_CLAIMS),
        }
    )


def _sent(request: HttpRequest) -> dict[str, str]:
    """Return the texts of a form (RFC 6749) or of JSON, as CI programs send it."""
    if request.content_type == "application/json":
        body: dict[str, Any] = read_json(request, max_bytes=MAX_BYTES)
        return {key: value for key, value in body.items() if isinstance(value, str)}
    raw = b"".join(body_chunks(request, max_bytes=MAX_BYTES))
    return QueryDict(raw, encoding="utf-8").dict()


def _by_device_code(sent: dict[str, str], _address: str) -> dict[str, Any]:
    return _issued(device_login.redeem(sent.get("device_code", ""), sent.get("client_id", "")))


def _by_refresh_token(sent: dict[str, str], _address: str) -> dict[str, Any]:
    return _issued(oauth.renew(sent.get("refresh_token", ""), sent.get("client_id", "")))


def _by_code(sent: dict[str, str], _address: str) -> dict[str, Any]:
    issued, scope = code_login.redeem(sent)
    return _issued(issued) | {"scope": scope}


def _by_ci_identity(sent: dict[str, str], address: str) -> dict[str, Any]:
    if sent.get("subject_token_type") != f"{_TYPES}id_token":
        raise OAuthError("invalid_request", f"subject_token_type must be {_TYPES}id_token.")
    limits.count_exchange(address)
    resource = sent.get("resource", "")
    got = ci_publishing.exchange(sent.get("subject_token", ""), resource, address=address)
    return {
        "access_token": got.text,
        "issued_token_type": f"{_TYPES}access_token",
        "token_type": "bearer",
        "expires_in": int(publishers.LIFE.total_seconds()),
    }


_GRANTS: dict[str, Callable[[dict[str, str], str], dict[str, Any]]] = {
    DEVICE_GRANT: _by_device_code,
    "refresh_token": _by_refresh_token,
    "authorization_code": _by_code,
    EXCHANGE_GRANT: _by_ci_identity,
}


def _issued(issued: Issued) -> dict[str, Any]:
    return {
        "access_token": issued.access_token,
        "token_type": "bearer",
        "expires_in": issued.expires_in_s,
        "refresh_token": issued.refresh_token,
    }


def _answer(body: dict[str, Any], status: int = 200) -> JsonResponse:
    answer = JsonResponse(body, status=status)
    answer["Cache-Control"] = "no-store"
    return answer


def _refused(error: OAuthError) -> JsonResponse:
    status = 401 if error.error == "invalid_client" else 400
    answer = _answer({"error": error.error, "error_description": error.message}, status)
    answer["X-Error-Message"] = header_text(error.message)  # hub clients show no description
    return answer

"""What every web answer shares: a request id, one way to show errors, the caller's address."""

import logging
import re
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import structlog
from django.conf import settings
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseBase,
    JsonResponse,
)
from django.shortcuts import render

from store.core.errors import RateLimitedError, StoreError

logger = logging.getLogger(__name__)
Handler = Callable[[HttpRequest], HttpResponseBase]

_UNSAFE_IN_ID = re.compile(r"[^\w.:;=/+-]")
_MAX_ID_CHARS = 128
_INSIDE_A_MODEL = {"entry_not_found", "revision_not_found"}


def request_id(request: HttpRequest) -> str:
    """Return the id of this request, as hub clients expect it.

    It equals an incoming ``X-Request-Id``, else contains an incoming ``X-Amzn-Trace-Id``.
    """
    given = request.headers.get("X-Request-Id") or request.headers.get("X-Amzn-Trace-Id")
    return _UNSAFE_IN_ID.sub("", given or "")[:_MAX_ID_CHARS] or uuid.uuid4().hex


class RequestIdMiddleware:
    """Gives each request an id, in the answer's ``X-Request-Id`` and in every log line."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.id = request_id(request)  # type: ignore[attr-defined]
        if "\0" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
            return HttpResponseBadRequest("A NUL character has no place in an address.")
        with structlog.contextvars.bound_contextvars(request_id=request.id):  # type: ignore[attr-defined]
            response = self.get_response(request)
        response["X-Request-Id"] = request.id  # type: ignore[attr-defined]
        return response


class ErrorMiddleware:
    """Turns an expected failure of a page into a page that says what to do next."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(
        self, request: HttpRequest, exception: Exception
    ) -> HttpResponseBase | None:
        """Render a ``StoreError``; leave everything else to Django (a 500, logged)."""
        if not isinstance(exception, StoreError):
            return None
        return error_page(request, exception)


def error_page(request: HttpRequest, error: StoreError) -> HttpResponse:
    """Render ``error`` as a page, or as JSON for a caller that asked for JSON."""
    if wants_json(request):
        answer: HttpResponse = JsonResponse(json_error(request, error), status=error.status)
    else:
        context = {
            "error": error,
            "sign_in_next": request.get_full_path(),
            "sign_in_statuses": (401, 403, 404),
            "model": _open_model(request, error),
        }
        answer = render(request, "error.html", context, status=error.status)
    if isinstance(error, RateLimitedError):
        answer["Retry-After"] = str(error.retry_after_s)
    answer["Cache-Control"] = "no-store"
    return answer


def _open_model(request: HttpRequest, error: StoreError) -> str:
    """Return the id of the model the failed page belongs to, when the caller may see that model.

    Only failures that come after its door was passed tell of it: an absent file or revision, and
    what the caller may not do there.
    """
    match = request.resolver_match
    names = match.kwargs if match else {}
    is_inside = error.status == HTTPStatus.FORBIDDEN or error.code in _INSIDE_A_MODEL
    if not is_inside or not {"ns", "name"} <= names.keys():
        return ""
    return f"{names['ns']}/{names['name']}"


def json_error(request: HttpRequest, error: StoreError) -> dict[str, Any]:
    """Return the JSON answer for ``error``: REST's shape, OpenAI's, or the hub protocol's.

    Hub clients join ``error`` as text, so there it is a string, with the rest beside it.
    """
    if is_completion_api(request):
        return completion_error(error, error.message)
    body = error_body(error)
    if request.path_info.startswith("/api/v1/"):
        return {"error": body}
    return {"error": body.pop("message"), **body}


def is_completion_api(request: HttpRequest) -> bool:
    """Whether a request came to the OpenAI-compatible API."""
    path = request.path_info
    return path.startswith("/v1/") and path != "/v1/telemetry"


_COMPLETION_CODES = {"bad_credentials": "invalid_api_key", "repo_not_found": "model_not_found"}
_COMPLETION_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}


def completion_error(error: StoreError, message: str) -> dict[str, Any]:
    """Return the JSON of ``error`` as OpenAI's clients read it.

    ``param`` is the first of ``extra["fields"]``; ``extra`` is our own addition.
    """
    fields = error.extra.get("fields")
    is_ours = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    usual = "server_error" if is_ours else "invalid_request_error"
    body = {
        "message": message,
        "type": _COMPLETION_TYPES.get(error.status, usual),
        "param": next(iter(fields), None) if isinstance(fields, dict) else None,
        "code": _COMPLETION_CODES.get(error.code, error.code),
        "extra": error.extra,
    }
    return {"error": body}


def error_body(error: StoreError) -> dict[str, Any]:
    """Return the JSON shape of an error: ``code`` to branch on, ``message`` to read."""
    return {"code": error.code, "message": error.message, "extra": error.extra}


def wants_json(request: HttpRequest) -> bool:
    """Whether the caller is a program: every browser asks for ``text/html`` by name."""
    return "text/html" not in request.headers.get("Accept", "")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form whose secret is missing or old."""

    class StaleFormError(StoreError):
        code = "stale_form"
        status = 403

    logger.info("csrf refused: %s", reason)
    message = "This form is out of date or came from another site. Reload the page and try again."
    return error_page(request, StaleFormError(message))


def client_address(request: HttpRequest) -> str:
    """Return the caller's IP address; ``X-Forwarded-For`` counts only behind our own proxies."""
    hops = settings.ENV.trusted_proxies
    if hops:
        chain = request.headers.get("X-Forwarded-For", "").split(",")
        if len(chain) >= hops and chain[-hops].strip():
            return chain[-hops].strip()
    return request.META.get("REMOTE_ADDR") or "local"


def origin(request: HttpRequest) -> str:
    """Return ``scheme://host[:port]`` as the caller wrote it; absolute links use this."""
    return f"{request.scheme}://{request.get_host()}"


def site(request: HttpRequest) -> dict[str, object]:
    """Template context of every page."""
    return {"site_name": settings.SITE_NAME, "origin": origin(request)}

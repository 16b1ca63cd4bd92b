"""How the REST API under ``/api/v1`` shows errors."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from store.core.errors import RateLimitedError, StoreError
from store.core.web import error_body

_CODES = {
    400: "invalid",
    401: "not_signed_in",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    415: "unsupported_media_type",
    429: "rate_limited",
}


def error_response(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Answer every expected failure as ``{"error": {"code", "message", "extra"}}``."""
    if isinstance(exc, StoreError):
        response = Response({"error": error_body(exc)}, status=exc.status)
        if isinstance(exc, RateLimitedError):
            response["Retry-After"] = str(exc.retry_after_s)
        return response
    if isinstance(exc, exceptions.ValidationError):
        body = {
            "code": "invalid",
            "message": "Some values are missing or wrong.",
            "extra": {"fields": exc.detail},
        }
        return Response({"error": body}, status=400)
    if not isinstance(exc, exceptions.APIException | Http404 | PermissionDenied):
        return None
    drf = exception_handler(exc, context)
    if drf is None:
        return None
    detail = drf.data.get("detail", "") if isinstance(drf.data, dict) else drf.data
    body = {"code": _CODES.get(drf.status_code, "error"), "message": str(detail), "extra": {}}
    drf.data = {"error": body}
    return drf

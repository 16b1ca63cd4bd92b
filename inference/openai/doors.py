"""How a view of the OpenAI-compatible API is called and answers: methods, errors, CORS."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from accounts.viewer import Viewer
from catalog.access import GatedRepoError, PurchaseRequiredError
from store.core.errors import RateLimitedError, StoreError, TransientError
from store.core.web import completion_error, origin

View = Callable[..., HttpResponseBase]
_EXPOSED = (
    "X-Request-Id, Retry-After, RateLimit, RateLimit-Policy, X-RateLimit-Limit-Tokens,"
    " X-RateLimit-Remaining-Tokens"
)
_WORTH_ANOTHER_TRY_S = 60
"""Clients try again by themselves; not where waiting takes longer, in seconds."""


class NoSuchCallError(StoreError):
    """Not a call of this API, or not this way."""

    code = "unknown_url"
    status = 404


def openai_view(*methods: str) -> Callable[[View], View]:
    """Make a function a view of this API; it gets ``(request, viewer, **path)``."""

    def decorate(function: View) -> View:
        @csrf_exempt  # a cookie counts for nothing here: see _viewer
        @wraps(function)
        def view(request: HttpRequest, **path: Any) -> HttpResponseBase:
            if request.method == "OPTIONS":
                return _preflight(request, methods)
            try:
                if request.method not in methods:
                    raise NoSuchCallError(f"{request.path} is called by {' or '.join(methods)}.")
                return _cors(function(request, _viewer(request), **path))
            except StoreError as error:
                return _cors(error_answer(request, error))

        return view

    return decorate


def error_answer(request: HttpRequest, error: StoreError) -> HttpResponse:
    """Return an error in OpenAI's shape, and whether another try could help."""
    message = error.message
    if isinstance(error, PurchaseRequiredError):
        message = f"{message} Buy one at {origin(request)}/{error.extra['full_name']}"
    elif isinstance(error, GatedRepoError):
        message = f"{message} Ask for access at {origin(request)}/{error.extra['full_name']}"
    answer = JsonResponse(completion_error(error, message), status=error.status)
    helps = isinstance(error, TransientError)
    if isinstance(error, RateLimitedError):
        answer["Retry-After"] = str(error.retry_after_s)
        helps = error.retry_after_s <= _WORTH_ANOTHER_TRY_S
    answer["X-Should-Retry"] = "true" if helps else "false"
    answer["Cache-Control"] = "no-store"
    return answer


def _viewer(request: HttpRequest) -> Viewer:
    """Return whose token came; without one a visitor, whatever the cookies say."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    return viewer if "Authorization" in request.headers else Viewer(address=viewer.address)


def _preflight(request: HttpRequest, methods: tuple[str, ...]) -> HttpResponseBase:
    asked = request.headers.get("Access-Control-Request-Headers", "")
    is_plain = all(each.isalnum() or each in "-_, " for each in asked)
    answer = HttpResponse(status=204)
    answer["Access-Control-Allow-Methods"] = ", ".join((*methods, "OPTIONS"))
    answer["Access-Control-Allow-Headers"] = (
        asked if asked and is_plain else "Authorization, Content-Type"
    )
    answer["Access-Control-Max-Age"] = "86400"
    answer["Vary"] = "Access-Control-Request-Headers"
    return _cors(answer)


def _cors(answer: HttpResponseBase) -> HttpResponseBase:
    """Let browser programs of any origin call: tokens travel in a header only."""
    answer["Access-Control-Allow-Origin"] = "*"
    answer["Access-Control-Expose-Headers"] = _EXPOSED
    return answer

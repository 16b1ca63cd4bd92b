"""How a hub view is called and how it answers: methods, errors, redirects, CORS.

Every rule here is the wire contract's, not ours: hub clients read errors from ``X-Error-Code``
and ``X-Error-Message``, and treat 401 and 404 in their own ways.
"""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from accounts.basic import challenge_for
from accounts.viewer import Viewer
from catalog.access import (
    NamespaceNotFoundError,
    RepoDisabledError,
    RepoMovedError,
    RepoNotFoundError,
)
from catalog.history.errors import EntryNotFoundError, RevisionNotFoundError
from store.core.errors import RateLimitedError, StoreError, UnauthenticatedError
from store.core.web import json_error, origin

HubView = Callable[..., HttpResponseBase]

LFS_TYPE = "application/vnd.git-lfs+json"
DISABLED = "Access to this resource is disabled."
_CODES: dict[type[StoreError], str] = {
    RepoNotFoundError: "RepoNotFound",
    NamespaceNotFoundError: "RepoNotFound",
    RevisionNotFoundError: "RevisionNotFound",
    EntryNotFoundError: "EntryNotFound",
}
"""The words clients branch on; never renamed."""

_EXPOSED = (
    "X-Repo-Commit, X-Request-Id, X-Error-Code, X-Error-Message, X-Total-Count, ETag, Link,"
    " Accept-Ranges, Content-Range, Content-Length, X-Linked-Size, X-Linked-ETag, X-Xet-Hash,"
    " RateLimit, RateLimit-Policy, Retry-After"
)


def viewer_for(request: HttpRequest) -> Viewer:
    """Return who asks. A browser's cookie counts for reading only: it could be forged."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    is_proven = "Authorization" in request.headers  # then no cookie was looked at
    if not is_proven and request.method not in {"GET", "HEAD"}:
        return Viewer(address=viewer.address)
    return viewer


def hub_view(*methods: str) -> Callable[[HubView], HubView]:
    """Make a function a view of the hub protocol.

    The function gets ``(request, viewer, **path)``; what it raises becomes the contract's answer.
    """

    def decorate(function: HubView) -> HubView:
        @csrf_exempt  # tokens only for writing: see viewer_for
        @wraps(function)
        def view(request: HttpRequest, **path: Any) -> HttpResponseBase:
            if request.method == "OPTIONS":
                return _cors(HttpResponse(status=204), methods)
            if request.method not in methods:
                answer = hub_error("This method is not allowed here.", status=405)
                answer["Allow"] = ", ".join(methods)
                return _cors(answer)
            viewer = viewer_for(request)
            try:
                return _cors(function(request, viewer, **path))
            except StoreError as error:
                return _cors(error_answer(request, viewer, error))

        return view

    return decorate


def hub_error(message: str, *, status: int, code: str = "") -> HttpResponse:
    """Return an error in the protocol's shape."""
    answer = JsonResponse({"error": message}, status=status)
    answer["X-Error-Message"] = header_text(message)
    if code:
        answer["X-Error-Code"] = code
    answer["Cache-Control"] = "no-store"
    return answer


def error_answer(request: HttpRequest, viewer: Viewer, error: StoreError) -> HttpResponse:
    """Render an expected failure as the contract says."""
    if isinstance(error, RepoMovedError):
        return moved_answer(request, error)
    status = error.status
    if isinstance(error, RepoNotFoundError) and viewer.is_visitor:
        status = 401
    message = DISABLED if isinstance(error, RepoDisabledError) else error.message
    body = json_error(request, error) | {"error": message}
    is_lfs = "/info/lfs/" in request.path_info
    if is_lfs:
        body["message"] = message  # where git-lfs looks
    answer = JsonResponse(
        body, status=status, content_type=LFS_TYPE if is_lfs else "application/json"
    )
    answer["X-Error-Message"] = header_text(message)
    answer["Cache-Control"] = "no-store"
    if code := _code_of(error):
        answer["X-Error-Code"] = code
    if isinstance(error, EntryNotFoundError) and error.extra.get("commit"):
        answer["X-Repo-Commit"] = str(error.extra["commit"])
    if status == 401 or isinstance(error, UnauthenticatedError):
        answer["WWW-Authenticate"] = challenge_for(request)
    if isinstance(error, RateLimitedError):
        answer["Retry-After"] = str(error.retry_after_s)
        answer["RateLimit"] = f'"api";r=0;t={error.retry_after_s}'
    return answer


def header_text(text: str) -> str:
    """Return ``text`` as a header value: one line, latin-1, bounded."""
    line = re.sub(r"[\x00-\x1f\x7f]+", " ", text)
    return line.encode("latin-1", "replace").decode("latin-1")[:500]


def page_link(request: HttpRequest, **changes: object) -> str:
    """Return the ``Link`` header of the next page: this request with other query values."""
    query = request.GET.copy()
    for name, value in changes.items():
        query[name] = str(value)
    path = (
        quote(request.path_info, safe="/%") if "RAW_URI" not in request.META else raw_path(request)
    )
    return f'<{origin(request)}{path}?{query.urlencode()}>; rel="next"'


def raw_path(request: HttpRequest) -> str:
    """Return the path exactly as the client sent it, without the query."""
    raw: str = request.META.get("RAW_URI") or quote(request.path_info, safe="/")
    return raw.split("?", 1)[0]


def _code_of(error: StoreError) -> str:
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), "")


def moved_answer(request: HttpRequest, error: RepoMovedError) -> HttpResponse:
    """Send the client to the same path under the repository's present id, method kept."""
    raw: str = request.META.get("RAW_URI") or request.get_full_path()
    match = request.resolver_match
    names = match.kwargs if match else {}
    old = f"{names.get('ns')}/{names.get('name')}"
    answer = HttpResponse(status=307)
    answer["Location"] = raw.replace(old, error.repo.full_name, 1)
    answer["Cache-Control"] = "no-store"
    return answer


def _cors(answer: HttpResponseBase, methods: tuple[str, ...] = ()) -> HttpResponseBase:
    """Let browser programs of any origin call the protocol: tokens travel in headers only."""
    answer["Access-Control-Allow-Origin"] = "*"
    answer["Access-Control-Expose-Headers"] = _EXPOSED
    if methods:
        answer["Access-Control-Allow-Methods"] = ", ".join((*methods, "OPTIONS"))
        answer["Access-Control-Allow-Headers"] = "Authorization, Content-Type, Range, X-Request-Id"
        answer["Access-Control-Max-Age"] = "86400"
    return answer

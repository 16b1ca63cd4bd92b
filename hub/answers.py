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
    GatedRepoError,
    NamespaceNotFoundError,
    PurchaseRequiredError,
    RepoDisabledError,
    RepoMovedError,
    RepoNotFoundError,
)
from catalog.history.errors import EntryNotFoundError, RevisionNotFoundError
from store.core.errors import RateLimitedError, StoreError, UnauthenticatedError
from store.core.ratelimit import headers_of
from store.core.routing import ENCODED_SLASH
from store.core.web import json_error, origin

HubView = Callable[..., HttpResponseBase]

LFS_TYPE = "application/vnd.git-lfs+json"
DISABLED = "Access to this resource is disabled."
_CODES: dict[type[StoreError], str] = {
    RepoNotFoundError: "RepoNotFound",
    NamespaceNotFoundError: "RepoNotFound",
    RevisionNotFoundError: "RevisionNotFound",
    EntryNotFoundError: "EntryNotFound",
    GatedRepoError: "GatedRepo",
}
"""The words clients branch on; never renamed."""

_MAX_HEADER_CHARS = 500

EXPOSED = (
    "X-Repo-Commit, X-Request-Id, X-Error-Code, X-Error-Message, X-Total-Count, ETag, Link,"
    " Accept-Ranges, Content-Range, Content-Length, X-Linked-Size, X-Linked-ETag, X-Xet-Hash,"
    " X-Xet-Refresh-Route, X-Xet-Access-Token, X-Xet-Token-Expiration, X-Xet-Cas-Url,"
    " RateLimit, RateLimit-Policy, Retry-After"
)

_ALLOWED_HEADERS = "Authorization, Content-Type, Range, X-Request-Id"
_HEADER_NAMES = re.compile(r"[A-Za-z0-9_-]+(?:, ?[A-Za-z0-9_-]+){0,40}")


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
    allowed = (*methods, "HEAD") if "GET" in methods and "HEAD" not in methods else methods

    def decorate(function: HubView) -> HubView:
        @csrf_exempt  # tokens only for writing: see viewer_for
        @wraps(function)
        def view(request: HttpRequest, **path: Any) -> HttpResponseBase:
            if request.method == "OPTIONS":
                return _preflight(request, allowed)
            if request.method not in allowed:
                answer = hub_error("This method is not allowed here.", status=405)
                answer["Allow"] = ", ".join(allowed)
                return _cors(answer)
            viewer = viewer_for(request)
            try:
                return _cors(function(request, viewer, **path))
            except StoreError as error:
                return _cors(error_answer(request, viewer, error))

        view.hub_methods = methods  # type: ignore[attr-defined]  # docs/hub-protocol.md lists them
        return view

    return decorate


def hub_error(message: str, *, status: int, code: str = "") -> HttpResponse:
    """Return an error in the protocol's shape."""
    answer = JsonResponse({"error": message}, status=status)
    _say(answer, message)
    if code:
        answer["X-Error-Code"] = code
    answer["Cache-Control"] = "no-store"
    return answer


def error_answer(request: HttpRequest, viewer: Viewer, error: StoreError) -> HttpResponse:
    """Render an expected failure as the contract says."""
    if isinstance(error, RepoMovedError):
        return moved_answer(request, error)
    status = error.status
    is_closed = isinstance(error, RepoNotFoundError | GatedRepoError)
    # a sold model says so to everybody: 401 would be read as "no such model"
    if is_closed and viewer.is_visitor and not isinstance(error, PurchaseRequiredError):
        status = 401
    message = _message_of(request, error)
    body = json_error(request, error) | {"error": message}
    if "/info/lfs/" in request.path_info:
        body["message"] = message  # where git-lfs looks
    answer = JsonResponse(body, status=status)  # of no other type JavaScript's client reads it
    _say(answer, message, always=request.method == "HEAD")
    answer["Cache-Control"] = "no-store"
    if code := _code_of(error):
        answer["X-Error-Code"] = code
    if isinstance(error, EntryNotFoundError) and error.extra.get("commit"):
        answer["X-Repo-Commit"] = str(error.extra["commit"])
    if status == 416 and "size_bytes" in error.extra:
        answer["Content-Range"] = f"bytes */{error.extra['size_bytes']}"
    if status == 401 or isinstance(error, UnauthenticatedError):
        answer["WWW-Authenticate"] = challenge_for(request)
    if isinstance(error, RateLimitedError):
        for name, value in headers_of(error).items():
            answer[name] = value
    return answer


def _say(answer: HttpResponse, message: str, *, always: bool = False) -> None:
    """Put ``message`` into its header, too.

    Clients join header and body and leave out what is said twice. A text that no header can carry
    as it is would then be shown twice, so it stands in the body alone, unless there is none.
    """
    text = header_text(message)
    if always or text == message:
        answer["X-Error-Message"] = text


def header_text(text: str) -> str:
    """Return ``text`` as a header value: one line, latin-1, bounded."""
    line = re.sub(r"[\x00-\x1f\x7f]+", " ", text)
    return line.encode("latin-1", "replace").decode("latin-1")[:_MAX_HEADER_CHARS]


def page_link(request: HttpRequest, path: str = "", **changes: object) -> str:
    """Return the ``Link`` header of the next page: this request with other query values.

    ``path`` replaces the request's own.
    """
    query = request.GET.copy()
    for name, value in changes.items():
        query[name] = str(value)
    return f'<{origin(request)}{path or raw_path(request)}?{query.urlencode()}>; rel="next"'


def raw_path(request: HttpRequest) -> str:
    """Return the path exactly as the client sent it, without the query."""
    path = request.path_info.replace(ENCODED_SLASH, "\0")
    raw: str = request.META.get("RAW_URI") or quote(path, safe="/").replace("%00", "%2F")
    return raw.split("?", 1)[0]


def _message_of(request: HttpRequest, error: StoreError) -> str:
    """Return the sentence clients show, in the contract's words where it has some."""
    if isinstance(error, RepoDisabledError):
        return DISABLED
    if isinstance(error, PurchaseRequiredError):
        return f"{error.message} Buy one at {origin(request)}/{error.extra['full_name']}"
    if isinstance(error, GatedRepoError):
        page = f"{origin(request)}/{error.extra['full_name']}"
        return f"{error.message} Visit {page} to ask for access."
    return error.message


def _code_of(error: StoreError) -> str:
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), "")


def moved_answer(request: HttpRequest, error: RepoMovedError) -> HttpResponse:
    """Send the client to the same path under the repository's present id, method kept."""
    raw: str = request.META.get("RAW_URI") or request.get_full_path()
    match = request.resolver_match
    names, route = (match.kwargs, match.route) if match else ({}, "")
    old = f"{names.get('ns')}/{names.get('name')}"
    # where the route has it: "s/s" stands in "/api/models/s/s" a second time, and earlier
    before = "/" + re.split(r"[<(]", route.removeprefix("^"), maxsplit=1)[0]
    if not raw.startswith(before + old):  # written in another way than any client does
        answer = hub_error(f"This repository is now {error.repo.full_name}.", status=404)
        answer["X-Error-Code"] = _CODES[RepoNotFoundError]
        return answer
    answer = HttpResponse(status=307)
    answer["Location"] = before + error.repo.full_name + raw[len(before + old) :]
    answer["Cache-Control"] = "no-store"
    return answer


def _preflight(request: HttpRequest, methods: tuple[str, ...]) -> HttpResponseBase:
    """Let browser programs send what they ask to: nothing here goes by a header but the token."""
    asked = request.headers.get("Access-Control-Request-Headers", "")
    answer = HttpResponse(status=204)
    answer["Access-Control-Allow-Methods"] = ", ".join((*methods, "OPTIONS"))
    answer["Access-Control-Allow-Headers"] = (
        asked if _HEADER_NAMES.fullmatch(asked) else _ALLOWED_HEADERS
    )
    answer["Access-Control-Max-Age"] = "86400"
    answer["Allow"] = ", ".join((*methods, "OPTIONS"))
    answer["Vary"] = "Access-Control-Request-Headers"
    return _cors(answer)


def _cors(answer: HttpResponseBase) -> HttpResponseBase:
    """Let browser programs of any origin call the protocol: tokens travel in headers only."""
    answer["Access-Control-Allow-Origin"] = "*"
    answer["Access-Control-Expose-Headers"] = EXPOSED
    return answer

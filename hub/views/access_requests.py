"""Requests for gated models, for their publishers and askers (contract 14)."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from accounts.viewer import Viewer
from catalog.access import repo_for
from catalog.services import access_lists, access_requests
from hub import shapes
from hub.answers import hub_view, page_link
from hub.params import number
from store.core.bodies import read_json
from store.core.errors import InvalidError

PAGE = 100


@hub_view("GET")
def requests(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, status: str
) -> HttpResponseBase:
    """List the requests that have one status."""
    repo = repo_for(viewer, ns, name, to="write")
    page = access_lists.list_requests(
        viewer,
        repo,
        status,
        cursor=request.GET.get("cursor"),
        limit=min(number(request, "limit", PAGE, least=1), PAGE),
    )
    answer = JsonResponse([shapes.access_request(row) for row in page.rows], safe=False)
    if page.next_cursor:
        answer["Link"] = page_link(request, cursor=page.next_cursor)
    answer["Cache-Control"] = "no-store"
    return answer


@hub_view("POST")
def handle(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """Accept or reject a request, or put it back."""
    repo = repo_for(viewer, ns, name, to="write")
    body = read_json(request)
    user, request_id = _text(body, "user"), _text(body, "requestId")
    if (user is None) == (request_id is None):
        raise InvalidError("Name the request by 'user' or by 'requestId'.")
    answered = access_requests.answer(
        viewer,
        repo,
        status=_text(body, "status") or "",
        user=user,
        request_id=request_id,
        reason=_text(body, "rejectionReason") or "",
    )
    return JsonResponse(shapes.access_request(answered))


@hub_view("POST")
def grant(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """Let somebody in who did not ask."""
    repo = repo_for(viewer, ns, name, to="write")
    user = _text(read_json(request), "user")
    if user is None:
        raise InvalidError("'user' is missing.")
    return JsonResponse(shapes.access_request(access_requests.grant(viewer, repo, user)))


@hub_view("POST")
def cancel(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """Take the caller's own request back."""
    repo = repo_for(viewer, ns, name)
    access_requests.withdraw(viewer, repo)
    return JsonResponse({"success": True})


@hub_view("POST")
def batch(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """Answer several requests, each by itself."""
    repo = repo_for(viewer, ns, name, to="write")
    body = read_json(request)
    ids = body.get("requestIds")
    if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
        raise InvalidError("'requestIds' is a list of ids.")
    results = access_requests.answer_many(
        viewer,
        repo,
        ids,
        status=_text(body, "status") or "",
        reason=_text(body, "rejectionReason") or "",
    )
    failed = [
        {"requestId": each.name, "error": each.error.message} for each in results if each.error
    ]
    return JsonResponse({"handled": len(results) - len(failed), "failed": failed})


def _text(body: dict[str, Any], key: str) -> str | None:
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        raise InvalidError(f"'{key}' is a text.")
    return value

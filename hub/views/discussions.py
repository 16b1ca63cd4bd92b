"""Discussions and pull requests (contract 12)."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from accounts.viewer import Viewer
from catalog.access import repo_for
from catalog.models import Discussion, ModelRepo
from catalog.services import comments, merging, threads
from catalog.services import discussions as service
from catalog.services.pulls import open_pull_request
from hub import discussions as shapes
from hub.answers import hub_view
from hub.params import flag
from hub.params import number as number_in
from store.core.bodies import read_json
from store.core.errors import InvalidError
from store.core.web import origin

PAGE = 50
MAX_BODY_BYTES = 1024 * 1024


@hub_view("GET", "POST")
def discussions(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """List discussions, newest first, or open one."""
    repo = repo_for(viewer, ns, name)
    if request.method == "POST":
        return _open(request, viewer, repo)
    page = number_in(request, "p", 0)
    found = threads.find(
        repo,
        kind=request.GET.get("type", "all"),
        status=request.GET.get("status", "all"),
        author=request.GET.get("author", ""),
    )
    start = page * PAGE
    rows = found.select_related("author").order_by("-number")[start : start + PAGE]
    items = [shapes.item(row) for row in threads.belonging(rows, repo)]
    return JsonResponse({"discussions": items, "count": found.count(), "start": start})


def _open(request: HttpRequest, viewer: Viewer, repo: ModelRepo) -> HttpResponseBase:
    body = read_json(request, max_bytes=MAX_BODY_BYTES)
    is_pull = body.get("pullRequest", False)
    if not isinstance(is_pull, bool):
        raise InvalidError("'pullRequest' is true or false.")
    start = open_pull_request if is_pull else service.open_discussion
    made = start(viewer, repo, title=_text(body, "title"), text=_text(body, "description", ""))
    url = f"{origin(request)}{made.get_absolute_url()}"
    return JsonResponse({"num": made.number, "url": url, "pullRequest": is_pull})


@hub_view("GET")
def details(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, number: int
) -> HttpResponseBase:
    """Answer a discussion with its events, a pull request with what it changes."""
    found = _found(viewer, ns, name, number)
    proposal = merging.proposal_of(found) if found.is_pull_request else None
    body = shapes.details(
        viewer, found, threads.events_of(found), proposal, with_diff=flag(request, "diff")
    )
    return JsonResponse(body)


@hub_view("POST")
def comment(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, number: int
) -> HttpResponseBase:
    """Add a comment."""
    found, body = _found(viewer, ns, name, number), _body(request)
    event = comments.comment(viewer, found, text=_text(body, "comment"))
    return JsonResponse({"newMessage": shapes.event(found, event)})


@hub_view("POST")
def edit(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, number: int, cid: str
) -> HttpResponseBase:
    """Change a comment; its history keeps what it said."""
    found, body = _found(viewer, ns, name, number), _body(request)
    event = comments.edit(viewer, found, cid.lower(), text=_text(body, "content"))
    return JsonResponse({"updatedComment": shapes.event(found, event)})


@hub_view("POST")
def hide(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, number: int, cid: str
) -> HttpResponseBase:
    """Hide a comment; what it said is gone."""
    found = _found(viewer, ns, name, number)
    event = comments.hide(viewer, found, cid.lower())
    return JsonResponse({"updatedComment": shapes.event(found, event)})


@hub_view("POST")
def title(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, number: int
) -> HttpResponseBase:
    """Rename a discussion."""
    found, body = _found(viewer, ns, name, number), _body(request)
    event = service.rename(viewer, found, title=_text(body, "title"))
    return JsonResponse({"newTitle": shapes.event(found, event)})


@hub_view("POST")
def status(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, number: int
) -> HttpResponseBase:
    """Close or open a discussion; opening a draft publishes it."""
    found, body = _found(viewer, ns, name, number), _body(request)
    wanted, text = _text(body, "status"), _text(body, "comment", "")
    event = service.set_status(viewer, found, status=wanted, text=text)
    return JsonResponse({"newStatus": shapes.event(found, event)})


@hub_view("POST")
def merge(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, number: int
) -> HttpResponseBase:
    """Merge a pull request."""
    found, body = _found(viewer, ns, name, number), _body(request)
    commit = merging.merge(viewer, found, text=_text(body, "comment", ""))
    url = f"{origin(request)}/{found.repo.full_name}/commit/{commit.oid}"
    return JsonResponse({"success": True, "mergeCommitId": commit.oid, "commitUrl": url})


@hub_view("POST")
def pin(request: HttpRequest, viewer: Viewer, ns: str, name: str, number: int) -> HttpResponseBase:
    """Keep a discussion on top of the list, or no longer."""
    found, body = _found(viewer, ns, name, number), _body(request)
    wanted = body.get("pinned", True)
    if not isinstance(wanted, bool):
        raise InvalidError("'pinned' is true or false.")
    service.pin(viewer, found, is_pinned=wanted)
    return JsonResponse({"pinned": wanted})


def _found(viewer: Viewer, ns: str, name: str, number: int) -> Discussion:
    return service.discussion_of(repo_for(viewer, ns, name), number)


def _body(request: HttpRequest) -> dict[str, Any]:
    return read_json(request, max_bytes=MAX_BODY_BYTES)


def _text(body: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = body.get(key, default)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise InvalidError(f"'{key}' is a text.")
    return value

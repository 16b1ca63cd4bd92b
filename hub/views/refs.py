"""Branches and tags (contract 10)."""

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from accounts.viewer import Viewer
from catalog.access import repo_for
from catalog.history.refs import HEADS, TAGS
from catalog.services import branches
from hub.answers import hub_view
from store.core.bodies import read_json
from store.core.errors import InvalidError


@hub_view("POST", "DELETE")
def branch(request: HttpRequest, viewer: Viewer, ns: str, name: str, ref: str) -> HttpResponseBase:
    """Make or delete a branch."""
    repo = repo_for(viewer, ns, name, to="write")
    short = ref.removeprefix(HEADS)
    if request.method == "DELETE":
        branches.remove_branch(viewer, repo, short)
        return JsonResponse({"success": True})
    body = read_json(request)
    start = body.get("startingPoint")
    if start is not None and not isinstance(start, str):
        raise InvalidError("'startingPoint' is a revision.")
    branches.add_branch(
        viewer,
        repo,
        short,
        start=start,
        is_empty=bool(body.get("emptyBranch")),
        overwrite=bool(body.get("overwrite")),
    )
    return JsonResponse({"success": True})


@hub_view("POST", "DELETE")
def tag(request: HttpRequest, viewer: Viewer, ns: str, name: str, rev: str) -> HttpResponseBase:
    """Tag a revision, or take the tag of this name away."""
    repo = repo_for(viewer, ns, name, to="write")
    if request.method == "DELETE":
        branches.remove_tag(viewer, repo, rev.removeprefix(TAGS))
        return JsonResponse({"success": True})
    body = read_json(request)
    tag_name, message = body.get("tag"), body.get("message")
    if not isinstance(tag_name, str) or not isinstance(message, str | None):
        raise InvalidError("'tag' is missing.")
    branches.add_tag(viewer, repo, tag_name, revision=rev, message=message)
    return JsonResponse({"success": True})

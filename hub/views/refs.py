"""Branches and tags (contract 10)."""

from django.db import transaction
from django.http import HttpRequest, HttpResponseBase, JsonResponse

from accounts.viewer import Viewer
from catalog.access import repo_for
from catalog.history import refs
from catalog.history.commits import add_commit
from catalog.history.objects import EMPTY_TREE, ObjectStore, make_tree
from hub.answers import hub_view
from store.core.bodies import read_json
from store.core.errors import InvalidError


@hub_view("POST", "DELETE")
def branch(request: HttpRequest, viewer: Viewer, ns: str, name: str, ref: str) -> HttpResponseBase:
    """Make or delete a branch."""
    repo = repo_for(viewer, ns, name, to="write")
    short = ref.removeprefix(refs.HEADS)
    if request.method == "DELETE":
        refs.delete_branch(repo, short)
        return JsonResponse({"success": True})
    body = read_json(request)
    start, overwrite = body.get("startingPoint"), bool(body.get("overwrite"))
    with transaction.atomic():
        target_oid = None
        if body.get("emptyBranch"):
            store = ObjectStore(repo.pk)
            store.add(make_tree([]))
            author = viewer.identified().username
            written = add_commit(
                store,
                repo,
                tree_oid=EMPTY_TREE,
                parent=None,
                title="initial commit",
                author=author,
            )
            target_oid = written.commit.oid
        refs.create_branch(repo, short, start=start, overwrite=overwrite, target_oid=target_oid)
    return JsonResponse({"success": True})


@hub_view("POST", "DELETE")
def tag(request: HttpRequest, viewer: Viewer, ns: str, name: str, rev: str) -> HttpResponseBase:
    """Tag a revision, or take the tag of this name away."""
    repo = repo_for(viewer, ns, name, to="write")
    if request.method == "DELETE":
        refs.delete_tag(repo, rev.removeprefix(refs.TAGS))
        return JsonResponse({"success": True})
    body = read_json(request)
    tag_name, message = body.get("tag"), body.get("message")
    if not isinstance(tag_name, str) or not isinstance(message, str | None):
        raise InvalidError("'tag' is missing.")
    tagger = viewer.identified().username
    refs.create_tag(repo, tag_name, revision=rev, message=message, tagger=tagger)
    return JsonResponse({"success": True})

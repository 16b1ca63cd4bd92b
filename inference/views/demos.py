"""What the store let a model write, all of it."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.views.guards import viewer_of
from catalog.history.refs import resolve
from catalog.views.listing import frame, open_repo
from inference.services import demos
from inference.services.demo_shelf import groups_of


@require_safe
def demos_page(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """Show every demo generation of a commit: ``?revision=``, or the newest one's."""
    repo = open_repo(request, ns, name)
    if isinstance(repo, HttpResponse):
        return repo
    viewer = viewer_of(request)
    revision = request.GET.get("revision", "")
    commit_oid = resolve(repo, revision).commit_oid if revision else ""
    found = demos.demos_of(viewer, repo, commit_oid)
    context = frame(viewer, repo, tab="playground") | {
        "demos": found,
        "groups": groups_of(found.rows),
        "asked_oid": commit_oid,
    }
    return render(request, "inference/demos.html", context)

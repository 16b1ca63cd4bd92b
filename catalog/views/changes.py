"""What changed: in one commit, and between any two revisions."""

from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.viewer import Viewer
from accounts.views.guards import viewer_of
from catalog.history.changes import Change, changes_between
from catalog.history.refs import DEFAULT_BRANCH, resolve
from catalog.history.trees import list_page
from catalog.models import Commit, ModelRepo
from catalog.services.changes import lines_of
from catalog.views.listing import frame, open_repo, revisions_of
from store.core.errors import StoreError

MAX_NAMED = 1000
"""Files a page names."""
MAX_FILES = 50
"""Files a page shows line by line."""


@require_safe
def commit_page(request: HttpRequest, ns: str, name: str, oid: str) -> HttpResponse:
    """Show what one commit changed."""
    repo = open_repo(request, ns, name)
    if isinstance(repo, HttpResponse):
        return repo
    commit = Commit.objects.get(repo=repo, oid=resolve(repo, oid).commit_oid)
    context = frame(viewer_of(request), repo, tab="versions") | {"commit": commit}
    if commit.parent_oid:
        changes = changes_between(repo, commit.parent_oid, commit.oid)
        context |= _shown(
            viewer_of(request),
            context,
            changes,
            old=(commit.parent_oid, commit.parent_oid),
            new=(commit.oid, commit.oid),
        )
    else:
        files, total = list_page(repo, commit.oid, show="files", start=0, limit=MAX_NAMED)
        context |= {"first_files": files, "total": total}
    return render(request, "catalog/commit.html", context)


@require_safe
def compare_page(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """Show the difference between two revisions, and a form to choose them."""
    repo = open_repo(request, ns, name)
    if isinstance(repo, HttpResponse):
        return repo
    old, new = request.GET.get("from", "").strip(), request.GET.get("to", "").strip()
    context = frame(viewer_of(request), repo, tab="versions") | {
        "refs": revisions_of(repo),
        "old": old,
        "new": new or DEFAULT_BRANCH,
    }
    status = 200
    if old:
        try:
            old_oid = resolve(repo, old).commit_oid
            new_oid = resolve(repo, context["new"]).commit_oid
        except StoreError as error:
            context["error"], status = error.message, error.status
        else:
            context |= _shown(
                viewer_of(request),
                context,
                changes_between(repo, old_oid, new_oid),
                old=(old, old_oid),
                new=(context["new"], new_oid),
            )
    return render(request, "catalog/compare.html", context, status=status)


def _shown(
    viewer: Viewer,
    head: dict[str, Any],
    changes: list[Change],
    *,
    old: tuple[str, str],
    new: tuple[str, str],
) -> dict[str, Any]:
    """Return what both pages show of ``changes``, with links to each file's last state.

    ``old`` and ``new`` are how the reader names each side, and its commit. Whoever may not see the
    contents sees the names of the files alone.
    """
    repo: ModelRepo = head["repo"]
    if not head["is_open"]:
        names = [change.path for change in changes[:MAX_NAMED]]
        return {"diffs": [], "more": names, "total": len(changes)}
    diffs = lines_of(viewer, repo, changes[:MAX_FILES], old=old, new=new)
    base = f"/{repo.full_name}/blob"
    hrefs = [
        f"{base}/{(new if diff.change.new else old)[1]}/{quote(diff.change.path)}" for diff in diffs
    ]
    return {
        "diffs": [(diff, href, *diff.pointers) for diff, href in zip(diffs, hrefs, strict=True)],
        "more": [change.path for change in changes[MAX_FILES:MAX_NAMED]],
        "total": len(changes),
    }

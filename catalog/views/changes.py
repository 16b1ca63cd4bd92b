"""What changed: in one commit, and between any two revisions."""

from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from catalog.history.changes import Change, changes_between
from catalog.history.diffs import file_diffs
from catalog.history.refs import DEFAULT_BRANCH, resolve
from catalog.history.trees import list_page
from catalog.models import Commit, ModelRepo
from catalog.views.browse import viewer_of
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
        context |= _shown(repo, changes, old=commit.parent_oid, new=commit.oid)
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
            context |= _shown(repo, changes_between(repo, old_oid, new_oid), old_oid, new_oid)
    return render(request, "catalog/compare.html", context, status=status)


def _shown(repo: ModelRepo, changes: list[Change], old: str, new: str) -> dict[str, Any]:
    """Return what both pages show of ``changes``, with links to each file's last state."""
    diffs = file_diffs(repo, changes[:MAX_FILES])
    base = f"/{repo.full_name}/blob"
    hrefs = [
        f"{base}/{new if diff.change.new else old}/{quote(diff.change.path)}" for diff in diffs
    ]
    return {
        "diffs": [(diff, href, *diff.pointers) for diff, href in zip(diffs, hrefs, strict=True)],
        "more": [change.path for change in changes[MAX_FILES:MAX_NAMED]],
        "total": len(changes),
    }

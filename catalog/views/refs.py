"""Branches and tags of a model: shown to everybody, changed by its owners."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.viewer import Viewer
from accounts.views.guards import viewer_of
from catalog.access import check_may
from catalog.forms import BranchForm, TagForm
from catalog.history.refs import DEFAULT_BRANCH, HEADS, TAGS
from catalog.models import Commit, ModelRepo, Ref
from catalog.services import branches
from catalog.views.listing import frame, open_repo
from store.core.errors import StoreError

MOST = 500
"""Of each kind on the page."""


@require_http_methods(["GET", "HEAD", "POST"])
def refs_page(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """List branches and tags; make and delete them."""
    repo = open_repo(request, ns, name)
    if isinstance(repo, HttpResponse):
        return repo
    viewer = viewer_of(request)
    asked = {"branch": BranchForm(), "tag": TagForm()}
    status = 200
    if request.method == "POST":
        check_may(viewer, repo, to="write")
        kind = request.POST.get("form", "")
        form = {"branch": BranchForm, "tag": TagForm}.get(kind, forms.Form)(request.POST)
        if form.is_valid() and _act(request, viewer, repo, kind, form):
            return redirect(f"/{repo.full_name}/refs")
        if kind in asked:
            asked[kind] = form
        status = 400
    context = frame(viewer, repo, tab="versions") | _rows(repo) | {"forms": asked}
    return render(request, "catalog/refs.html", context, status=status)


def _act(
    request: HttpRequest, viewer: Viewer, repo: ModelRepo, kind: str, form: forms.Form
) -> bool:
    """Do what a form asks for. ``False``: it was refused, and the form or a message says why."""
    values, given = form.cleaned_data, request.POST.get("name", "")
    actions: dict[str, tuple[Callable[[], Any], str]] = {
        "branch": (
            lambda: branches.add_branch(viewer, repo, values["name"], start=values["start"]),
            _("The branch is made."),
        ),
        "tag": (
            lambda: branches.add_tag(
                viewer,
                repo,
                values["tag"],
                revision=values["revision"],
                message=values["message"] or None,
            ),
            _("The tag is made."),
        ),
        "delete-branch": (
            lambda: branches.remove_branch(viewer, repo, given),
            _("The branch is deleted. Its commits can still be reached by their ids."),
        ),
        "delete-tag": (
            lambda: branches.remove_tag(viewer, repo, given),
            _("The tag is deleted."),
        ),
    }
    if kind not in actions:
        return False
    action, words = actions[kind]
    try:
        action()
    except StoreError as error:
        if kind in {"branch", "tag"}:
            form.add_error(None, error.message)
            return False
        messages.error(request, error.message)
        return True
    messages.success(request, words)
    return True


def _rows(repo: ModelRepo) -> dict[str, Any]:
    """Return the refs with their commits: the default branch first, then what changed last."""
    heads = _with_commits(repo, HEADS)
    heads.sort(key=lambda row: row["name"] != DEFAULT_BRANCH)
    return {"branches": heads, "tags": _with_commits(repo, TAGS), "default_branch": DEFAULT_BRANCH}


def _with_commits(repo: ModelRepo, prefix: str) -> list[dict[str, Any]]:
    refs = list(
        Ref.objects.filter(repo=repo, name__startswith=prefix).order_by("-updated_at", "name")[
            :MOST
        ]
    )
    commits = {
        commit.oid: commit
        for commit in Commit.objects.filter(repo=repo, oid__in={ref.commit_oid for ref in refs})
    }
    return [
        {"name": ref.name.removeprefix(prefix), "commit": commits[ref.commit_oid]} for ref in refs
    ]

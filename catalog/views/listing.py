"""One model: its page, its files, its history."""

from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.viewer import Viewer
from accounts.views.guards import viewer_of
from catalog.access import RepoMovedError, can, may_see_contents, repo_for
from catalog.history import log
from catalog.history.refs import DEFAULT_BRANCH, HEADS, TAGS, resolve
from catalog.history.trees import Entry, find_entry, list_page
from catalog.models import (
    AccessRequest,
    Commit,
    FileScan,
    Like,
    Listing,
    ModelCard,
    ModelRepo,
    Ref,
)
from catalog.reach import may_see_revisions
from catalog.services.lineage import lineage_of
from catalog.services.notice_settings import watch_level
from catalog.services.page_views import note_view
from catalog.services.preview import Preview, preview
from catalog.services.revisions import may_look
from catalog.services.threads import summary_of

FOLDER_PAGE = 200
"""Lines of a folder on one page."""
COMMITS_PAGE = 30
MAX_REVISIONS = 200
"""Branches, and tags, a menu names; any other is reached by its address."""


def open_repo(request: HttpRequest, ns: str, name: str) -> ModelRepo | HttpResponse:
    """Return the repository, or the redirect to its present id."""
    try:
        return repo_for(viewer_of(request), ns, name)
    except RepoMovedError as moved:
        if request.method not in {"GET", "HEAD"}:
            raise
        path = request.get_full_path().replace(f"/{ns}/{name}", f"/{moved.repo.full_name}", 1)
        response = redirect(path)
        response.status_code = 307
        return response


def frame(viewer: Viewer, repo: ModelRepo, *, tab: str) -> dict[str, Any]:
    """Return what the head and the side panel of every page of a listing need."""
    listing = Listing.objects.get(repo=repo)
    user = viewer.user
    can_write = can(viewer, repo, to="write")
    is_gated = repo.gate != ModelRepo.Gate.NONE
    return {
        "repo": repo,
        "listing": listing,
        "tab": tab,
        "can_write": can_write,
        "is_gated": is_gated,
        "is_open": may_see_contents(viewer, repo),
        "waiting": _waiting(repo) if is_gated and can_write else 0,
        "is_liked": bool(user and Like.objects.filter(repo=repo, user=user).exists()),
        "community": summary_of(repo),
        "watch_level": watch_level(viewer, repo),
    }


def _waiting(repo: ModelRepo) -> int:
    """Return how many people wait to be let in."""
    return repo.access_requests.filter(status=AccessRequest.Status.PENDING).count()


@require_safe
def listing_page(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """Show the listing: card, facts, files, lineage, how to use it."""
    repo = open_repo(request, ns, name)
    if isinstance(repo, HttpResponse):
        return repo
    viewer = viewer_of(request)
    context = frame(viewer, repo, tab="card")
    if request.method == "GET":
        note_view(viewer, repo, request.headers)
    card = ModelCard.objects.filter(repo=repo).first() or ModelCard(repo=repo)
    blocked = FileScan.objects.filter(
        repo=repo,
        verdict__in=[FileScan.Verdict.UNSAFE, FileScan.Verdict.ERROR],
        is_proposed=False,
    )
    context |= {
        "card": card,
        "lineage": lineage_of(viewer, repo),
        "blocked": list(blocked[:5]) if context["listing"].verdict != "clean" else [],
    }
    return render(request, "catalog/listing.html", context)


@require_safe
def tree_page(
    request: HttpRequest, ns: str, name: str, rev: str = DEFAULT_BRANCH, path: str = ""
) -> HttpResponse:
    """Show a folder of a revision."""
    repo = open_repo(request, ns, name)
    if isinstance(repo, HttpResponse):
        return repo
    commit_oid = resolve(repo, rev).commit_oid
    lines = _folder_page(repo, commit_oid, path.strip("/"), page_number(request))
    context = (
        lines
        | frame(viewer_of(request), repo, tab="files")
        | {
            "rev": rev,
            "rev_segment": quote(rev, safe=""),
            "path": path.strip("/"),
            "commit": Commit.objects.get(repo=repo, oid=commit_oid),
            "refs": revisions_of(repo),
        }
    )
    return render(request, "catalog/tree.html", context)


def _folder_page(repo: ModelRepo, commit_oid: str, path: str, page: int) -> dict[str, Any]:
    """Return one page of a folder's lines and the way to its neighbours."""
    start = (page - 1) * FOLDER_PAGE
    shown, total = list_page(
        repo, commit_oid, path, show="folders first", start=start, limit=FOLDER_PAGE
    )
    if not shown and total:  # the link is older than the folder: its last page
        return _folder_page(repo, commit_oid, path, -(-total // FOLDER_PAGE))
    return {
        "rows": _rows(repo, commit_oid, shown),
        "first": start + 1,
        "last": start + len(shown),
        "total": total,
        "next_href": f"?page={page + 1}" if start + FOLDER_PAGE < total else "",
        "previous_href": f"?page={page - 1}" if page > 1 else "",
    }


def page_number(request: HttpRequest) -> int:
    """Return the number of the page of a list that is asked for; 1 for what is none."""
    text = request.GET.get("page", "")
    is_number = text.isascii() and text.isdigit() and len(text) < 8
    return max(1, int(text)) if is_number else 1


def _rows(repo: ModelRepo, commit_oid: str, entries: list[Entry]) -> list[dict[str, Any]]:
    last = log.last_commits(repo, commit_oid, [entry.path for entry in entries])
    scans = {
        (scan.blob_oid, scan.path): scan
        for scan in FileScan.objects.filter(
            repo=repo, blob_oid__in=[entry.oid for entry in entries if not entry.is_folder]
        ).defer("report")
    }
    return [
        {
            "entry": entry,
            "last": last.get(entry.path),
            "scan": scans.get((entry.oid, entry.path)),
        }
        for entry in entries
    ]


def revisions_of(repo: ModelRepo) -> dict[str, list[str]]:
    """Return the names of its branches, ``main`` first, and of its tags; the first of each."""
    names = Ref.objects.filter(repo=repo).values_list("name", flat=True).order_by("name")
    main = f"{HEADS}{DEFAULT_BRANCH}"
    others = names.filter(name__startswith=HEADS).exclude(name=main)[: MAX_REVISIONS - 1]
    tags = names.filter(name__startswith=TAGS)[:MAX_REVISIONS]
    return {
        "branches": [name.removeprefix(HEADS) for name in (main, *others)],
        "tags": [name.removeprefix(TAGS) for name in tags],
    }


@require_safe
def blob_page(request: HttpRequest, ns: str, name: str, rev: str, path: str) -> HttpResponse:
    """Show one file: text, JSON, a table of tensors, a picture, or why it cannot be shown."""
    repo = open_repo(request, ns, name)
    if isinstance(repo, HttpResponse):
        return repo
    viewer = viewer_of(request)
    commit_oid = resolve(repo, rev).commit_oid
    entry = find_entry(repo, commit_oid, path)
    if entry.is_folder:
        return redirect(f"/{repo.full_name}/tree/{quote(rev, safe='')}/{quote(entry.path)}")
    scan = FileScan.objects.filter(repo=repo, blob_oid=entry.oid, path=entry.path).first()
    is_shown = may_look(viewer, repo, rev, commit_oid, scan)
    unshown = Preview("none", note=_("It is only proposed, and not found harmless."))
    is_open = may_see_revisions(viewer, repo, commit_oid)
    context = frame(viewer, repo, tab="files") | {
        "rev": rev,
        "rev_segment": quote(rev, safe=""),
        "path": entry.path,
        "entry": entry,
        "scan": scan,
        "last": log.last_commits(repo, commit_oid, [entry.path]).get(entry.path),
        "preview": (preview(repo, entry, rev) if is_shown else unshown) if is_open else None,
        "refs": revisions_of(repo),
    }
    return render(request, "catalog/blob.html", context)


@require_safe
def commits_page(
    request: HttpRequest, ns: str, name: str, rev: str = DEFAULT_BRANCH
) -> HttpResponse:
    """Show the history of a revision."""
    repo = open_repo(request, ns, name)
    if isinstance(repo, HttpResponse):
        return repo
    head = resolve(repo, rev).commit_oid
    start = request.GET.get("from", "")
    rows = log.history(
        repo, resolve(repo, start).commit_oid if start else head, limit=COMMITS_PAGE + 1
    )
    context = frame(viewer_of(request), repo, tab="versions") | {
        "rev": rev,
        "rev_segment": quote(rev, safe=""),
        "commits": rows[:COMMITS_PAGE],
        "older": rows[COMMITS_PAGE].oid if len(rows) > COMMITS_PAGE else "",
        "total": log.count(repo, head),
        "refs": revisions_of(repo),
    }
    return render(request, "catalog/commits.html", context)

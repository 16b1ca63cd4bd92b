"""The Community tab: what people say of a model, and what they propose."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.viewer import Viewer
from accounts.views.guards import viewer_of
from catalog.access import repo_for
from catalog.forms import DiscussionForm
from catalog.models import Discussion, ModelRepo
from catalog.services import attachments, comments, discussions, merging, threads
from catalog.services.pulls import open_pull_request
from catalog.views.listing import frame, open_repo, page_number
from store.core.errors import StoreError

PAGE = 25
COMMENTS_PAGE = 100
"""Events of one page of a thread; the last page is shown first."""


@require_safe
def list_page(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """List the discussions of a model, the pinned ones on top."""
    repo = open_repo(request, ns, name)
    if isinstance(repo, HttpResponse):
        return repo
    chosen = {
        "type": _one_of(request.GET.get("type", ""), threads.KINDS),
        "status": _one_of(request.GET.get("status", "open"), threads.STATUSES),
        "author": request.GET.get("author", "")[:42],
    }
    found = threads.find(
        repo, kind=chosen["type"], status=chosen["status"], author=chosen["author"]
    )
    page, total = page_number(request), found.count()
    start = (page - 1) * PAGE
    rows = found.select_related("author").order_by("-is_pinned", "-number")[start : start + PAGE]
    query = urlencode({key: value for key, value in chosen.items() if value != "all" and value})
    context = frame(viewer_of(request), repo, tab="community") | {
        "chosen": chosen,
        "is_filtered": chosen["type"] != "all" or bool(chosen["author"]),
        "discussions": list(threads.belonging(rows, repo)),
        "total": total,
        "next_href": f"?{query}&page={page + 1}" if start + PAGE < total else "",
        "previous_href": f"?{query}&page={page - 1}" if page > 1 else "",
    }
    return render(request, "catalog/community.html", context)


def _one_of(text: str, known: tuple[str, ...]) -> str:
    return text if text in known else known[0]


@require_http_methods(["GET", "HEAD", "POST"])
def new_page(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """Start a discussion, or a draft of a pull request; a preview shows the text as it will be."""
    repo = open_repo(request, ns, name)
    if isinstance(repo, HttpResponse):
        return repo
    viewer = viewer_of(request)
    if viewer.is_visitor:
        return redirect(f"/login?next=/{repo.full_name}/discussions/new")
    form = DiscussionForm(
        request.POST or None, initial={"kind": request.GET.get("kind") or "discussion"}
    )
    context: dict[str, Any] = {"form": form, "preview": ""}
    status = 200
    if request.method == "POST" and form.is_valid():
        title, text = form.cleaned_data["title"], form.cleaned_data["text"]
        try:
            discussions.check_may_open(viewer, repo)
            if request.POST.get("act") == "preview":
                context["preview"] = comments.render(repo, comments.check_text(text))
            else:
                is_pull = form.cleaned_data["kind"] == "pull_request"
                start = open_pull_request if is_pull else discussions.open_discussion
                made = start(viewer, repo, title=title, text=_with_files(request, viewer, text))
                return redirect(made.get_absolute_url())
        except StoreError as error:
            form.add_error(None, error.message)
            status = error.status
    elif form.errors:
        status = 400
    context |= frame(viewer, repo, tab="community")
    return render(request, "catalog/discussion_new.html", context, status=status)


def _with_files(request: HttpRequest, viewer: Viewer, text: str) -> str:
    """Return ``text`` with what was attached to its form at the end."""
    links = []
    for file in request.FILES.getlist("files")[:10]:
        kept = attachments.receive(viewer, file.chunks())
        alt = (file.name or "").rpartition(".")[0].replace("[", "").replace("]", "")[:100]
        links.append(f"![{alt}]({kept.get_absolute_url()})")
    return "\n\n".join([text, *links]).strip()


@require_http_methods(["GET", "HEAD", "POST"])
def thread_page(request: HttpRequest, ns: str, name: str, number: int) -> HttpResponse:
    """Show a discussion, and take what its buttons send."""
    repo = open_repo(request, ns, name)
    if isinstance(repo, HttpResponse):
        return repo
    viewer, found = viewer_of(request), discussions.discussion_of(repo, number)
    extra: dict[str, Any] = {"error": "", "draft": "", "preview": "", "error_at": ""}
    status = 200
    if request.method == "POST":
        viewer.signed_in()
        act, text = request.POST.get("act", ""), request.POST.get("text", "")
        extra["draft"] = text[: comments.MAX_CHARS]
        try:
            if act != "preview":
                return redirect(_ACTS.get(act, _say)(request, viewer, found))
            extra["preview"] = comments.render(repo, comments.check_text(text))
        except StoreError as error:
            status = error.status
            extra |= {"error": error.message, "error_at": _own(viewer, found, request)}
            found = discussions.discussion_of(repo, number)
    context = thread_context(request, viewer, repo, found) | extra
    return render(request, "catalog/discussion.html", context, status=status)


def _own(viewer: Viewer, found: Discussion, request: HttpRequest) -> str:
    """Return the comment of the viewer's own whose form was wrong; its text stays in the form."""
    if request.POST.get("act") != "edit":
        return ""
    mine = found.events.filter(public_id=request.POST.get("comment", ""), author=viewer.user)
    return mine.values_list("public_id", flat=True).first() or ""


def thread_context(
    request: HttpRequest, viewer: Viewer, repo: ModelRepo, found: Discussion
) -> dict[str, Any]:
    """Return what the page of a discussion shows."""
    events = threads.events_of(found)
    pages = max(1, -(-len(events) // COMMENTS_PAGE))
    page = min(page_number(request), pages) if "page" in request.GET else pages
    start = (page - 1) * COMMENTS_PAGE
    user = viewer.user
    shown = [
        {
            "event": event,
            "html": "" if event.is_hidden else comments.html_of(found, event),
            "is_mine": user is not None and event.author_id == user.pk,
        }
        for event in events[start : start + COMMENTS_PAGE]
    ]
    context = frame(viewer, repo, tab="community")
    proposal = merging.proposal_of(found) if found.is_pull_request else None
    return context | {
        "discussion": found,
        "shown": shown,
        "proposal": proposal,
        "may_steer": discussions.may_steer(viewer, found),
        "may_comment": user is not None,
        "editing": request.GET.get("edit", ""),
        "next_href": f"?page={page + 1}" if page < pages else "",
        "previous_href": f"?page={page - 1}" if page > 1 else "",
        "section": "talk",
    }


Act = Callable[[HttpRequest, Viewer, Discussion], str]


def _say(request: HttpRequest, viewer: Viewer, found: Discussion) -> str:
    text = _with_files(request, viewer, request.POST.get("text", ""))
    made = comments.comment(viewer, found, text=text)
    return f"{found.get_absolute_url()}#{made.public_id}"


def _edit(request: HttpRequest, viewer: Viewer, found: Discussion) -> str:
    public_id = request.POST.get("comment", "")
    comments.edit(viewer, found, public_id, text=request.POST.get("text", ""))
    return f"{found.get_absolute_url()}#{public_id}"


def _hide(request: HttpRequest, viewer: Viewer, found: Discussion) -> str:
    comments.hide(viewer, found, request.POST.get("comment", ""))
    messages.success(request, _("The comment is hidden. What it said is gone."))
    return found.get_absolute_url()


def _set_status(request: HttpRequest, viewer: Viewer, found: Discussion) -> str:
    text = _with_files(request, viewer, request.POST.get("text", ""))
    status = {"close": "closed"}.get(request.POST.get("act", ""), "open")
    discussions.set_status(viewer, found, status=status, text=text)
    return found.get_absolute_url()


def _rename(request: HttpRequest, viewer: Viewer, found: Discussion) -> str:
    discussions.rename(viewer, found, title=request.POST.get("title", ""))
    return found.get_absolute_url()


def _pin(request: HttpRequest, viewer: Viewer, found: Discussion) -> str:
    discussions.pin(viewer, found, is_pinned=request.POST.get("act") == "pin")
    return found.get_absolute_url()


def _merge(request: HttpRequest, viewer: Viewer, found: Discussion) -> str:
    merging.merge(viewer, found)
    messages.success(request, _("The pull request is merged."))
    return found.get_absolute_url()


_ACTS: dict[str, Act] = {
    "edit": _edit,
    "hide": _hide,
    "close": _set_status,
    "open": _set_status,
    "rename": _rename,
    "pin": _pin,
    "unpin": _pin,
    "merge": _merge,
}


@require_http_methods(["POST"])
def switch(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """Switch the discussions of a model off or on."""
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name, to="admin")
    is_disabled = request.POST.get("disabled") == "true"
    discussions.set_disabled(viewer, repo, is_disabled=is_disabled)
    messages.success(
        request, _("Discussions are off now.") if is_disabled else _("Discussions are on now.")
    )
    return redirect(f"/{repo.full_name}/settings")

"""What a pull request changes, and proposing files from a browser."""

from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.services.limits import count_commit
from accounts.views.guards import viewer_of
from catalog.history.paths import check_path
from catalog.models import Discussion
from catalog.services.changes import shown_changes
from catalog.services.discussions import DiscussionNotFoundError, check_may_open, discussion_of
from catalog.services.folders import LocalFile, propose_files
from catalog.services.merging import proposal_of
from catalog.views.changes import MAX_FILES, MAX_NAMED
from catalog.views.listing import frame, open_repo
from catalog.views.publish import form_files
from store.core.errors import InvalidError, StoreError


@require_safe
def changes_page(request: HttpRequest, ns: str, name: str, number: int) -> HttpResponse:
    """Show what a pull request changes: lines, tensors, the card before and after."""
    repo = open_repo(request, ns, name)
    if isinstance(repo, HttpResponse):
        return repo
    viewer, pull = viewer_of(request), discussion_of(repo, number)
    if not pull.is_pull_request:
        raise DiscussionNotFoundError(_("This discussion proposes no changes."))
    proposal = proposal_of(pull)
    shown = shown_changes(viewer, pull, proposal, most=MAX_FILES)
    context = frame(viewer, repo, tab="community") | {
        "discussion": pull,
        "proposal": proposal,
        "section": "changes",
        "changes": [
            (
                each,
                _href(
                    pull,
                    each.diff.change.path,
                    proposal.head_oid,
                    is_new=(each.diff.change.new is not None),
                ),
            )
            for each in shown
        ],
        "more": [change.path for change in proposal.changes[MAX_FILES:MAX_NAMED]],
        "total": len(proposal.changes),
    }
    return render(request, "catalog/proposal.html", context)


def _href(pull: Discussion, path: str, head_oid: str, *, is_new: bool) -> str:
    commit = head_oid if is_new else pull.base_oid
    return f"/{pull.repo.full_name}/blob/{commit}/{quote(path)}"


@require_http_methods(["GET", "HEAD", "POST"])
def propose_page(request: HttpRequest, ns: str, name: str, rev: str) -> HttpResponse:
    """Send files as a pull request: for everybody who may read, without JavaScript."""
    repo = open_repo(request, ns, name)
    if isinstance(repo, HttpResponse):
        return repo
    viewer = viewer_of(request)
    if viewer.is_visitor:
        return redirect(f"/login?next=/{repo.full_name}/propose/{quote(rev, safe='')}")
    check_may_open(viewer, repo)
    context = frame(viewer, repo, tab="community") | {"rev": rev, "error": ""}
    status = 200
    if request.method == "POST":
        try:
            with form_files(request) as files:
                count_commit(viewer.signed_in().pk)
                title = request.POST.get("title", "").strip() or _("Propose files")
                text = request.POST.get("text", "")
                found = [LocalFile(source, check_path(path)) for path, source in files]
                if not found:
                    raise InvalidError(_("Choose some files first."))
                published = propose_files(
                    viewer, repo, found, title=title, message=text, revision=rev
                )
        except StoreError as error:
            context["error"], status = error.message, error.status
        else:
            assert published.pull is not None  # noqa: S101 - it was asked for
            return redirect(f"/{repo.full_name}/discussions/{published.pull.number}")
    return render(request, "catalog/propose.html", context, status=status)

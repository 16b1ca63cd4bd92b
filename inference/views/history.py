"""Own runs: the list, sharing one, deleting one or all."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts.views.guards import viewer_of
from catalog.views.listing import page_number
from inference.services import history, runs, sharing
from inference.services.params import AskedParams
from inference.views.playground import padded, read_own
from inference.visitors import visitor_key

PAGE = 30


@require_safe
def runs_page(request: HttpRequest) -> HttpResponse:
    """Show what the person, or the visitor's session, has asked."""
    viewer, text, page = viewer_of(request), request.GET.get("q", ""), page_number(request)
    rows = history.own_runs(viewer, visitor_key(request), text=text)
    start = (page - 1) * PAGE
    shown = list(rows[start : start + PAGE + 1])
    context = {
        "runs": shown[:PAGE],
        "text": text[: history.MAX_QUERY_CHARS],
        "keep_days": history.keep_for(viewer).days,
        "next_page": page + 1 if len(shown) > PAGE else 0,
        "previous_page": page - 1,
    }
    return _private(render(request, "inference/runs.html", context))


@require_POST
def run_share(request: HttpRequest, run: str) -> HttpResponse:
    """Make the link of a run."""
    found = read_own(request, run)
    sharing.share(viewer_of(request), found, visitor_key(request))
    return redirect(f"/runs/{found.public_id}#share")


@require_POST
def run_unshare(request: HttpRequest, run: str) -> HttpResponse:
    """Take the link of a run back."""
    found = read_own(request, run)
    sharing.unshare(viewer_of(request), found, visitor_key(request))
    messages.success(request, _("The link leads nowhere now."))
    return redirect(f"/runs/{found.public_id}#share")


@require_POST
def run_delete(request: HttpRequest, run: str) -> HttpResponse:
    """Delete a run."""
    history.delete(viewer_of(request), read_own(request, run), visitor_key(request))
    messages.success(request, _("The run is deleted, and its text with it."))
    return redirect("/runs")


@require_POST
def runs_delete_all(request: HttpRequest) -> HttpResponse:
    """Delete all runs of whoever asks."""
    count = history.delete_all(viewer_of(request), visitor_key(request))
    text = ngettext("%(n)d run is deleted.", "%(n)d runs are deleted.", count) % {"n": count}
    messages.success(request, text)
    return redirect("/runs")


@require_safe
def shared_page(request: HttpRequest, token: str) -> HttpResponse:
    """Show a run to whoever has its link: what was asked, of what, and what came out."""
    run = sharing.shared_run(viewer_of(request), token)
    params = AskedParams.model_validate(run.params)
    context = {
        "run": run,
        "texts": list(zip(run.texts, padded(run.finish_reasons, len(run.texts)), strict=True)),
        "params": params.model_dump(mode="json"),
        "tokens_per_s": runs.tokens_per_s(run),
    }
    answer = _private(render(request, "inference/shared.html", context))
    answer["X-Robots-Tag"] = "noindex, nofollow"
    answer["Referrer-Policy"] = "same-origin"  # the address is the key
    return answer


def _private(answer: HttpResponse) -> HttpResponse:
    answer["Cache-Control"] = "private, no-store"
    return answer

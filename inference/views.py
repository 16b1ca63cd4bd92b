"""The playground and the pages of its runs."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from catalog.access import repo_for
from catalog.models import ModelRepo
from catalog.views.listing import frame, open_repo
from inference.forms import PlaygroundForm
from inference.models import GenerationRun
from inference.services import follow, runs
from inference.services.streams import FIRST
from inference.sse import event_stream
from inference.visitors import viewer_of, visitor_key
from store.core.errors import RateLimitedError, StoreError
from store.core.web import wants_json


@require_http_methods(["GET", "HEAD", "POST"])
def playground(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """Show the playground of a model on a page of its own, or take a question."""
    if request.method == "POST":
        return _ask(request, repo_for(viewer_of(request), ns, name))
    repo = open_repo(request, ns, name)
    if isinstance(repo, HttpResponse):
        return repo
    return _page(request, repo, PlaygroundForm())


def _ask(request: HttpRequest, repo: ModelRepo) -> HttpResponse:
    form = PlaygroundForm(request.POST)
    try:
        if not form.is_valid():
            raise form.problem()
        run = runs.submit(
            viewer_of(request),
            repo,
            form.cleaned_data["revision"],
            form.cleaned_data["prompt"],
            form.params(),
            visitor_key=visitor_key(request, make=True),
        )
    except StoreError as error:
        if wants_json(request):
            raise
        return _page(request, repo, form, problem=error)
    if wants_json(request):
        return JsonResponse(_run_json(run), status=201)
    return redirect(f"/runs/{run.public_id}")


def _page(
    request: HttpRequest, repo: ModelRepo, form: PlaygroundForm, problem: StoreError | None = None
) -> HttpResponse:
    """Render the playground; after a refusal with what was typed and why it was refused."""
    context = frame(viewer_of(request), repo, tab="playground")
    context |= {"form": form, "problem": problem.message if problem else ""}
    status = problem.status if problem else 200
    answer = render(request, "inference/playground.html", context, status=status)
    if isinstance(problem, RateLimitedError):
        answer["Retry-After"] = str(problem.retry_after_s)
    answer["Cache-Control"] = "private, no-store"
    return answer


@require_safe
def run_page(request: HttpRequest, run: str) -> HttpResponse:
    """Show a run: where it stands, what it wrote. Reloads itself where scripts are off."""
    found = _read(request, run)
    standing = runs.standing(found)
    texts = runs.texts_so_far(found)
    context = {
        "run": found,
        "standing": standing,
        "texts": list(zip(texts, _padded(found.finish_reasons, len(texts)), strict=True)),
        "is_open": not found.has_ended,
        "is_visible": _can_see(request, found.repo),
        "tokens_per_s": runs.tokens_per_s(found),
    }
    answer = render(request, "inference/run.html", context)
    answer["Cache-Control"] = "private, no-store"
    return answer


@require_safe
def run_events(request: HttpRequest, run: str) -> HttpResponseBase:
    """Stream a run's events; goes on after ``Last-Event-ID``."""
    found = _read(request, run)
    after = request.headers.get("Last-Event-ID") or request.GET.get("after") or FIRST
    return event_stream(follow.watch(found, after=after), poll=f"/runs/{run}/state.json")


@require_safe
def run_state(request: HttpRequest, run: str) -> JsonResponse:
    """Tell what has come since ``after``, for callers that cannot hold a stream."""
    found = _read(request, run)
    seen = follow.snapshot(found, after=request.GET.get("after") or FIRST)
    body = _run_json(found) | {
        **follow.status_of(seen.standing),
        "events": [{"id": e.id, "kind": e.kind, "data": e.data} for e in seen.events],
        "last_id": seen.last_id,
    }
    answer = JsonResponse(body)
    answer["Cache-Control"] = "no-store"
    return answer


@require_POST
def run_cancel(request: HttpRequest, run: str) -> HttpResponse:
    """Stop a run."""
    found = _read(request, run)
    runs.cancel(viewer_of(request), found, visitor_key(request))
    if wants_json(request):
        return JsonResponse(_run_json(found))
    return redirect(f"/runs/{found.public_id}")


def _read(request: HttpRequest, public_id: str) -> GenerationRun:
    return runs.read(viewer_of(request), public_id, visitor_key(request))


def _can_see(request: HttpRequest, repo: ModelRepo) -> bool:
    """Whether the asker may still see the model: it may have become private meanwhile."""
    try:
        repo_for(viewer_of(request), repo.namespace.name, repo.name)
    except StoreError:
        return False
    return True


def _padded(reasons: list[str], count: int) -> list[str]:
    return [*reasons, *[""] * count][:count]


def _run_json(run: GenerationRun) -> dict[str, Any]:
    base = f"/runs/{run.public_id}"
    return {
        "id": run.public_id,
        "state": run.state,
        "is_ended": run.has_ended,
        "seed": run.params["seed"],
        "num_sequences": run.params["num_sequences"],
        "page": base,
        "events_url": f"{base}/events",
        "state_url": f"{base}/state.json",
        "cancel_url": f"{base}/cancel",
    }

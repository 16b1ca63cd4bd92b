"""The playground and the pages of its runs."""

from contextlib import suppress
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.views.guards import viewer_of
from catalog.access import repo_for
from catalog.models import ModelCard, ModelRepo
from catalog.services.usage import Snippet
from catalog.views.listing import frame, open_repo
from inference.box.conversation import Asked
from inference.forms import ChatForm, PlaygroundForm
from inference.models import GenerationRun, ShareLink
from inference.services import follow, runs
from inference.services.code_samples import code_samples
from inference.services.history import kept_until
from inference.services.params import AskedParams, InvalidParamsError
from inference.services.runs import RunNotFoundError
from inference.services.streams import FIRST
from inference.services.task_presets import takes_messages, task_presets
from inference.sse import event_stream
from inference.visitors import visitor_key
from store.core.errors import RateLimitedError, StoreError
from store.core.web import origin, wants_json


@require_http_methods(["GET", "HEAD", "POST"])
def playground(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """Show the playground of a model on a page of its own, or take a question."""
    if request.method == "POST":
        return _ask(request, repo_for(viewer_of(request), ns, name))
    repo = open_repo(request, ns, name)
    if isinstance(repo, HttpResponse):
        return repo
    return _page(request, repo, _form(request, repo))


def _form(request: HttpRequest, repo: ModelRepo) -> PlaygroundForm:
    """Return the form to begin with: a task's example, what an own run asked, or an empty one."""
    task = task_presets().get(request.GET.get("task", ""))
    if task is not None:
        return PlaygroundForm(initial=PlaygroundForm.initial_of(task.prompt, task.initial))
    if public_id := request.GET.get("run", ""):
        with suppress(RunNotFoundError):
            return again_form(read_own(request, public_id))
    wants_prompt = request.GET.get("mode") == "prompt"
    return PlaygroundForm() if wants_prompt or not takes_messages(_card(repo)) else ChatForm()


def again_form(run: GenerationRun) -> PlaygroundForm:
    """Return the form that asks the same again, seed included."""
    kind = PlaygroundForm if run.messages is None else ChatForm
    return kind(initial=kind.initial_of(runs.asked_of(run), run.params) | _chosen_again(run))


def payer_again(run: GenerationRun) -> dict[str, str]:
    """Return what a form begins with to let the same organization pay again, if one did."""
    return {"organization": run.organization.name if run.organization else ""}


def _chosen_again(run: GenerationRun) -> dict[str, str]:
    return payer_again(run) | {"weights": run.gguf_file}


def _sent_form(request: HttpRequest) -> PlaygroundForm:
    kind = ChatForm if request.POST.get("mode") == "chat" else PlaygroundForm
    return kind(request.POST)


def _card(repo: ModelRepo) -> ModelCard | None:
    return ModelCard.objects.filter(repo=repo).first()


@require_POST
def code(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """Show the code that does what the form says; a fragment for htmx, else a page."""
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name)
    form = _sent_form(request)
    samples: list[Snippet] = []
    problem = ""
    try:
        if not form.is_valid():
            raise form.problem()
        asked, weights = form.asked(), form.cleaned_data["weights"]
        samples = _samples(request, repo, asked, form.params(), weights=weights)
    except InvalidParamsError as error:
        problem = error.message
    context = {"samples": samples, "problem": problem}
    if getattr(request, "htmx", False):
        return render(request, "inference/_code.html", context)
    context |= frame(viewer, repo, tab="playground")
    return render(request, "inference/code.html", context)


def _samples(
    request: HttpRequest,
    repo: ModelRepo,
    asked: Asked,
    params: AskedParams,
    revision: str = "",
    *,
    weights: str = "",
) -> list[Snippet]:
    card = _card(repo)
    facts: dict[str, Any] = card.facts if card else {}
    if weights in facts.get("gguf_files", {}):
        facts = facts | {"gguf_file": weights, "weights": [weights]}
    return code_samples(origin(request), repo, facts, asked, params, revision=revision)


def _ask(request: HttpRequest, repo: ModelRepo) -> HttpResponse:
    form = _sent_form(request)
    try:
        if not form.is_valid():
            raise form.problem()
        run = runs.submit(
            viewer_of(request),
            repo,
            form.cleaned_data["revision"],
            form.asked(),
            form.params(),
            visitor_key=visitor_key(request, make=True),
            organization=form.cleaned_data["organization"],
            weights=form.cleaned_data["weights"],
        )
    except StoreError as error:
        if wants_json(request):
            raise
        return _page(request, repo, form, problem=error)
    if wants_json(request):
        return JsonResponse(run_json(run), status=201)
    return redirect(f"/runs/{run.public_id}")


def _page(
    request: HttpRequest, repo: ModelRepo, form: PlaygroundForm, problem: StoreError | None = None
) -> HttpResponse:
    """Render the playground; after a refusal with what was typed and why it was refused."""
    context = frame(viewer_of(request), repo, tab="playground")
    context |= {
        "form": form,
        "problem": problem.message if problem else "",
        "task": task_presets().get(request.GET.get("task", "")),
        "card": _card(repo),
    }
    status = problem.status if problem else 200
    answer = render(request, "inference/playground.html", context, status=status)
    if isinstance(problem, RateLimitedError):
        answer["Retry-After"] = str(problem.retry_after_s)
    answer["Cache-Control"] = "private, no-store"
    return answer


@require_safe
def run_page(request: HttpRequest, run: str) -> HttpResponse:
    """Show a run: where it stands, what it wrote. Reloads itself where scripts are off."""
    found = read_own(request, run)
    standing = runs.standing(found)
    texts = runs.texts_so_far(found)
    context = {
        "run": found,
        "standing": standing,
        "texts": list(zip(texts, padded(found.finish_reasons, len(texts)), strict=True)),
        "is_open": not found.has_ended,
        "is_visible": can_see(request, found.repo),
        "tokens_per_s": runs.tokens_per_s(found),
        "share": ShareLink.objects.filter(run=found).first(),
        "kept_until": kept_until(viewer_of(request), found),
    }
    if context["is_visible"]:
        params = AskedParams.model_validate(found.params)
        context |= {
            "again": again_form(found),
            "reply": _reply_form(found),
            "samples": _samples(
                request,
                found.repo,
                runs.asked_of(found),
                params,
                found.commit_oid,
                weights=found.gguf_file,
            ),
        }
    answer = render(request, "inference/run.html", context)
    answer["Cache-Control"] = "private, no-store"
    return answer


def _reply_form(run: GenerationRun) -> ChatForm | None:
    """Return the form that goes on with a conversation; ``None`` where there is none to go on."""
    asked = runs.asked_of(run)
    if isinstance(asked, str) or not run.has_ended or not run.texts:
        return None
    return ChatForm(initial=ChatForm.reply_to(asked, run.texts[0], run.params) | _chosen_again(run))


@require_safe
def run_events(request: HttpRequest, run: str) -> HttpResponseBase:
    """Stream a run's events; goes on after ``Last-Event-ID``."""
    found = read_own(request, run)
    after = request.headers.get("Last-Event-ID") or request.GET.get("after") or FIRST
    return event_stream(follow.watch(found, after=after), poll=f"/runs/{run}/state.json")


@require_safe
def run_state(request: HttpRequest, run: str) -> JsonResponse:
    """Tell what has come since ``after``, for callers that cannot hold a stream."""
    found = read_own(request, run)
    seen = follow.snapshot(found, after=request.GET.get("after") or FIRST)
    body = run_json(found) | {
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
    found = read_own(request, run)
    runs.cancel(viewer_of(request), found, visitor_key(request))
    if wants_json(request):
        return JsonResponse(run_json(found))
    return redirect(f"/runs/{found.public_id}")


def read_own(request: HttpRequest, public_id: str) -> GenerationRun:
    """Return a run of whoever asks."""
    return runs.read(viewer_of(request), public_id, visitor_key(request))


def can_see(request: HttpRequest, repo: ModelRepo) -> bool:
    """Whether the asker may still see the model: it may have become private meanwhile."""
    try:
        repo_for(viewer_of(request), repo.namespace.name, repo.name)
    except StoreError:
        return False
    return True


def padded(reasons: list[str], count: int) -> list[str]:
    """Return ``count`` reasons; empty ones where a text has not ended."""
    return [*reasons, *[""] * count][:count]


def run_json(run: GenerationRun) -> dict[str, Any]:
    """Return what scripts need to follow a run."""
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

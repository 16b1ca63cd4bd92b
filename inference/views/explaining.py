"""Pages that explain: why a model wrote what it wrote, and how it works at all."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.views.guards import viewer_of
from inference.box.explain_messages import TEMPERATURES
from inference.models import Explanation, GenerationRun
from inference.services import answering, explanations, runs, showing
from inference.services.explain_params import AskedExplanation, read_explanation, read_walk
from inference.services.params import InvalidParamsError
from inference.services.walks import walk_model
from inference.visitors import visitor_key
from store.core.errors import StoreError

_FIRST_STEP = TEMPERATURES.index(1.0)
_WALK_CHARS = 200
_LISTED = 20
_CLOSE_TOKENS = 64


@require_http_methods(["GET", "HEAD", "POST"])
def explain_page(request: HttpRequest, run: str) -> HttpResponse:
    """Show one explanation of a run as far as it has come, or take a question about it."""
    viewer = viewer_of(request)
    found = runs.read(viewer, run, visitor_key(request))
    try:
        values = request.POST if request.method == "POST" else request.GET
        asked = read_explanation(_zoomed({"kind": "tokens", **values.dict()}))
        if request.method == "POST":
            explanations.ask(viewer, found, asked)
            return redirect(f"/runs/{run}/explain?{urlencode(_query(asked))}")
    except StoreError as error:
        return _explained(request, found, AskedExplanation(kind="tokens"), problem=error)
    return _explained(request, found, asked)


@require_POST
def explain_cancel(request: HttpRequest, run: str, explanation: str) -> HttpResponse:
    """Stop a question about a run."""
    viewer = viewer_of(request)
    found = explanations.read_of(runs.read(viewer, run, visitor_key(request)), explanation)
    answering.cancel(found)
    asked = read_explanation({"kind": found.kind, **found.params})
    return redirect(f"/runs/{run}/explain?{urlencode(_query(asked))}")


def _zoomed(values: dict[str, Any]) -> dict[str, Any]:
    """Apply a button that looks closely at a part of the tokens, or at all of them again."""
    zoom = values.pop("zoom", "")
    if zoom == "all":
        return values | {"first": 0, "window": ""}
    return values | {"first": zoom, "window": _CLOSE_TOKENS} if zoom else values


def _query(asked: AskedExplanation) -> dict[str, Any]:
    return {"kind": asked.kind, **asked.params()}


def _explained(
    request: HttpRequest,
    run: GenerationRun,
    asked: AskedExplanation,
    problem: StoreError | None = None,
) -> HttpResponse:
    found = explanations.find(run, asked)
    trial = explanations.trial_of(viewer_of(request), run, asked)
    context = {
        "trial_cost": trial[0] if trial else None,
        "trial_left": trial[1] if trial else None,
        "run": run,
        "asked": asked,
        "query": _query(asked),
        "explanation": found,
        "problem": problem.message if problem else "",
        "cost": explanations.COST_TOKENS[asked.kind],
        "can_ask": run.has_ended and run.state != GenerationRun.State.FAILED,
        "kinds": ["tokens", "saliency", "attention", "lens"],
        "sequences": range(len(run.texts)),
        "is_open": found is not None and found.is_open,
        "standing": runs.standing(found) if found is not None and found.is_open else None,
        "cancel_url": f"/runs/{run.public_id}/explain/{found.public_id}/cancel" if found else "",
        **_shown(found),
    }
    return _private(render(request, "inference/explain.html", context, status=_status(problem)))


def _shown(found: Explanation | None) -> dict[str, Any]:
    """Return what the answer's own part of the page needs."""
    if found is None or found.result is None:
        return {}
    result = found.result
    shown: dict[str, Any] = {
        "result": result,
        "target": result["target"],
        "target_text": showing.marked(result["tokens"][result["target"]][1]),
    }
    if found.kind == "tokens":
        tokens = showing.with_chances(result)
        known = [token for token in tokens if token.percent is not None]
        bits = [token.bits for token in known if token.is_answer]
        average = sum(bits) / len(bits) if bits else None
        return shown | {"tokens": tokens, "known": known, "average_bits": average}
    if found.kind == "saliency":
        tokens = showing.with_shares(result)
        known = sorted(
            (t for t in tokens if t.percent is not None), key=lambda t: -(t.percent or 0)
        )
        return shown | {"tokens": tokens, "known": known[:_LISTED]}
    if found.kind == "attention":
        choices = {"layers": range(result["layers"]), "heads": range(result["heads"])}
        tokens = showing.tokens_of(result)
        return shown | choices | {"tokens": tokens, "map": showing.heat_map(result)}
    return shown | {"tokens": showing.tokens_of(result), "rows": showing.lens_rows(result)}


@require_http_methods(["GET", "HEAD", "POST"])
def how_it_works(request: HttpRequest) -> HttpResponse:
    """Show the way from a prompt to its next token, or take a prompt to walk with."""
    repo = walk_model()
    problem: StoreError | None = None
    prompt = request.POST.get("prompt", "")
    if request.method == "POST" and repo is not None:
        try:
            if len(prompt) > _WALK_CHARS:
                raise InvalidParamsError(
                    f"A walk has room for {_WALK_CHARS} characters. Shorten the prompt.",
                    fields={"prompt": "too long"},
                )
            walk = explanations.ask_walk(
                viewer_of(request),
                repo,
                prompt,
                read_walk(request.POST.dict()),
                visitor_key=visitor_key(request, make=True),
            )
            return redirect(f"/how-it-works/{walk.public_id}")
        except StoreError as error:
            problem = error
    context = {
        "repo": repo,
        "prompt": prompt or "Once upon a time there was",
        "problem": problem.message if problem else "",
        "explanation": None,
        "is_open": False,
        "params": {"layer": 0, "head": 0, "seed": 0},
    }
    return _private(render(request, "inference/walk.html", context, status=_status(problem)))


@require_safe
def walk_page(request: HttpRequest, walk: str) -> HttpResponse:
    """Show a walk as far as it has come, at the chosen temperature."""
    found = _own_walk(request, walk)
    context: dict[str, Any] = {
        "repo": found.repo,
        "prompt": found.prompt,
        "problem": "",
        "explanation": found,
        "is_open": found.is_open,
        "standing": runs.standing(found),
        "cancel_url": f"/how-it-works/{walk}/cancel",
        "params": found.params,
    }
    if found.result is not None:
        step = _step(request.GET.get("t", ""))
        context |= {
            "walk": showing.walk_of(found.result, step),
            "step": step,
            "last_step": len(TEMPERATURES) - 1,
            "layers": range(found.result["layers"]),
            "heads": range(found.result["heads"]),
        }
    return _private(render(request, "inference/walk.html", context))


@require_POST
def walk_cancel(request: HttpRequest, walk: str) -> HttpResponse:
    """Stop a walk."""
    answering.cancel(_own_walk(request, walk))
    return redirect(f"/how-it-works/{walk}")


def _own_walk(request: HttpRequest, public_id: str) -> Explanation:
    found = explanations.read(viewer_of(request), public_id, visitor_key(request))
    if found.kind != Explanation.Kind.WALK:
        raise explanations.ExplanationNotFoundError("There is no such walk.")
    return found


def _step(text: str) -> int:
    step = int(text) if text.isascii() and text.isdigit() and len(text) < 3 else _FIRST_STEP
    return min(step, len(TEMPERATURES) - 1)


def _status(problem: StoreError | None) -> int:
    return problem.status if problem else 200


def _private(answer: HttpResponse) -> HttpResponse:
    answer["Cache-Control"] = "private, no-store"
    return answer

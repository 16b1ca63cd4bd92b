"""Two models on the same prompt or message, side by side."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods

from accounts.views.guards import viewer_of
from inference.forms_of_two import CompareChatForm, CompareForm
from inference.models import GenerationRun
from inference.services import runs, side_by_side
from inference.services.payers import organizations_of
from inference.services.runs import RunNotFoundError
from inference.views.choosing import named, offered, trials_of
from inference.views.playground import can_see, padded, payer_again, read_own, run_json
from inference.visitors import visitor_key
from store.core.errors import RateLimitedError, StoreError
from store.core.web import wants_json

PAIR = 2


@require_http_methods(["GET", "HEAD", "POST"])
def compare(request: HttpRequest) -> HttpResponse:
    """Show the form, two runs, or take a prompt, or a message, for two models (``a`` and ``b``)."""
    if request.method == "POST":
        return _ask(request)
    made = _own_runs(request)
    names = [run.repo.full_name for run in made] or [
        request.GET.get("a", ""),
        request.GET.get("b", ""),
    ]
    is_chat = made[0].messages is not None if made else request.GET.get("mode") == "chat"
    kind = CompareChatForm if is_chat else CompareForm
    initial: dict[str, Any] = {}
    if made:
        initial = kind.initial_of(runs.asked_of(made[0]), made[0].params)
        initial |= payer_again(made[0])
    initial |= dict(zip(("a", "b"), names, strict=False))
    return _page(request, kind(initial=initial), made)


def _own_runs(request: HttpRequest) -> list[GenerationRun]:
    """Return the runs the address names; none at all if one is gone or somebody else's."""
    try:
        return [read_own(request, one) for one in request.GET.getlist("run")[:PAIR]]
    except RunNotFoundError:
        return []


def _ask(request: HttpRequest) -> HttpResponse:
    kind = CompareChatForm if request.POST.get("mode") == "chat" else CompareForm
    form = kind(request.POST)
    try:
        if not form.is_valid():
            raise form.problem()
        repos = [named(request, form.cleaned_data[side]) for side in ("a", "b")]
        made = side_by_side.submit_both(
            viewer_of(request),
            repos,
            form.asked(),
            form.params(),
            visitor_key=visitor_key(request, make=True),
            organization=form.cleaned_data["organization"],
        )
    except StoreError as error:
        if wants_json(request):
            raise
        return _page(request, form, [], problem=error)
    if wants_json(request):
        return JsonResponse({"runs": [run_json(run) for run in made]}, status=201)
    return redirect("/playground/compare?" + "&".join(f"run={run.public_id}" for run in made))


def _page(
    request: HttpRequest,
    form: CompareForm | CompareChatForm,
    made: list[GenerationRun],
    problem: StoreError | None = None,
) -> HttpResponse:
    names = [form["a"].value() or "", form["b"].value() or ""]
    trials = trials_of(request, names)
    context = {
        "form": form,
        "has_payers": form.offer_payers(organizations_of(viewer_of(request))),
        "problem": problem.message if problem else "",
        "panes": _panes(request, made, names),
        "is_open": any(not run.has_ended for run in made),
        "agree": _agreement(made),
        "choices": offered(),
        "trials": trials,
        "trial_cost": form.most_tokens() if trials else None,
        "named": urlencode({"a": names[0], "b": names[1]}),
    }
    answer = render(
        request, "inference/side_by_side.html", context, status=problem.status if problem else 200
    )
    if isinstance(problem, RateLimitedError):
        answer["Retry-After"] = str(problem.retry_after_s)
    answer["Cache-Control"] = "private, no-store"
    return answer


def _panes(
    request: HttpRequest, made: list[GenerationRun], names: list[str]
) -> list[dict[str, Any]]:
    panes: list[dict[str, Any]] = [
        _empty_pane(side, str(name).strip()) for side, name in zip(("A", "B"), names, strict=True)
    ]
    for pane, run in zip(panes, made, strict=False):
        texts = runs.texts_so_far(run)
        pane |= {
            "run": run,
            "is_visible": can_see(request, run.repo),
            "standing": runs.standing(run),
            "texts": list(zip(texts, padded(run.finish_reasons, len(texts)), strict=True)),
            "is_open": not run.has_ended,
            "tokens_per_s": runs.tokens_per_s(run),
            "score_url": _score_url(run, names),
        }
    return panes


def _score_url(run: GenerationRun, names: list[str]) -> str:
    """Return the page on which both models read what one of them wrote."""
    query = {"run": run.public_id, **dict(zip(("a", "b"), names, strict=False))}
    return f"/playground/score?{urlencode(query)}"


def _empty_pane(side: str, name: str) -> dict[str, Any]:
    return {
        "side": side,
        "name": name,
        "run": None,
        "is_visible": False,
        "standing": None,
        "texts": [],
        "is_open": False,
        "tokens_per_s": None,
    }


def _agreement(made: list[GenerationRun]) -> int | None:
    """Return how many characters both texts begin with alike; ``None`` while one is open."""
    if len(made) < PAIR or any(not run.has_ended or not run.texts for run in made):
        return None
    return side_by_side.common_start([run.texts[0] for run in made])

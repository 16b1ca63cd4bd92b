"""The evaluations of a model: its list, one run with its samples."""

from typing import Any, cast, get_args
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.views.guards import viewer_of
from catalog.access import can
from catalog.models import ModelCard, ModelRepo
from catalog.views.listing import frame, open_repo, page_number
from inference.models import EvaluationRun
from inference.services import (
    asking,
    datasets,
    evaluation_trials,
    evaluations,
    progress,
    samples,
    scoreboards,
)
from inference.services.samples import Outcome, SampleQuery

RUNS_PAGE = 25
_NOTHING_TYPED = dict.fromkeys(("suite", "task", "revision", "name", "match"), "")


@require_safe
def evaluations_page(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """Show all that was measured of a model, what is being measured, and what is claimed."""
    repo = open_repo(request, ns, name)
    if isinstance(repo, HttpResponse):
        return repo
    return show_evaluations(request, repo)


def show_evaluations(
    request: HttpRequest, repo: ModelRepo, *, status: int = 200, **more: Any
) -> HttpResponse:
    """Render the list of a model's evaluations.

    Args:
        request: Whose page it is.
        repo: Visible to them.
        status: Of the answer.
        **more: Context on top: a form that was refused, and why.
    """
    viewer, number = viewer_of(request), page_number(request)
    rows = evaluations.visible_runs(viewer, repo).select_related("asked_by")
    start = (number - 1) * RUNS_PAGE
    shown = list(rows[start : start + RUNS_PAGE + 1])
    runs = shown[:RUNS_PAGE]
    choices = asking.choices_for(viewer) if viewer.user is not None else []
    trial_left = evaluation_trials.left_of(viewer, repo) if viewer.user is not None else None
    own = [suite for suite in choices if not suite.is_public] if trial_left else []
    context = frame(viewer, repo, tab="scores") | {
        "card": ModelCard.objects.filter(repo=repo).defer("html", "body").first(),
        "runs": runs,
        "progress": progress.progress_of(runs),
        "is_running": any(not run.has_ended for run in runs),
        "next_href": f"?page={number + 1}" if len(shown) > RUNS_PAGE else "",
        "previous_href": f"?page={number - 1}" if number > 1 else "",
        "choices": choices,
        "harness_tasks": asking.harness_tasks(),
        "trial_left": trial_left,
        "trial_most": datasets.MAX_NEW_TOKENS,
        "trial_costs": evaluation_trials.costs_of(own),
    }
    more["typed"] = _NOTHING_TYPED | more.get("typed", {})
    is_part = request.headers.get("HX-Target") == "runs"
    template = "inference/_runs.html" if is_part else "inference/evaluations.html"
    answer = render(request, template, context | more, status=status)
    answer["Cache-Control"] = "private, no-store"
    answer["Vary"] = "HX-Request, HX-Target, Cookie"
    return answer


@require_safe
def evaluation_page(request: HttpRequest, ns: str, name: str, run: str) -> HttpResponse:
    """Show one evaluation: scores, record, samples, what people say of it."""
    repo = open_repo(request, ns, name)
    if isinstance(repo, HttpResponse):
        return repo
    return show_evaluation(request, scoreboards.run_for(viewer_of(request), repo, run))


def show_evaluation(
    request: HttpRequest, run: EvaluationRun, *, status: int = 200, **more: Any
) -> HttpResponse:
    """Render one evaluation; arguments as ``show_evaluations``."""
    viewer = viewer_of(request)
    is_readable = not run.record.get(evaluations.SCORES_ONLY)
    context = frame(viewer, run.repo, tab="scores") | {
        "run": run,
        "scores": list(run.scores.order_by("-is_primary", "task", "metric")),
        "progress": progress.progress_of([run]).get(run.pk),
        "notes": list(run.measured.notes.select_related("author").order_by("created_at", "pk")),
        "repeat": _repeat(request, run),
        "is_readable": is_readable,
        "may_note": viewer.is_staff or can(viewer, run.repo, to="write"),
        "may_retry": viewer.user is not None and evaluations.may_retry(viewer, run),
        "may_stop": evaluations.may_stop(viewer, run),
        "problem": "",
        "note_text": "",
    }
    if is_readable and run.has_ended:
        context |= _samples(request, run)
    answer = render(request, "inference/evaluation.html", context | more, status=status)
    answer["Cache-Control"] = "private, no-store"
    return answer


def _samples(request: HttpRequest, run: EvaluationRun) -> dict[str, Any]:
    asked = request.GET.get("show", "")
    query = SampleQuery(
        text=request.GET.get("q", "").strip()[: samples.MAX_TEXT_CHARS],
        outcome=cast("Outcome", asked if asked in get_args(Outcome) else ""),
        task=request.GET.get("task", "")[:128],
    )
    metric, number = samples.judged_by(run), page_number(request)
    page = samples.page(run, query, number, metric=metric)
    given = {"q": query.text, "show": query.outcome, "task": query.task}
    rest = {key: value for key, value in given.items() if value}

    def href(other: int) -> str:
        return f"?{urlencode(rest | {'page': other})}#samples"

    return {
        "query": query,
        "page": page,
        "tasks": samples.tasks_of(run),
        "is_judged": bool(metric),
        "is_narrowed": bool(rest),
        "first": (number - 1) * samples.PAGE + 1,
        "next_href": href(number + 1) if page.has_more else "",
        "previous_href": href(number - 1) if number > 1 else "",
    }


def _repeat(request: HttpRequest, run: EvaluationRun) -> str:
    """Return the command that asks for the same again, anywhere."""
    origin = f"{request.scheme}://{request.get_host()}"
    body = (
        f'{{"suite": "{run.suite.key}", "version": {run.suite.version},'
        f' "revision": "{run.commit_oid}"}}'
    )
    return (
        f"curl -X POST {origin}/api/v1/models/{run.repo.full_name}/evaluations \\\n"
        '  -H "Authorization: Bearer $HF_TOKEN" -H "Content-Type: application/json" \\\n'
        f"  -d '{body}'"
    )

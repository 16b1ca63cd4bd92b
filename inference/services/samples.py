"""The single answers of a run: which a reader wants to see."""

from dataclasses import dataclass
from typing import Literal

from django.db.models import Q, QuerySet
from django.db.models.fields.json import KeyTransform

from inference.models import EvaluationRun, Sample

PAGE = 20
MAX_TEXT_CHARS = 200

Outcome = Literal["", "right", "wrong"]


@dataclass(frozen=True, slots=True)
class SampleQuery:
    """Which samples."""

    text: str = ""
    """Part of the prompt, the answer or what was expected, whatever its case."""
    outcome: Outcome = ""
    task: str = ""


@dataclass(frozen=True, slots=True)
class SamplePage:
    """Some of them."""

    rows: list["Shown"]
    total: int
    """How many match."""
    number: int
    has_more: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """A sample with what it is worth."""

    sample: Sample
    is_right: bool | None
    """``None``: its metric is no question of right or wrong."""


def judged_by(run: EvaluationRun) -> str:
    """Return the metric that tells right from wrong in a run; empty: none does.

    It is the one the run is ranked by, where that is a share of right answers.
    """
    score = run.scores.filter(is_primary=True, unit="share").first()
    return score.metric if score else ""


def page(run: EvaluationRun, query: SampleQuery, number: int, *, metric: str) -> SamplePage:
    """Return one page of a run's samples in the order of its tasks. Two queries.

    Args:
        run: Visible to the reader, and not ``evaluations.SCORES_ONLY``.
        query: Which.
        number: Of the page, from 1.
        metric: From ``judged_by``.
    """
    rows = _matching(run, query, metric)
    total = rows.count()
    start = (number - 1) * PAGE
    found = [Shown(each, _is_right(each, metric)) for each in rows[start : start + PAGE]]
    return SamplePage(found, total, number, start + PAGE < total)


def _matching(run: EvaluationRun, query: SampleQuery, metric: str) -> "QuerySet[Sample]":
    rows = Sample.objects.filter(run_id=run.measured_id).order_by("task", "index")
    if query.task:
        rows = rows.filter(task=query.task)
    if query.text:
        text = query.text
        rows = rows.filter(
            Q(prompt__icontains=text) | Q(output__icontains=text) | Q(expected__icontains=text)
        )
    if query.outcome and metric:
        is_right = Q(worth__gte=1) if query.outcome == "right" else Q(worth__lt=1)
        rows = rows.annotate(worth=KeyTransform(metric, "metrics")).filter(is_right)
    return rows


def _is_right(sample: Sample, metric: str) -> bool | None:
    worth = sample.metrics.get(metric) if metric else None
    return worth >= 1 if isinstance(worth, int | float) else None


def tasks_of(run: EvaluationRun) -> list[str]:
    """Return the tasks a run has samples of, by name."""
    return list(
        Sample.objects.filter(run_id=run.measured_id)
        .values_list("task", flat=True)
        .distinct()
        .order_by("task")
    )

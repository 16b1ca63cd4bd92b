"""What the store measured of one model: its score card and the history of it."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.core.cache import cache
from django.db.models import F, Max, Min, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from redis.exceptions import RedisError

from accounts.viewer import Viewer
from catalog.models import Commit, ModelRepo
from inference.models import EvaluationRun, Score, Suite
from inference.services import evaluations, readings
from inference.services.evaluations import EvaluationNotFoundError
from inference.services.readings import Reading
from store.core.ui import figures
from store.core.ui.plotting import Dot, Plot, plot

SPAN_KEPT_S = 60
MOST_SCORES = 2000
"""Of one model, read for its card: primary scores of all suites and revisions."""


def run_for(viewer: Viewer, repo: ModelRepo, public_id: str) -> EvaluationRun:
    """Return one run of a visible model.

    Raises:
        EvaluationNotFoundError: absent, of another model, or somebody's private one.
    """
    rows = evaluations.visible_runs(viewer, repo).select_related("asked_by")
    found = rows.filter(public_id=public_id).first()
    if found is None:
        raise EvaluationNotFoundError(
            _("%(model)s has no evaluation %(id)s.")
            % {"model": repo.full_name, "id": public_id[:24]}
        )
    return found


@dataclass(frozen=True, slots=True)
class Line:
    """One suite on the score card of a model: the newest measured revision, and those before."""

    suite: Suite
    score: Score
    reading: Reading
    is_head: bool
    """The run is of the present head of ``main``."""
    history: list[Score]
    """Of the same suite and version, oldest revision first, this one included."""
    span: tuple[float, float] | None = None
    """Least and largest figure of all public models, as ``reading`` is written; ``None``: no room
    between them."""

    @property
    def run(self) -> EvaluationRun:
        """The run the score is of."""
        return self.score.run

    @property
    def low(self) -> float:
        """Where the bar begins."""
        return self.reading.value if self.reading.low is None else self.reading.low

    @property
    def high(self) -> float:
        """Where the bar ends."""
        return self.reading.value if self.reading.high is None else self.reading.high

    @property
    def hardware(self) -> str:
        """What it ran on, in words."""
        return hardware_text(self.run.record)


def score_card(repo: ModelRepo, head_oid: str) -> list[Line]:
    """Return what the store measured of a model, by title of the suite. Two queries at most.

    Of each suite it is the newest revision that has a finished public run: the head, if it has
    one. Versions of a suite are not compared with each other.
    """
    groups: dict[str, list[Score]] = {}
    for score in _primary_scores(repo):
        groups.setdefault(score.run.suite.key, []).append(score)
    newest = [_newest(scores, head_oid) for scores in groups.values()]
    spans = spans_of(score.run.suite_id for score in newest)
    lines = [
        _line(score, groups[score.run.suite.key], head_oid, spans.get(score.run.suite_id))
        for score in newest
    ]
    return sorted(lines, key=lambda line: (not line.suite.is_ranked, line.suite.title))


def _primary_scores(repo: ModelRepo) -> list[Score]:
    depth = Commit.objects.filter(repo=repo, oid=OuterRef("run__commit_oid")).values("depth")
    rows = Score.objects.filter(
        is_primary=True, run__repo=repo, run__is_public=True, run__state=EvaluationRun.State.DONE
    )
    ordered = rows.select_related("run__suite", "run__carried_from").annotate(
        depth=Coalesce(Subquery(depth[:1]), -1)
    )
    return list(ordered.order_by("-run__finished_at", "-run_id")[:MOST_SCORES])


def _age(score: Score) -> tuple[int, int, Any]:
    """Return how new a score is: by its revision, then by the suite's version, then by the run."""
    depth: int = score.depth  # type: ignore[attr-defined]
    return depth, score.run.suite.version, score.run.finished_at


def _newest(scores: list[Score], head_oid: str) -> Score:
    return max(scores, key=lambda score: (score.run.commit_oid == head_oid, _age(score)))


def _line(
    score: Score, group: list[Score], head_oid: str, span: tuple[float, float] | None
) -> Line:
    alike = [other for other in group if other.run.suite_id == score.run.suite_id]
    shown = readings.reading(score)
    if span is not None:
        ends = [readings.read(end, None, None, score.unit).value for end in span]
        span = (ends[0], ends[1]) if ends[0] < ends[1] else None
    is_head = score.run.commit_oid == head_oid
    return Line(score.run.suite, score, shown, is_head, sorted(alike, key=_age), span)


def spans_of(suite_ids: Iterable[int]) -> dict[int, tuple[float, float]]:
    """Return between which figures all public models lie, intervals included, by suite.

    Private models are left out: their scores are nobody else's business. Every listing shows these
    and they take a fifth of a second at 4,000 models, so they are kept for a minute: one query
    then, at most.
    """
    ids = list(dict.fromkeys(suite_ids))
    keys = {pk: f"suite-span:{pk}" for pk in ids}
    with contextlib.suppress(RedisError):
        kept: dict[str, tuple[float, float] | None] = cache.get_many(keys.values())
        if kept.keys() == set(keys.values()):
            return {pk: span for pk in ids if (span := kept[keys[pk]]) is not None}
    found = _spans_now(ids)
    with contextlib.suppress(RedisError):
        cache.set_many({keys[pk]: found.get(pk) for pk in ids}, SPAN_KEPT_S)
    return found


def _spans_now(suite_ids: list[int]) -> dict[int, tuple[float, float]]:
    rows = (
        Score.objects.filter(
            is_primary=True,
            run__suite_id__in=suite_ids,
            run__is_public=True,
            run__state=EvaluationRun.State.DONE,
            run__repo__is_private=False,
        )
        .values("run__suite_id")
        .annotate(least=Min(Coalesce(F("low"), F("value"))), most=Max(Coalesce("high", "value")))
    )
    return {row["run__suite_id"]: (row["least"], row["most"]) for row in rows}


def history_plot(line: Line, full_name: str) -> Plot | None:
    """Return the scores of a suite over the revisions; ``None`` where there is but one."""
    if len(line.history) < 2:
        return None
    dots = []
    for place, score in enumerate(line.history):
        shown = readings.reading(score)
        oid = score.run.commit_oid
        dots.append(
            Dot(
                label=line.suite.title,
                x=place,
                y=shown.value,
                x_text=f"{oid[:8]} · {score.run.finished_at:%Y-%m-%d}",
                y_text=shown.whole,
                low=shown.low,
                high=shown.high,
                href=f"/{full_name}/evaluations/{score.run.public_id}",
                is_marked=True,
            )
        )
    return plot(dots, y_say=readings.say_value(line.score.unit), names_most=0)


def hardware_text(record: dict[str, Any]) -> str:
    """Return what a run ran on, from its record; empty where that does not say."""
    found = record.get("hardware", {})
    cores, memory_bytes = found.get("cores"), found.get("memory_bytes")
    parts = [
        found.get("processor", ""),
        ngettext("%(n)d core", "%(n)d cores", cores) % {"n": cores} if cores else "",
        figures.size_text(memory_bytes) if memory_bytes else "",
    ]
    return ", ".join(part for part in parts if part)

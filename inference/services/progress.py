"""How far evaluations are, and when they will be done."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, Sum
from django.utils import timezone

from inference.models import EvaluationRun, EvaluationShard


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    share: float | None
    """0 to 1; ``None``: it has not been cut into pieces yet."""
    left_s: float | None
    """Seconds it will still take, going on as so far; ``None``: nothing is done yet, or it has
    ended."""
    done: int = 0
    """Samples done."""
    total: int = 0


def progress_of(runs: Iterable[EvaluationRun], now: datetime | None = None) -> dict[int, Progress]:
    """Return how far those of ``runs`` are that are not done, by run. One query, none if all are.

    The time left goes by the samples done since the run began, pauses included. One that failed
    or was stopped has none; how far it had come stays to be seen.
    """
    unfinished = {run.pk: run for run in runs if run.state != EvaluationRun.State.DONE}
    if not unfinished:
        return {}
    is_done = Q(done_at__isnull=False)
    rows = (
        EvaluationShard.objects.filter(run__in=unfinished)
        .values("run_id")
        .annotate(total=Sum("count"), done=Sum("count", filter=is_done))
    )
    found = {row["run_id"]: row for row in rows}
    now = now or timezone.now()
    return {pk: _progress(run, found.get(pk), now) for pk, run in unfinished.items()}


def _progress(run: EvaluationRun, row: Any, now: datetime) -> Progress:
    total, done = (row["total"] or 0, row["done"] or 0) if row else (0, 0)
    if not total:
        return Progress(None, None)
    share = done / total
    if not done or run.started_at is None or run.has_ended:
        return Progress(share, None, done, total)
    spent_s = (now - run.started_at).total_seconds()
    return Progress(share, max(spent_s * (total - done) / done, 0.0), done, total)

"""Whose evaluation is next. Few run at a time, so that people's generations find a free worker.

The run rows are the queue: a run gets its job when its turn comes.
"""

import logging
from collections import Counter
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from inference.models import EvaluationRun
from inference.services import evaluation_trials
from inference.services.carrying import carry_over
from inference.services.weights import NotRunnableError, least_memory
from store.core import placing
from store.core.database import lock_name
from store.core.jobs import JobName, Priority, enqueue
from store.core.models import Job
from store.core.queues import MODEL_QUEUES

logger = logging.getLogger(__name__)

_LOOKED_AT = 500
"""Waiting runs among which the next is chosen."""
_LOST = "The work on this was lost. Try it again."


def dispatch() -> int:
    """Give jobs to the next runs, as many as may run; return how many.

    People come before the store's own runs, and among people whoever had fewest in the last hour.
    What another revision of the same model files has been measured for meanwhile needs no job.
    """
    with transaction.atomic():
        lock_name("evaluation queue")
        open_runs = EvaluationRun.objects.filter(state__in=EvaluationRun.OPEN)
        busy = open_runs.filter(job__state__in=Job.OPEN).count()
        free = _most_at_once() - busy
        begun = 0
        while begun < free and (chosen := _next(free - begun)):
            begun += sum(_begin(run) for run in chosen)
    return begun


def _most_at_once() -> int:
    """Return how many may run: one less than the workers have slots, for people; but one always."""
    most: int = settings.ENV.evaluations_at_once
    workers = placing.present()
    slots = sum(placing.slots_of(queue, workers) for queue in MODEL_QUEUES)
    return min(most, max(1, slots - 1)) if slots else most


def _begin(run: EvaluationRun) -> bool:
    """Give a run its job. ``False``: it has its result already."""
    if carry_over(run):
        return False
    by_person = run.asked_by_id is not None
    run.job = enqueue(
        JobName.EVALUATE,
        key=f"evaluation:{run.pk}",
        asker=f"user:{run.asked_by_id}" if by_person else "",
        priority=Priority.BATCH if by_person else Priority.STORE,
        memory_bytes=_least_memory(run),
        run_id=run.pk,
    )
    run.save(update_fields=["job"])
    return True


def _least_memory(run: EvaluationRun) -> int:
    """Return what its worker must have, in bytes; of what cannot run any more, the job says so."""
    try:
        return least_memory(run.repo, run.commit_oid)
    except NotRunnableError:
        return 0


def _next(count: int) -> list[EvaluationRun]:
    waiting = EvaluationRun.objects.filter(state=EvaluationRun.State.QUEUED, job=None)
    found = list(waiting.order_by(F("asked_by").asc(nulls_last=True), "pk")[:_LOOKED_AT])
    since = timezone.now() - timedelta(hours=1)
    had: Counter[int | None] = Counter(
        EvaluationRun.objects.filter(started_at__gt=since).values_list("asked_by_id", flat=True)
    )
    chosen: list[EvaluationRun] = []

    def rank(run: EvaluationRun) -> tuple[bool, int, int]:
        return run.asked_by_id is None, had[run.asked_by_id], run.pk

    while found and len(chosen) < count:
        run = min(found, key=rank)
        had[run.asked_by_id] += 1
        found.remove(run)
        chosen.append(run)
    return chosen


def place_of(run: EvaluationRun) -> int:
    """Return about how many evaluations come before a waiting one (0: it is next, or runs)."""
    if run.state != EvaluationRun.State.QUEUED or run.job_id is not None:
        return 0
    before = Q(pk__lt=run.pk, asked_by__isnull=run.asked_by_id is None)
    if run.asked_by_id is None:
        before |= Q(asked_by__isnull=False)
    waiting = EvaluationRun.objects.filter(state=EvaluationRun.State.QUEUED, job=None)
    return waiting.filter(before).count()


def settle(job_id: int) -> None:
    """End the run of a job that has ended without ending its run, and let the next begin."""
    runs = EvaluationRun.objects.filter(job_id=job_id, state__in=EvaluationRun.OPEN)
    for run in runs.select_related("job"):
        _settle(run)
    dispatch()


def settle_all() -> int:
    """Do that for every run; the sweeper's part. Returns how many runs were ended."""
    rows = EvaluationRun.objects.filter(state__in=EvaluationRun.OPEN).exclude(job=None)
    lost = rows.exclude(job__state__in=Job.OPEN).select_related("job")
    # One that ran and whose job was pruned or lost with the broker's word of it:
    gone = EvaluationRun.objects.filter(state=EvaluationRun.State.RUNNING, job=None)
    settled = sum(_settle(run) for run in [*lost[:500], *gone[:500]])
    dispatch()
    return settled


@transaction.atomic
def _settle(run: EvaluationRun) -> bool:
    job = run.job
    if job is not None and job.is_open:
        return False
    is_cancelled = job is not None and job.state == Job.State.CANCELLED
    state = EvaluationRun.State.CANCELLED if is_cancelled else EvaluationRun.State.FAILED
    has_reason = job is not None and bool(job.error_code) and not is_cancelled
    values = {
        "state": state,
        "error_code": "" if is_cancelled else (job.error_code if job and has_reason else "lost"),
        "error": "" if is_cancelled else (job.error if job and has_reason else _LOST),
        "finished_at": timezone.now(),
    }
    rows = EvaluationRun.objects.filter(pk=run.pk, state__in=EvaluationRun.OPEN)
    is_ours = bool(rows.update(**values))
    if is_ours:
        evaluation_trials.give_back(run)
    return is_ours

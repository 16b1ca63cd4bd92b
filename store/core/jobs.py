"""Asking for background work, and the life of a job row.

Domain rooms call ``enqueue`` by name and never see Celery. ``workers`` claims, beats and ends
jobs through the functions below; each is one compare-and-set, so two workers holding the same
job cannot both write its end.
"""

import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from celery import current_app
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Concat, Right
from django.utils import timezone
from kombu.exceptions import OperationalError

from store.core import placing
from store.core.errors import ConflictError, TransientError
from store.core.job_costs import spent_s, unless_no_worker
from store.core.models import Job
from store.core.policies import POLICIES, JobName, Policy
from store.core.queues import MODEL_QUEUES, Priority, Queue

__all__ = [
    "ERRAND",
    "POLICIES",
    "RUN_TASK",
    "Claim",
    "JobName",
    "LeaseLostError",
    "Policy",
    "Priority",
    "Queue",
    "cancel",
    "claim",
    "enqueue",
    "nudge",
]
logger = logging.getLogger(__name__)

RUN_TASK = "workers.run"
"""The one Celery task: takes ``queue``, claims the job whose turn it is there, does the work."""
MAX_LOG_CHARS = 20_000
"""A job keeps the last so many characters of its log."""
_ENQUEUE_TRIES = 50


class LeaseLostError(ConflictError):
    """The job is no longer this worker's: cancelled, ended, or taken over after the lease."""

    code = "lease_lost"


ERRAND = "beat"
"""Key of the jobs the beat asks for: while one is open, no second one is made."""


def enqueue(
    name: JobName,
    *,
    delay_s: float = 0,
    key: str = "",
    asker: str = "",
    priority: Priority | None = None,
    memory_bytes: int = 0,
    **args: int | str,
) -> Job:
    """Ask for ``name``: the row is written now, workers hear of it when the transaction commits.

    Args:
        name: What to do.
        delay_s: Earliest start, in seconds from now.
        key: Two open jobs of one name never share a key; the open one is returned instead, moved
            to the better class of the two.
        asker: Whom it is for, as ``Job.asker``: askers of one class take turns.
        priority: Its class; that of its policy if not given.
        memory_bytes: What its worker must have; 0: any worker will do.
        **args: Ids the handler needs; never payloads.

    Returns:
        The new job, or the open one with the same key.

    Raises:
        TransientError: jobs with this key end as fast as they are asked for. Nothing is queued.
    """
    due = timezone.now() + timedelta(seconds=delay_s)
    queue: str = POLICIES[name].queue
    if queue in MODEL_QUEUES:
        queue = placing.queue_for(queue, memory_bytes, placing.present())
    values: dict[str, Any] = {"name": name, "queue": queue, "key": key, "args": args}
    values |= {"asker": asker, "memory_bytes": memory_bytes}
    rank = POLICIES[name].priority if priority is None else priority
    is_open = Q(name=name, key=key, state__in=Job.OPEN)
    for _try in range(_ENQUEUE_TRIES):
        try:
            with transaction.atomic():
                job = Job.objects.create(**values, priority=rank, not_before=due)
        except IntegrityError:
            # The open one may end before it is read: then there is room for a new one.
            if found := Job.objects.filter(is_open).first():
                return _hurried(found, rank)
        else:
            transaction.on_commit(partial(nudge, job, delay_s=delay_s))
            return job
    raise TransientError(f"The job {name} cannot be queued now. Try again in a moment.")


def _hurried(job: Job, rank: int) -> Job:
    """Move ``job`` to class ``rank`` if that is better: now a person waits for it, too."""
    if rank < job.priority:
        job.priority = rank
        Job.objects.filter(pk=job.pk, priority__gt=rank).update(priority=rank)
    return job


def nudge(job: Job, *, delay_s: float = 0) -> None:
    """Tell the workers of its queue that there is one job more.

    Which one a worker takes is decided when it does. A broker that is down only delays the job:
    the sweeper asks again.
    """
    try:
        current_app.send_task(
            RUN_TASK,
            kwargs={"queue": job.queue},
            queue=job.queue,
            countdown=delay_s or None,
            retry=False,
            ignore_result=True,
        )
    except OperationalError:
        logger.warning("job %s waits: the queue cannot be reached", job.pk)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right of one worker to run one job, for as long as the lease is renewed."""

    job: Job
    owner: str

    def renew(self) -> bool:
        """Extend the lease. ``False``: it was lost or the job was cancelled; stop working."""
        return bool(self._mine().update(lease_until=_lease_end(self.job.name)))

    def report(self, *, progress: float | None = None, line: str = "", tokens: int = 0) -> None:
        """Write progress (0 to 1), a log line that people will read, tokens written since."""
        changes: dict[str, Any] = {"tokens": F("tokens") + tokens} if tokens else {}
        if progress is not None:
            changes["progress"] = min(max(progress, 0.0), 1.0)
        if line:
            changes["log"] = Right(Concat(F("log"), Value(line + "\n")), MAX_LOG_CHARS)
        if changes:
            self._mine().update(**changes)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write results of the job in one transaction that only its owner can complete.

        Raises:
            LeaseLostError: the job is not ours any more; nothing inside is written.
        """
        with transaction.atomic():
            if self._mine().select_for_update().first() is None:
                raise LeaseLostError("This job was cancelled or given to another worker.")
            yield

    def finish(self, result: Mapping[str, Any] | None = None) -> bool:
        """End the job well. ``False``: it is no longer ours, nothing was written."""
        return self._end(Job.State.DONE, progress=1.0, result=result)

    def fail(self, *, code: str, message: str) -> bool:
        """End the job for good with a reason people understand."""
        return self._end(Job.State.FAILED, error_code=code, error=message)

    def hand_back(self, *, delay_s: float, code: str, message: str) -> bool:
        """Put the job back for another attempt, or fail it when its attempts are used up."""
        if self.job.attempts >= POLICIES[JobName(self.job.name)].max_attempts:
            return self.fail(code=code, message=message)
        return self._back(delay_s, error_code=code, error=message)

    def give_back(self, *, delay_s: float = 0) -> bool:
        """Put the job back unfinished because others must go first; costs it no attempt."""
        return self._back(delay_s, attempts=F("attempts") - 1)

    def _back(self, delay_s: float, **changes: Any) -> bool:
        now = timezone.now()
        due = now + timedelta(seconds=delay_s)
        free = {"state": Job.State.QUEUED, "lease_owner": "", "lease_until": None}
        back = self._mine().update(
            not_before=due, nudged_at=due, spent_s=spent_s(now), **free, **changes
        )
        if back:
            transaction.on_commit(partial(nudge, self.job, delay_s=delay_s))
        return bool(back)

    def _mine(self) -> QuerySet[Job]:
        rows = Job.objects.filter(pk=self.job.pk, state=Job.State.RUNNING)
        return rows.filter(lease_owner=self.owner)

    def _end(self, state: Job.State, **changes: Any) -> bool:
        now = timezone.now()
        done = self._mine().update(
            state=state, finished_at=now, lease_until=None, spent_s=spent_s(now), **changes
        )
        return bool(done)


def claim(job_id: int) -> Claim | None:
    """Take the job if it is due and free (or its worker is gone).

    Returns:
        The claim, or ``None``: done, cancelled, not yet due, or somebody else's.
    """
    now = timezone.now()
    free = Q(state=Job.State.QUEUED, not_before__lte=now + timedelta(seconds=1))
    orphaned = Q(state=Job.State.RUNNING, lease_until__lt=now)
    row = Job.objects.filter(pk=job_id).values_list("name", flat=True).first()
    if row not in set(JobName):  # deleted, or asked for by a newer version of the store
        return None
    owner = uuid.uuid4().hex
    mine = (
        Job.objects.filter(free | orphaned, pk=job_id)
        .filter(attempts__lt=POLICIES[JobName(row)].max_attempts)
        .update(
            state=Job.State.RUNNING,
            lease_owner=owner,
            lease_until=_lease_end(row),
            attempts=F("attempts") + 1,
            spent_s=spent_s(F("lease_until")),  # of a worker that is gone
            error_code=unless_no_worker("error_code"),
            error=unless_no_worker("error"),
            started_at=now,
        )
    )
    return Claim(Job.objects.get(pk=job_id), owner) if mine else None


def cancel(job_id: int) -> bool:
    """End an open job on a person's wish; a running worker notices at its next renewal."""
    now = timezone.now()
    return bool(
        Job.objects.filter(pk=job_id, state__in=Job.OPEN).update(
            state=Job.State.CANCELLED, finished_at=now, lease_until=None, spent_s=spent_s(now)
        )
    )


def _lease_end(name: str) -> datetime:
    return timezone.now() + timedelta(seconds=POLICIES[JobName(name)].lease_s)

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
from enum import StrEnum
from functools import partial
from typing import Any

from celery import current_app
from django.db import IntegrityError, transaction
from django.db.models import (
    Case,
    DateTimeField,
    DurationField,
    ExpressionWrapper,
    F,
    FloatField,
    Q,
    QuerySet,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Concat, Extract, Right
from django.utils import timezone
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError

from store.core import placing
from store.core.errors import ConflictError, TransientError
from store.core.models import Job
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
    "retry",
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


class JobName(StrEnum):
    """Every kind of background work. ``workers.handlers`` has one function for each."""

    SEND_MAIL = "accounts.send_mail"
    SCAN_COMMIT = "catalog.scan_commit"
    SWEEP_UPLOADS = "catalog.sweep_uploads"
    VERIFY_CLAIM = "catalog.verify_claim"
    CONVERT_OBJECT = "catalog.convert_object"
    KEEP_WHOLE = "catalog.keep_whole"
    COLLECT_GARBAGE = "catalog.collect_garbage"
    SPREAD_EVENT = "catalog.spread_event"
    DUPLICATE_REPO = "licensing.duplicate_repo"
    SEND_ACCESS_LETTER = "catalog.send_access_letter"
    MAIL_NOTICE = "catalog.mail_notice"
    FORGET_NOTICES = "catalog.forget_notices"
    DELIVER_WEBHOOK = "catalog.deliver_webhook"
    REFRESH_TRENDS = "catalog.refresh_trends"
    FLUSH_VIEWS = "catalog.flush_views"
    FLUSH_DOWNLOADS = "licensing.flush_downloads"
    REFRESH_DOWNLOADS = "licensing.refresh_downloads"
    REFRESH_PRICES = "licensing.refresh_prices"
    APPLY_PAYMENT = "licensing.apply_payment"
    FULFIL_ORDER = "licensing.fulfil_order"
    TELL_SALE = "licensing.tell_sale"
    SEND_REFUND = "licensing.send_refund"
    RENEW_SUBSCRIPTIONS = "licensing.renew_subscriptions"
    SUBSCRIPTION_UNPAID = "licensing.subscription_unpaid"
    END_COLLECTION = "licensing.end_collection"
    REMIND_TRANSFERS = "licensing.remind_transfers"
    SEND_ORDER_LETTER = "licensing.send_order_letter"
    CLOSE_ORDERS = "licensing.close_orders"
    RECONCILE = "licensing.reconcile"
    RUN_PAYOUTS = "licensing.run_payouts"
    PAY_OUT = "licensing.pay_out"
    GENERATE = "inference.generate"
    MAKE_DEMOS = "inference.make_demos"


@dataclass(frozen=True, slots=True)
class Policy:
    """How one kind of job is run."""

    queue: Queue
    max_attempts: int = 4
    lease_s: int = 60
    """A worker renews the lease well before this; a dead worker's job is free again after it."""
    time_limit_s: int = 600
    """Wall time after which the worker gives the job up as failed."""
    priority: Priority = Priority.PERSON
    """Of jobs whose asker says nothing else."""


POLICIES: Mapping[JobName, Policy] = {
    JobName.SEND_MAIL: Policy(Queue.DEFAULT, max_attempts=8, time_limit_s=60),
    JobName.SCAN_COMMIT: Policy(Queue.SCAN),
    JobName.SWEEP_UPLOADS: Policy(Queue.DEFAULT, priority=Priority.STORE),
    JobName.VERIFY_CLAIM: Policy(Queue.SCAN, time_limit_s=3600),
    JobName.CONVERT_OBJECT: Policy(Queue.SCAN, time_limit_s=7200, priority=Priority.STORE),
    JobName.KEEP_WHOLE: Policy(Queue.SCAN, time_limit_s=3600, priority=Priority.STORE),
    JobName.COLLECT_GARBAGE: Policy(Queue.DEFAULT, time_limit_s=6 * 3600, priority=Priority.STORE),
    JobName.SPREAD_EVENT: Policy(Queue.DEFAULT),
    JobName.DUPLICATE_REPO: Policy(Queue.DEFAULT),
    JobName.SEND_ACCESS_LETTER: Policy(Queue.DEFAULT, max_attempts=8, time_limit_s=60),
    JobName.MAIL_NOTICE: Policy(Queue.DEFAULT, max_attempts=8, time_limit_s=60),
    JobName.FORGET_NOTICES: Policy(Queue.DEFAULT, priority=Priority.STORE),
    JobName.DELIVER_WEBHOOK: Policy(Queue.SENDERS, lease_s=20, time_limit_s=120),
    JobName.REFRESH_TRENDS: Policy(Queue.DEFAULT, priority=Priority.STORE),
    JobName.FLUSH_VIEWS: Policy(Queue.DEFAULT, priority=Priority.STORE),
    JobName.FLUSH_DOWNLOADS: Policy(Queue.DEFAULT, priority=Priority.STORE),
    JobName.REFRESH_DOWNLOADS: Policy(Queue.DEFAULT, priority=Priority.STORE),
    JobName.REFRESH_PRICES: Policy(Queue.DEFAULT, priority=Priority.STORE),
    JobName.APPLY_PAYMENT: Policy(Queue.DEFAULT, max_attempts=12),
    JobName.FULFIL_ORDER: Policy(Queue.DEFAULT, max_attempts=12),
    JobName.TELL_SALE: Policy(Queue.DEFAULT, max_attempts=8),
    JobName.SEND_REFUND: Policy(Queue.DEFAULT, max_attempts=12),
    JobName.RENEW_SUBSCRIPTIONS: Policy(Queue.DEFAULT, priority=Priority.STORE),
    JobName.SUBSCRIPTION_UNPAID: Policy(Queue.DEFAULT),
    JobName.END_COLLECTION: Policy(Queue.DEFAULT, max_attempts=12),
    JobName.REMIND_TRANSFERS: Policy(Queue.DEFAULT, priority=Priority.STORE),
    JobName.SEND_ORDER_LETTER: Policy(Queue.DEFAULT, max_attempts=8, time_limit_s=60),
    JobName.CLOSE_ORDERS: Policy(Queue.DEFAULT, priority=Priority.STORE),
    JobName.RECONCILE: Policy(Queue.DEFAULT, time_limit_s=3600, priority=Priority.STORE),
    JobName.RUN_PAYOUTS: Policy(Queue.DEFAULT, time_limit_s=3600, priority=Priority.STORE),
    JobName.PAY_OUT: Policy(Queue.DEFAULT, max_attempts=12),
    JobName.GENERATE: Policy(Queue.INFERENCE, max_attempts=3, lease_s=30, time_limit_s=3600),
    JobName.MAKE_DEMOS: Policy(
        Queue.INFERENCE, max_attempts=8, time_limit_s=6 * 3600, priority=Priority.STORE
    ),
}


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
        now = timezone.now()
        due = now + timedelta(seconds=delay_s)
        back = self._mine().update(
            state=Job.State.QUEUED,
            lease_owner="",
            lease_until=None,
            spent_s=_spent_s(now),
            not_before=due,
            nudged_at=due,
            error_code=code,
            error=message,
        )
        if back:
            transaction.on_commit(partial(nudge, self.job, delay_s=delay_s))
        return bool(back)

    def give_back(self) -> bool:
        """Put the job back unfinished because the worker must stop; costs it no attempt."""
        now = timezone.now()
        back = self._mine().update(
            state=Job.State.QUEUED,
            lease_owner="",
            lease_until=None,
            attempts=F("attempts") - 1,
            spent_s=_spent_s(now),
            nudged_at=now,
        )
        if back:
            transaction.on_commit(partial(nudge, self.job))
        return bool(back)

    def _mine(self) -> QuerySet[Job]:
        rows = Job.objects.filter(pk=self.job.pk, state=Job.State.RUNNING)
        return rows.filter(lease_owner=self.owner)

    def _end(self, state: Job.State, **changes: Any) -> bool:
        now = timezone.now()
        done = self._mine().update(
            state=state, finished_at=now, lease_until=None, spent_s=_spent_s(now), **changes
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
            spent_s=_spent_s(F("lease_until")),  # of a worker that is gone
            started_at=now,
        )
    )
    return Claim(Job.objects.get(pk=job_id), owner) if mine else None


def cancel(job_id: int) -> bool:
    """End an open job on a person's wish; a running worker notices at its next renewal."""
    now = timezone.now()
    return bool(
        Job.objects.filter(pk=job_id, state__in=Job.OPEN).update(
            state=Job.State.CANCELLED, finished_at=now, lease_until=None, spent_s=_spent_s(now)
        )
    )


def retry(job_id: int) -> bool:
    """Put a job that failed or was cancelled back, with all its attempts. What it cost stays.

    Returns:
        ``False``: it is open, or was done.

    Raises:
        ConflictError: another job does the same already; nothing was changed.
    """
    ended = Job.objects.filter(pk=job_id, state__in=[Job.State.FAILED, Job.State.CANCELLED])
    now = timezone.now()
    try:
        with transaction.atomic():
            back = ended.update(
                state=Job.State.QUEUED,
                attempts=0,
                progress=0.0,
                lease_owner="",
                not_before=now,
                nudged_at=now,
                finished_at=None,
                error_code="",
                error="",
            )
    except IntegrityError as error:
        raise ConflictError(_("The same is being done already.")) from error
    if back:
        job = Job.objects.get(pk=job_id)
        transaction.on_commit(partial(nudge, job))
    return bool(back)


def _spent_s(until: datetime | F) -> Case:
    """Return what a job has cost when the attempt that runs, if one does, ends at ``until``."""
    end = Value(until, DateTimeField()) if isinstance(until, datetime) else until
    took = ExpressionWrapper(end - F("started_at"), DurationField())
    attempt_s = Coalesce(Extract(took, "epoch"), 0.0, output_field=FloatField())
    return Case(When(state=Job.State.RUNNING, then=F("spent_s") + attempt_s), default=F("spent_s"))


def _lease_end(name: str) -> datetime:
    return timezone.now() + timedelta(seconds=POLICIES[JobName(name)].lease_s)

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
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Concat, Right
from django.utils import timezone
from kombu.exceptions import OperationalError

from store.core.errors import ConflictError, TransientError
from store.core.models import Job

logger = logging.getLogger(__name__)

RUN_TASK = "workers.run"
"""The one Celery task: takes ``job_id``, claims the row, does the work."""
MAX_LOG_CHARS = 20_000
"""A job keeps the last so many characters of its log."""
_SWEPT_AT_ONCE = 500
_ENQUEUE_TRIES = 50


class LeaseLostError(ConflictError):
    """The job is no longer this worker's: cancelled, ended, or taken over after the lease."""

    code = "lease_lost"


ERRAND = "beat"
"""Key of the jobs the beat asks for: while one is open, no second one is made."""


class Queue(StrEnum):
    """The queues workers listen on."""

    DEFAULT = "default"
    SCAN = "scan"
    INFERENCE = "inference"
    SENDERS = "senders"
    """Talks to receivers strangers chose, which may hang."""


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
    EVALUATE = "inference.evaluate"


@dataclass(frozen=True, slots=True)
class Policy:
    """How one kind of job is run."""

    queue: Queue
    max_attempts: int = 4
    lease_s: int = 60
    """A worker renews the lease well before this; a dead worker's job is free again after it."""
    time_limit_s: int = 600
    """Wall time after which the worker gives the job up as failed."""


POLICIES: Mapping[JobName, Policy] = {
    JobName.SEND_MAIL: Policy(Queue.DEFAULT, max_attempts=8, time_limit_s=60),
    JobName.SCAN_COMMIT: Policy(Queue.SCAN),
    JobName.SWEEP_UPLOADS: Policy(Queue.DEFAULT),
    JobName.VERIFY_CLAIM: Policy(Queue.SCAN, time_limit_s=3600),
    JobName.CONVERT_OBJECT: Policy(Queue.SCAN, time_limit_s=7200),
    JobName.KEEP_WHOLE: Policy(Queue.SCAN, time_limit_s=3600),
    JobName.COLLECT_GARBAGE: Policy(Queue.DEFAULT, time_limit_s=6 * 3600),
    JobName.SPREAD_EVENT: Policy(Queue.DEFAULT),
    JobName.DUPLICATE_REPO: Policy(Queue.DEFAULT),
    JobName.SEND_ACCESS_LETTER: Policy(Queue.DEFAULT, max_attempts=8, time_limit_s=60),
    JobName.MAIL_NOTICE: Policy(Queue.DEFAULT, max_attempts=8, time_limit_s=60),
    JobName.FORGET_NOTICES: Policy(Queue.DEFAULT),
    JobName.DELIVER_WEBHOOK: Policy(Queue.SENDERS, lease_s=20, time_limit_s=120),
    JobName.REFRESH_TRENDS: Policy(Queue.DEFAULT),
    JobName.FLUSH_VIEWS: Policy(Queue.DEFAULT),
    JobName.FLUSH_DOWNLOADS: Policy(Queue.DEFAULT),
    JobName.REFRESH_DOWNLOADS: Policy(Queue.DEFAULT),
    JobName.REFRESH_PRICES: Policy(Queue.DEFAULT),
    JobName.APPLY_PAYMENT: Policy(Queue.DEFAULT, max_attempts=12),
    JobName.FULFIL_ORDER: Policy(Queue.DEFAULT, max_attempts=12),
    JobName.TELL_SALE: Policy(Queue.DEFAULT, max_attempts=8),
    JobName.SEND_REFUND: Policy(Queue.DEFAULT, max_attempts=12),
    JobName.RENEW_SUBSCRIPTIONS: Policy(Queue.DEFAULT),
    JobName.SUBSCRIPTION_UNPAID: Policy(Queue.DEFAULT),
    JobName.END_COLLECTION: Policy(Queue.DEFAULT, max_attempts=12),
    JobName.REMIND_TRANSFERS: Policy(Queue.DEFAULT),
    JobName.SEND_ORDER_LETTER: Policy(Queue.DEFAULT, max_attempts=8, time_limit_s=60),
    JobName.CLOSE_ORDERS: Policy(Queue.DEFAULT),
    JobName.RECONCILE: Policy(Queue.DEFAULT, time_limit_s=3600),
    JobName.RUN_PAYOUTS: Policy(Queue.DEFAULT, time_limit_s=3600),
    JobName.PAY_OUT: Policy(Queue.DEFAULT, max_attempts=12),
    JobName.GENERATE: Policy(Queue.INFERENCE, max_attempts=3, lease_s=30, time_limit_s=3600),
    JobName.EVALUATE: Policy(Queue.INFERENCE, max_attempts=5, lease_s=30, time_limit_s=6 * 3600),
}


def enqueue(name: JobName, *, delay_s: float = 0, key: str = "", **args: int | str) -> Job:
    """Ask for ``name``: the row is written now, workers hear of it when the transaction commits.

    Args:
        name: What to do.
        delay_s: Earliest start, in seconds from now.
        key: Two open jobs of one name never share a key; the open one is returned instead.
        **args: Ids the handler needs; never payloads.

    Returns:
        The new job, or the open one with the same key.

    Raises:
        TransientError: jobs with this key end as fast as they are asked for. Nothing is queued.
    """
    due = timezone.now() + timedelta(seconds=delay_s)
    values = {"name": name, "queue": POLICIES[name].queue, "key": key, "args": args}
    is_open = Q(name=name, key=key, state__in=Job.OPEN)
    for _ in range(_ENQUEUE_TRIES):
        try:
            with transaction.atomic():
                job = Job.objects.create(**values, not_before=due)
        except IntegrityError:
            # The open one may end before it is read: then there is room for a new one.
            if found := Job.objects.filter(is_open).first():
                return found
        else:
            transaction.on_commit(partial(nudge, job, delay_s=delay_s))
            return job
    raise TransientError(f"The job {name} cannot be queued now. Try again in a moment.")


def nudge(job: Job, *, delay_s: float = 0) -> None:
    """Tell the workers of ``job``. A broker that is down only delays it: the sweeper asks again."""
    try:
        current_app.send_task(
            RUN_TASK,
            kwargs={"job_id": job.pk},
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

    def report(self, *, progress: float | None = None, line: str = "") -> None:
        """Write progress (0 to 1) and a log line that people will read."""
        changes: dict[str, Any] = {}
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
        due = timezone.now() + timedelta(seconds=delay_s)
        free = {"state": Job.State.QUEUED, "lease_owner": "", "lease_until": None}
        back = self._mine().update(not_before=due, nudged_at=due, **free, **changes)
        if back:
            transaction.on_commit(partial(nudge, self.job, delay_s=delay_s))
        return bool(back)

    def _mine(self) -> QuerySet[Job]:
        rows = Job.objects.filter(pk=self.job.pk, state=Job.State.RUNNING)
        return rows.filter(lease_owner=self.owner)

    def _end(self, state: Job.State, **changes: Any) -> bool:
        done = self._mine().update(
            state=state, finished_at=timezone.now(), lease_until=None, **changes
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
            started_at=now,
        )
    )
    return Claim(Job.objects.get(pk=job_id), owner) if mine else None


def cancel(job_id: int) -> bool:
    """End an open job on a person's wish; a running worker notices at its next renewal."""
    return bool(
        Job.objects.filter(pk=job_id, state__in=Job.OPEN).update(
            state=Job.State.CANCELLED, finished_at=timezone.now(), lease_until=None
        )
    )


def sweep(*, forgotten_after_s: float = 20) -> int:
    """Nudge again whatever was lost, and give up what failed too often. Run by the beat.

    A queue gets no more nudges than it lacks messages, so a long wait piles nothing up.

    Args:
        forgotten_after_s: A waiting job whose last nudge is older may be nudged again.

    Returns:
        How many jobs were nudged.
    """
    now = timezone.now()
    orphaned = Q(state=Job.State.RUNNING, lease_until__lt=now)
    waiting = Q(state=Job.State.QUEUED, not_before__lte=now)
    for name, policy in POLICIES.items():
        used_up = Q(name=name, attempts__gte=policy.max_attempts)
        Job.objects.filter(orphaned & used_up & ~Q(error="")).update(**_given_up(now))
        Job.objects.filter(orphaned & used_up).update(error=_GAVE_UP, **_given_up(now))
    free = Job.objects.filter(orphaned | waiting, name__in=list(JobName))
    forgotten = free.filter(nudged_at__lt=now - timedelta(seconds=forgotten_after_s))
    nudged = 0
    for queue in Queue:
        messages = _messages_in(queue)
        if messages is None:  # the broker is away; the next sweep asks again
            break
        lacking = free.filter(queue=queue).count() - messages
        for job in forgotten.filter(queue=queue).order_by("nudged_at")[
            : max(0, min(lacking, _SWEPT_AT_ONCE))
        ]:
            Job.objects.filter(pk=job.pk).update(nudged_at=now)
            nudge(job)
            nudged += 1
    return nudged


_GAVE_UP = "The worker stopped too often while doing this. Try again."


def _given_up(now: datetime) -> dict[str, Any]:
    return {
        "state": Job.State.FAILED,
        "finished_at": now,
        "lease_until": None,
        "error_code": "gave_up",
    }


def _messages_in(queue: Queue) -> int | None:
    """Return how many messages wait in the broker; ``None`` when it cannot be reached."""
    connection = current_app.connection_for_write()
    broken: tuple[type[BaseException], ...] = (OperationalError, *connection.connection_errors)
    try:
        with connection:
            channel: Any = connection.default_channel
            return int(channel.queue_declare(queue=queue).message_count)
    except broken:
        return None


def prune(
    *, keep: timedelta = timedelta(days=30), keep_errands: timedelta = timedelta(days=1)
) -> int:
    """Delete jobs that ended long ago. Run by the beat.

    Args:
        keep: Life of an ended job.
        keep_errands: Life of a well ended one that the beat asks for again and again (its key
            is ``ERRAND``).

    Returns:
        How many were deleted.
    """
    now = timezone.now()
    ended = Job.objects.exclude(state__in=Job.OPEN)
    old = Q(finished_at__lt=now - keep)
    errand = Q(key=ERRAND, state=Job.State.DONE, finished_at__lt=now - keep_errands)
    return ended.filter(old | errand).delete()[0]


def ahead_of(job: Job) -> int:
    """Return how many waiting jobs of the same queue come before ``job`` (0: it is next)."""
    if job.state != Job.State.QUEUED:
        return 0
    waiting = Job.objects.filter(queue=job.queue, state=Job.State.QUEUED)
    return waiting.filter(
        Q(not_before__lt=job.not_before) | Q(not_before=job.not_before, id__lt=job.pk)
    ).count()


def _lease_end(name: str) -> datetime:
    return timezone.now() + timedelta(seconds=POLICIES[JobName(name)].lease_s)

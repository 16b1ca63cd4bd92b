"""What the beat does for jobs: ask again for what was lost, end what failed, forget what is old."""

from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from django.db.models import Q
from django.utils import timezone
from kombu.exceptions import OperationalError

from store.core import placing
from store.core.jobs import ERRAND, POLICIES, JobName, Queue, nudge
from store.core.models import Job

_SWEPT_AT_ONCE = 500


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
    placing.place_waiting(placing.present())
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

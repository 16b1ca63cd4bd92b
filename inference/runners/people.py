"""Whether people want the workers that the store's own work keeps busy."""

from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from store.core import placing
from store.core.models import Job

YIELD_S = 5.0
"""Work whose worker is wanted for people goes on after this, in seconds, at the earliest."""


def waiting(*, for_s: float = 0.0) -> Q:
    """Match jobs that are due and were not taken up, though there is a worker that could.

    Args:
        for_s: Since so long, in seconds.
    """
    since = timezone.now() - timedelta(seconds=for_s)
    due = Q(state=Job.State.QUEUED, not_before__lte=since)
    return due & ~Q(error_code=placing.NO_WORKER)


def running() -> Q:
    """Match jobs a worker is at."""
    return Q(state=Job.State.RUNNING, lease_until__gt=timezone.now())

"""How full the queues are, in numbers: for the jobs page and for the monitoring."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, Min, Q, Sum
from django.utils import timezone

from store.core.models import Job
from store.core.placing import NO_WORKER
from store.core.queues import Priority, Queue


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """One queue at one moment."""

    queue: str
    waiting: dict[Priority, int]
    """Jobs that are due, by class."""
    delayed: int
    """Jobs whose time has not come."""
    running: int
    stuck: int
    """Running ones whose worker was not heard of in time; the sweeper gives them to another."""
    without_worker: int
    """Jobs no worker that is present can run."""
    oldest_wait_s: float
    """Since the job that is due the longest became due; 0: none is."""
    ended_in_last_minute: dict[str, int]
    """Jobs that ended in the last 60 s, by how."""
    tokens_in_last_minute: int
    """Tokens written for them."""

    @property
    def all_waiting(self) -> int:
        """Jobs that are due, of all classes."""
        return sum(self.waiting.values())

    @property
    def all_ended(self) -> int:
        """Jobs that ended in the last 60 s."""
        return sum(self.ended_in_last_minute.values())


def figures() -> list[QueueFigures]:
    """Return the figures of every queue, in the order of ``Queue``."""
    now = timezone.now()
    due = Q(state=Job.State.QUEUED, not_before__lte=now)
    ended = Q(finished_at__gt=now - timedelta(minutes=1))
    wanted = {
        f"waiting_{rank.value}": Count("id", filter=due & Q(priority=rank)) for rank in Priority
    }
    open_jobs = Job.objects.filter(state__in=Job.OPEN).order_by().values("queue")
    rows: dict[str, Any] = {
        row["queue"]: row
        for row in open_jobs.annotate(
            **wanted,
            delayed=Count("id", filter=Q(state=Job.State.QUEUED, not_before__gt=now)),
            running=Count("id", filter=Q(state=Job.State.RUNNING)),
            stuck=Count("id", filter=Q(state=Job.State.RUNNING, lease_until__lt=now)),
            without_worker=Count("id", filter=due & Q(error_code=NO_WORKER)),
            oldest=Min("not_before", filter=due),
        )
    }
    last_minute = Job.objects.filter(ended).order_by().values("queue", "state")
    ends: list[Any] = list(last_minute.annotate(jobs=Count("id"), tokens_sum=Sum("tokens")))
    found = []
    for queue in Queue:
        row: dict[str, Any] = rows.get(queue, {})
        mine = [end for end in ends if end["queue"] == queue]
        oldest = row.get("oldest")
        found.append(
            QueueFigures(
                queue=queue.value,
                waiting={rank: row.get(f"waiting_{rank.value}", 0) for rank in Priority},
                delayed=row.get("delayed", 0),
                running=row.get("running", 0),
                stuck=row.get("stuck", 0),
                without_worker=row.get("without_worker", 0),
                oldest_wait_s=(now - oldest).total_seconds() if oldest else 0.0,
                ended_in_last_minute={end["state"]: end["jobs"] for end in mine},
                tokens_in_last_minute=sum(end["tokens_sum"] or 0 for end in mine),
            )
        )
    return found

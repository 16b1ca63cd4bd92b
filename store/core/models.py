"""Background jobs as rows, the queue of record; and which counters were written."""

from django.db import models
from django.db.models import Q
from django.utils import timezone


class Job(models.Model):
    """One piece of background work, from asking to result.

    The row is the truth and the broker's message only a nudge: a lost message delays the job
    until the sweeper sends another, a repeated one finds the row claimed.
    """

    class State(models.TextChoices):
        """Where a job stands. Only ``queued`` and ``running`` are open."""

        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    OPEN = (State.QUEUED, State.RUNNING)

    name = models.CharField(max_length=64)
    queue = models.CharField(max_length=32)
    args = models.JSONField(default=dict)
    key = models.CharField(max_length=128, blank=True)
    """Asking twice for the same key while one is open yields the open one. Empty: no such rule."""
    asker = models.CharField(max_length=64, blank=True)
    """Whom it is for: ``user:7``, ``visitor:…``. Askers take turns. Empty: the store itself."""
    priority = models.PositiveSmallIntegerField(default=0)
    """``store.core.jobs.Priority``; lower goes first."""
    memory_bytes = models.PositiveBigIntegerField(default=0)
    """Memory a worker must have for it, in bytes; 0: any worker will do."""
    state = models.CharField(max_length=16, choices=State.choices, default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(default=timezone.now)
    nudged_at = models.DateTimeField(default=timezone.now)
    lease_owner = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    progress = models.FloatField(default=0.0)
    """Share of the work done, 0 to 1."""
    spent_s = models.FloatField(default=0.0)
    """Seconds of workers it has cost, all attempts that have ended together."""
    tokens = models.PositiveBigIntegerField(default=0)
    """Tokens a model wrote for it."""
    log = models.TextField(blank=True)
    result = models.JSONField(null=True, blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["name", "key"],
                condition=Q(state__in=["queued", "running"]) & ~Q(key=""),
                name="job_one_open_per_key",
            ),
            models.CheckConstraint(
                condition=Q(progress__gte=0) & Q(progress__lte=1), name="job_progress_is_a_share"
            ),
        ]
        indexes = [
            models.Index(
                fields=["queue", "priority", "asker", "not_before", "id"],
                condition=Q(state="queued"),
                name="job_waiting",
            ),
            models.Index(
                fields=["queue", "started_at"],
                condition=Q(started_at__isnull=False),
                name="job_started",
            ),
            models.Index(fields=["asker", "-id"], condition=~Q(asker=""), name="job_of_asker"),
            models.Index(
                fields=["lease_until"], condition=Q(state="running"), name="job_running_lease"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} #{self.pk} ({self.state})"

    @property
    def is_open(self) -> bool:
        """Whether the job may still do something."""
        return self.state in self.OPEN


class CounterBatch(models.Model):
    """A batch of counters that was written; a crashed job must not write it again."""

    batch = models.CharField(max_length=32, primary_key=True)
    written_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "counter batches"

    def __str__(self) -> str:
        return self.batch

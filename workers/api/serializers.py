"""Shapes of the REST API's jobs."""

from typing import Any

from rest_framework import serializers

from store.core.models import Job
from store.core.queues import Queue
from workers.desk import Shown


class JobOut(serializers.Serializer[Any]):
    """One piece of background work."""

    id = serializers.IntegerField(source="job.pk")
    name = serializers.CharField(source="job.name", help_text="Which kind of work.")
    model = serializers.CharField(source="subject", help_text="`ns/name` it is about, or empty.")
    href = serializers.CharField(help_text="Page of what it is for, or empty.")
    queue = serializers.ChoiceField(source="job.queue", choices=[q.value for q in Queue])
    priority = serializers.IntegerField(
        source="job.priority", help_text="0: people who wait, 1: batch work, 2: the store's own."
    )
    state = serializers.ChoiceField(source="job.state", choices=Job.State.choices)
    ahead = serializers.IntegerField(
        source="place", allow_null=True, help_text="Jobs that come first; null: it does not wait."
    )
    problem = serializers.CharField(help_text="Why no worker can take it now, or empty.")
    is_stuck = serializers.BooleanField(help_text="Its worker fell silent; another takes it soon.")
    attempts = serializers.IntegerField(source="job.attempts")
    max_attempts = serializers.IntegerField()
    progress = serializers.FloatField(source="job.progress", help_text="Share done, 0 to 1.")
    left_s = serializers.FloatField(allow_null=True, help_text="Expected rest, in seconds.")
    waited_s = serializers.FloatField()
    took_s = serializers.FloatField(allow_null=True)
    spent_s = serializers.FloatField(help_text="Seconds of workers, all attempts together.")
    tokens = serializers.IntegerField(source="job.tokens")
    log = serializers.CharField(source="job.log")
    error_code = serializers.CharField(source="job.error_code")
    error = serializers.CharField(source="job.error")
    can_retry = serializers.BooleanField()
    created_at = serializers.DateTimeField(source="job.created_at")
    started_at = serializers.DateTimeField(source="job.started_at", allow_null=True)
    finished_at = serializers.DateTimeField(source="job.finished_at", allow_null=True)

    def to_representation(self, instance: Shown) -> dict[str, Any]:
        """Return times rounded to a tenth of a second."""
        shown: dict[str, Any] = super().to_representation(instance)
        for name in ("left_s", "waited_s", "took_s", "spent_s"):
            if shown[name] is not None:
                shown[name] = round(shown[name], 1)
        return shown


class JobsPageOut(serializers.Serializer[Any]):
    """A page of jobs."""

    results = JobOut(many=True)
    next = serializers.CharField(allow_null=True, help_text="Cursor of the next page.")

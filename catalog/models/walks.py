"""How far long walks over everything have come, so that they go on where they were stopped."""

from django.db import models


class StorageWalk(models.Model):
    """One walk over the storage, under way or ended."""

    name = models.CharField(max_length=24, primary_key=True)
    stage = models.CharField(max_length=24, blank=True)
    """What is walked over now; empty: it has not begun, or has ended."""
    cursor = models.CharField(max_length=80, blank=True)
    """The last key that was dealt with."""
    counts = models.JSONField(default=dict)
    findings = models.JSONField(default=list)
    started_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    finished_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.name}: {self.stage or 'not under way'}"

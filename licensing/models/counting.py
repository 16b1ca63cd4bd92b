"""Counters of completed downloads."""

from django.db import models

from accounts.callers import CallerKind
from catalog.models import ModelRepo


class DownloadCount(models.Model):
    """Completed downloads of one revision on one day, by kind of caller."""

    Kind = CallerKind
    PEOPLE = (Kind.BROWSER, Kind.LIBRARY)
    """Kinds that count as use; CI and bots are kept apart."""

    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="download_counts")
    commit_oid = models.CharField(max_length=40)
    day = models.DateField()
    kind = models.CharField(max_length=8, choices=Kind.choices)
    downloads = models.BigIntegerField(default=0)
    """Different callers that completed at least one file that counts, on this day."""
    files = models.BigIntegerField(default=0)
    sent_bytes = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["repo", "commit_oid", "day", "kind"], name="download_count_once"
            )
        ]
        indexes = [models.Index(fields=["day"], name="download_day")]

    def __str__(self) -> str:
        return f"{self.repo_id} {self.day} {self.kind}: {self.downloads}"

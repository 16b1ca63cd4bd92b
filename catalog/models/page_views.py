"""Counters of people who looked at a listing."""

from django.db import models

from catalog.models.repo import ModelRepo


class PageViews(models.Model):
    """How many people opened a listing's page on one day (UTC)."""

    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="page_views")
    day = models.DateField()
    people = models.BigIntegerField(default=0)
    """Different callers; whoever came back on the same day counts once."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["repo", "day"], name="page_views_once_per_day")
        ]

    def __str__(self) -> str:
        return f"{self.repo_id} {self.day}: {self.people}"

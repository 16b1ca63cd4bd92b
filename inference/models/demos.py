"""Demo generations: what the store itself let each commit write, for everybody to read."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from catalog.models import ModelRepo


class DemoGeneration(models.Model):
    """One prompt of the published set, written on by one commit. Nobody can edit it.

    It belongs to the commit and goes with the model. It counts in nobody's quota.
    """

    class State(models.TextChoices):
        """Where it stands."""

        QUEUED = "queued"
        DONE = "done"
        FAILED = "failed"

    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="demos")
    commit_oid = models.CharField(max_length=40)
    gguf_file = ""
    """It shows what a loader takes, as a ``GenerationRun`` without a choice does."""
    set_version = models.PositiveIntegerField()
    """Of ``inference/data/demo_prompts.json``."""
    number = models.PositiveSmallIntegerField()
    """Place in the set, from 0: the order they are shown in."""
    prompt_key = models.CharField(max_length=32)
    way = models.CharField(max_length=16)
    """``greedy`` (the likeliest token each time) or ``seeded`` (drawn with a fixed seed)."""
    prompt = models.TextField()
    params = models.JSONField()
    """Frozen sampling parameters."""
    state = models.CharField(max_length=8, choices=State.choices, default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    text = models.TextField(blank=True)
    finish_reason = models.CharField(max_length=16, blank=True)
    prompt_tokens = models.PositiveIntegerField(default=0)
    new_tokens = models.PositiveIntegerField(default=0)
    generate_s = models.FloatField(null=True)
    error_code = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    """Why there is no text, in a sentence for everybody."""
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["repo", "commit_oid", "set_version", "prompt_key", "way"],
                name="demo_once_per_commit",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(state="queued"), name="demo_waiting"),
        ]

    def __str__(self) -> str:
        return f"demo {self.prompt_key}/{self.way} of {self.commit_oid[:8]} ({self.state})"

    @property
    def tokens_per_s(self) -> float | None:
        """Speed of the answer, the reading of the prompt included; ``None``: not known."""
        return self.new_tokens / self.generate_s if self.generate_s else None

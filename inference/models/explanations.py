"""Explanations: what was asked about a text a model read or wrote, and the numbers that came."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from catalog.models import ModelRepo
from inference.models.generations import GenerationRun
from inference.models.scored_texts import ScoredText
from store.core.ids import new_public_id
from store.core.models import Job


class Explanation(models.Model):
    """One question about a generation or a scored text, or a walk from a prompt to its next token.

    It belongs to whoever the generation or the text belongs to, and goes with it.
    """

    class State(models.TextChoices):
        """Where it stands."""

        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    class Kind(models.TextChoices):
        """What is explained."""

        TOKENS = "tokens"
        """How likely each token was, and what else was likely."""
        SALIENCY = "saliency"
        """What a token came from: gradient x input."""
        ATTENTION = "attention"
        """Which tokens look at which."""
        LENS = "lens"
        """What each layer would say."""
        WALK = "walk"
        """From a prompt to its next token, station by station."""

    OPEN = (State.QUEUED, State.RUNNING)

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    run = models.ForeignKey(GenerationRun, models.CASCADE, null=True, related_name="explanations")
    """``None``: a walk, or of a scored text."""
    scored_text = models.ForeignKey(
        ScoredText, models.CASCADE, null=True, related_name="explanations"
    )
    place = models.PositiveSmallIntegerField(default=0)
    """Of a scored text: which of its models, from 0."""
    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="+")
    commit_oid = models.CharField(max_length=40)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+")
    visitor_key = models.CharField(max_length=64, blank=True)
    """Of a walk or a scored text: hash of a visitor's session-bound key, as of a generation."""
    asker = models.CharField(max_length=64)
    """Whom limits count this for, as of a generation."""
    reserved_tokens = models.PositiveIntegerField(default=0)
    """Taken from the asker's tokens of the day ``created_at``; given back if it fails."""
    trial_tokens = models.PositiveIntegerField(default=0)
    """Demo tokens of a sold model it used; given back if it fails."""
    job = models.ForeignKey(Job, models.SET_NULL, null=True, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    prompt = models.TextField(blank=True)
    """Of a walk."""
    params = models.JSONField()
    key = models.CharField(max_length=64)
    """Digest of ``params``: the same question is answered once."""
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    result = models.JSONField(null=True)
    error_code = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "kind", "key"],
                condition=Q(run__isnull=False) & ~Q(state="failed"),
                name="explanation_once",
            ),
        ]
        indexes = [
            models.Index(
                fields=["asker"],
                condition=Q(state__in=["queued", "running"]),
                name="explanation_open",
            ),
        ]

    def __str__(self) -> str:
        return f"explanation {self.public_id} ({self.kind}, {self.state})"

    @property
    def is_open(self) -> bool:
        """Whether an answer is still to come."""
        return self.state in self.OPEN

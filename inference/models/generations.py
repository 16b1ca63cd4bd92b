"""Generations: what was asked, of which exact commit, and what came out."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Organization
from catalog.models import ModelRepo
from licensing.models import License
from store.core.ids import new_public_id
from store.core.models import Job


class GenerationRun(models.Model):
    """One request to a model. Its prompt and text belong to whoever asked and nobody else."""

    class State(models.TextChoices):
        """Where the run stands."""

        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    OPEN = (State.QUEUED, State.RUNNING)
    ENDED = (State.DONE, State.FAILED, State.CANCELLED)

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="generations")
    commit_oid = models.CharField(max_length=40)
    gguf_file = models.TextField(blank=True)
    """Path of the GGUF file that was chosen among several; empty: what a loader takes."""
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="generations"
    )
    visitor_key = models.CharField(max_length=64, blank=True)
    """Hash of the session-bound key of a visitor who is not signed in: it opens their run."""
    asker = models.CharField(max_length=64)
    """Who asked: a person, or the hashed address of a visitor."""
    payer = models.CharField(max_length=64, default="", blank=True)
    """Whose tokens of the day it uses: the asker's, an organization's or a license's."""
    organization = models.ForeignKey(
        Organization, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    """For whom it was asked, where it was not for the person themselves."""
    license = models.ForeignKey(License, models.SET_NULL, null=True, blank=True, related_name="+")
    """The license that allows it as a hosted service, where there is one."""
    reserved_tokens = models.PositiveIntegerField(default=0)
    """Taken from the payer's tokens of the day ``created_at``; 0 once settled."""
    trial_tokens = models.PositiveIntegerField(default=0)
    """Demo tokens of a sold model it was given; 0: the asker may have the model, or it ended."""
    job = models.ForeignKey(Job, models.SET_NULL, null=True, related_name="+")
    prompt = models.TextField(blank=True)
    messages = models.JSONField(null=True, blank=True)
    """A conversation, ``[{"role", "content"}]``, in place of ``prompt``."""
    prompt_ids = models.JSONField(null=True, blank=True)
    """The prompt as tokens, where it came so; ``prompt`` is then their text, once a worker has
    read them."""
    prompt_told = models.JSONField(default=list)
    """The prompt's tokens as ``tokens`` has them, where they were asked for; ``logprob`` of the
    first is ``None``."""
    params = models.JSONField()
    """Frozen sampling parameters, after clamping."""
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    texts = models.JSONField(default=list)
    """One text for each sequence, complete once the run has ended."""
    finish_reasons = models.JSONField(default=list)
    tokens = models.JSONField(default=list)
    """For each sequence its tokens with their probabilities (``services.told``), where
    ``params["logprobs"]`` asked for them."""
    prompt_tokens = models.PositiveIntegerField(default=0)
    new_tokens = models.PositiveIntegerField(default=0)
    load_s = models.FloatField(null=True)
    first_token_s = models.FloatField(null=True)
    generate_s = models.FloatField(null=True)
    memory_bytes = models.BigIntegerField(default=0)
    """What the model's process held when it was done, in bytes; 0: not known, or elsewhere."""
    error_code = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["user", "-created_at"], name="generation_of_user"),
            models.Index(fields=["visitor_key", "-created_at"], name="generation_of_visitor"),
            models.Index(
                fields=["payer"],
                condition=Q(state__in=["queued", "running"]),
                name="generation_open",
            ),
        ]

    def __str__(self) -> str:
        return f"generation {self.public_id} ({self.state})"

    @property
    def question(self) -> str:
        """What it goes on from, as one text for lists: the prompt, or the last that was said."""
        if self.messages:
            return str(self.messages[-1]["content"])
        return self.prompt or " ".join(map(str, (self.prompt_ids or ())[:50]))

    @property
    def has_ended(self) -> bool:
        """Nothing more will come."""
        return self.state in self.ENDED

"""Evaluations: what was measured of which exact commit, how, and every single answer."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from catalog.models import ModelRepo
from store.core.ids import new_public_id
from store.core.models import Job


class Suite(models.Model):
    """One version of a set of tasks; never changed: a change is a new version."""

    class Kind(models.TextChoices):
        """Where the tasks come from."""

        BUILTIN = "builtin"
        """Shipped with the store."""
        HARNESS = "harness"
        """A task of lm-evaluation-harness, by its name there."""
        DATASET = "dataset"
        """Somebody's own file of prompts with answers or choices."""

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    key = models.CharField(max_length=128)
    version = models.PositiveIntegerField(default=1)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    title = models.CharField(max_length=120)
    summary = models.TextField(blank=True)
    spec = models.JSONField()
    """Tasks, seeds and settings: all that is needed to run it, beside data named by its sha256."""
    digest = models.CharField(max_length=64)
    """sha256 over ``spec`` as canonical JSON; data is named in there by digest."""
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="suites"
    )
    """Of a data set; nobody else sees it unless ``is_public``. It goes with its owner, its runs
    first: ``services.leaving``."""
    is_public = models.BooleanField(default=True)
    is_ranked = models.BooleanField(default=False)
    """Whether it has a leaderboard."""
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key", "version"], name="suite_version_once"),
        ]

    def __str__(self) -> str:
        return f"{self.key} v{self.version}"


class EvaluationRun(models.Model):
    """One suite measured by the store on one commit. A publisher can neither edit nor remove it."""

    class State(models.TextChoices):
        """Where the run stands."""

        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    OPEN = (State.QUEUED, State.RUNNING)
    ENDED_WITHOUT = (State.FAILED, State.CANCELLED)
    """It measured nothing and can be done again."""

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="evaluations")
    commit_oid = models.CharField(max_length=40)
    suite = models.ForeignKey(Suite, models.PROTECT, related_name="runs")
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="evaluations"
    )
    """``None``: the store itself, for a new revision; whoever asked before it did is forgotten."""
    is_public = models.BooleanField(default=True)
    """Private ones belong to ``asked_by`` alone (a buyer's own test set)."""
    carried_from = models.ForeignKey("self", models.CASCADE, null=True, related_name="carried_to")
    """The run whose result this is: of another revision with the same model files. Its samples,
    pieces and notes are this run's."""
    job = models.ForeignKey(Job, models.SET_NULL, null=True, related_name="+")
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    record = models.JSONField(default=dict)
    """All that is needed to repeat it: suite digest, seed, dtype, device, batch, engine and library
    versions, revision, weights' sha256, hardware."""
    error_code = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["repo", "commit_oid", "suite"],
                condition=Q(is_public=True, state__in=["queued", "running", "done"]),
                name="evaluation_once_in_public",
            ),
        ]
        indexes = [
            models.Index(fields=["suite", "state", "-finished_at"], name="evaluation_of_suite"),
            models.Index(fields=["repo", "-created_at"], name="evaluation_of_repo"),
        ]

    def __str__(self) -> str:
        return f"evaluation {self.public_id} ({self.state})"

    @property
    def has_ended(self) -> bool:
        """Nothing more will come."""
        return self.state not in self.OPEN

    @property
    def measured(self) -> "EvaluationRun":
        """The run that was really done: this one, or the one its result is carried over from."""
        return self.carried_from or self

    @property
    def measured_id(self) -> int:
        """The key of ``measured``, without reading it."""
        return self.carried_from_id or self.pk


class EvaluationShard(models.Model):
    """A piece of a run that is done whole or not at all; what is done survives its worker."""

    run = models.ForeignKey(EvaluationRun, models.CASCADE, related_name="shards")
    number = models.PositiveIntegerField()
    task = models.CharField(max_length=128)
    first = models.PositiveIntegerField()
    """Index of its first sample in the task."""
    count = models.PositiveIntegerField()
    done_at = models.DateTimeField(null=True)
    """Set in the transaction that writes its samples."""
    seconds = models.FloatField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="shard_once"),
        ]

    def __str__(self) -> str:
        return f"shard {self.number} of {self.run_id}"


class Sample(models.Model):
    """One question of a task, what the model said, and what that is worth."""

    run = models.ForeignKey(EvaluationRun, models.CASCADE, related_name="samples")
    task = models.CharField(max_length=128)
    index = models.PositiveIntegerField()
    """Place in the task, from 0."""
    prompt = models.TextField()
    expected = models.TextField(blank=True)
    output = models.TextField(blank=True)
    metrics = models.JSONField(default=dict)
    """Metric name to this sample's value."""
    facts = models.JSONField(default=dict)
    """What else there is to see: logprobs of choices, token counts, which rule failed."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "task", "index"], name="sample_once"),
        ]

    def __str__(self) -> str:
        return f"sample {self.index} of {self.task}"


class Score(models.Model):
    """One figure of a run, with how sure it is."""

    run = models.ForeignKey(EvaluationRun, models.CASCADE, related_name="scores")
    task = models.CharField(max_length=128)
    metric = models.CharField(max_length=64)
    value = models.FloatField()
    low = models.FloatField(null=True)
    """Ends of the 95 % confidence interval; ``None`` where a figure has none."""
    high = models.FloatField(null=True)
    method = models.CharField(max_length=32, blank=True)
    """How the interval was made: ``wilson``, ``bootstrap``."""
    samples = models.PositiveIntegerField(default=0)
    unit = models.CharField(max_length=32, blank=True)
    """``bits/byte``, ``share``, ``tokens/s``, ``s``, ``bytes``."""
    is_higher_better = models.BooleanField(default=True)
    is_primary = models.BooleanField(default=False)
    """The figure a suite is ranked by; one for each run."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "task", "metric"], name="score_once"),
            models.UniqueConstraint(
                fields=["run"], condition=Q(is_primary=True), name="score_one_primary"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task} {self.metric}: {self.value}"


class EvaluationNote(models.Model):
    """A public word on a run: a publisher who disputes it, staff who answer."""

    run = models.ForeignKey(EvaluationRun, models.CASCADE, related_name="notes")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="evaluation_notes"
    )
    text = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"note {self.pk}"

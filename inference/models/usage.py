"""What models did for somebody, for bills: written once, never changed."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.models import Organization
from catalog.models import ModelRepo
from licensing.models import License


class UsageRecord(models.Model):
    """One piece of work that has ended. A trigger refuses every change.

    A generation has one however it ended; an explanation, and an evaluation a person asked for,
    once it has its answer: only then it costs anything. Written in the transaction that ends the
    work, so exactly once, however many workers tried. The keys have no constraint: a person or a
    model may go, the record stays as it was.
    """

    class Kind(models.TextChoices):
        """What was done."""

        GENERATION = "generation"
        EXPLANATION = "explanation"
        EVALUATION = "evaluation"

    kind = models.CharField(max_length=11, choices=Kind.choices, default=Kind.GENERATION)
    run = models.CharField(max_length=24, unique=True)
    """Public id of the generation, explanation or evaluation."""
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.DO_NOTHING,
        null=True,
        db_constraint=False,
        related_name="+",
    )
    payer = models.CharField(max_length=64)
    """As in ``GenerationRun.payer``; a visitor's is the hash of their network."""
    organization = models.ForeignKey(
        Organization, models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    license = models.ForeignKey(
        License, models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    repo = models.ForeignKey(ModelRepo, models.DO_NOTHING, db_constraint=False, related_name="+")
    model = models.CharField(max_length=140)
    """``ns/name`` as it was called then."""
    commit_oid = models.CharField(max_length=40)
    state = models.CharField(max_length=10)
    prompt_tokens = models.PositiveIntegerField()
    new_tokens = models.PositiveIntegerField()
    trial_tokens = models.PositiveIntegerField()
    """Demo tokens of a sold model that it took; of a generation how many of ``new_tokens`` were."""
    seconds = models.FloatField()
    """Of a generation from the first work on it to its end, 0: it never began; of the others the
    time a model worked on what is kept."""
    memory_bytes = models.BigIntegerField()
    finished_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [
            models.Index(fields=["user", "finished_at"], name="usage_of_user"),
            models.Index(fields=["organization", "finished_at"], name="usage_of_organization"),
            models.Index(fields=["license", "finished_at"], name="usage_of_license"),
        ]

    def __str__(self) -> str:
        return f"usage of {self.run}"

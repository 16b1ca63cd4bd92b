"""Who asked for a gated repository, what they said, and what came of it."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog.models.repo import ModelRepo
from store.core.ids import new_public_id


class AccessRequest(models.Model):
    """One person's standing at one gated repository; there is at most one row for the two.

    Whether a request opens the gate is for ``catalog.access.passes_gate`` alone to say.
    """

    class Status(models.TextChoices):
        """Where it stands; the first three are the hub's words."""

        PENDING = "pending", _("Waiting")
        ACCEPTED = "accepted", _("Accepted")
        REJECTED = "rejected", _("Rejected")
        WITHDRAWN = "withdrawn", _("Withdrawn")
        """Taken back by the asker, with the answers wiped; as if nobody had asked."""

    LISTED: ClassVar[tuple[str, ...]] = ("pending", "accepted", "rejected")
    """What publishers see and may set."""

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="access_requests")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="access_requests"
    )
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PENDING)
    answers = models.JSONField(default=list)
    """Pairs of question and answer, as the card asked at the time: a text, or true for a tick."""
    is_by_hand = models.BooleanField(default=False)
    """The publisher let them in unasked: they never agreed to show their e-mail address."""
    reason = models.CharField(max_length=500, blank=True)
    """What the publisher said with the last answer, for the asker to read."""
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    """Who answered last; ``None``: nobody has, or the gate opens by itself."""
    asked_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "user"], name="access_request_once")]
        indexes = [
            models.Index(fields=["repo", "status", "-id"], name="access_request_of_repo"),
            models.Index(fields=["user", "-changed_at"], name="access_request_of_user"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} asks for {self.repo_id} ({self.status})"


class AccessRequestChange(models.Model):
    """One step in the life of a request. Written with the step, never changed."""

    request = models.ForeignKey(AccessRequest, models.CASCADE, related_name="changes")
    status = models.CharField(max_length=9, choices=AccessRequest.Status.choices)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    actor_name = models.CharField(max_length=42, blank=True)
    """Empty: the store itself, where the gate opens by itself."""
    reason = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.status} by {self.actor_name or 'the store'}"

"""Webhooks: what programs of other people are told, and how each telling went."""

from datetime import datetime
from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from catalog.models.events import RepoEvent
from store.core.ids import new_public_id


class WebhookQuerySet(models.QuerySet["Webhook"]):
    """Questions about webhooks; chainable, read-only."""

    def due(self, now: datetime) -> Self:
        """Keep those that have something to send now and may."""
        waiting = WebhookDelivery.objects.filter(
            webhook=OuterRef("pk"), state=WebhookDelivery.State.WAITING, next_try_at__lte=now
        )
        is_rested = Q(rest_until=None) | Q(rest_until__lte=now)
        is_free = Q(busy_until=None) | Q(busy_until__lte=now)
        return self.filter(is_rested, is_free, Exists(waiting), disabled_for="")


class Webhook(models.Model):
    """An address that is told what happens to the repositories its owner watches."""

    class Domain(models.TextChoices):
        """What it hears of; the hub's words."""

        REPO = "repo", _("Files, settings, names")
        DISCUSSION = "discussion", _("Discussions and pull requests")
        SALE = "sale", _("Sales and refunds of my models")

    class Stop(models.TextChoices):
        """Why nothing is sent."""

        OWNER = "owner", _("You switched it off")
        GONE = "gone", _("The address answered that it is gone for good (410)")
        FAILING = "failing", _("Nothing could be delivered for three days")
        UNREADABLE = "unreadable", _("Its secrets cannot be read any more; set them anew")

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="webhooks")
    url = models.CharField(max_length=2000)
    domains = ArrayField(models.CharField(max_length=16, choices=Domain.choices))
    sealed_secret = models.TextField(blank=True)
    """The owner's own word, sent in a header; empty: none."""
    sealed_key = models.TextField()
    """What deliveries are signed with; never sent."""
    sealed_old_key = models.TextField(blank=True)
    """The key before; signs, too, until ``old_key_until``."""
    old_key_until = models.DateTimeField(null=True, blank=True)
    disabled_for = models.CharField(max_length=16, choices=Stop.choices, blank=True)
    """Empty: enabled."""
    disabled_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    """Failed attempts since the last good one."""
    failing_since = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    """When something was last delivered."""
    rest_until = models.DateTimeField(null=True, blank=True)
    """After a failure nothing is tried before."""
    busy_until = models.DateTimeField(null=True, blank=True)
    """A sender works on it; one that dies leaves it to the next by then."""
    busy_by = models.CharField(max_length=64, blank=True)
    skipped = models.PositiveIntegerField(default=0)
    """Events it was not told of because a day had too many."""
    skipped_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = WebhookQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["owner", "id"], name="webhook_of_owner"),
            models.Index(
                fields=["owner", "busy_until"],
                condition=Q(busy_until__isnull=False),
                name="webhook_busy",
            ),
        ]

    def __str__(self) -> str:
        return f"webhook {self.public_id}"

    def get_absolute_url(self) -> str:
        return f"/settings/webhooks/{self.public_id}"

    @property
    def is_disabled(self) -> bool:
        """Whether nothing is sent."""
        return bool(self.disabled_for)


class WebhookWatch(models.Model):
    """Something a webhook watches, by name: it may not exist, or not yet."""

    class Kind(models.TextChoices):
        """What it is; the hub's words. The last three hold nothing in this store."""

        USER = "user"
        ORG = "org"
        MODEL = "model"
        DATASET = "dataset"
        SPACE = "space"
        BUCKET = "bucket"

    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="watches")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    name = models.CharField(max_length=140)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint("webhook", "kind", Lower("name"), name="webhook_watch_once")
        ]
        indexes = [models.Index(Lower("name"), "kind", name="watch_by_name")]

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


class WebhookDelivery(models.Model):
    """One event for one webhook: the queue of record. Its id is the ``webhook-id`` of each try."""

    class State(models.TextChoices):
        """Where a delivery stands."""

        WAITING = "waiting", _("Waiting")
        DELIVERED = "delivered", _("Delivered")
        FAILED = "failed", _("Failed")
        """Given up; sent again only on the owner's wish."""
        DROPPED = "dropped", _("Dropped")
        """The owner may not see the repository any more."""

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(RepoEvent, models.SET_NULL, null=True, blank=True, related_name="+")
    """``None``: a test, or the event was forgotten."""
    is_test = models.BooleanField(default=False)
    scope = models.CharField(max_length=24, choices=RepoEvent.Scope.choices)
    action = models.CharField(max_length=8, choices=RepoEvent.Action.choices)
    full_name = models.CharField(max_length=140)
    """The repository's id when it happened."""
    payload = models.TextField(blank=True)
    """JSON, the very bytes that are sent and signed; empty once forgotten."""
    state = models.CharField(max_length=12, choices=State.choices, default=State.WAITING)
    tries = models.PositiveSmallIntegerField(default=0)
    """Attempts of this round; a replay begins another."""
    next_try_at = models.DateTimeField(null=True, blank=True)
    give_up_at = models.DateTimeField()
    """No attempt is made later."""
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        constraints = [
            models.UniqueConstraint(fields=["webhook", "event"], name="delivery_once_per_event"),
            models.CheckConstraint(
                condition=Q(state="waiting", next_try_at__isnull=False)
                | (~Q(state="waiting") & Q(next_try_at__isnull=True)),
                name="delivery_waits_for_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["webhook", "-id"], name="delivery_of_webhook"),
            models.Index(fields=["webhook", "created_at"], name="delivery_per_day"),
            models.Index(
                fields=["webhook", "next_try_at"],
                condition=Q(state="waiting"),
                name="delivery_waiting",
            ),
            models.Index(
                fields=["ended_at"], condition=Q(ended_at__isnull=False), name="delivery_ended"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.action} of {self.full_name} ({self.state})"

    @property
    def message_id(self) -> str:
        """The same for each attempt, so that receivers know what they have had."""
        return f"msg_{self.public_id}"

    @property
    def last_attempt(self) -> "WebhookAttempt | None":
        """The newest try; costs nothing where ``attempts`` were loaded before."""
        return next(reversed(self.attempts.all()), None)


class WebhookAttempt(models.Model):
    """One try of one delivery. Nothing of the answer is kept but its status."""

    delivery = models.ForeignKey(WebhookDelivery, models.CASCADE, related_name="attempts")
    at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    """HTTP status; ``None``: there was no answer."""
    error = models.CharField(max_length=24, blank=True)
    """Why there was none, or ``status``; empty: it was taken."""

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.status or self.error} in {self.duration_ms} ms"

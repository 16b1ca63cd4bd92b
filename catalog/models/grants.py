"""Who may have the contents of a model that is sold.

``licensing`` writes these rows, in the transaction of what they follow from; everybody else reads
them through ``catalog.access``. What was paid, and under which terms, is not their affair.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Namespace
from catalog.models.repo import ModelRepo
from store.core.ids import new_public_id

CLOCKS_DIFFER = timedelta(minutes=5)
"""So far apart clocks may be: what one server sold a moment ago has begun by every other's."""


class GrantQuerySet(models.QuerySet["Grant"]):
    """Questions about grants; chainable, read-only."""

    def in_force(self, now: datetime | None = None) -> Self:
        """Keep those that open their models at this moment."""
        now = now or timezone.now()
        has_begun = Q(starts_at__lte=now + CLOCKS_DIFFER)
        return self.going_on(now).filter(has_begun, state=Grant.State.ACTIVE)

    def going_on(self, now: datetime | None = None) -> Self:
        """Keep those that neither ended nor were taken back, also frozen ones."""
        is_running = Q(ends_at=None) | Q(ends_at__gt=now or timezone.now())
        return self.filter(is_running).exclude(state=Grant.State.REVOKED)

    def held_by(self, namespace_ids: Iterable[int]) -> Self:
        """Keep those of these name spaces."""
        return self.filter(holder_id__in=list(namespace_ids))


class Grant(models.Model):
    """A person or an organization may have what is in certain models."""

    class State(models.TextChoices):
        """Whether it opens anything. ``revoked`` is for good."""

        ACTIVE = "active", _("Active")
        FROZEN = "frozen", _("Frozen")
        """A payment is disputed, or the license was suspended."""
        REVOKED = "revoked", _("Revoked")

    class Updates(models.TextChoices):
        """Which later revisions it reaches."""

        ALL = "all", _("All updates")
        MAJOR = "major", _("Updates of this major version")
        REVISION = "revision", _("This revision only")

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    holder = models.ForeignKey(Namespace, models.PROTECT, related_name="grants")
    state = models.CharField(max_length=8, choices=State.choices, default=State.ACTIVE)
    updates = models.CharField(max_length=8, choices=Updates.choices, default=Updates.ALL)
    starts_at = models.DateTimeField(default=timezone.now)
    ends_at = models.DateTimeField(null=True, blank=True)
    """``None``: never."""
    repos = models.ManyToManyField(ModelRepo, through="GrantedRepo", related_name="grants")

    objects = GrantQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at=None) | Q(ends_at__gte=F("starts_at")),
                name="grant_ends_after_start",
            )
        ]
        indexes = [models.Index(fields=["holder", "state"], name="grant_of_holder")]

    def __str__(self) -> str:
        return f"grant {self.public_id} ({self.state})"

    def is_in_force(self, now: datetime) -> bool:
        """Whether ``GrantQuerySet.in_force`` keeps it; for rows that were read anyhow."""
        is_running = self.ends_at is None or self.ends_at > now
        has_begun = self.starts_at <= now + CLOCKS_DIFFER
        return is_running and has_begun and self.state == Grant.State.ACTIVE


class GrantedRepo(models.Model):
    """One model a grant opens, and what it was when the grant was made."""

    grant = models.ForeignKey(Grant, models.CASCADE, related_name="granted")
    repo = models.ForeignKey(ModelRepo, models.PROTECT, related_name="granted")
    """A model somebody holds a grant of is not deleted."""
    commit_oid = models.CharField(max_length=40)
    """The newest commit of ``main`` then."""
    major = models.PositiveIntegerField(default=0)
    """The highest major version tagged at or before it then, 0: none. Tags may move or go."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "grant"], name="granted_repo_once")]

    def __str__(self) -> str:
        return f"{self.grant_id} opens {self.repo_id}"

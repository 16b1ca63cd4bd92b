"""What people are told of, and how they want to hear it."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Membership, User
from catalog.models.events import RepoEvent
from catalog.models.repo import ModelRepo


class NoticeQuerySet(models.QuerySet["Notice"]):
    """Questions about notices; chainable, read-only."""

    def visible_to(self, user: User) -> Self:
        """Keep what is about people, or about models that ``user`` may see now.

        The right to see is part of the query, so that a bell with a count takes one.
        """
        team = Membership.objects.filter(
            user=user, organization__namespace=OuterRef("repo__namespace")
        )
        return self.filter(
            Q(repo__isnull=True, event__isnull=True)
            | Q(repo__is_private=False)
            | Q(repo__namespace__user=user)
            | Exists(team)
        )

    def inbox_of(self, user: User) -> Self:
        """Keep what ``user`` is shown: theirs, wanted on the site, visible to them now."""
        return self.visible_to(user).filter(user=user, is_shown=True)


class Notice(models.Model):
    """One person is told of one thing, at most once."""

    class Kind(models.TextChoices):
        """Why; each can be switched on and off by itself."""

        DISCUSSION = "discussion", _("New discussions and pull requests on my models")
        COMMENT = "comment", _("Comments and mentions in threads I follow")
        ACCESS = "access", _("Requests for access, and their answers")
        FOLLOWER = "follower", _("New followers")
        REVISION = "revision", _("New revisions of models I watch or like")
        SALE = "sale", _("Sales, refunds and requests for them")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    event = models.ForeignKey(RepoEvent, models.CASCADE, null=True, related_name="+")
    """What happened; ``None``: a new follower."""
    repo = models.ForeignKey(ModelRepo, models.CASCADE, null=True, related_name="+")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+")
    is_shown = models.BooleanField(default=True)
    """``False``: wanted by mail only."""
    wants_mail = models.BooleanField(default=False)
    read_at = models.DateTimeField(null=True)
    mailed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["event", "user"], name="notice_once_per_event"),
            models.UniqueConstraint(
                fields=["user", "actor"],
                condition=Q(kind="follower"),
                name="notice_once_per_follower",
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-id"], name="notice_of_user"),
            models.Index(
                fields=["user", "repo"],
                condition=Q(read_at__isnull=True, is_shown=True),
                name="notice_unread",
            ),
            models.Index(fields=["created_at"], name="notice_by_age"),
            models.Index(
                fields=["user", "mailed_at"],
                condition=Q(mailed_at__isnull=False),
                name="notice_mailed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} for {self.user}"


class NoticeSetting(models.Model):
    """How a person wants to hear of one kind; without a row: as ``DEFAULTS`` say."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="notice_settings"
    )
    kind = models.CharField(max_length=16, choices=Notice.Kind.choices)
    in_site = models.BooleanField()
    by_mail = models.BooleanField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "kind"], name="notice_setting_once")]

    def __str__(self) -> str:
        return f"{self.user}: {self.kind}"

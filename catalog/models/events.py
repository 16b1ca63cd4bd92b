"""What happened to repositories, for everybody who wants to hear of it."""

from django.conf import settings
from django.db import models

from accounts.models import Namespace
from catalog.models.repo import ModelRepo


class RepoEvent(models.Model):
    """Something that happened to a repository. Written in the transaction of the change itself.

    Feeds, notices and webhooks are made from these rows, so what rolled back is never told, and
    what was committed is told even if a worker dies. A row outlives its repository.
    """

    class Scope(models.TextChoices):
        """What it happened to; the first five are the hub's words."""

        REPO = "repo"
        CONTENT = "repo.content"
        CONFIG = "repo.config"
        DISCUSSION = "discussion"
        COMMENT = "discussion.comment"
        LIKE = "like"
        ACCESS = "access"
        """A request for a gated repository, and its answer."""
        SALE = "sale"
        """A license was sold (``create``) or given back (``delete``), or the buyer asks for that.

        For the sellers alone; with a ``buyer_id`` among its facts it answers that buyer instead.
        """

    class Action(models.TextChoices):
        """What happened; the hub's words."""

        CREATE = "create"
        UPDATE = "update"
        DELETE = "delete"
        MOVE = "move"

    scope = models.CharField(max_length=24, choices=Scope.choices)
    action = models.CharField(max_length=8, choices=Action.choices)
    repo = models.ForeignKey(ModelRepo, models.SET_NULL, null=True, related_name="events")
    repo_public_id = models.CharField(max_length=24)
    full_name = models.CharField(max_length=140)
    """The repository's id when it happened."""
    is_private = models.BooleanField()
    """Whether it was private when it happened."""
    namespace = models.ForeignKey(Namespace, models.PROTECT, related_name="+")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    facts = models.JSONField(default=dict)
    """Ids and small values that say what happened; see who emits it."""
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(fields=["repo", "-id"], name="event_of_repo"),
            models.Index(fields=["namespace", "-id"], name="event_of_namespace"),
            models.Index(fields=["actor", "-id"], name="event_of_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.action} of {self.full_name}"

    @property
    def buyer_id(self) -> int | None:
        """Whom it tells how a refund was decided; ``None``: it is for everybody of its scope."""
        found = self.facts.get("buyer_id") if self.scope == self.Scope.SALE else None
        return found if isinstance(found, int) else None

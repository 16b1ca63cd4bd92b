"""Discussions and pull requests: what people say of a repository, and what they propose for it."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Namespace
from catalog.models.content import LfsObject
from catalog.models.repo import ModelRepo
from store.core.ids import new_public_id


class Community(models.Model):
    """One row a repository: the last number it gave, and whether people may talk there."""

    repo = models.OneToOneField(
        ModelRepo, models.CASCADE, primary_key=True, related_name="community"
    )
    last_number = models.IntegerField(default=0)
    """Numbers are shared by discussions and pull requests and are never given twice."""
    is_disabled = models.BooleanField(default=False)

    class Meta:
        verbose_name_plural = "communities"

    def __str__(self) -> str:
        return f"community of {self.repo_id}"


class DiscussionQuerySet(models.QuerySet["Discussion"]):
    """Questions about the discussions of a repository."""

    def are_open(self) -> Self:
        """Keep what can still be answered or merged: drafts count as open."""
        return self.filter(status__in=Discussion.OPEN)

    def are_closed(self) -> Self:
        """Keep what is over: merged counts as closed."""
        return self.exclude(status__in=Discussion.OPEN)


class Discussion(models.Model):
    """Something people talk about, or a pull request: a proposal with a ref of its own."""

    class Status(models.TextChoices):
        """The hub's words; ``draft`` and ``merged`` are for pull requests only."""

        DRAFT = "draft"
        OPEN = "open"
        CLOSED = "closed"
        MERGED = "merged"

    OPEN = (Status.DRAFT, Status.OPEN)

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="discussions")
    number = models.IntegerField()
    """From 1 in each repository."""
    title = models.CharField(max_length=300)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="discussions"
    )
    """``None``: the account was deleted."""
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.OPEN)
    is_pull_request = models.BooleanField(default=False)
    is_pinned = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    comment_count = models.IntegerField(default=0)
    """The description counts as one."""
    text_chars = models.IntegerField(default=0)
    """Of all comments and their former versions."""

    # pull requests only
    base_ref = models.CharField(max_length=255, blank=True)
    """The branch it is for: ``refs/heads/main``."""
    base_oid = models.CharField(max_length=40, blank=True)
    """The commit of that branch it began at: what a merge compares both sides with."""
    merge_oid = models.CharField(max_length=40, blank=True)
    """The commit that merged it."""
    merged_head_oid = models.CharField(max_length=40, blank=True)
    """What was merged."""
    git_bytes = models.BigIntegerField(default=0)
    """Size of the git objects it brought, as long as ``charged_to`` pays for them."""
    charged_to = models.ForeignKey(Namespace, models.PROTECT, null=True, related_name="+")
    """Whose quota it counts against: its author's, until it is merged."""

    objects = DiscussionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["repo", "number"], name="discussion_number_once")
        ]
        indexes = [
            models.Index(fields=["author", "-id"], name="discussion_of_author"),
            models.Index(
                fields=["repo"],
                condition=Q(status__in=["draft", "open"]),
                name="discussion_open",
            ),
            models.Index(
                fields=["charged_to"],
                condition=Q(git_bytes__gt=0),
                name="discussion_charged",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.number} {self.title}"

    def get_absolute_url(self) -> str:
        return f"/{self.repo.full_name}/discussions/{self.number}"

    @property
    def ref_name(self) -> str:
        """Where the commits of a pull request are: ``refs/pr/7``."""
        return f"refs/pr/{self.number}"

    @property
    def is_open(self) -> bool:
        """It can still be answered, or merged once it is no draft."""
        return self.status in self.OPEN


class DiscussionEvent(models.Model):
    """One thing that happened in a discussion: somebody said, changed or committed something."""

    class Kind(models.TextChoices):
        """The hub's words."""

        COMMENT = "comment"
        STATUS = "status-change"
        TITLE = "title-change"
        COMMIT = "commit"
        PIN = "pinning-change"

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    discussion = models.ForeignKey(Discussion, models.CASCADE, related_name="events")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    facts = models.JSONField(default=dict)
    """What the kind says: ``status``; ``from`` and ``to``; ``subject`` and ``oid``; ``pinned``."""

    # comments only
    text = models.TextField(blank=True)
    """Markdown as it was written; empty once the comment is hidden."""
    html = models.TextField(blank=True)
    renderer_version = models.CharField(max_length=24, blank=True)
    is_hidden = models.BooleanField(default=False)
    edited_at = models.DateTimeField(null=True)
    edited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )

    class Meta:
        indexes = [models.Index(fields=["discussion", "id"], name="event_of_discussion")]

    def __str__(self) -> str:
        return f"{self.kind} in {self.discussion_id}"


class CommentVersion(models.Model):
    """What a comment said before it was edited."""

    comment = models.ForeignKey(DiscussionEvent, models.CASCADE, related_name="versions")
    text = models.TextField()
    html = models.TextField()
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    written_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"a version of {self.comment_id}"


class Attachment(models.Model):
    """A picture, sound or film somebody sent to show in a comment."""

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    charged_to = models.ForeignKey(Namespace, models.PROTECT, related_name="+")
    content = models.ForeignKey(LfsObject, models.PROTECT, related_name="+")
    """The bytes; a collector of unused ones must spare those named here."""
    size_bytes = models.BigIntegerField()
    media_type = models.CharField(max_length=24)
    """As its bytes say, whatever the sender claimed."""
    created_at = models.DateTimeField(auto_now_add=True)
    comments = models.ManyToManyField(DiscussionEvent, related_name="attachments")
    """Which comments show it."""

    def __str__(self) -> str:
        return f"{self.media_type} {self.public_id}"

    def get_absolute_url(self) -> str:
        return f"/uploads/{self.name}"

    @property
    def name(self) -> str:
        """Its address below ``/uploads/``: the id, and an ending that fits the content."""
        return f"{self.public_id}.{ENDINGS[self.media_type]}"


ENDINGS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/webp": "webp",
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
}
"""Every type of attachment that is taken, and its ending."""

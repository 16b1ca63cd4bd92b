"""Whom people follow, which models they watch, what they gather into collections."""

import re
import unicodedata
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Namespace
from accounts.viewer import Viewer
from catalog.models.repo import ModelRepo
from store.core.ids import new_public_id


class Follow(models.Model):
    """A person follows another person or an organization."""

    follower = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="follows")
    namespace = models.ForeignKey(Namespace, models.CASCADE, related_name="followings")
    """Who is followed."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["follower", "namespace"], name="follow_once")
        ]
        indexes = [models.Index(fields=["namespace", "-id"], name="follow_of_namespace")]

    def __str__(self) -> str:
        return f"{self.follower} follows {self.namespace}"


class Watch(models.Model):
    """What a person wants to hear of one repository; without a row: what concerns them."""

    class Level(models.TextChoices):
        """How much they hear."""

        WATCH = "watch", _("Everything")
        MUTE = "mute", _("Nothing")

    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="watches")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="watches")
    level = models.CharField(max_length=8, choices=Level.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "user"], name="watch_once")]

    def __str__(self) -> str:
        return f"{self.user}: {self.level} {self.repo}"


class CollectionQuerySet(models.QuerySet["Collection"]):
    """Questions about collections; chainable, read-only."""

    def visible_to(self, viewer: Viewer) -> Self:
        """Keep what ``viewer`` may know about: public ones and their own namespaces'."""
        lives = Q(namespace__user__isnull=False) | Q(namespace__organization__isnull=False)
        may = Q(is_private=False)
        if not viewer.is_visitor and viewer.roles:
            may |= Q(namespace_id__in=list(viewer.roles))
        return self.filter(lives & may)


class Collection(models.Model):
    """A titled, ordered list of models and of other collections."""

    class Theme(models.TextChoices):
        """The colours the hub knows."""

        ORANGE = "orange", _("Orange")
        BLUE = "blue", _("Blue")
        GREEN = "green", _("Green")
        PURPLE = "purple", _("Purple")
        PINK = "pink", _("Pink")
        INDIGO = "indigo", _("Indigo")

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    namespace = models.ForeignKey(Namespace, models.PROTECT, related_name="collections")
    title = models.CharField(max_length=60)
    description = models.CharField(max_length=150, blank=True)
    is_private = models.BooleanField(default=False)
    theme = models.CharField(max_length=8, choices=Theme.choices, default=Theme.BLUE)
    position = models.IntegerField(default=0)
    """Place among its owner's, small first; equal places: newest first."""
    upvotes = models.IntegerField(default=0)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(default=timezone.now)

    objects = CollectionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint("namespace", Lower("title"), name="collection_title_once")
        ]
        indexes = [
            models.Index(fields=["updated_at", "id"], name="collection_by_update"),
            models.Index(fields=["upvotes", "id"], name="collection_by_upvotes"),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return f"/collections/{self.slug}"

    @property
    def slug(self) -> str:
        """The id people and clients use: ``ns/title-id``. Needs ``namespace`` loaded.

        The 24 digits at its end decide; the rest follows the title.
        """
        plain = unicodedata.normalize("NFKD", self.title).encode("ascii", "ignore").decode()
        words = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
        return f"{self.namespace.name}/{'-'.join(filter(None, [words, self.public_id]))}"


class CollectionItem(models.Model):
    """One thing in a collection: a model, or another collection."""

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    collection = models.ForeignKey(Collection, models.CASCADE, related_name="items")
    repo = models.ForeignKey(ModelRepo, models.CASCADE, null=True, related_name="+")
    child = models.ForeignKey(Collection, models.CASCADE, null=True, related_name="parents")
    note = models.CharField(max_length=500, blank=True)
    position = models.IntegerField()
    """Place in the collection, from 0. What a viewer is shown counts only what they may see."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["collection", "repo"], name="collection_repo_once"),
            models.UniqueConstraint(fields=["collection", "child"], name="collection_child_once"),
            models.CheckConstraint(
                condition=Q(repo__isnull=True) ^ Q(child__isnull=True),
                name="collection_item_is_one_thing",
            ),
        ]
        indexes = [
            models.Index(fields=["collection", "position", "id"], name="collection_item_order")
        ]

    def __str__(self) -> str:
        return f"{self.repo or self.child} in {self.collection}"


class Upvote(models.Model):
    """A person finds a collection good."""

    collection = models.ForeignKey(Collection, models.CASCADE, related_name="votes")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["collection", "user"], name="upvote_once")]

    def __str__(self) -> str:
        return f"{self.user} for {self.collection}"

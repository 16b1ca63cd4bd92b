"""A model repository and the names that lead to it."""

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.models import Namespace
from accounts.viewer import Viewer
from store.core.ids import new_public_id


class RepoQuerySet(models.QuerySet["ModelRepo"]):
    """Questions other rooms may ask; chainable, read-only, no side effects."""

    def visible_to(self, viewer: Viewer) -> Self:
        """Keep what ``viewer`` may know about: public repositories, their own and bought ones.

        A fine-grained token knows of the private ones it lists, of no other of its owner's, and of
        bought ones if it reads gated models.
        """
        known = Q(is_private=False)
        if viewer.is_visitor:
            return self.filter(known)
        if viewer.reach is None or viewer.reach.has_gated:
            known |= Q(is_private=True) & Q(pk__in=_bought_by(viewer))
        if viewer.roles:
            known |= Q(namespace_id__in=list(viewer.roles))
        if viewer.listed_repos:
            mine = Q(namespace_id__in=list(viewer.person_roles)) | Q(pk__in=_bought_by(viewer))
            known |= mine & Q(public_id__in=viewer.listed_repos)
        return self.filter(known)

    def named(self, namespace: str, name: str) -> Self:
        """Keep the repository of this id, whatever the case of its letters."""
        return self.annotate(_ns=Lower("namespace__name"), _name=Lower("name")).filter(
            _ns=namespace.lower(), _name=name.lower()
        )

    def ever_named(self, namespace: str, name: str) -> Self:
        """Keep the repository that has this id, or had it before and has not lost it to another."""
        here = ModelRepo.objects.all().named(namespace, name)
        moved = RepoRedirect.objects.filter(namespace__name__iexact=namespace, name__iexact=name)
        return self.filter(
            models.Q(pk__in=here.values("pk")) | models.Q(pk__in=moved.values("repo"))
        )


def _bought_by(viewer: Viewer) -> models.QuerySet[Any, Any]:
    """Return the ids of what grants in force open to ``viewer``, as a subquery."""
    from catalog.models.grants import Grant

    return Grant.objects.in_force().held_by(viewer.person_roles).values("granted__repo")


class ModelRepo(models.Model):
    """A published model: a name, a card, and a line of immutable revisions."""

    class Gate(models.TextChoices):
        """Whether strangers must ask before they download."""

        NONE = "none"
        AUTO = "auto"
        MANUAL = "manual"

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    namespace = models.ForeignKey(Namespace, models.PROTECT, related_name="repos")
    name = models.CharField(max_length=96)
    is_private = models.BooleanField(default=False)
    gate = models.CharField(max_length=8, choices=Gate.choices, default=Gate.NONE)
    is_for_sale = models.BooleanField(default=False)
    """Its contents are for holders of a grant. Written by ``licensing`` from its offers."""
    opens_at = models.DateTimeField(null=True, blank=True)
    """When what is for sale becomes free for all; ``None``: never."""
    git_bytes = models.BigIntegerField(default=0)
    """Size of its git objects: small files, folders, commits, of all revisions."""
    disabled_reason = models.TextField(blank=True)
    """Not empty: staff took the repository down; files are not served."""
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    """Date of the last commit on any branch."""

    objects = RepoQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint("namespace", Lower("name"), name="repo_name_once_per_owner")
        ]
        indexes = [models.Index(Lower("name"), name="repo_name_lower")]

    def __str__(self) -> str:
        return self.full_name

    def get_absolute_url(self) -> str:
        return f"/{self.full_name}"

    @property
    def full_name(self) -> str:
        """The id people and clients use: ``namespace/name``. Needs ``namespace`` loaded."""
        return f"{self.namespace.name}/{self.name}"

    @property
    def is_sold(self) -> bool:
        """Whether strangers need a grant now: the one place that knows."""
        return self.is_for_sale and (self.opens_at is None or self.opens_at > timezone.now())


class RepoRedirect(models.Model):
    """An id a repository had before; it leads to the repository until its owner re-uses it."""

    namespace = models.ForeignKey(Namespace, models.PROTECT, related_name="+")
    name = models.CharField(max_length=96)
    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="redirects")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("namespace", Lower("name"), name="redirect_once_per_name")
        ]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name} → {self.repo}"


class RepoAlias(models.Model):
    """A single-segment id (``gpt2``) that staff gave to a repository."""

    name = models.CharField(max_length=96)
    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="aliases")

    class Meta:
        constraints = [models.UniqueConstraint(Lower("name"), name="alias_once")]
        verbose_name_plural = "repo aliases"

    def __str__(self) -> str:
        return f"{self.name} → {self.repo}"


class Like(models.Model):
    """A person likes a repository."""

    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="likes")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="likes")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "user"], name="like_once")]

    def __str__(self) -> str:
        return f"{self.user} likes {self.repo}"

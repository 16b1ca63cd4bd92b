"""Likes."""

from django.db import transaction
from django.db.models import F, QuerySet

from accounts.models import Scope, User
from accounts.viewer import Viewer
from catalog.models import Like, Listing, ModelRepo, RepoEvent
from catalog.services.events import emit


@transaction.atomic
def set_like(viewer: Viewer, repo: ModelRepo, *, liked: bool) -> None:
    """Like ``repo`` or take the like back. Safe to repeat.

    Raises:
        UnauthenticatedError: nobody is signed in.
        MissingScopeError: the token cannot write.
    """
    user = viewer.require(Scope.WRITE)
    if liked:
        change = int(Like.objects.get_or_create(repo=repo, user=user)[1])
    else:
        change = -Like.objects.filter(repo=repo, user=user).delete()[0]
    if change:
        Listing.objects.filter(repo=repo).update(likes=F("likes") + change)
    if change > 0 and not _was_told(repo, user):
        emit(RepoEvent.Scope.LIKE, RepoEvent.Action.CREATE, repo=repo, actor=user)


def likes_of(viewer: Viewer, user: User) -> "QuerySet[Like]":
    """Return what ``user`` likes, newest first: of that only what ``viewer`` may know about."""
    visible = ModelRepo.objects.visible_to(viewer)
    return Like.objects.filter(user=user, repo__in=visible).order_by("-pk")


def _was_told(repo: ModelRepo, user: User) -> bool:
    """Whether this person's liking was news once: changing one's mind all day is none."""
    return RepoEvent.objects.filter(repo=repo, actor=user, scope=RepoEvent.Scope.LIKE).exists()

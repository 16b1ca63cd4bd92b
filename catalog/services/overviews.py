"""People and organizations in figures; each counts only what the viewer may know about."""

from dataclasses import dataclass

from django.db.models import Count, Q, Sum

from accounts.models import Membership, Namespace, User
from accounts.viewer import Viewer
from catalog.models import Collection, ModelRepo, RepoEvent
from catalog.services.follows import followed_by, followers_of, is_following
from catalog.services.likes import likes_of


@dataclass(frozen=True, slots=True)
class Figures:
    """How much there is of whoever holds a name."""

    models: int
    collections: int
    upvotes: int
    """Of their collections."""
    followers: int
    is_followed: bool
    """By the viewer."""
    likes: int = 0
    """Given; people only, as the next two."""
    following: int = 0
    """People they follow."""
    following_organizations: int = 0
    discussions: int = 0
    """Opened by them."""
    members: int = 0
    """Organizations only."""


def figures_of(viewer: Viewer, namespace: Namespace) -> Figures:
    """Count what ``viewer`` may know of ``namespace``. A handful of queries."""
    collections = (
        Collection.objects.visible_to(viewer)
        .filter(namespace=namespace)
        .aggregate(number=Count("pk"), upvotes=Sum("upvotes"))
    )
    common = {
        "models": ModelRepo.objects.visible_to(viewer).filter(namespace=namespace).count(),
        "collections": collections["number"],
        "upvotes": collections["upvotes"] or 0,
        "followers": followers_of(namespace).count(),
    }
    is_followed = is_following(viewer, namespace)
    user = namespace.user
    if user is None:
        members = Membership.objects.filter(
            organization__namespace=namespace, user__is_active=True
        ).count()
        return Figures(**common, is_followed=is_followed, members=members)
    followed = followed_by(user).aggregate(
        people=Count("pk", filter=Q(namespace__user__isnull=False)), all=Count("pk")
    )
    return Figures(
        **common,
        is_followed=is_followed,
        likes=likes_of(viewer, user).count(),
        following=followed["people"],
        following_organizations=followed["all"] - followed["people"],
        discussions=_discussions_of(viewer, user),
    )


def _discussions_of(viewer: Viewer, user: User) -> int:
    return RepoEvent.objects.filter(
        actor=user,
        scope=RepoEvent.Scope.DISCUSSION,
        action=RepoEvent.Action.CREATE,
        repo__in=ModelRepo.objects.visible_to(viewer),
    ).count()

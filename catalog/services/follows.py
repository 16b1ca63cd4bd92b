"""Following people and organizations."""

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.models import Membership, Namespace, Scope, User
from accounts.viewer import Viewer
from catalog.models import Follow
from catalog.services.notices import tell_of_follower
from store.core.errors import ConflictError, InvalidError

MAX_FOLLOWS = 5_000
"""Whom one person may follow: a feed of everybody is no feed, and costs like one."""


class OwnFollowError(InvalidError):
    """Nobody follows themselves."""

    code = "own_follow"


class TooManyFollowsError(ConflictError):
    """The person follows as many as anybody may."""

    code = "too_many_follows"


@transaction.atomic
def set_follow(viewer: Viewer, namespace: Namespace, *, follows: bool) -> None:
    """Follow whoever holds ``namespace``, or stop. Safe to repeat.

    Raises:
        UnauthenticatedError: nobody is signed in.
        MissingScopeError: the token cannot write.
        OwnFollowError: it is the viewer's own name.
        TooManyFollowsError: the viewer follows too many already.
    """
    user = viewer.require(Scope.WRITE)
    if not follows:
        Follow.objects.filter(follower=user, namespace=namespace).delete()
        return
    if namespace.user_id == user.pk:
        raise OwnFollowError("You cannot follow yourself.")
    if Follow.objects.filter(follower=user).count() >= MAX_FOLLOWS:
        raise TooManyFollowsError(f"Nobody can follow more than {MAX_FOLLOWS}.", max=MAX_FOLLOWS)
    _follow, is_new = Follow.objects.get_or_create(follower=user, namespace=namespace)
    if is_new:
        tell_of_follower(user, namespace)


def followers_of(namespace: Namespace) -> "QuerySet[Follow]":
    """Return who follows ``namespace``, newest first, with the followers."""
    rows = Follow.objects.filter(namespace=namespace, follower__is_active=True)
    return rows.select_related("follower").order_by("-pk")


def followed_by(user: User) -> "QuerySet[Follow]":
    """Return whom ``user`` follows, newest first, with name spaces and owners."""
    lives = Q(namespace__user__is_active=True) | Q(namespace__organization__isnull=False)
    rows = Follow.objects.filter(lives, follower=user)
    return rows.select_related("namespace__user", "namespace__organization").order_by("-pk")


def members_of(namespace: Namespace) -> "QuerySet[Membership]":
    """Return the members of an organization, longest-standing first, with the people."""
    rows = Membership.objects.filter(organization__namespace=namespace, user__is_active=True)
    return rows.select_related("user").order_by("pk")


def followed_among(viewer: Viewer, user_ids: list[int]) -> set[int]:
    """Return which of these people ``viewer`` follows. One query, none for visitors."""
    if viewer.user is None or not user_ids:
        return set()
    rows = Follow.objects.filter(follower=viewer.user, namespace__user__in=user_ids)
    return {pk for pk in rows.values_list("namespace__user_id", flat=True) if pk is not None}


def is_following(viewer: Viewer, namespace: Namespace) -> bool:
    """Whether ``viewer`` follows ``namespace``."""
    if viewer.user is None:
        return False
    return Follow.objects.filter(follower=viewer.user, namespace=namespace).exists()

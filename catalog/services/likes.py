"""Likes."""

from django.db import transaction
from django.db.models import F

from accounts.viewer import Viewer
from catalog.models import Like, Listing, ModelRepo


@transaction.atomic
def set_like(viewer: Viewer, repo: ModelRepo, *, liked: bool) -> None:
    """Like ``repo`` or take the like back. Safe to repeat.

    Raises:
        UnauthenticatedError: nobody is signed in.
    """
    user = viewer.signed_in()
    if liked:
        change = int(Like.objects.get_or_create(repo=repo, user=user)[1])
    else:
        change = -Like.objects.filter(repo=repo, user=user).delete()[0]
    if change:
        Listing.objects.filter(repo=repo).update(likes=F("likes") + change)

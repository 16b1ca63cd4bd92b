"""The inbox: what a person was told, and that they have seen it."""

from django.db import transaction
from django.utils import timezone

from accounts.models import Scope, User
from accounts.viewer import Viewer
from catalog.models import Notice
from catalog.models.notices import NoticeQuerySet
from store.core.errors import NotFoundError

MOST_COUNTED = 100
"""A bell counts so far and no further."""


class NoticeNotFoundError(NotFoundError):
    """There is no such notice, or it is somebody else's, or about something hidden by now."""

    code = "notice_not_found"


def inbox(user: User, *, unread: bool = False) -> NoticeQuerySet:
    """Return what ``user`` was told, newest first, with all a line of it shows. One query."""
    rows = Notice.objects.inbox_of(user).order_by("-pk")
    if unread:
        rows = rows.filter(read_at__isnull=True)
    return rows.select_related("event__actor", "repo__namespace", "actor")


def count_unread(user: User) -> int:
    """Return how many notices wait, at most ``MOST_COUNTED``. One query."""
    return Notice.objects.inbox_of(user).filter(read_at__isnull=True)[:MOST_COUNTED].count()


@transaction.atomic
def set_read(viewer: Viewer, notice_id: int, *, is_read: bool) -> Notice:
    """Mark one notice. Safe to repeat.

    Raises:
        NoticeNotFoundError: not the viewer's.
        MissingScopeError: the token cannot write.
    """
    user = viewer.require(Scope.WRITE)
    notice = inbox(user).filter(pk=notice_id).first()
    if notice is None:
        raise NoticeNotFoundError("There is no such notice.")
    if is_read != (notice.read_at is not None):
        notice.read_at = timezone.now() if is_read else None
        notice.save(update_fields=["read_at"])
    return notice


def read_all(viewer: Viewer) -> int:
    """Mark everything the viewer is shown as read.

    Returns:
        How many were unread.

    Raises:
        MissingScopeError: the token cannot write.
    """
    user = viewer.require(Scope.WRITE)
    unread = Notice.objects.inbox_of(user).filter(read_at__isnull=True)
    return Notice.objects.filter(pk__in=unread.values("pk")).update(read_at=timezone.now())

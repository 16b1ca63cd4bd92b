"""Reading discussions: lists with filters, and what happened in one."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db.models import Count, Prefetch, Q
from django.utils.translation import gettext as _

from catalog.models import CommentVersion, Discussion, DiscussionEvent, ModelRepo
from catalog.models.discussions import DiscussionQuerySet
from catalog.services.comments import check_enabled
from store.core.errors import InvalidError

KINDS = ("all", "discussion", "pull_request")
STATUSES = ("all", "open", "closed")


def find(
    repo: ModelRepo, *, kind: str = "all", status: str = "all", author: str = ""
) -> DiscussionQuerySet:
    """Return the discussions of ``repo`` that fit, in no order.

    Args:
        repo: Through ``catalog.access``.
        kind: One of ``KINDS``.
        status: One of ``STATUSES``: ``open`` includes drafts, ``closed`` what is merged.
        author: A user name; empty: anybody's.

    Raises:
        DiscussionsDisabledError: the owners switched discussions off.
        InvalidError: no such kind or status.
    """
    check_enabled(repo)
    if kind not in KINDS or status not in STATUSES:
        raise InvalidError(
            _("'type' is one of %(kinds)s, 'status' one of %(statuses)s.")
            % {"kinds": ", ".join(KINDS), "statuses": ", ".join(STATUSES)}
        )
    rows = Discussion.objects.filter(repo=repo)
    if kind != "all":
        rows = rows.filter(is_pull_request=kind == "pull_request")
    if status == "open":
        rows = rows.are_open()
    elif status == "closed":
        rows = rows.are_closed()
    return rows.filter(author__username__iexact=author) if author else rows


@dataclass(frozen=True, slots=True)
class CommunitySummary:
    """What the tab of a listing says."""

    open_count: int
    is_disabled: bool


def summary_of(repo: ModelRepo) -> CommunitySummary:
    """Return how many discussions are open, and whether there are any. One query."""
    is_open = Q(discussions__status__in=Discussion.OPEN)
    row = (
        ModelRepo.objects.filter(pk=repo.pk)
        .annotate(_open=Count("discussions", filter=is_open))
        .values_list("_open", "community__is_disabled")
        .first()
    )
    open_count, is_disabled = row or (0, None)
    return CommunitySummary(open_count, bool(is_disabled))


def belonging(rows: Iterable[Discussion], repo: ModelRepo) -> Iterator[Discussion]:
    """Yield discussions of ``repo``, which is loaded already, with it in its place."""
    for row in rows:
        row.repo = repo
        yield row


def events_of(discussion: Discussion) -> list[DiscussionEvent]:
    """Return everything that happened, oldest first: three queries, however much it is."""
    versions = CommentVersion.objects.select_related("author")
    rows = DiscussionEvent.objects.filter(discussion=discussion)
    rows = rows.select_related("author", "edited_by").order_by("id")
    return list(rows.prefetch_related(Prefetch("versions", versions)))

"""Activity: what people did with models, for others to read.

Made from events at the moment of reading, so whatever is hidden by then is not told, and whatever
is taken back (a like) is gone. Requests for access are between two people and never shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import Namespace, User
from accounts.viewer import Viewer
from catalog.history.refs import HEADS
from catalog.models import Follow, Like, ModelRepo, RepoEvent
from catalog.services.event_words import event_link, event_words, title_of
from store.core.paging import keyset_page

PAGE = 30
_Scope, _Action = RepoEvent.Scope, RepoEvent.Action


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a feed: the same thing done several times in a row is one."""

    event: RepoEvent
    """The newest of them; with actor and model."""
    count: int

    @property
    def who(self) -> str:
        """The actor's name; empty once they left."""
        return self.event.actor.username if self.event.actor else ""

    @property
    def words(self) -> str:
        """What the actor did, before the model's name."""
        return event_words(self.event, count=self.count)

    @property
    def title(self) -> str:
        """Title of the commit or the thread; empty when several stand behind the line."""
        return title_of(self.event) if self.count == 1 else ""

    @property
    def link(self) -> str:
        """Path of what it is about."""
        repo = self.event.repo
        return event_link(self.event, repo.full_name) if repo else "/"


@dataclass(frozen=True, slots=True)
class FeedPage:
    """One page of a feed, newest first."""

    lines: list[Line]
    next_cursor: str | None


def feed_of_namespace(
    viewer: Viewer, namespace: Namespace, *, limit: int = PAGE, cursor: str | None = None
) -> FeedPage:
    """Return what a person did, or what was done with an organization's models. One query.

    Raises:
        BadCursorError: the cursor is not ours.
    """
    if namespace.user_id is not None:
        wanted = Q(actor=namespace.user_id)
    else:
        wanted = Q(namespace=namespace) & ~Q(scope=_Scope.LIKE)
    return _page(_tellable(viewer).filter(wanted), limit, cursor)


def feed_of_followed(
    viewer: Viewer, user: User, *, limit: int = PAGE, cursor: str | None = None
) -> FeedPage:
    """Return what the people ``user`` follows did, and what organizations they follow. One query.

    Raises:
        BadCursorError: the cursor is not ours.
    """
    follows = Follow.objects.filter(follower=user)
    people = follows.filter(namespace__user__isnull=False).values("namespace__user")
    teams = follows.filter(namespace__organization__isnull=False).values("namespace")
    theirs = Q(actor__in=people) | (Q(namespace__in=teams) & ~Q(scope=_Scope.LIKE))
    return _page(_tellable(viewer).filter(theirs).exclude(actor=user), limit, cursor)


def _tellable(viewer: Viewer) -> "QuerySet[RepoEvent]":
    """Return the events a feed may tell ``viewer`` of."""
    liked = Exists(Like.objects.filter(repo=OuterRef("repo"), user=OuterRef("actor")))
    worth = (
        Q(scope=_Scope.REPO, action__in=[_Action.CREATE, _Action.MOVE])
        | Q(scope=_Scope.CONTENT, facts__updated_refs__0__ref__startswith=HEADS)
        | Q(scope=_Scope.CONFIG, facts__updated_config__private=False)
        | Q(scope__in=[_Scope.DISCUSSION, _Scope.COMMENT], action=_Action.CREATE)
        | (Q(scope=_Scope.LIKE, action=_Action.CREATE) & liked)
    )
    rows = RepoEvent.objects.filter(worth, repo__in=ModelRepo.objects.visible_to(viewer))
    return rows.select_related("actor", "repo__namespace").order_by("-pk")


def _page(rows: "QuerySet[RepoEvent]", limit: int, cursor: str | None) -> FeedPage:
    events, following = keyset_page(rows, cursor, limit)
    return FeedPage(_gathered(events), following)


def _gathered(events: Sequence[RepoEvent]) -> list[Line]:
    """Join what belongs together; a thread and the comment it was opened with are one, too."""
    lines: list[Line] = []
    for newer, event in zip([None, *events], events, strict=False):
        if newer is not None and _opened_with(event, newer):
            last = lines.pop()
            if last.count > 1:
                lines.append(Line(last.event, last.count - 1))
        last_line = lines[-1] if lines else None
        if last_line is not None and _is_same(last_line.event, event):
            lines[-1] = Line(last_line.event, last_line.count + 1)
        else:
            lines.append(Line(event, 1))
    return lines


def _opened_with(event: RepoEvent, newer: RepoEvent) -> bool:
    """Whether ``event`` opens a thread and ``newer`` is the comment it began with."""
    return (event.scope, newer.scope) == (_Scope.DISCUSSION, _Scope.COMMENT) and (
        event.repo_id,
        event.actor_id,
        event.facts.get("num"),
    ) == (newer.repo_id, newer.actor_id, newer.facts.get("num"))


def _is_same(one: RepoEvent, other: RepoEvent) -> bool:
    repeats = {_Scope.CONTENT, _Scope.COMMENT}
    return one.scope in repeats and (one.scope, one.repo_id, one.actor_id) == (
        other.scope,
        other.repo_id,
        other.actor_id,
    )

"""Telling people what concerns them: who hears of an event, and why.

A listener of ``catalog.services.events``: it is called at least once for every event and makes
each notice at most once. Who may not see the repository hears nothing, and is asked again when
the notice is shown (``NoticeQuerySet.inbox_of``) and when it is mailed (``notice_letters``).
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.models import Namespace, Role, User
from catalog.history.refs import DEFAULT_BRANCH, HEADS
from catalog.models import ModelRepo, Notice, RepoEvent, Watch
from catalog.services.notice_settings import Kind, wishes_about
from store.core.jobs import JobName, enqueue

KEPT = timedelta(days=90)
"""Life of a notice."""
MAX_MENTIONS = 50
"""Names one text can call; the rest are not told."""
_AT_ONCE = 500
_MAIN = HEADS + DEFAULT_BRANCH
_Scope, _Action = RepoEvent.Scope, RepoEvent.Action


def tell_people(event: RepoEvent) -> None:
    """Make the notices of one event. Safe to repeat."""
    if event.repo is None:
        return
    told: set[int] = {event.actor_id} if event.actor_id else set()
    for kind, people in _audiences(event, event.repo):
        for group in _grouped(people):
            fresh = [pk for pk in group if pk not in told]
            told |= _tell(event, event.repo, kind, fresh)


def tell_of_follower(follower: User, namespace: Namespace) -> None:
    """Tell a person of a new follower; once, however often that one comes and goes."""
    user = namespace.user
    if user is None:  # an organization has its number of followers
        return
    wish = wishes_about(Kind.FOLLOWER, [user.pk])[user.pk]
    if not (wish.in_site or wish.by_mail):
        return
    row = {"is_shown": wish.in_site, "wants_mail": wish.by_mail}
    notice, is_new = Notice.objects.get_or_create(
        user=user, actor=follower, kind=Kind.FOLLOWER, defaults=row
    )
    if is_new and notice.wants_mail:
        _mail(notice)


def forget_old() -> int:
    """Delete notices past their life; run by the beat.

    Returns:
        How many were deleted.
    """
    return Notice.objects.filter(created_at__lt=timezone.now() - KEPT).delete()[0]


def _audiences(event: RepoEvent, repo: ModelRepo) -> Iterator[tuple[Kind, "QuerySet[User]"]]:
    """Yield who may care and why, the nearest reason first: the first that fits is told."""
    facts: Mapping[str, Any] = event.facts
    watchers = User.objects.filter(watches__repo=repo, watches__level=Watch.Level.WATCH)
    if event.scope == _Scope.COMMENT and _is_description(event, repo):
        yield (
            Kind.COMMENT,
            _mentioned(facts).exclude(pk__in=_keepers(repo)).exclude(pk__in=watchers),
        )
        return  # the others hear of the new thread itself
    if event.scope in {_Scope.DISCUSSION, _Scope.COMMENT} and event.action == _Action.CREATE:
        yield Kind.COMMENT, _mentioned(facts)
    if (event.scope, event.action) == (_Scope.DISCUSSION, _Action.CREATE):
        yield Kind.DISCUSSION, _keepers(repo)
        yield Kind.DISCUSSION, watchers
    elif (event.scope, event.action) == (_Scope.COMMENT, _Action.CREATE):
        yield Kind.COMMENT, _in_thread(event, repo)
        yield Kind.COMMENT, watchers
    elif event.scope == _Scope.DISCUSSION and event.action == _Action.UPDATE:
        yield Kind.COMMENT, _in_thread(event, repo)
    elif event.scope == _Scope.SALE:
        buyer = event.buyer_id
        yield Kind.SALE, _keepers(repo) if buyer is None else User.objects.filter(pk=buyer)
    elif event.scope == _Scope.ACCESS:
        yield Kind.ACCESS, _party_to_access(event, repo)
    elif event.scope == _Scope.CONTENT and any(
        moved.get("ref") == _MAIN for moved in facts.get("updated_refs", [])
    ):
        yield Kind.REVISION, watchers
        yield Kind.REVISION, User.objects.filter(likes__repo=repo)


def _keepers(repo: ModelRepo) -> "QuerySet[User]":
    """Return who answers for a repository: its owner, or the team's admins and writers."""
    team = Q(
        memberships__organization__namespace=repo.namespace_id,
        memberships__role__in=[Role.ADMIN, Role.WRITE],
    )
    return User.objects.filter(Q(namespace=repo.namespace_id) | team).distinct()


def _mentioned(facts: Mapping[str, Any]) -> "QuerySet[User]":
    """Return whom a text calls by name; ``facts["mentions"]`` has the names."""
    names = [str(name).lower() for name in facts.get("mentions", [])[:MAX_MENTIONS]]
    return User.objects.annotate(_name=Lower("username")).filter(_name__in=names)


def _said_before(event: RepoEvent, repo: ModelRepo) -> "QuerySet[RepoEvent]":
    """Return how the thread of ``event`` began, and all comments before it."""
    return RepoEvent.objects.filter(
        repo=repo,
        scope__in=[_Scope.DISCUSSION, _Scope.COMMENT],
        action=_Action.CREATE,
        facts__num=event.facts.get("num"),
        pk__lt=event.pk,
    )


def _is_description(event: RepoEvent, repo: ModelRepo) -> bool:
    """Whether a comment is what its thread was opened with: the first, by who opened it."""
    before = list(_said_before(event, repo).values_list("scope", "actor")[:2])
    return before == [(_Scope.DISCUSSION.value, event.actor_id)]


def _in_thread(event: RepoEvent, repo: ModelRepo) -> "QuerySet[User]":
    """Return who opened the thread of ``event`` or said something in it before."""
    return User.objects.filter(pk__in=_said_before(event, repo).values("actor"))


def _party_to_access(event: RepoEvent, repo: ModelRepo) -> "QuerySet[User]":
    """Return whose turn it is: the publisher's with a request, the asker's with an answer."""
    asker, status = event.facts.get("user_id"), event.facts.get("status")
    if status == "pending" and event.actor_id == asker:
        return _keepers(repo)
    if status in {"accepted", "rejected"} and event.actor_id != asker:
        return User.objects.filter(pk=asker)
    return User.objects.none()


def _grouped(people: "QuerySet[User]") -> Iterator[list[int]]:
    ids = people.filter(is_active=True).order_by("pk").values_list("pk", flat=True)
    rows = ids.iterator(chunk_size=_AT_ONCE)
    while group := list(islice(rows, _AT_ONCE)):
        yield list(dict.fromkeys(group))


@transaction.atomic
def _tell(event: RepoEvent, repo: ModelRepo, kind: Kind, user_ids: list[int]) -> set[int]:
    """Make the notices of a group: of those who may see it and want to hear of it.

    Returns:
        Who has one.
    """
    ids = _who_may_see(repo, user_ids) - _muted(repo, user_ids)
    if kind == Kind.REVISION:
        ids -= _waiting_for(repo, ids)
    # Mail about access is ``access_letters``'s, and answers to buyers are letters about orders:
    # written from the requests themselves.
    is_mailed = kind != Kind.ACCESS and event.buyer_id is None
    wishes = {
        pk: wish
        for pk, wish in wishes_about(kind, sorted(ids)).items()
        if wish.in_site or (wish.by_mail and is_mailed)
    }
    Notice.objects.bulk_create(
        [
            Notice(
                user_id=pk,
                kind=kind,
                event=event,
                repo=repo,
                is_shown=wish.in_site,
                wants_mail=wish.by_mail and is_mailed,
            )
            for pk, wish in wishes.items()
        ],
        ignore_conflicts=True,
    )
    for notice in Notice.objects.filter(
        event=event, user__in=ids, wants_mail=True, mailed_at__isnull=True
    ):
        _mail(notice)
    return set(wishes)


def _who_may_see(repo: ModelRepo, user_ids: list[int]) -> set[int]:
    if not repo.is_private:
        return set(user_ids)
    people = User.objects.filter(pk__in=user_ids)
    mine = Q(namespace=repo.namespace_id) | Q(
        memberships__organization__namespace=repo.namespace_id
    )
    return set(people.filter(mine).values_list("pk", flat=True))


def _muted(repo: ModelRepo, user_ids: list[int]) -> set[int]:
    rows = Watch.objects.filter(repo=repo, user__in=user_ids, level=Watch.Level.MUTE)
    return set(rows.values_list("user_id", flat=True))


def _waiting_for(repo: ModelRepo, user_ids: set[int]) -> set[int]:
    """Return who has not read the last news of new revisions: fifty commits are one notice."""
    rows = Notice.objects.filter(
        repo=repo, kind=Kind.REVISION, user__in=user_ids, read_at__isnull=True
    )
    return set(rows.values_list("user_id", flat=True))


def _mail(notice: Notice) -> None:
    enqueue(JobName.MAIL_NOTICE, key=f"notice:{notice.pk}", notice_id=notice.pk)

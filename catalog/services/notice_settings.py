"""How people want to hear of things: kind by kind, on the site and by mail."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from django.db import transaction

from accounts.models import Scope, User
from accounts.viewer import Viewer
from catalog.models import ModelRepo, Notice, NoticeSetting, Watch

Kind = Notice.Kind


@dataclass(frozen=True, slots=True)
class Wish:
    """How one person wants to hear of one kind."""

    in_site: bool
    by_mail: bool


DEFAULTS: Mapping[Kind, Wish] = {
    Kind.DISCUSSION: Wish(in_site=True, by_mail=True),
    Kind.COMMENT: Wish(in_site=True, by_mail=True),
    Kind.ACCESS: Wish(in_site=True, by_mail=True),
    Kind.FOLLOWER: Wish(in_site=True, by_mail=False),
    Kind.REVISION: Wish(in_site=True, by_mail=False),
    Kind.SALE: Wish(in_site=True, by_mail=True),
}
"""Mail is for what waits for an answer; the rest can wait for the next visit."""


def wishes_of(user: User) -> dict[Kind, Wish]:
    """Return how ``user`` wants to hear of every kind. One query."""
    rows = NoticeSetting.objects.filter(user=user)
    chosen = {Kind(row.kind): Wish(row.in_site, row.by_mail) for row in rows}
    return {kind: chosen.get(kind, default) for kind, default in DEFAULTS.items()}


def wishes_about(kind: Kind, user_ids: Collection[int]) -> dict[int, Wish]:
    """Return how each of these people wants to hear of ``kind``. One query."""
    rows = NoticeSetting.objects.filter(kind=kind, user__in=user_ids)
    chosen = {row.user_id: Wish(row.in_site, row.by_mail) for row in rows}
    return {pk: chosen.get(pk, DEFAULTS[kind]) for pk in user_ids}


def wanting_mail(kind: Kind, repo: ModelRepo, user_ids: Collection[int]) -> set[int]:
    """Return which of these people want mail of ``kind`` about ``repo``. Two queries."""
    muted = Watch.objects.filter(repo=repo, user__in=user_ids, level=Watch.Level.MUTE)
    silent = set(muted.values_list("user_id", flat=True))
    return {pk for pk, wish in wishes_about(kind, user_ids).items() if wish.by_mail} - silent


@transaction.atomic
def set_wishes(viewer: Viewer, wishes: Mapping[Kind, Wish]) -> None:
    """Change how the viewer hears of the kinds named; the others stay.

    Raises:
        UnauthenticatedError: nobody is signed in.
        MissingScopeError: the token cannot write.
    """
    user = viewer.require(Scope.WRITE)
    for kind, wish in wishes.items():
        _set_wish(user, kind, wish)


@transaction.atomic
def stop_mail(user: User, kind: Kind) -> None:
    """Send ``user`` no more mail of ``kind``: what the link in a mail does. Safe to repeat."""
    _set_wish(user, kind, Wish(wishes_of(user)[kind].in_site, by_mail=False))


def _set_wish(user: User, kind: Kind, wish: Wish) -> None:
    NoticeSetting.objects.update_or_create(
        user=user, kind=kind, defaults={"in_site": wish.in_site, "by_mail": wish.by_mail}
    )


@transaction.atomic
def set_watch(viewer: Viewer, repo: ModelRepo, level: Watch.Level | None) -> None:
    """Watch a repository, mute it, or (``None``) hear what concerns one. Safe to repeat.

    Raises:
        UnauthenticatedError: nobody is signed in.
        MissingScopeError: the token cannot write.
    """
    user = viewer.require(Scope.WRITE)
    if level is None:
        Watch.objects.filter(repo=repo, user=user).delete()
    else:
        Watch.objects.update_or_create(repo=repo, user=user, defaults={"level": level})


def watch_level(viewer: Viewer, repo: ModelRepo) -> str:
    """Return ``watch``, ``mute`` or empty."""
    if viewer.user is None:
        return ""
    found = Watch.objects.filter(repo=repo, user=viewer.user).values_list("level", flat=True)
    return found.first() or ""

"""Finding collections."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from accounts.models import Namespace
from accounts.viewer import Viewer
from catalog.models import Collection, CollectionItem, ModelRepo
from catalog.services.collection_items import with_previews
from catalog.services.collections import CollectionNotFoundError, collection_for
from store.core.errors import InvalidError
from store.core.paging import BadCursorError, decode_cursor, encode_cursor

SORTS = ("lastModified", "trending", "upvotes")
MAX_TEXT_CHARS = 200
MAX_FILTERS = 50
_TREND = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class CollectionQuery:
    """What to look for; the parts that are not empty must all fit."""

    owners: Sequence[str] = ()
    """Names; one must be the owner's."""
    items: Sequence[str] = ()
    """``models/ns/name`` or ``collections/slug``; one must be in it."""
    text: str = ""
    """Part of the title or the description."""
    sort: str = "lastModified"


@dataclass(frozen=True, slots=True)
class CollectionPage:
    """One page; each row has ``previews`` and ``size``."""

    rows: list[Collection]
    next_cursor: str | None


def find_collections(
    viewer: Viewer, query: CollectionQuery, *, limit: int, cursor: str | None = None
) -> CollectionPage:
    """Return the collections that fit, of what ``viewer`` may know about. Two queries and a few.

    Raises:
        InvalidError: no such order; a filter too long or unreadable.
        BadCursorError: the cursor is not ours.
    """
    rows = _ordered(_matching(viewer, query), query.sort)
    if cursor:
        rows = rows.filter(_after(query.sort, cursor))
    found = list(
        with_previews(viewer, rows).select_related("namespace__user", "namespace__organization")[
            : limit + 1
        ]
    )
    following = None
    if len(found) > limit:
        last: Any = found[limit - 1]
        following = encode_cursor([last.rank, last.pk])
    return CollectionPage(found[:limit], following)


def collections_of(viewer: Viewer, namespace: Namespace) -> "QuerySet[Collection]":
    """Return the collections of one owner in the owner's order, with ``previews`` and ``size``."""
    rows = Collection.objects.visible_to(viewer).filter(namespace=namespace)
    return with_previews(viewer, rows).select_related("namespace").order_by("position", "-pk")


def writable_collections(viewer: Viewer) -> "QuerySet[Collection]":
    """Return the collections ``viewer`` may change, the last changed first."""
    mine = [pk for pk in viewer.roles if viewer.can_write(pk)]
    rows = Collection.objects.filter(namespace__in=mine).select_related("namespace")
    return rows.order_by("-updated_at")


def _matching(viewer: Viewer, query: CollectionQuery) -> "QuerySet[Collection]":
    if max(len(query.owners), len(query.items)) > MAX_FILTERS or len(query.text) > MAX_TEXT_CHARS:
        raise InvalidError(f"A search has at most {MAX_FILTERS} filters of each kind.")
    rows = Collection.objects.visible_to(viewer)
    if query.owners:
        rows = rows.annotate(_owner=Lower("namespace__name")).filter(
            _owner__in=[name.lower() for name in query.owners]
        )
    if query.items:
        # A subquery, not a join: two items of one collection must not list it twice.
        held = CollectionItem.objects.filter(_any_of(viewer, query.items))
        rows = rows.filter(pk__in=held.values("collection"))
    if query.text:
        rows = rows.filter(Q(title__icontains=query.text) | Q(description__icontains=query.text))
    return rows


def _any_of(viewer: Viewer, names: Sequence[str]) -> Q:
    """Return the condition of items that are one of ``names``: of what the viewer may see."""
    wanted = Q(pk__in=[])
    for name in names:
        kind, slash, rest = name.partition("/")
        if not slash or not rest:
            raise InvalidError("'item' is written as models/owner/name.")
        if kind == "models":
            wanted |= Q(repo__in=_repos_called(viewer, rest))
        elif kind == "collections":
            try:
                wanted |= Q(child=collection_for(viewer, rest))
            except CollectionNotFoundError:
                continue
    return wanted


def _repos_called(viewer: Viewer, full_name: str) -> "QuerySet[ModelRepo]":
    """Return the model of this id, present or former, if ``viewer`` may see it."""
    namespace, _slash, name = full_name.partition("/")
    return ModelRepo.objects.visible_to(viewer).ever_named(namespace, name)


def _ordered(rows: "QuerySet[Collection]", sort: str) -> "QuerySet[Collection]":
    """Add ``rank``, what the order goes by: big first, then the newer one."""
    if sort == "lastModified":
        rows = rows.annotate(rank=F("updated_at"))
    elif sort == "upvotes":
        rows = rows.annotate(rank=F("upvotes"))
    elif sort == "trending":
        lately = Q(votes__created_at__gt=timezone.now() - _TREND)
        rows = rows.annotate(rank=Count("votes", filter=lately, distinct=True))
    else:
        raise InvalidError(f"'sort' is one of {', '.join(SORTS)}.")
    return rows.order_by("-rank", "-pk")


def _after(sort: str, cursor: str) -> Q:
    raw, pk = decode_cursor(cursor, length=2)
    rank: datetime | int | None = raw if type(raw) is int else None
    if sort == "lastModified":
        try:
            rank = parse_datetime(raw) if isinstance(raw, str) else None
        except ValueError:
            rank = None
        if rank is not None and rank.tzinfo is None:
            rank = None
    if rank is None or type(pk) is not int or not 0 <= pk < 2**63:
        raise BadCursorError("This cursor is not ours. Start again without one.")
    if isinstance(rank, int) and not 0 <= rank < 2**31:
        raise BadCursorError("This cursor is not ours. Start again without one.")
    return Q(rank__lt=rank) | Q(rank=rank, pk__lt=pk)

"""Components about people, collections and notices."""

from collections.abc import Iterable
from typing import Any, TypedDict

from django import template
from django.http import HttpRequest

from accounts.models import Namespace, Organization, User
from catalog.models import Collection, Listing, Notice
from catalog.services.collection_items import Placed
from catalog.services.event_words import notice_words
from catalog.services.inbox import MOST_COUNTED, count_unread

register = template.Library()

register.filter("notice_words", notice_words)


class Bell(TypedDict):
    """How many notices wait."""

    count: int
    text: str


@register.inclusion_tag("catalog/_bell.html", takes_context=True)
def bell(context: dict[str, Any]) -> Bell:
    """Show the way to the inbox and how many unread notices are there. One query."""
    request = context.get("request")
    user = getattr(request, "user", None)
    count = count_unread(user) if isinstance(user, User) else 0
    text = str(count) if count < MOST_COUNTED else f"{MOST_COUNTED - 1}+"
    return {"count": count, "text": text}


class FollowButton(TypedDict):
    """A form that follows somebody, or stops."""

    name: str
    is_followed: bool
    next: str
    csrf_token: Any


@register.inclusion_tag("catalog/_follow.html", takes_context=True)
def follow_button(
    context: dict[str, Any], namespace: Namespace, *, is_followed: bool
) -> FollowButton:
    """Show the button that follows whoever holds a name."""
    request = context.get("request")
    here = request.get_full_path() if isinstance(request, HttpRequest) else "/"
    return {
        "name": namespace.name,
        "is_followed": is_followed,
        "next": here,
        "csrf_token": context.get("csrf_token"),
    }


class CollectionRow(TypedDict):
    """A collection in a list."""

    collection: Collection
    names: list[str]
    level: int


@register.inclusion_tag("catalog/_collection_row.html")
def collection_row(collection: Any, level: int = 3) -> CollectionRow:
    """Show a collection of a list, with its first items; it has ``previews`` and ``size``."""
    names = [
        item.repo.full_name if item.repo is not None else item.child.title
        for item in collection.previews
    ]
    return {"collection": collection, "names": names, "level": level}


@register.filter
def is_unread(notice: Notice) -> bool:
    """Whether the reader has not seen it."""
    return notice.read_at is None


@register.filter
def is_team(owner: User | Organization) -> bool:
    """Whether it is an organization."""
    return isinstance(owner, Organization)


@register.filter
def name_of(owner: User | Organization) -> str:
    """Return the name that is in addresses."""
    return owner.name if isinstance(owner, Organization) else owner.username


@register.filter
def listings(placed: Iterable[Placed]) -> list[Listing]:
    """Return the listings of the models in a collection."""
    return [entry.item.repo.listing for entry in placed if entry.item.repo is not None]


@register.filter
def place(placed: Placed) -> int:
    """Return where an item stands, counted from 1 as people do."""
    return placed.position + 1

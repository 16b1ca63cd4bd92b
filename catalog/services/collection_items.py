"""What is in a collection, in which order, with which notes.

Every position a viewer reads or writes counts only what that viewer may see: a gap in the numbers
would tell of a model that is hidden from them.
"""

from dataclasses import dataclass
from typing import Literal

from django.db import IntegrityError, transaction
from django.db.models import Count, IntegerField, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.viewer import Viewer
from catalog.access import RepoMovedError, canonical_alias, repo_for
from catalog.models import Collection, CollectionItem, ModelRepo
from catalog.services.collections import check_line, collection_for, lock
from store.core.errors import ConflictError, InvalidError, NotFoundError

MAX_ITEMS = 1_000
MAX_NOTE_CHARS = 500
PREVIEWED = 4
"""Items a list of collections shows of each."""
KNOWN_TYPES = ("model", "dataset", "space", "paper", "collection", "bucket", "kernel")
"""The hub's; this store has models and collections."""
ItemType = Literal["model", "collection"]


class ItemTypeError(InvalidError):
    """This store has nothing of that type."""

    code = "item_type_unsupported"


class ItemExistsError(ConflictError):
    """It is in the collection already."""

    code = "item_exists"


class ItemNotFoundError(NotFoundError):
    """There is no such item, or it is hidden from this viewer."""

    code = "item_not_found"


class CollectionFullError(ConflictError):
    """A collection holds so many items and no more."""

    code = "collection_full"


@dataclass(frozen=True, slots=True)
class Placed:
    """An item and its place among those the viewer may see."""

    item: CollectionItem
    position: int


def visible_items(viewer: Viewer) -> "QuerySet[CollectionItem]":
    """Return the items ``viewer`` may know about, in order, with all a line shows."""
    may = Q(repo__in=ModelRepo.objects.visible_to(viewer)) | Q(
        child__in=Collection.objects.visible_to(viewer)
    )
    rows = CollectionItem.objects.filter(may).order_by("position", "pk")
    return rows.select_related("repo__namespace", "repo__listing", "child__namespace")


def items_of(viewer: Viewer, collection: Collection) -> list[Placed]:
    """Return what ``viewer`` may see of a collection, in order. One query."""
    rows = visible_items(viewer).filter(collection=collection)
    return [Placed(item, position) for position, item in enumerate(rows)]


def with_previews(viewer: Viewer, rows: "QuerySet[Collection]") -> "QuerySet[Collection]":
    """Load the first items of each collection as ``previews``, and their number as ``size``.

    Both count only what ``viewer`` may see. One query more.
    """
    counted = (
        visible_items(viewer)
        .filter(collection=OuterRef("pk"))
        .order_by()
        .values("collection")
        .annotate(number=Count("pk"))
        .values("number")
    )
    first = Prefetch("items", visible_items(viewer)[:PREVIEWED], to_attr="previews")
    sized = rows.annotate(size=Coalesce(Subquery(counted, output_field=IntegerField()), 0))
    return sized.prefetch_related(first)


@transaction.atomic
def add_item(
    viewer: Viewer, collection: Collection, *, kind: str, name: str, note: str = ""
) -> CollectionItem:
    """Put something at the end of a collection.

    Args:
        viewer: Who asks.
        collection: Through ``collection_for``, to write.
        kind: ``model`` or ``collection``.
        name: A model's id, or a collection's slug.
        note: What to say of it, up to 500 characters.

    Raises:
        ItemTypeError: this store has nothing of that type.
        RepoNotFoundError, CollectionNotFoundError: absent, or hidden from the viewer.
        InvalidError: a collection in itself; a note too long.
        ItemExistsError: it is there already.
        CollectionFullError: there is no room.
    """
    repo, child = _thing(viewer, kind, name)
    if child is not None and child.pk == collection.pk:
        raise InvalidError(_("A collection cannot hold itself."))
    text = check_line(note, _("note"), MAX_NOTE_CHARS)
    locked = lock(collection)
    there = CollectionItem.objects.filter(collection=locked)
    if there.count() >= MAX_ITEMS:
        raise CollectionFullError(
            _("A collection holds at most %(n)d items.") % {"n": MAX_ITEMS}, max=MAX_ITEMS
        )
    last = there.order_by("-position").values_list("position", flat=True).first()
    try:
        with transaction.atomic():
            item = CollectionItem.objects.create(
                collection=locked,
                repo=repo,
                child=child,
                note=text,
                position=0 if last is None else last + 1,
            )
    except IntegrityError as exc:
        raise ItemExistsError(_("This is in the collection already.")) from exc
    _touch(locked)
    return item


@transaction.atomic
def change_item(
    viewer: Viewer,
    collection: Collection,
    item_id: str,
    *,
    note: str | None = None,
    position: int | None = None,
) -> None:
    """Change an item's note or move it; ``None`` leaves a thing as it is.

    Args:
        viewer: Who asks.
        collection: Through ``collection_for``, to write.
        item_id: Its ``_id``.
        note: Up to 500 characters; empty takes it away.
        position: Where it is to stand among the items the viewer sees; past the end: last.

    Raises:
        ItemNotFoundError: not in this collection, or hidden from the viewer.
        InvalidError: a note too long, a position below 0.
    """
    if position is not None and position < 0:
        raise InvalidError(_("A position is a whole number from 0."))
    locked = lock(collection)
    item = _item(viewer, locked, item_id)
    if note is not None:
        item.note = check_line(note, _("note"), MAX_NOTE_CHARS)
        item.save(update_fields=["note"])
    if position is not None:
        _move(viewer, locked, item, position)
    _touch(locked)


@transaction.atomic
def remove_item(viewer: Viewer, collection: Collection, item_id: str) -> None:
    """Take an item out.

    Raises:
        ItemNotFoundError: not in this collection, or hidden from the viewer.
    """
    locked = lock(collection)
    _item(viewer, locked, item_id).delete()
    _touch(locked)


def _thing(viewer: Viewer, kind: str, name: str) -> tuple[ModelRepo | None, Collection | None]:
    """Return what an item is to be of: one of the two."""
    if kind == "collection":
        return None, collection_for(viewer, name)
    if kind != "model":
        known = kind if kind in KNOWN_TYPES else "that type"
        raise ItemTypeError(
            _("This store has no %(kind)ss: add a model or a collection.") % {"kind": known}
        )
    full_name = name if "/" in name else canonical_alias(viewer, name) or name
    namespace, _slash, short = full_name.partition("/")
    try:
        return repo_for(viewer, namespace, short), None
    except RepoMovedError as moved:
        return moved.repo, None


def _item(viewer: Viewer, collection: Collection, item_id: str) -> CollectionItem:
    found = visible_items(viewer).filter(collection=collection, public_id=item_id).first()
    if found is None:
        raise ItemNotFoundError(_("There is no such item in this collection."))
    return found


def _move(viewer: Viewer, collection: Collection, item: CollectionItem, position: int) -> None:
    """Number all items anew, with ``item`` before the visible one that stands where it is to."""
    shown = visible_items(viewer).filter(collection=collection).exclude(pk=item.pk)
    after = list(shown.values_list("pk", flat=True)[position : position + 1])
    rows = CollectionItem.objects.filter(collection=collection).order_by("position", "pk")
    rest = [row for row in rows if row.pk != item.pk]
    at = next((at for at, row in enumerate(rest) if row.pk in after), len(rest))
    ordered = [*rest[:at], item, *rest[at:]]
    moved = [row for place, row in enumerate(ordered) if row.position != place]
    for place, row in enumerate(ordered):
        row.position = place
    CollectionItem.objects.bulk_update(moved, ["position"])


def _touch(collection: Collection) -> None:
    Collection.objects.filter(pk=collection.pk).update(updated_at=timezone.now())

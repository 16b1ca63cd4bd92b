"""Collections: titled lists of models that people keep and share."""

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Value
from django.db.models.functions import Lower
from django.db.models.lookups import Exact
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Namespace, Scope
from accounts.viewer import Viewer
from catalog.access import Action, publishing_namespace
from catalog.models import Collection, Upvote
from store.core.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError

MAX_TITLE_CHARS, MAX_DESCRIPTION_CHARS = 60, 150
MAX_COLLECTIONS = 500
"""Of one name space."""
MAX_POSITION = 1_000_000
_ID = re.compile(r"(?:^|.*[-/])([0-9a-f]{24})$", re.DOTALL)


class CollectionNotFoundError(NotFoundError):
    """The collection is absent or hidden from this viewer."""

    code = "collection_not_found"


class CollectionExistsError(ConflictError):
    """The owner has a collection of this title; ``extra["slug"]`` is its slug."""

    code = "collection_exists"


class TooManyCollectionsError(ConflictError):
    """The owner has as many collections as anybody may."""

    code = "too_many_collections"


def collection_for(viewer: Viewer, slug: str, *, to: Action = "read") -> Collection:
    """Return the collection a slug means; only the 24 digits at its end count.

    Args:
        viewer: Who asks.
        slug: ``ns/title-id``, with the title it has or one it had before; or the bare id.
        to: ``read`` it, or ``write``: change it or what is in it.

    Raises:
        CollectionNotFoundError: absent or hidden.
        UnauthenticatedError, ForbiddenError, MissingScopeError: visible, but not theirs to change.
    """
    match = _ID.match(slug)
    rows = Collection.objects.visible_to(viewer).select_related(
        "namespace__user", "namespace__organization"
    )
    found = rows.filter(public_id=match[1]).first() if match else None
    if found is None:
        raise CollectionNotFoundError(_("There is no such collection."))
    if to != "read":
        viewer.signed_in()
        if not viewer.can_write(found.namespace_id):
            raise ForbiddenError(_("Only its owner may change a collection."))
        viewer.require(Scope.WRITE)
    return found


@dataclass(frozen=True, slots=True)
class NewCollection:
    """What a new collection starts as."""

    title: str
    namespace: str | None = None
    """``None``: the viewer's own."""
    description: str = ""
    is_private: bool = False
    theme: str = field(default=Collection.Theme.BLUE.value)


@transaction.atomic
def create_collection(viewer: Viewer, new: NewCollection) -> Collection:
    """Make an empty collection.

    Raises:
        UnauthenticatedError, ForbiddenError, MissingScopeError: not the viewer's name space.
        InvalidError: a text is too long or empty; no such theme.
        CollectionExistsError: the owner has one of this title.
        TooManyCollectionsError: the owner has too many.
    """
    namespace = publishing_namespace(viewer, new.namespace)
    # One at a time, so that the count holds; and not while an owner is leaving.
    namespace = Namespace.objects.select_for_update().get(pk=namespace.pk)
    title = check_line(new.title, _("title"), MAX_TITLE_CHARS, required=True)
    if Collection.objects.filter(namespace=namespace).count() >= MAX_COLLECTIONS:
        raise TooManyCollectionsError(
            _("There can be %(n)d collections under one name.") % {"n": MAX_COLLECTIONS},
            max=MAX_COLLECTIONS,
        )
    made = Collection(
        namespace=namespace,
        title=title,
        description=check_line(new.description, _("description"), MAX_DESCRIPTION_CHARS),
        is_private=new.is_private,
        theme=_check_theme(new.theme),
        created_by=viewer.user,
    )
    _save(made)
    return made


@transaction.atomic
def change_collection(
    viewer: Viewer,
    collection: Collection,
    *,
    title: str | None = None,
    description: str | None = None,
    is_private: bool | None = None,
    theme: str | None = None,
    position: int | None = None,
) -> Collection:
    """Change what is named; ``None`` leaves a thing as it is. Old slugs keep working.

    Args:
        viewer: Who asks.
        collection: Through ``collection_for``, to write.
        title: 1 to 60 characters.
        description: Up to 150 characters; empty takes it away.
        is_private: Only the owner sees it.
        theme: A ``Collection.Theme``.
        position: Place among the owner's collections, from 0.

    Raises:
        InvalidError: a value breaks a rule.
        CollectionExistsError: the owner has another one of this title.
    """
    changed: dict[str, Any] = {}
    if title is not None:
        changed["title"] = check_line(title, _("title"), MAX_TITLE_CHARS, required=True)
    if description is not None:
        changed["description"] = check_line(description, _("description"), MAX_DESCRIPTION_CHARS)
    if is_private is not None:
        changed["is_private"] = is_private
    if theme is not None:
        changed["theme"] = _check_theme(theme)
    if position is not None:
        if not 0 <= position <= MAX_POSITION:
            raise InvalidError(_("A position is a whole number from 0."))
        changed["position"] = position
    locked = lock(collection)
    for name, value in changed.items():
        setattr(locked, name, value)
    locked.namespace = collection.namespace
    locked.updated_at = timezone.now()
    _save(locked)
    return locked


@transaction.atomic
def delete_collection(viewer: Viewer, collection: Collection) -> None:
    """Delete a collection; what was in it stays."""
    Collection.objects.filter(pk=collection.pk).delete()


@transaction.atomic
def set_upvote(viewer: Viewer, collection: Collection, *, upvoted: bool) -> None:
    """Find a collection good, or no longer. Safe to repeat.

    Raises:
        UnauthenticatedError: nobody is signed in.
        MissingScopeError: the token cannot write.
    """
    user = viewer.require(Scope.WRITE)
    if upvoted:
        change = int(Upvote.objects.get_or_create(collection=collection, user=user)[1])
    else:
        change = -Upvote.objects.filter(collection=collection, user=user).delete()[0]
    if change:
        Collection.objects.filter(pk=collection.pk).update(upvotes=F("upvotes") + change)


def is_upvoted(viewer: Viewer, collection: Collection) -> bool:
    """Whether the viewer found it good."""
    if viewer.user is None:
        return False
    return Upvote.objects.filter(collection=collection, user=viewer.user).exists()


def lock(collection: Collection) -> Collection:
    """Return the collection as it is now, locked until the transaction ends.

    Raises:
        CollectionNotFoundError: somebody deleted it meanwhile.
    """
    found = Collection.objects.select_for_update().filter(pk=collection.pk).first()
    if found is None:
        raise CollectionNotFoundError(_("There is no such collection."))
    return found


def check_line(text: str, name: str, most: int, *, required: bool = False) -> str:
    """Return ``text`` in one line without ends; control characters count as spaces.

    Raises:
        InvalidError: too long, or empty although required.
    """
    plain = "".join(" " if unicodedata.category(char) in {"Cc", "Cs"} else char for char in text)
    line = " ".join(plain.split())
    if len(line) > most:
        raise InvalidError(
            _("A %(name)s has at most %(n)d characters.") % {"name": name, "n": most},
            max_chars=most,
        )
    if required and not line:
        raise InvalidError(_("A %(name)s is needed.") % {"name": name})
    return line


def _check_theme(theme: str) -> str:
    if theme not in Collection.Theme.values:
        raise InvalidError(_("theme is one of %(all)s.") % {"all": Collection.Theme.values})
    return theme


def _save(collection: Collection) -> None:
    try:
        with transaction.atomic():
            collection.save()
    except IntegrityError as exc:
        there = Collection.objects.select_related("namespace").get(
            Exact(Lower("title"), Lower(Value(collection.title))), namespace=collection.namespace
        )
        raise CollectionExistsError(
            _("There is a collection of this title: %(slug)s") % {"slug": there.slug},
            slug=there.slug,
        ) from exc

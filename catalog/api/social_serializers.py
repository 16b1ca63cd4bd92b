"""Shapes of the REST API's follows, activity, collections and notifications."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import Namespace
from catalog.models import Collection, CollectionItem, Notice, Watch
from catalog.services.collection_items import MAX_NOTE_CHARS
from catalog.services.collections import MAX_DESCRIPTION_CHARS, MAX_POSITION, MAX_TITLE_CHARS
from catalog.services.event_words import notice_link, notice_words
from catalog.services.feeds import Line
from catalog.services.notice_settings import Kind

_CURSOR = "Cursor of the page that follows."


class OwnerOut(serializers.Serializer[Any]):
    """A person or an organization."""

    name = serializers.CharField()
    full_name = serializers.SerializerMethodField()
    is_organization = serializers.SerializerMethodField()

    def get_full_name(self, namespace: Namespace) -> str:
        """Return the name in full; the short one when none was given."""
        return namespace.owner.display_name if namespace.owner else namespace.name

    def get_is_organization(self, namespace: Namespace) -> bool:
        """Return whether it is no person."""
        return namespace.user_id is None


class OwnersPageOut(serializers.Serializer[Any]):
    """One page of people and organizations, the newest connection first."""

    results = OwnerOut(many=True)
    next = serializers.CharField(allow_null=True, help_text=_CURSOR)


class FiguresOut(serializers.Serializer[Any]):
    """How much there is of whoever holds a name, of what the caller may see."""

    name = serializers.CharField()
    is_organization = serializers.BooleanField()
    models = serializers.IntegerField()
    collections = serializers.IntegerField()
    upvotes = serializers.IntegerField(help_text="Of their collections.")
    likes = serializers.IntegerField(help_text="Given; people only.")
    followers = serializers.IntegerField()
    following = serializers.IntegerField(help_text="People; of people only.")
    following_organizations = serializers.IntegerField()
    members = serializers.IntegerField(help_text="Of organizations only.")
    is_followed = serializers.BooleanField(help_text="By the caller.")


class ActivityOut(serializers.Serializer[Any]):
    """Something somebody did with a model."""

    at = serializers.DateTimeField(source="event.at")
    actor = serializers.CharField(source="who", help_text="Empty: an account that is gone.")
    scope = serializers.CharField(source="event.scope", help_text="repo, repo.content, like, …")
    action = serializers.CharField(source="event.action")
    model = serializers.CharField(source="event.repo.full_name", help_text="Its present id.")
    title = serializers.CharField(help_text="Of the commit or the thread; may be empty.")
    count = serializers.IntegerField(help_text="The same thing so often in a row is one line.")
    url = serializers.SerializerMethodField()

    def get_url(self, line: Line) -> str:
        """Return the address of what it is about."""
        return f"{self.context['origin']}{line.link}"


class ActivityPageOut(serializers.Serializer[Any]):
    """One page of activity, newest first."""

    results = ActivityOut(many=True)
    next = serializers.CharField(allow_null=True, help_text=_CURSOR)


class CollectionItemOut(serializers.Serializer[Any]):
    """One thing in a collection."""

    id = serializers.CharField(source="item.public_id")
    type = serializers.SerializerMethodField()
    name = serializers.SerializerMethodField(help_text="A model's id, or a collection's slug.")
    note = serializers.CharField(source="item.note")
    position = serializers.IntegerField(help_text="From 0, among what the caller may see.")

    @extend_schema_field(serializers.ChoiceField(choices=["model", "collection"]))
    def get_type(self, placed: Any) -> str:
        """Return what it is."""
        return "collection" if placed.item.repo is None else "model"

    def get_name(self, placed: Any) -> str:
        """Return the name it goes by."""
        item: CollectionItem = placed.item
        if item.repo is not None:
            return item.repo.full_name
        assert item.child is not None  # noqa: S101
        return item.child.slug


class CollectionOut(serializers.Serializer[Any]):
    """A collection; in a list only its first four items."""

    slug = serializers.CharField(help_text="The 24 digits at its end decide; the rest may change.")
    url = serializers.SerializerMethodField()
    title = serializers.CharField()
    description = serializers.CharField()
    owner = serializers.CharField(source="namespace.name")
    is_private = serializers.BooleanField()
    theme = serializers.ChoiceField(choices=Collection.Theme.values)
    position = serializers.IntegerField(help_text="Place among its owner's, small first.")
    upvotes = serializers.IntegerField()
    size = serializers.IntegerField(help_text="Items the caller may see.")
    items = CollectionItemOut(many=True, source="placed")
    updated_at = serializers.DateTimeField()

    def get_url(self, collection: Collection) -> str:
        """Return the address of its page."""
        return f"{self.context['origin']}/collections/{collection.slug}"


class CollectionsPageOut(serializers.Serializer[Any]):
    """One page of collections."""

    results = CollectionOut(many=True)
    next = serializers.CharField(allow_null=True, help_text=_CURSOR)


class NewCollectionIn(serializers.Serializer[Any]):
    """What a new collection starts as."""

    title = serializers.CharField(max_length=MAX_TITLE_CHARS)
    namespace = serializers.CharField(max_length=42, required=False, help_text="Default: yours.")
    description = serializers.CharField(
        max_length=MAX_DESCRIPTION_CHARS, required=False, allow_blank=True, default=""
    )
    is_private = serializers.BooleanField(required=False, default=False)
    theme = serializers.ChoiceField(
        choices=Collection.Theme.values, required=False, default=Collection.Theme.BLUE.value
    )


class CollectionIn(serializers.Serializer[Any]):
    """What can be changed; absent stays as it is."""

    title = serializers.CharField(max_length=MAX_TITLE_CHARS, required=False)
    description = serializers.CharField(
        max_length=MAX_DESCRIPTION_CHARS, required=False, allow_blank=True
    )
    is_private = serializers.BooleanField(required=False)
    theme = serializers.ChoiceField(choices=Collection.Theme.values, required=False)
    position = serializers.IntegerField(min_value=0, max_value=MAX_POSITION, required=False)


class NewItemIn(serializers.Serializer[Any]):
    """What to put in."""

    type = serializers.ChoiceField(choices=["model", "collection"], required=False, default="model")
    name = serializers.CharField(max_length=200, help_text="A model's id, or a slug.")
    note = serializers.CharField(
        max_length=MAX_NOTE_CHARS, required=False, allow_blank=True, default=""
    )


class ItemIn(serializers.Serializer[Any]):
    """What can be changed of an item; absent stays as it is."""

    note = serializers.CharField(max_length=MAX_NOTE_CHARS, required=False, allow_blank=True)
    position = serializers.IntegerField(min_value=0, max_value=MAX_POSITION, required=False)


class NoticeOut(serializers.Serializer[Any]):
    """Something the caller was told."""

    id = serializers.IntegerField(source="pk")
    kind = serializers.ChoiceField(choices=Kind.values)
    text = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField()
    model = serializers.SerializerMethodField(help_text="Its id; null: not about a model.")
    is_read = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()

    def get_text(self, notice: Notice) -> str:
        """Return what happened, in a sentence."""
        return notice_words(notice)

    def get_url(self, notice: Notice) -> str:
        """Return the address of what it is about."""
        return f"{self.context['origin']}{notice_link(notice)}"

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_model(self, notice: Notice) -> str | None:
        """Return the model's id."""
        return notice.repo.full_name if notice.repo else None

    def get_is_read(self, notice: Notice) -> bool:
        """Return whether it was seen."""
        return notice.read_at is not None


class NoticesPageOut(serializers.Serializer[Any]):
    """One page of the inbox, newest first."""

    results = NoticeOut(many=True)
    next = serializers.CharField(allow_null=True, help_text=_CURSOR)
    unread = serializers.IntegerField(help_text="In the whole inbox; counted up to 100.")


class NoticeIn(serializers.Serializer[Any]):
    """Whether a notice counts as seen."""

    is_read = serializers.BooleanField()


class ReadOut(serializers.Serializer[Any]):
    """How many were unread."""

    marked = serializers.IntegerField()


class WishOut(serializers.Serializer[Any]):
    """How the caller hears of one kind."""

    in_site = serializers.BooleanField()
    by_mail = serializers.BooleanField()


class WishIn(serializers.Serializer[Any]):
    """How to hear of one kind."""

    in_site = serializers.BooleanField()
    by_mail = serializers.BooleanField()


class WishesOut(serializers.Serializer[Any]):
    """How the caller hears of every kind."""

    discussion = WishOut(help_text="New discussions and pull requests on the caller's models.")
    comment = WishOut(help_text="Comments and mentions in threads the caller follows.")
    access = WishOut(help_text="Requests for access, and their answers.")
    follower = WishOut()
    revision = WishOut(help_text="New revisions of models the caller watches or likes.")


class WishesIn(serializers.Serializer[Any]):
    """How to hear of some kinds; absent ones stay as they are."""

    discussion = WishIn(required=False)
    comment = WishIn(required=False)
    access = WishIn(required=False)
    follower = WishIn(required=False)
    revision = WishIn(required=False)


class WatchOut(serializers.Serializer[Any]):
    """What the caller hears of a model."""

    model = serializers.CharField()
    level = serializers.ChoiceField(
        choices=Watch.Level.values, allow_null=True, help_text="null: what concerns the caller."
    )


class WatchIn(serializers.Serializer[Any]):
    """What to hear of a model."""

    level = serializers.ChoiceField(choices=Watch.Level.values, allow_null=True)


class LikeOut(serializers.Serializer[Any]):
    """Whether the caller likes a model."""

    model = serializers.CharField()
    liked = serializers.BooleanField()
    likes = serializers.IntegerField()

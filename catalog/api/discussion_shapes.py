"""Shapes of the REST API's discussions. In and out are apart; out is read-only."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.models import Discussion, DiscussionEvent
from catalog.services.comments import MAX_CHARS, html_of
from catalog.services.discussions import MAX_TITLE_CHARS, MIN_TITLE_CHARS


class DiscussionOut(serializers.Serializer[Any]):
    """One line of the list."""

    number = serializers.IntegerField(help_text="From 1 in each model; pull requests share it.")
    title = serializers.CharField()
    status = serializers.ChoiceField(choices=Discussion.Status.values)
    is_pull_request = serializers.BooleanField()
    is_pinned = serializers.BooleanField()
    author = serializers.SerializerMethodField(help_text="null: the account was deleted.")
    comment_count = serializers.IntegerField(help_text="The description counts as one.")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    url = serializers.SerializerMethodField()

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_author(self, discussion: Discussion) -> str | None:
        """Return who opened it."""
        return discussion.author.username if discussion.author else None

    def get_url(self, discussion: Discussion) -> str:
        """Return the address of its page."""
        return f"{self.context['origin']}{discussion.get_absolute_url()}"


class DiscussionsPageOut(serializers.Serializer[Any]):
    """One page of the list, newest first."""

    results = DiscussionOut(many=True)
    next = serializers.CharField(allow_null=True, help_text="Cursor of the page that follows.")
    total = serializers.IntegerField(help_text="Matches on all pages.")


class EventOut(serializers.Serializer[Any]):
    """One thing that happened: a comment, or a change."""

    id = serializers.CharField(source="public_id")
    kind = serializers.ChoiceField(choices=DiscussionEvent.Kind.values)
    author = serializers.SerializerMethodField(help_text="null: the account was deleted.")
    created_at = serializers.DateTimeField()
    text = serializers.CharField(help_text="Markdown, of comments; empty when hidden.")
    html = serializers.SerializerMethodField(help_text="The same, safe to show.")
    is_hidden = serializers.BooleanField()
    edited_at = serializers.DateTimeField(allow_null=True)
    facts = serializers.JSONField(help_text="What changed, of the other kinds.")

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_author(self, event: DiscussionEvent) -> str | None:
        """Return who did it."""
        return event.author.username if event.author else None

    def get_html(self, event: DiscussionEvent) -> str:
        """Return the comment as pages show it."""
        is_comment = event.kind == DiscussionEvent.Kind.COMMENT and not event.is_hidden
        return html_of(self.context["discussion"], event) if is_comment else ""


class ProposalOut(serializers.Serializer[Any]):
    """What a pull request would change."""

    base = serializers.CharField(help_text="The branch it is for, as a full ref.")
    ref = serializers.CharField(help_text="Where its commits are.")
    head_oid = serializers.CharField()
    merge_oid = serializers.CharField(help_text="The commit that merged it; empty before.")
    changed_files = serializers.IntegerField()
    conflicts = serializers.ListField(child=serializers.CharField())
    is_base_there = serializers.BooleanField(help_text="false: the branch was deleted.")


class DiscussionDetailOut(DiscussionOut):
    """A discussion with everything that happened in it."""

    events = EventOut(many=True)
    proposal = ProposalOut(allow_null=True, help_text="Of pull requests.")


class NewDiscussionIn(serializers.Serializer[Any]):
    """What a discussion or a draft starts as."""

    title = serializers.CharField(min_length=MIN_TITLE_CHARS, max_length=MAX_TITLE_CHARS)
    text = serializers.CharField(max_length=MAX_CHARS, required=False, default="", allow_blank=True)
    is_pull_request = serializers.BooleanField(
        required=False, default=False, help_text="A draft; commits go to its ref."
    )


class DiscussionChangeIn(serializers.Serializer[Any]):
    """What can be changed; absent stays as it is."""

    title = serializers.CharField(
        min_length=MIN_TITLE_CHARS, max_length=MAX_TITLE_CHARS, required=False
    )
    status = serializers.ChoiceField(
        choices=["open", "closed"], required=False, help_text="open publishes a draft."
    )
    is_pinned = serializers.BooleanField(required=False)


class CommentIn(serializers.Serializer[Any]):
    """What somebody says."""

    text = serializers.CharField(max_length=MAX_CHARS, help_text="Markdown.")


class MergeIn(serializers.Serializer[Any]):
    """A word with the merge."""

    text = serializers.CharField(max_length=MAX_CHARS, required=False, default="", allow_blank=True)


class MergedOut(serializers.Serializer[Any]):
    """The outcome of a merge."""

    merge_oid = serializers.CharField(help_text="The new head of the branch.")

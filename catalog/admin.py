"""Models in the administration: look, and take down with a reason."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from accounts.admin import AuditedAdmin
from catalog.models import Collection, FileScan, ModelRepo, RepoAlias, Webhook
from catalog.services.prices import look_again


@admin.register(ModelRepo)
class ModelRepoAdmin(AuditedAdmin[ModelRepo]):
    """Repositories. A reason in ``disabled_reason`` takes one down."""

    list_display = ("full_name", "is_private", "gate", "disabled_reason", "updated_at")
    list_select_related = ("namespace",)
    search_fields = ("name", "namespace__name")
    list_filter = ("is_private", "gate")
    fields = ("full_name", "is_private", "gate", "disabled_reason", "created_at", "updated_at")
    readonly_fields = ("full_name", "is_private", "gate", "created_at", "updated_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Repositories are made with their first commit."""
        return False

    def save_model(self, request: HttpRequest, obj: ModelRepo, form: Any, change: bool) -> None:
        """Take it down or bring it back; lists say no price of what cannot be bought."""
        super().save_model(request, obj, form, change)
        look_again(obj.pk)


@admin.register(FileScan)
class FileScanAdmin(AuditedAdmin[FileScan]):
    """Verdicts."""

    list_display = ("path", "repo", "verdict", "kind", "code", "scanned_at")
    list_select_related = ("repo__namespace",)
    list_filter = ("verdict", "kind")
    search_fields = ("path", "repo__name")
    exclude = ("report",)
    readonly_fields = ("repo", "blob_oid", "path", "kind", "code", "reason", "scanner_version")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only the scanner writes verdicts."""
        return False


@admin.register(RepoAlias)
class RepoAliasAdmin(AuditedAdmin[RepoAlias]):
    """Single-segment ids."""

    list_display = ("name", "repo")
    raw_id_fields = ("repo",)


@admin.register(Collection)
class CollectionAdmin(AuditedAdmin[Collection]):
    """Collections: their texts are strangers', so staff can hide, mend and delete them."""

    list_display = ("title", "namespace", "is_private", "upvotes", "updated_at")
    list_select_related = ("namespace",)
    list_filter = ("is_private",)
    search_fields = ("title", "description", "namespace__name", "public_id")
    fields = ("namespace", "title", "description", "is_private", "upvotes", "updated_at")
    readonly_fields = ("namespace", "upvotes", "updated_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Collections are made by their owners."""
        return False


@admin.register(Webhook)
class WebhookAdmin(AuditedAdmin[Webhook]):
    """Webhooks. ``disabled_for`` switches one off; its secrets are shown to nobody."""

    list_display = ("public_id", "owner", "disabled_for", "failures", "failing_since")
    list_select_related = ("owner",)
    list_filter = ("disabled_for",)
    search_fields = ("public_id", "owner__username")
    fields = ("public_id", "owner", "url", "disabled_for", "failures", "failing_since", "skipped")
    readonly_fields = ("public_id", "owner", "url", "failures", "failing_since", "skipped")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Their owners make them."""
        return False

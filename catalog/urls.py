"""Pages of the catalog. Names of people and models come last of all."""

from django.urls import path

from catalog.views import (
    browse,
    changes,
    collections,
    listing,
    manage,
    notices,
    profile,
    publish,
    storage,
)

REPO = "<seg:ns>/<seg:name>"

urlpatterns = [
    path("", browse.home),
    path("models", browse.models_list),
    path("search/suggest", browse.suggestions),
    path("publish", publish.publish_page),
    path("settings/storage", storage.storage_page),
    path("settings/notifications", notices.settings_page),
    path("notifications", notices.inbox_page),
    path("notifications/mark", notices.mark),
    path("notifications/<int:notice_id>", notices.open_notice),
    path("notifications/unsubscribe/<seg:token>", notices.unsubscribe_page),
    path("feed", profile.feed_page),
    path("feed/follow", profile.follow),
    path("collections", collections.list_page),
    path("collections/new", collections.new_page),
    path("collections/<file:slug>/edit", collections.edit_page),
    path("collections/<file:slug>/items", collections.change_items),
    path("collections/<file:slug>/delete", collections.delete),
    path("collections/<file:slug>/upvote", collections.upvote),
    path("collections/<file:slug>", collections.collection_page),
    path(f"{REPO}/tree/<rev:rev>", listing.tree_page),
    path(f"{REPO}/tree/<rev:rev>/<file:path>", listing.tree_page),
    path(f"{REPO}/blob/<rev:rev>/<file:path>", listing.blob_page),
    path(f"{REPO}/commits/<rev:rev>", listing.commits_page),
    path(f"{REPO}/commit/<seg:oid>", changes.commit_page),
    path(f"{REPO}/compare", changes.compare_page),
    path(f"{REPO}/settings", manage.settings_page),
    path(f"{REPO}/like", manage.like),
    path(f"{REPO}/watch", notices.watch),
    path(f"{REPO}/collect", collections.collect_page),
    path(f"{REPO}/upload/<rev:rev>", publish.upload_page),
    path(f"{REPO}/checks", publish.checks_page),
    path(f"{REPO}/staging", publish.stage),
    path(f"{REPO}/staging/commit/<rev:rev>", publish.stage_commit),
    path(f"{REPO}/staging/<seg:staged_id>", publish.stage_piece),
    path("<seg:ns>", profile.profile),
    path(REPO, listing.listing_page),
]

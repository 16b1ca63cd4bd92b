"""Pages of the catalog. Names of people and models come last of all."""

from django.urls import path

from catalog.views import (
    browse,
    changes,
    community,
    listing,
    manage,
    proposals,
    publish,
    storage,
    webhooks,
)

REPO = "<seg:ns>/<seg:name>"

urlpatterns = [
    path("", browse.home),
    path("models", browse.models_list),
    path("search/suggest", browse.suggestions),
    path("publish", publish.publish_page),
    path("settings/storage", storage.storage_page),
    path("settings/webhooks", webhooks.list_page),
    path("settings/webhooks/new", webhooks.new_page),
    path("settings/webhooks/<seg:ident>", webhooks.webhook_page),
    path("settings/webhooks/<seg:ident>/edit", webhooks.edit_page),
    path("settings/webhooks/<seg:ident>/deliveries/<seg:delivery>", webhooks.delivery_page),
    path("settings/webhooks/<seg:ident>/deliveries/<seg:delivery>/replay", webhooks.replay_page),
    path("settings/webhooks/<seg:ident>/<seg:act>", webhooks.act_page),
    path(f"{REPO}/tree/<rev:rev>", listing.tree_page),
    path(f"{REPO}/tree/<rev:rev>/<file:path>", listing.tree_page),
    path(f"{REPO}/blob/<rev:rev>/<file:path>", listing.blob_page),
    path(f"{REPO}/commits/<rev:rev>", listing.commits_page),
    path(f"{REPO}/commit/<seg:oid>", changes.commit_page),
    path(f"{REPO}/compare", changes.compare_page),
    path(f"{REPO}/discussions", community.list_page),
    path(f"{REPO}/discussions/new", community.new_page),
    path(f"{REPO}/discussions/switch", community.switch),
    path(f"{REPO}/discussions/<int:number>", community.thread_page),
    path(f"{REPO}/discussions/<int:number>/changes", proposals.changes_page),
    path(f"{REPO}/propose/<rev:rev>", proposals.propose_page),
    path(f"{REPO}/settings", manage.settings_page),
    path(f"{REPO}/like", manage.like),
    path(f"{REPO}/upload/<rev:rev>", publish.upload_page),
    path(f"{REPO}/checks", publish.checks_page),
    path(f"{REPO}/staging", publish.stage),
    path(f"{REPO}/staging/commit/<rev:rev>", publish.stage_commit),
    path(f"{REPO}/staging/<seg:staged_id>", publish.stage_piece),
    path("<seg:ns>", browse.profile),
    path(REPO, listing.listing_page),
]

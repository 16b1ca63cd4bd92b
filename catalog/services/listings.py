"""Deriving the listing: what the card claims, what the files show, what search needs.

Everything here can be thrown away and rebuilt from the repository (``manage.py reindex``).
"""

from typing import Any

from django.utils import timezone

from catalog.cards.front_matter import CardError, split_card
from catalog.cards.licenses import rights_for
from catalog.cards.metadata import CardMetadata, read_metadata, tags_for
from catalog.cards.rendering import RENDERER_VERSION, render_card
from catalog.formats.facts import ModelFacts, model_facts
from catalog.formats.file_facts import from_json, to_json
from catalog.formats.verdicts import FileReport, Verdict
from catalog.history.trees import Entry, list_entries, read_blob
from catalog.models import BaseModelLink, Commit, FileScan, Listing, ModelCard, ModelRepo
from catalog.search.documents import refresh_search

CARD = "README.md"
MAX_CARD_BYTES = 512 * 1024
_WORST = ("unsafe", "error", "pending", "unknown", "clean")


def rebuild_listing(repo: ModelRepo, commit: Commit) -> Listing:
    """Bring the listing of ``repo`` up to date with ``commit``, the head of its main branch."""
    entries = [
        entry
        for entry in list_entries(repo, commit.oid, recursive=True)
        if not entry.is_folder and not entry.is_link
    ]
    reports = _reports(repo, entries)
    facts = model_facts(reports)
    card = _rebuild_card(repo, entries, facts)
    metadata = card.metadata
    listing = Listing.objects.get(repo=repo)
    _claims(listing, metadata, card.summary)
    _measured(listing, facts, entries, reports)
    listing.tags = tags_for(metadata, facts.formats)
    listing.full_name = repo.full_name
    listing.is_private = repo.is_private
    listing.head_oid = commit.oid
    listing.updated_at = timezone.now()
    listing.save()
    _link_bases(repo, metadata)
    refresh_search([repo.pk])
    return listing

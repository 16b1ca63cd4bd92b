"""What a revision says of itself: the stored listing for the newest one, read anew for others."""

from dataclasses import dataclass
from typing import Any

from catalog.cards.metadata import read_metadata
from catalog.formats.facts import model_facts
from catalog.history.trees import Entry
from catalog.models import Listing, ModelCard, ModelRepo
from catalog.services.cards import read_front
from catalog.services.listings import (
    all_tags,
    config_of,
    plain_files,
    reports_of,
    task_and_library,
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One revision of a model."""

    card: dict[str, Any]
    """The README's front matter."""
    model_index: list[Any] | None
    config: dict[str, Any]
    facts: dict[str, Any]
    """As ``ModelFacts.to_json`` writes it."""
    tags: list[str]
    pipeline_tag: str
    library: str
    base_models: list[str]


def stored_snapshot(listing: Listing, card: ModelCard | None) -> Snapshot:
    """Return what is stored of the newest revision."""
    return Snapshot(
        card=card.data if card else {},
        model_index=card.model_index if card else None,
        config=card.config if card else {},
        facts=card.facts if card else {},
        tags=listing.tags,
        pipeline_tag=listing.pipeline_tag,
        library=listing.library,
        base_models=listing.base_models,
    )


def read_snapshot(
    repo: ModelRepo, commit_oid: str, *, entries: list[Entry] | None = None
) -> Snapshot:
    """Read another revision: its card, and the verdicts on its files that are there already."""
    files = plain_files(repo, commit_oid) if entries is None else entries
    reports = reports_of(repo, files)
    facts = model_facts(reports)
    card, _warnings = read_front(repo, files)
    metadata = read_metadata(card.data)
    task, library = task_and_library(metadata, facts)
    return Snapshot(
        card=card.data,
        model_index=metadata.model_index,
        config=config_of(reports),
        facts=facts.to_json(),
        tags=all_tags(metadata, facts),
        pipeline_tag=task,
        library=library,
        base_models=[base.name for base in metadata.base_models],
    )

"""Reading the card of a revision."""

from dataclasses import dataclass
from typing import Any

from catalog.cards.front_matter import Card, FrontMatterError
from catalog.cards.front_matter import read_card as parse_card
from catalog.cards.metadata import CardMetadata, read_metadata
from catalog.cards.rendering import RENDERER_VERSION, render_card
from catalog.history.trees import Entry, read_blob
from catalog.models import ModelRepo

CARD = "README.md"
MAX_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class ReadCard:
    """A card, read: what it claims and what the database keeps of it."""

    metadata: CardMetadata
    summary: str
    columns: dict[str, Any]
    """Columns of ``ModelCard``."""


def read_card(repo: ModelRepo, entries: list[Entry]) -> ReadCard:
    """Read and render the README among ``entries``. A broken one becomes a warning."""
    entry = next((entry for entry in entries if entry.path == CARD), None)
    card, warnings = Card({}, "", has_front_matter=False), []
    if entry is None:
        warnings.append("There is no README.md yet: say what the model is for and how it was made.")
    elif entry.lfs is not None or entry.size_bytes > MAX_BYTES:
        warnings.append(f"README.md is larger than {MAX_BYTES // 1024} kB and is not read.")
    else:
        text = read_blob(repo, entry).decode("utf-8", "replace").replace("\0", "")
        try:
            card = parse_card(text)
        except FrontMatterError as exc:
            warnings.append(str(exc))
            card = Card({}, text, has_front_matter=False)
        if not card.body.strip() and not warnings:
            warnings.append(
                "README.md has no text yet: say what the model is for and how it was made."
            )
    metadata = read_metadata(card.data)
    base = f"/{repo.full_name}"
    rendered = render_card(
        card.body, file_base=f"{base}/resolve/main/", page_base=f"{base}/blob/main/"
    )
    columns = {
        "data": card.data,
        "model_index": metadata.model_index,
        "warnings": [*warnings, *metadata.warnings],
        "body": card.body,
        "html": rendered.html,
        "toc": [heading.as_dict() for heading in rendered.toc],
        "renderer_version": RENDERER_VERSION,
    }
    return ReadCard(metadata, rendered.summary, columns)

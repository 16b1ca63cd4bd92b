"""Reading the card of a revision."""

import re
from dataclasses import dataclass
from typing import Any

from catalog.cards.front_matter import Card, FrontMatterError
from catalog.cards.front_matter import read_card as parse_card
from catalog.cards.gate_form import read_gate_form
from catalog.cards.metadata import CardMetadata, read_metadata
from catalog.cards.rendering import ID_PREFIX, RENDERER_VERSION, render_card
from catalog.history.trees import Entry, read_blob
from catalog.models import ModelRepo

CARD = "README.md"
MAX_BYTES = 512 * 1024

_HEADING_ID = re.compile(rf' id="{ID_PREFIX}[^"]*"')
"""The prompt of a gate stands beside the card, whose headings may have the same ids."""


@dataclass(frozen=True, slots=True)
class ReadCard:
    """A card, read: what it claims and what the database keeps of it."""

    metadata: CardMetadata
    summary: str
    columns: dict[str, Any]
    """Columns of ``ModelCard``."""


def read_front(repo: ModelRepo, entries: list[Entry]) -> tuple[Card, list[str]]:
    """Read the README among ``entries``; return it in its parts, and what is wrong with it."""
    entry = next((entry for entry in entries if entry.path == CARD), None)
    empty = Card({}, "", has_front_matter=False)
    if entry is None:
        missing = "There is no README.md yet: say what the model is for and how it was made."
        return empty, [missing]
    if entry.lfs is not None or entry.size_bytes > MAX_BYTES:
        return empty, [f"README.md is larger than {MAX_BYTES // 1024} kB and is not read."]
    text = read_blob(repo, entry).decode("utf-8", "replace").replace("\0", "")
    try:
        return parse_card(text), []
    except FrontMatterError as exc:
        return Card({}, text, has_front_matter=False), [str(exc)]


def read_card(repo: ModelRepo, entries: list[Entry]) -> ReadCard:
    """Read and render the README among ``entries``. A broken one becomes a warning."""
    card, warnings = read_front(repo, entries)
    if not card.body.strip() and not warnings:
        warnings.append("README.md has no text yet: say what the model is for and how it was made.")
    metadata = read_metadata(card.data)
    gate = read_gate_form(card.data)
    bases = {"file_base": f"/{repo.full_name}/resolve/main/"}
    bases["page_base"] = f"/{repo.full_name}/blob/main/"
    rendered = render_card(card.body, **bases)
    columns = {
        "data": card.data,
        "model_index": metadata.model_index,
        "warnings": [*warnings, *metadata.warnings, *gate.warnings],
        "body": card.body,
        "html": rendered.html,
        "toc": [heading.as_dict() for heading in rendered.toc],
        "gate_form": gate.to_json(),
        "gate_html": _HEADING_ID.sub("", render_card(gate.prompt, **bases).html),
        "renderer_version": RENDERER_VERSION,
    }
    return ReadCard(metadata, rendered.summary, columns)

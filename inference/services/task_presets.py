"""Tasks to begin with: prompts that a model which only goes on writing can follow by example."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_lazy as _

from catalog.models import Listing, ModelCard

FILE = Path(__file__).parent.parent / "data" / "task_presets.json"

_LABELS = {
    "text": _("Go on writing"),
    "translation": _("Translate"),
    "summary": _("Summarize"),
    "question": _("Answer a question"),
    "dialogue": _("Dialogue"),
    "code": _("Write code"),
    "sentiment": _("Tell the mood"),
}
_NOTES = {
    "translation": _("This model does not say that it was made to translate."),
    "summary": _("This model does not say that it was made to summarize."),
    "question": _("This model does not say that it was made to answer questions."),
    "dialogue": _("This model does not say that it was made for dialogue."),
    "code": _("This model does not say that it was made for code."),
    "sentiment": _("This model does not say that it was made to judge texts."),
}
_BY_EXAMPLE = _(
    "The prompt shows it examples, which often helps. Put your own text in place of the last one."
)


@dataclass(frozen=True, slots=True)
class TaskPreset:
    """A prompt to begin with, and how to sample."""

    key: str
    prompt: str
    values: Mapping[str, float]
    stop: tuple[str, ...]
    suits: Mapping[str, Any] = field(default_factory=dict)
    """``tasks`` and ``tags`` of models that are made for it, or how many ``languages``."""

    @property
    def label(self) -> str:
        """Return what it is called on pages."""
        return str(_LABELS[self.key])

    @property
    def initial(self) -> dict[str, Any]:
        """Return what to ask, under the names of ``AskedParams``, and the prompt."""
        return {"prompt": self.prompt, "stop": list(self.stop), **self.values}

    def is_made_for(self, listing: Listing) -> bool:
        """Whether the model says that it can do this; going on writing, every model can."""
        if not self.suits:
            return True
        enough = self.suits.get("languages")
        return (
            listing.pipeline_tag in self.suits.get("tasks", ())
            or bool({tag.lower() for tag in listing.tags} & set(self.suits.get("tags", ())))
            or (enough is not None and len(listing.languages) >= enough)
        )

    def note(self, listing: Listing) -> str:
        """Return what a person should know before they try it; empty when there is nothing."""
        if self.is_made_for(listing):
            return str(_BY_EXAMPLE) if self.suits else ""
        return f"{_NOTES[self.key]} {_BY_EXAMPLE}"


def takes_messages(card: ModelCard | None) -> bool:
    """Whether a model has a template that makes a prompt of a conversation."""
    return bool(card and card.facts.get("has_chat_template"))


@lru_cache(maxsize=1)
def task_presets() -> dict[str, TaskPreset]:
    """Return all of them by key, in the order they are offered."""
    raw = json.loads(FILE.read_text(encoding="utf-8"))
    presets = (TaskPreset(**{**item, "stop": tuple(item["stop"])}) for item in raw["tasks"])
    return {preset.key: preset for preset in presets}

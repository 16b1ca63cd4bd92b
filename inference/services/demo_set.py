"""The published set of prompts every new revision is tried with."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_lazy as _

from inference.services.params import AskedParams, read_params

FILE = Path(__file__).parent.parent / "data" / "demo_prompts.json"
"""Changed only together with its ``version``: old rows say which one they were made with."""

_KINDS = {
    "Text generation": _("Text generation"),
    "Dialogue": _("Dialogue"),
    "Question answering": _("Question answering"),
    "Translation": _("Translation"),
    "Summarization": _("Summarization"),
    "Sentiment": _("Sentiment"),
    "Code": _("Code"),
}
_TITLES = {
    "story": _("Begin a story"),
    "essay": _("Go on with an argument"),
    "dialogue": _("Answer in a talk"),
    "question": _("Answer a question"),
    "translation": _("Translate into French"),
    "summary": _("Say it in one sentence"),
    "sentiment": _("Tell praise from blame"),
    "code": _("Go on with a program"),
}


@dataclass(frozen=True, slots=True)
class DemoPrompt:
    """One prompt of the set, in one way to go on from it."""

    number: int
    key: str
    way: str
    prompt: str
    params: AskedParams


@dataclass(frozen=True, slots=True)
class DemoSet:
    """All of them."""

    version: int
    prompts: tuple[DemoPrompt, ...]


@lru_cache(maxsize=1)
def demo_set() -> DemoSet:
    """Return the set as it is shipped."""
    raw = json.loads(FILE.read_text(encoding="utf-8"))
    return DemoSet(version=int(raw["version"]), prompts=tuple(_prompts(raw)))


def _prompts(raw: dict[str, Any]) -> Iterator[DemoPrompt]:
    number = 0
    for item in raw["prompts"]:
        for way in raw["ways"]:
            values = {"max_new_tokens": item["max_new_tokens"], "stop": item["stop"]}
            params = read_params(values | way["params"])
            yield DemoPrompt(number, item["key"], way["key"], item["prompt"], params)
            number += 1


def title_of(prompt_key: str) -> str:
    """Return what a prompt is called on pages; the key itself where an older set had it."""
    return str(_TITLES.get(prompt_key, prompt_key))


@lru_cache(maxsize=1)
def _kind_of() -> dict[str, str]:
    raw = json.loads(FILE.read_text(encoding="utf-8"))
    return {item["key"]: item["kind"] for item in raw["prompts"]}


def kind_of(prompt_key: str) -> str:
    """Return which task a prompt stands for; empty where the set no longer has it."""
    return str(_KINDS.get(_kind_of().get(prompt_key, ""), ""))

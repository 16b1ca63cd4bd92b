"""What a gated model asks of people who want it, as its card says: ``extra_gated_*``.

The hub's vocabulary (its documentation, "Gated models"). Everything is the publisher's text, so
it is bounded here; what cannot be understood is left out with a warning, never an exception.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_FIELDS = 30
MAX_LABEL_CHARS = 300
MAX_OPTIONS = 100
MAX_PROMPT_CHARS = 48 * 1024
MAX_ANSWER_CHARS = 500

_SPACE = re.compile(r"\s+")
_OURS = frozenset({"csrfmiddlewaretoken"})
"""Names of inputs that are the store's own."""


class FieldKind(StrEnum):
    """How a question is answered."""

    TEXT = "text"
    DATE = "date_picker"
    COUNTRY = "country"
    SELECT = "select"
    CHECKBOX = "checkbox"


@dataclass(frozen=True, slots=True)
class GateField:
    """One question. Every question must be answered, and every box ticked, as on the hub."""

    label: str
    """The question; also the key of its answer."""
    kind: FieldKind
    options: tuple[tuple[str, str], ...] = ()
    """(value, label) of a select; empty for the rest."""


@dataclass(frozen=True, slots=True)
class GateForm:
    """Everything the card says of the gate."""

    heading: str = ""
    prompt: str = ""
    """Markdown; what people agree to."""
    button: str = ""
    fields: tuple[GateField, ...] = ()
    warnings: tuple[str, ...] = ()
    """What is wrong, in sentences for the owner."""

    def to_json(self) -> dict[str, Any]:
        """Return what is kept of it; questions in a list, since jsonb orders keys by itself."""
        fields = [[field.label, field.kind.value, list(field.options)] for field in self.fields]
        return {"heading": self.heading, "button": self.button, "fields": fields}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "GateForm":
        """Return what ``to_json`` kept: all but prompt and warnings."""
        fields = tuple(
            GateField(label, FieldKind(kind), tuple((value, text) for value, text in options))
            for label, kind, options in kept.get("fields", [])
        )
        heading, button = kept.get("heading", ""), kept.get("button", "")
        return cls(heading=heading, button=button, fields=fields)


def read_gate_form(data: dict[str, Any]) -> GateForm:
    """Read what the front matter ``data`` asks of people who want access."""
    warnings: list[str] = []
    return GateForm(
        heading=_line(data, "extra_gated_heading", MAX_LABEL_CHARS, warnings),
        prompt=_prompt(data, warnings),
        button=_line(data, "extra_gated_button_content", 80, warnings),
        fields=_fields(data.get("extra_gated_fields"), warnings),
        warnings=tuple(warnings),
    )


def _prompt(data: dict[str, Any], warnings: list[str]) -> str:
    text = _text(data, "extra_gated_prompt", warnings)
    description = _text(data, "extra_gated_description", warnings)
    whole = "\n\n".join(part for part in (description, text) if part)
    if len(whole) > MAX_PROMPT_CHARS:
        warnings.append(f"'extra_gated_prompt' is cut after {MAX_PROMPT_CHARS} characters.")
    return whole[:MAX_PROMPT_CHARS]


def _line(data: dict[str, Any], key: str, most: int, warnings: list[str]) -> str:
    return _SPACE.sub(" ", _text(data, key, warnings))[:most]


def _text(data: dict[str, Any], key: str, warnings: list[str]) -> str:
    value = data.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        warnings.append(f"'{key}' must be a text.")
        return ""
    return value.strip()


def _fields(value: Any, warnings: list[str]) -> tuple[GateField, ...]:
    if value is None:
        return ()
    if not isinstance(value, dict):
        warnings.append("'extra_gated_fields' must be a list of 'question: type' lines.")
        return ()
    found: dict[str, GateField] = {}
    for key, wanted in value.items():
        label = _SPACE.sub(" ", str(key)).strip()
        if not label or len(label) > MAX_LABEL_CHARS or label in _OURS or label in found:
            warnings.append(
                f"extra_gated_fields: '{label[:40]}' is left out; a question has 1 to"
                f" {MAX_LABEL_CHARS} characters and stands once."
            )
            continue
        if len(found) == MAX_FIELDS:
            warnings.append(f"extra_gated_fields: only the first {MAX_FIELDS} are asked.")
            break
        read = _field(label, wanted, warnings)
        if read is not None:
            found[label] = read
    return tuple(found.values())


def _field(label: str, wanted: Any, warnings: list[str]) -> GateField | None:
    """Return the question, or ``None`` with a warning when nobody could answer it."""
    name = wanted.get("type") if isinstance(wanted, dict) else wanted
    if not isinstance(name, str) or name not in set(FieldKind):
        warnings.append(
            f"extra_gated_fields: the type of '{label[:40]}' is one of"
            f" {', '.join(FieldKind)}; it is asked as a text."
        )
        return GateField(label, FieldKind.TEXT)
    kind = FieldKind(name)
    if kind is not FieldKind.SELECT:
        return GateField(label, kind)
    options = _options(wanted.get("options") if isinstance(wanted, dict) else None)
    if not options:
        warnings.append(
            f"extra_gated_fields: '{label[:40]}' is left out; a select needs a list of 1 to"
            f" {MAX_OPTIONS} options, each a text or a label with a value."
        )
        return None
    return GateField(label, kind, options)


def _options(value: Any) -> tuple[tuple[str, str], ...]:
    """Return (value, label) of each option; nothing when one of them is none."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_OPTIONS:
        return ()
    found: dict[str, str] = {}
    for item in value:
        pair = item if isinstance(item, dict) else {"label": item}
        label = _option_text(pair.get("label"))
        answer = _option_text(pair.get("value", label))
        if not label or not answer:
            return ()
        found.setdefault(answer, label)
    return tuple(found.items())


def _option_text(value: Any) -> str:
    """Return one option as a text; YAML makes numbers and truths of some."""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if not isinstance(value, str | int | float):
        return ""
    return _SPACE.sub(" ", str(value)).strip()[:MAX_LABEL_CHARS]

"""Checking what somebody answers to the questions of a gated model."""

import datetime as dt
import unicodedata
from collections.abc import Callable, Mapping

from django.utils.translation import gettext as _

from catalog.cards.countries import COUNTRIES
from catalog.cards.gate_form import MAX_ANSWER_CHARS, FieldKind, GateField, GateForm
from catalog.models import ModelCard, ModelRepo
from store.core.errors import InvalidError

Answer = str | bool

_TICKED = frozenset({"on", "true", "1", "yes"})
_NAMES = {name.casefold(): name for name in COUNTRIES.values()}


class AnswersError(InvalidError):
    """Some questions are not answered, or not so; ``extra["fields"]`` says which and why."""

    code = "bad_answers"


def gate_form_of(repo: ModelRepo) -> GateForm:
    """Return what the card of ``repo`` asks at present."""
    kept = ModelCard.objects.filter(repo=repo).values_list("gate_form", flat=True).first()
    return GateForm.from_json(kept or {})


def read_answers(form: GateForm, given: Mapping[str, str]) -> list[tuple[str, Answer]]:
    """Return the answers to ``form`` as they are kept: (question, text or true for a tick).

    Args:
        form: The questions.
        given: What was sent, by question. What was not asked is ignored.

    Raises:
        AnswersError: a question is not answered, or its answer is none.
    """
    answers: list[tuple[str, Answer]] = []
    wrong: dict[str, str] = {}
    for field in form.fields:
        try:
            answer = _READERS[field.kind](field, given.get(field.label, "").strip())
        except ValueError as error:
            wrong[field.label] = str(error)
        else:
            answers.append((field.label, answer))
    if wrong:
        told = " ".join(f"{label}: {text}" for label, text in wrong.items())
        raise AnswersError(_("Some questions are not answered yet.") + f" {told}", fields=wrong)
    return answers


def _text(_field: GateField, text: str) -> str:
    if not text:
        raise ValueError(_("Please answer this."))
    if len(text) > MAX_ANSWER_CHARS:
        raise ValueError(_("Use at most %(most)d characters.") % {"most": MAX_ANSWER_CHARS})
    if any(unicodedata.category(char) in {"Cc", "Cf", "Co", "Cs"} for char in text):
        raise ValueError(_("Use visible characters only."))
    return text


def _date(_field: GateField, text: str) -> str:
    try:
        return dt.date.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueError(_("Choose a date, as in 2026-11-25.")) from None


def _country(_field: GateField, text: str) -> str:
    found = COUNTRIES.get(text.upper()) or _NAMES.get(text.casefold())
    if found is None:
        raise ValueError(_("Choose a country."))
    return found


def _select(field: GateField, text: str) -> str:
    if text not in dict(field.options):
        raise ValueError(_("Choose one of these."))
    return text


def _checkbox(_field: GateField, text: str) -> bool:
    if text.lower() not in _TICKED:
        raise ValueError(_("Tick this box to go on."))
    return True


_READERS: dict[FieldKind, Callable[[GateField, str], Answer]] = {
    FieldKind.TEXT: _text,
    FieldKind.DATE: _date,
    FieldKind.COUNTRY: _country,
    FieldKind.SELECT: _select,
    FieldKind.CHECKBOX: _checkbox,
}

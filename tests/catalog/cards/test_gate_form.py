"""What a card asks of people who want a gated model: strictly read, never an exception."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.cards.countries import COUNTRIES
from catalog.cards.front_matter import parse
from catalog.cards.gate_form import (
    MAX_FIELDS,
    MAX_OPTIONS,
    MAX_PROMPT_CHARS,
    FieldKind,
    GateField,
    read_gate_form,
)

CARD = """\
extra_gated_heading: "Tell  us\\n who you are"
extra_gated_description: First this.
extra_gated_prompt: You agree **not** to harm.
extra_gated_button_content: Agree
extra_gated_fields:
  Company: text
  Country: country
  Born: date_picker
  Use:
    type: select
    options:
      - Research
      - label: Something else
        value: other
  I agree: checkbox
"""


def test_reads_every_type_in_order() -> None:
    form = read_gate_form(parse(CARD))

    assert form.heading == "Tell us who you are"
    assert form.prompt == "First this.\n\nYou agree **not** to harm."
    assert form.button == "Agree"
    assert form.fields == (
        GateField("Company", FieldKind.TEXT),
        GateField("Country", FieldKind.COUNTRY),
        GateField("Born", FieldKind.DATE),
        GateField("Use", FieldKind.SELECT, (("Research", "Research"), ("other", "Something else"))),
        GateField("I agree", FieldKind.CHECKBOX),
    )
    assert form.warnings == ()


def test_nothing_said_nothing_asked() -> None:
    form = read_gate_form({"license": "mit"})

    assert (form.fields, form.heading, form.prompt, form.warnings) == ((), "", "", ())


@pytest.mark.parametrize(
    ("fields", "kept", "told"),
    [
        ("just a text", [], "must be a list of 'question: type' lines"),
        (["a", "b"], [], "must be a list of 'question: type' lines"),
        ({"": "text"}, [], "a question has 1 to"),
        ({"x" * 301: "text"}, [], "a question has 1 to"),
        ({"csrfmiddlewaretoken": "text"}, [], "a question has 1 to"),
        ({"a": "text", "a ": "text"}, ["a"], "stands once"),
        ({"a": "textarea"}, ["a"], "it is asked as a text"),
        ({"a": None}, ["a"], "it is asked as a text"),
        ({"a": {"options": ["x"]}}, ["a"], "it is asked as a text"),
        ({"a": ["select"]}, ["a"], "it is asked as a text"),
        ({"a": "select"}, [], "needs a list of 1 to"),
        ({"a": {"type": "select", "options": []}}, [], "needs a list of 1 to"),
        ({"a": {"type": "select", "options": [[]]}}, [], "needs a list of 1 to"),
        ({"a": {"type": "select", "options": ["x", ""]}}, [], "needs a list of 1 to"),
        ({"a": {"type": "select", "options": [{"label": "x", "value": {}}]}}, [], "a select needs"),
        ({"a": {"type": "select", "options": ["x"] * (MAX_OPTIONS + 1)}}, [], "needs a list"),
    ],
)
def test_what_cannot_be_understood_becomes_a_warning(
    fields: Any, kept: list[str], told: str
) -> None:
    form = read_gate_form({"extra_gated_fields": fields})

    assert [field.label for field in form.fields] == kept
    assert len(form.warnings) == 1
    assert told in form.warnings[0]


def test_options_are_texts_each_once() -> None:
    options = [1, True, False, 2.5, "x", {"label": "X again", "value": "x"}]

    form = read_gate_form({"extra_gated_fields": {"a": {"type": "select", "options": options}}})

    assert [value for value, _ in form.fields[0].options] == ["1", "Yes", "No", "2.5", "x"]


def test_texts_are_bounded() -> None:
    many = {f"question {number}": "text" for number in range(MAX_FIELDS + 5)}

    form = read_gate_form(
        {
            "extra_gated_fields": many,
            "extra_gated_prompt": "x" * (MAX_PROMPT_CHARS + 1),
            "extra_gated_heading": 7,
            "extra_gated_button_content": "y" * 200,
        }
    )

    assert len(form.fields) == MAX_FIELDS
    assert len(form.prompt) == MAX_PROMPT_CHARS
    assert (form.heading, len(form.button)) == ("", 80)
    assert [warning.split(" ", 1)[0] for warning in form.warnings] == [
        "'extra_gated_heading'",
        "'extra_gated_prompt'",
        "extra_gated_fields:",
    ]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["extra_gated_fields", "extra_gated_prompt", "extra_gated_heading", "other"]
        ),
        _JSON,
    )
)
def test_no_card_breaks_it(data: dict[str, Any]) -> None:
    form = read_gate_form(data)

    assert all(field.label for field in form.fields)
    assert all(field.options for field in form.fields if field.kind is FieldKind.SELECT)


def test_countries_are_all_there_once() -> None:
    assert len(COUNTRIES) == len(set(COUNTRIES.values())) == 249
    assert COUNTRIES["CI"] == "Côte d'Ivoire"
    assert COUNTRIES["BQ"] == "Bonaire, Sint Eustatius and Saba"

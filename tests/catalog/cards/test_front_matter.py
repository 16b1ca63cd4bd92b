"""Reading the head of a card: what hubs accept, and nothing that hurts."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.cards.front_matter import Card, FrontMatterError, parse, read_card


def test_reads_head_and_body() -> None:
    card = read_card("---\nlicense: mit\ntags: [a, b]\n---\n# Title\n")

    assert card == Card({"license": "mit", "tags": ["a", "b"]}, "# Title\n", has_front_matter=True)


@pytest.mark.parametrize(
    ("text", "data", "body"),
    [
        ("# Only text\n", {}, "# Only text\n"),
        ("\ufeff---\r\na: 1\r\n---\r\nb", {"a": 1}, "b"),
        ("---\n---\nx", {}, "x"),
        ("---\na: 1\n---", {"a": 1}, ""),
        ("", {}, ""),
        ("\n \n  ---\na: 1\n---\nb", {"a": 1}, "b"),
        ("text\n---\na: 1\n---\n", {}, "text\n---\na: 1\n---\n"),
    ],
)
def test_shapes_of_readmes(text: str, data: dict, body: str) -> None:
    card = read_card(text)

    assert (card.data, card.body) == (data, body)


def test_values_become_json() -> None:
    data = parse("date: 2024-02-03\nwhen: 2024-02-03T01:02:03Z\nbig: 99999999999999999999\n1: x\n")

    assert data == {
        "date": "2024-02-03",
        "when": "2024-02-03T01:02:03+00:00",
        "big": "99999999999999999999",
        "1": "x",
    }


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("a: &x [1]\nb: *x\n", "anchors and aliases"),
        ("a: 1\na: 2\n", "stands twice"),
        ("- a\n- b\n", "list of 'key: value' lines"),
        ("just text", "list of 'key: value' lines"),
        ("a: .nan\n", "NaN and infinity"),
        ("a: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
        ("a: !!binary aGVsbG8=\n", "binary values"),
        ("date: 2024-99-99\n", "cannot be read"),
        ("a: [" + "[" * 500 + "]" * 500 + "]\n", "too deep"),
        ("a: " + "x" * 70_000, "larger than"),
        ("a: 'open\n", "unexpected end of stream"),
        ("\n".join(f"k{n}: {{a: 1, b: 2}}" for n in range(4500)), "larger|too long"),
        ("? [a]\n: b\n", "no plain word"),
    ],
)
def test_hostile_heads_are_refused_with_a_reason(head: str, words: str) -> None:
    with pytest.raises(FrontMatterError, match=words):
        parse(head)


def test_lines_are_counted_from_the_top_of_the_readme() -> None:
    with pytest.raises(FrontMatterError) as caught:
        read_card("\n\n---\na: 1\na: 2\n---\n")

    assert caught.value.line == 5


def test_a_head_without_an_end_names_the_mend() -> None:
    with pytest.raises(FrontMatterError, match=r"Line 1: .* add a line '---'"):
        read_card("---\na: 1\n")


@given(st.text(max_size=400))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_json_or_a_named_error(text: str) -> None:
    try:
        data = parse(text)
    except FrontMatterError:
        return
    json.dumps(data, allow_nan=False)


yaml_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), yaml_values, max_size=6))
@settings(max_examples=150, deadline=None)
def test_what_yaml_writes_is_read_or_refused(value: dict) -> None:
    import yaml

    try:
        data = parse(yaml.safe_dump(value))
    except FrontMatterError:
        return
    json.dumps(data, allow_nan=False)

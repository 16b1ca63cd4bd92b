"""Tokens of different tokenizers over the characters of one text."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inference.services.aligning import CUT, Span, spans_of, stretches

_PART = "\N{REPLACEMENT CHARACTER}"
ANY_TEXT = st.text(
    st.one_of(st.sampled_from("ab \n,é€日😀\u0301"), st.characters(exclude_categories=["Cs"])),
    min_size=1,
    max_size=60,
)
TEXT = ANY_TEXT.filter(lambda text: _PART not in text)


def cut(text: str, cuts: set[int]) -> tuple[list[str], list[Span]]:
    """Cut the bytes of a text; return what a box tells of the pieces, and what they truly cover."""
    raw = text.encode()
    places = [place for place, char in enumerate(text) for _byte in char.encode()]
    ends = sorted({0, len(raw)} | {at % len(raw) for at in cuts})
    pairs = list(pairwise(ends))
    told = [raw[begin:end].decode(errors="replace") for begin, end in pairs]
    return told, [(places[begin], places[end - 1] + 1) for begin, end in pairs]


CUTS = st.sets(st.integers(0, 239), max_size=60)


def is_sure(text: str) -> bool:
    """Whether between two characters of more than two bytes there is always one of one byte."""
    sizes = "".join(str(len(char.encode())) for char in text)
    return not re.search("[34]2*[34]", sizes)


@given(TEXT.filter(is_sure), CUTS)
@example("😀", {1})
@example("😀", {1, 2, 3})
@example("a€b€c", {2, 3, 6, 7})
@example(" é  日", {0, 2, 3, 5})
def test_each_token_covers_its_characters(text: str, cuts: set[int]) -> None:
    told, truth = cut(text, cuts)

    assert spans_of(text, told) == truth


@given(TEXT, CUTS)
@example("00𐀀𐀀0\x80", {4, 7, 8})  # as well 3, 6, 8
def test_where_a_token_is_not_certain_it_covers_all_that_is_meant(
    text: str, cuts: set[int]
) -> None:
    told, truth = cut(text, cuts)

    spans = spans_of(text, told)

    for piece, mine, true in zip(told, spans, truth, strict=True):
        assert mine[0] <= true[0]
        assert true[1] <= mine[1]
        assert _PART in piece or mine == true


@given(TEXT, CUTS, CUTS)
def test_two_tokenizers_meet_where_neither_goes_on(
    text: str, first: set[int], second: set[int]
) -> None:
    (told_a, truth_a), (told_b, truth_b) = cut(text, first), cut(text, second)

    found = stretches(len(text), [spans_of(text, told_a), spans_of(text, told_b)])

    assert "".join(text[each.begin : each.end] for each in found) == text
    for model, truth in enumerate((truth_a, truth_b)):
        places = [place for each in found for place in each.tokens[model]]
        assert places == list(range(len(truth)))
        for each in found:
            mine = [truth[at] for at in each.tokens[model]]
            assert mine
            assert all(each.begin <= begin and end <= each.end for begin, end in mine)
    inner = {each.begin for each in found[1:]}
    free = {
        at
        for at in range(1, len(text))
        if not any(begin < at < end for begin, end in truth_a + truth_b)
    }
    assert inner <= free
    assert inner == free or not is_sure(text)


@given(ANY_TEXT, st.lists(st.one_of(st.text(max_size=8), st.just(_PART * 3)), max_size=30))
def test_tokens_that_do_not_fit_cover_the_text_in_order_all_the_same(
    text: str, pieces: list[str]
) -> None:
    spans = spans_of(text, pieces)

    assert len(spans) == len(pieces)
    assert all(0 <= begin <= end <= len(text) for begin, end in spans)
    assert all(one[0] <= two[0] and one[1] <= two[1] for one, two in pairwise(spans))
    found = stretches(len(text), [spans])
    assert "".join(text[each.begin : each.end] for each in found) == text
    assert [at for each in found for at in each.tokens[0]] == list(range(len(pieces)))


@pytest.mark.parametrize(
    ("text", "pieces", "covered"),
    [
        ("Once upon", ["Once", "upon"], ["Once", " upon"]),  # a space is not told
        ("Once upon", [" Once", " upon"], ["Once", " upon"]),  # one is put before
        ("Once", ["<s>", "Once"], ["", "Once"]),
        ("Once", ["Once", "</s>"], ["Once", ""]),
        ("a é", ["", "a", "", _PART, _PART], ["", "a", "", " é", "é"]),
        ("The Cat sat", ["the", " cat", " sat"], ["The Cat", "The Cat", " sat"]),
        ("x" * 90 + " y", ["x" * CUT, " y"], ["x" * 90, " y"]),
        ("a\n", ["a"], ["a\n"]),
        ("ab", [], []),
    ],
)
def test_what_tokenizers_do_to_texts(text: str, pieces: list[str], covered: list[str]) -> None:
    spans = spans_of(text, pieces)

    assert [text[begin:end] for begin, end in spans] == covered


def test_a_doubtful_text_takes_no_time() -> None:
    text = _PART * 4000

    spans = spans_of(text, [_PART * CUT] * 2000)

    assert len(spans) == 2000

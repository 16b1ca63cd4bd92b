"""Text in pieces: nothing lost, nothing shown too early."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models

from inference.box.detokenizing import Detokenizer, StopTexts
from tests.inference.box import tiny_models

TOKENIZER = tiny_models.tokenizer()


def decode(ids: Sequence[int]) -> str:
    return str(TOKENIZER.decode(list(ids), skip_special_tokens=True))


def pieces_of(ids: Sequence[int], prompt: Sequence[int] = ()) -> list[str]:
    detokenizer = Detokenizer(decode, prompt)
    return [*map(detokenizer.push, ids), detokenizer.finish()]


@given(st.text(min_size=1, max_size=40))
def test_pieces_join_to_the_whole_text(text: str) -> None:
    ids = TOKENIZER(text)["input_ids"]

    pieces = pieces_of(ids)

    assert "".join(pieces) == decode(ids).replace("\x00", "\N{REPLACEMENT CHARACTER}")


@given(st.lists(st.integers(0, 319), max_size=40))
def test_any_tokens_join_to_what_decoding_them_at_once_gives(ids: list[int]) -> None:
    pieces = pieces_of(ids)

    assert "".join(pieces) == decode(ids).replace("\x00", "\N{REPLACEMENT CHARACTER}")


def test_a_character_of_several_tokens_comes_whole_and_not_before() -> None:
    ids = TOKENIZER("🦊")["input_ids"]
    assert len(ids) > 1

    pieces = pieces_of(ids)

    assert pieces == [*[""] * (len(ids) - 1), "🦊", ""]


def test_what_is_certain_comes_before_an_incomplete_character() -> None:
    first_byte = TOKENIZER.convert_tokens_to_ids("ð")  # F0, begins a character of four bytes
    ids = [*TOKENIZER("ab")["input_ids"], first_byte]

    pieces = pieces_of(ids)

    assert "".join(pieces[:-1]) == "ab"
    assert pieces[-1] == "\N{REPLACEMENT CHARACTER}"


def test_an_end_in_the_middle_of_a_character_shows_its_replacement() -> None:
    ids = TOKENIZER("🦊")["input_ids"][:1]

    pieces = pieces_of(ids)

    assert pieces == ["", "\N{REPLACEMENT CHARACTER}"]


def test_endless_garbage_is_given_out_and_forgotten() -> None:
    byte = TOKENIZER.convert_tokens_to_ids("ð")
    longest = 0

    def counting(ids: Sequence[int]) -> str:
        nonlocal longest
        longest = max(longest, len(ids))
        return decode(ids)

    detokenizer = Detokenizer(counting, [])
    text = "".join([*[detokenizer.push(byte) for _ in range(400)], detokenizer.finish()])

    assert text == "\N{REPLACEMENT CHARACTER}" * 400
    assert longest <= 130  # each step decodes a bounded piece


def test_endless_silent_tokens_are_forgotten_too() -> None:
    longest = 0

    def counting(ids: Sequence[int]) -> str:
        nonlocal longest
        longest = max(longest, len(ids))
        return decode(ids)

    detokenizer = Detokenizer(counting, [])

    assert "".join(detokenizer.push(0) for _ in range(400)) == ""
    assert longest <= 130


def test_a_leading_space_survives_tokenizers_that_drop_it() -> None:
    vocabulary = {"▁Once": 0, "▁upon": 1, "▁a": 2, "b": 3}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.decoder = decoders.Metaspace()  # drops the first space of whatever it decodes
    detokenizer = Detokenizer(made.decode, [0])

    pieces = [detokenizer.push(token) for token in (1, 2, 3)]

    assert pieces == [" upon", " a", "b"]


def test_a_nul_becomes_a_replacement_character() -> None:
    nul = TOKENIZER.convert_tokens_to_ids("Ā")  # byte 0 of a byte-level vocabulary

    assert pieces_of([nul]) == ["\N{REPLACEMENT CHARACTER}", ""]


@given(
    st.lists(st.text("ab\n", max_size=4), max_size=12),
    st.lists(st.text("ab\n", min_size=1, max_size=5), max_size=4),
)
def test_stop_texts_cut_where_a_search_of_the_whole_would(
    pieces: list[str], stops: list[str]
) -> None:
    stopping = StopTexts(stops)

    given_out = []
    for piece in pieces:
        given_out.append(stopping.push(piece))
        if stopping.is_reached:
            break
    rest = "" if stopping.is_reached else stopping.finish()

    whole = "".join(pieces)
    places = [whole.find(stop) for stop in stops if stop in whole]
    assert stopping.is_reached == bool(places)
    if places and not _ends_later(whole, stops):
        assert "".join(given_out) == whole[: min(places)]
    elif not places:
        assert "".join(given_out) + rest == whole


def _ends_later(whole: str, stops: list[str]) -> bool:
    """A stop that begins first but ends after another is beaten by it, token by token."""
    begins = min((whole.find(stop), stop) for stop in stops if stop in whole)
    ends = min((whole.find(stop) + len(stop), stop) for stop in stops if stop in whole)
    return begins[1] != ends[1]


@pytest.mark.parametrize("after", ["", "more"])
def test_nothing_comes_after_a_stop(after: str) -> None:
    stopping = StopTexts(["END"])

    assert stopping.push("text EN") == "text "
    assert stopping.push("D of it") == ""
    assert stopping.is_reached
    assert stopping.push(after) == ""

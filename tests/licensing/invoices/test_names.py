"""Names on documents: any script, nothing hidden, nothing disguised."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing.invoices.names import (
    MAX_NAME_CHARS,
    BadNameError,
    LookalikeNameError,
    clean_name,
    name_of,
)


@pytest.mark.parametrize(
    "name",
    [
        "Regency Affine GmbH & Co. KG",
        "Анна Ахматова",
        "Ελένη Παπαδοπούλου",
        "深圳市机器学习有限公司",
        "株式会社GPTストア",
        "한국어 주식회사",
        "شركة السلام",
        "בית ספר",
        "हिन्दी संस्थान",
        "Nguyễn Thị Minh Khai",
        "O'Neill-Søndergård",
        "Анна-Maria",
        "3M",
        "ＡＢＣ商事",
    ],
)
def test_a_name_in_any_script_is_kept(name: str) -> None:
    assert clean_name(name) == name


def test_a_name_is_composed_and_its_spaces_are_single() -> None:
    assert clean_name("  Zoe\u0308\u00a0\u3000 Ltd ") == "Zo\u00eb Ltd"


@pytest.mark.parametrize(
    ("char", "word"),
    [
        ("\u202e", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("\u200b", "U+200B ZERO WIDTH SPACE"),
        ("\u200d", "U+200D ZERO WIDTH JOINER"),
        ("\u2066", "U+2066 LEFT-TO-RIGHT ISOLATE"),
        ("\ufeff", "U+FEFF ZERO WIDTH NO-BREAK SPACE"),
        ("\u00ad", "U+00AD SOFT HYPHEN"),
        ("\n", "U+000A"),
        ("\x00", "U+0000"),
        ("\x7f", "U+007F"),
        ("\ue000", "U+E000"),
        ("\ud800", "U+D800"),
        ("\uffff", "U+FFFF"),
        ("\u2028", "U+2028 LINE SEPARATOR"),
        ("\u3164", "U+3164 HANGUL FILLER"),
        ("\u034f", "U+034F COMBINING GRAPHEME JOINER"),
        ("\ufe0f", "U+FE0F VARIATION SELECTOR-16"),
        ("\U000e0041", "U+E0041 TAG LATIN CAPITAL LETTER A"),
    ],
)
def test_a_character_nobody_sees_is_refused_by_its_name(char: str, word: str) -> None:
    with pytest.raises(BadNameError) as caught:
        clean_name(f"Ac{char}me")

    assert f" {word}, which" in caught.value.message
    assert caught.value.extra == {"code_point": ord(char)}
    assert type(caught.value) is BadNameError


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("P\u0430ypal Ltd", [0x50, 0x430]),  # Cyrillic a
        ("The Micros\u03bfft Store", [0x4D, 0x3BF]),  # Greek omicron
        ("\u0410\u0441me", [0x410, 0x6D]),
        ("\u0391\u0412\u0421", [0x391, 0x412]),  # Greek and Cyrillic
        ("x1\u0430", [0x78, 0x430]),  # digits keep a word together
        ("\u0555penAI", [0x555, 0x70]),  # Armenian
    ],
)
def test_a_word_of_lookalike_alphabets_is_refused(name: str, points: list[int]) -> None:
    with pytest.raises(LookalikeNameError) as caught:
        clean_name(name)

    assert caught.value.extra == {"code_points": points}
    assert caught.value.code == "lookalike_name"


def test_a_letter_in_disguise_is_refused() -> None:
    with pytest.raises(LookalikeNameError, match="U\\+1D40E MATHEMATICAL BOLD CAPITAL O"):
        clean_name("\U0001d40epen")


@pytest.mark.parametrize("name", ["", "   ", "\u3000", "a" * 201, "a" * 5000])
def test_the_length_has_bounds(name: str) -> None:
    with pytest.raises(BadNameError, match="1 to 200 characters"):
        clean_name(name)


def test_the_bounds_are_kept_exactly() -> None:
    assert clean_name("a") == "a"
    assert len(clean_name("a" * MAX_NAME_CHARS)) == MAX_NAME_CHARS


@pytest.mark.parametrize("name", ["...", "\u0301", "&"])
def test_a_name_has_a_letter_or_a_digit(name: str) -> None:
    with pytest.raises(BadNameError, match="letter or digit"):
        clean_name(name)


def test_accents_do_not_pile_up() -> None:
    assert clean_name("q" + "\u0323" * 4)

    with pytest.raises(BadNameError, match="at most 4 accents"):
        clean_name("q" + "\u0323" * 5)


def test_a_character_without_a_name_shows_its_number() -> None:
    assert name_of("\x07") == "U+0007"


@given(st.text(max_size=210))
def test_what_is_let_through_is_clean_and_stays(text: str) -> None:
    try:
        name = clean_name(text)
    except BadNameError:
        return

    assert clean_name(name) == name
    assert unicodedata.is_normalized("NFC", name)
    assert 1 <= len(name) <= MAX_NAME_CHARS
    assert not {unicodedata.category(char) for char in name} & {"Cc", "Cf", "Co", "Cs", "Cn"}


@given(
    st.text(alphabet="abcdefgh", min_size=1, max_size=8),
    st.text(alphabet="абвгдежз", min_size=1, max_size=8),
)
def test_two_alphabets_pass_as_two_words_and_fail_as_one(latin: str, cyrillic: str) -> None:
    assert clean_name(f"{latin} {cyrillic}") == f"{latin} {cyrillic}"

    for joined in (latin + cyrillic, cyrillic + latin):
        with pytest.raises(LookalikeNameError):
            clean_name(joined)

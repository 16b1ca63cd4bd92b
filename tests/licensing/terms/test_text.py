"""The form of terms, their hash, their blanks."""

import hashlib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing.terms.text import (
    MAX_BYTES,
    BadTermsError,
    BlankTermsError,
    TermsTooLargeError,
    blanks,
    fill_terms,
    normalize_terms,
    terms_sha256,
)


@pytest.mark.parametrize(
    ("given_text", "kept"),
    [
        ("One.", "One.\n"),
        ("\ufeffOne.  \r\nTwo.\rThree.\n\n", "One.\nTwo.\nThree.\n"),
        ("\n\n  1. One\n\tdeep\t \n", "  1. One\n    deep\n"),
        ("page\fnext\vrow\x85end\u2028a\u2029b", "page\nnext\nrow\nend\na\nb\n"),
        ("Cafe\u0301", "Caf\u00e9\n"),
        ("条款\u3000", "条款\n"),
    ],
)
def test_terms_have_one_form(given_text, kept) -> None:
    assert normalize_terms(given_text) == kept


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\0b", 1),
        ("fine\nbad\x1b[31m", 2),
        ("a\n\nb\x7f", 3),
        ("pay \u202e001", 1),
        ("\u2066x\u2069", 1),
        ("a\ufeffb", 1),
        ("half \ud800", 1),
        ("\x1f", 1),
    ],
)
def test_refuses_what_hides(text, line) -> None:
    with pytest.raises(BadTermsError) as caught:
        normalize_terms(text)

    assert caught.value.extra == {"line": line}
    with pytest.raises(BadTermsError):
        terms_sha256(text)


@pytest.mark.parametrize("text", ["", " \n\t\n ", "\ufeff", "\u2028"])
def test_refuses_nothing(text) -> None:
    with pytest.raises(BadTermsError):
        normalize_terms(text)


def test_terms_have_a_largest_size() -> None:
    most = normalize_terms("x" * (MAX_BYTES - 1))

    assert len(most) == MAX_BYTES
    assert normalize_terms(most) == most
    for text in (
        "x" * MAX_BYTES,
        "x" * (MAX_BYTES + 1),
        "é" * (MAX_BYTES // 2) + "x",
        "\t" * MAX_BYTES + "x",
    ):
        with pytest.raises(TermsTooLargeError) as caught:
            normalize_terms(text)
        assert caught.value.extra == {"most_bytes": MAX_BYTES}


@given(st.text(max_size=200))
def test_normal_text_stays_as_it_is(text) -> None:
    try:
        kept = normalize_terms(text)
    except BadTermsError:
        return

    assert normalize_terms(kept) == kept
    assert terms_sha256(kept) == terms_sha256(text)
    assert unicodedata.is_normalized("NFC", kept)
    assert kept.endswith("\n")
    assert not kept.endswith("\n\n")
    assert all(line == line.rstrip() for line in kept.split("\n"))
    assert not {unicodedata.category(char) for char in kept if char != "\n"} & {"Cc", "Cs"}


def test_the_hash_is_of_the_normal_form_in_utf_8() -> None:
    wanted = hashlib.sha256("Größe\n".encode()).hexdigest()

    assert terms_sha256("Gro\u0308ße \r\n") == wanted
    assert terms_sha256("Größe!") != wanted


def test_blanks_are_filled_in_one_pass() -> None:
    text = "{licensor} lets {licensee} use {model} on {seats} machines, {licensee}. {other} {}"

    filled = fill_terms(
        text,
        {"licensor": "{model}", "licensee": "Acme", "model": "a/{licensee}", "seats": "3"},
    )

    assert blanks(text) == ["licensor", "licensee", "model", "seats"]
    assert filled == "{model} lets Acme use a/{licensee} on 3 machines, Acme. {other} {}"


def test_a_name_adds_no_clause_and_hides_nothing() -> None:
    filled = fill_terms(
        "For {licensee}.\n", {"licensee": " Acme\r\n\n10. All\u202eis\0\tfree\u2028x "}
    )

    assert filled == "For Acme 10. Allis free x.\n"


@pytest.mark.parametrize("values", [{}, {"licensee": ""}, {"licensee": " \0\n"}, {"model": "x"}])
def test_refuses_to_leave_a_blank(values) -> None:
    with pytest.raises(BlankTermsError) as caught:
        fill_terms("For {licensee}.", values)

    assert caught.value.extra == {"missing": ["licensee"]}

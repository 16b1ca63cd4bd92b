import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing.tax.writing import BadTextError, read_line

MOST = 60


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("  Ada   Lovelace ", "Ada Lovelace"),
        ("Zoe\u0308", "Zo\u00eb"),  # a mark after its letter becomes one letter
        ("Acme\u00a0GmbH", "Acme GmbH"),
        ("Acme\tGmbH\n", "Acme GmbH"),
        ("\u041e\u041e\u041e Acme", "\u041e\u041e\u041e Acme"),  # a Russian form, an English name
        ("\u042f\u043d\u0434\u0435\u043a\u0441-Tech", "\u042f\u043d\u0434\u0435\u043a\u0441-Tech"),
        ("\u682a\u5f0f\u4f1a\u793eACME", "\u682a\u5f0f\u4f1a\u793eACME"),
        ("K\u30dd\u30c3\u30d7\u97f3\u697d", "K\u30dd\u30c3\u30d7\u97f3\u697d"),
        ("\ud55c\uad6d LG\uc804\uc790", "\ud55c\uad6d LG\uc804\uc790"),
        (
            "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 5",
            "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 5",
        ),
        ("\u0928\u092e\u0938\u094d\u0924\u0947", "\u0928\u092e\u0938\u094d\u0924\u0947"),
        ("O\u2019Neil & Sons, \u00a75 (2nd)", "O\u2019Neil & Sons, \u00a75 (2nd)"),
        ("Nguy\u1ec5n V\u0103n", "Nguy\u1ec5n V\u0103n"),
        ("1\u00aa Casa", "1\u00aa Casa"),
        ("\u5c71\u7530\u592a\u90ce\u3005", "\u5c71\u7530\u592a\u90ce\u3005"),
    ],
)
def test_keeps_names_of_the_world(written, kept) -> None:
    assert read_line(written, max_chars=MOST) == kept


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", "empty"),
        (" \u3000 ", "empty"),
        ("-,.", "empty"),
        ("\u0301", "empty"),
        ("x" * (MOST + 1), "too_long"),
        (" " * (5 * MOST), "too_long"),
        ("Ac\u200bme", "invisible"),
        ("Ac\u200dme", "invisible"),
        ("\ufeffAcme", "invisible"),
        ("\u202eemcA", "invisible"),
        ("\u2066Acme\u2069", "invisible"),
        ("Ac\x00me", "invisible"),
        ("Ac\x1bme", "invisible"),
        ("Ac\u00adme", "invisible"),
        ("Acme\ue000", "invisible"),
        ("Acme\ud800", "invisible"),
        ("Acme\U000e0041", "invisible"),
        ("Acme\u0378", "invisible"),  # not assigned
        ("\u3164Acme", "invisible"),
        ("\u2800", "invisible"),
        ("Ac\ufe0fme", "invisible"),
        ("Ac\U000e0100me", "invisible"),
        ("A" + "\u0316" * 4 + "cme", "marks"),
        ("\u0410cme", "look_alike"),  # Cyrillic
        ("Acm\u0435 GmbH", "look_alike"),
        ("\u0391cme", "look_alike"),  # Greek
        ("\u0430\u0301cme", "look_alike"),  # Cyrillic with a mark that joins nothing
        ("\u04301cme", "look_alike"),
        ("\U0001d400cme", "look_alike"),  # mathematical
        ("\u13aacme", "look_alike"),  # Cherokee
        ("\u0430\u4e2d", "look_alike"),
    ],
)
def test_refuses_what_deceives(written, reason) -> None:
    with pytest.raises(BadTextError) as caught:
        read_line(written, max_chars=MOST)

    assert caught.value.reason == reason
    assert caught.value.extra == {"reason": reason}
    assert caught.value.code == "bad_text"
    assert "\u202e" not in caught.value.message


@given(st.text(max_size=80))
def test_what_is_kept_is_tidy_and_kept_again(text) -> None:
    try:
        line = read_line(text, max_chars=MOST)
    except BadTextError:
        return
    assert read_line(line, max_chars=MOST) == line
    assert unicodedata.is_normalized("NFC", line)
    assert line == line.strip()
    assert "  " not in line
    assert 0 < len(line) <= MOST
    assert line.isprintable()


@given(st.text("abcdefABC \u0430\u0435\u043e\u0440\u0441\u0391\u0395", min_size=1, max_size=20))
def test_no_word_mixes_alphabets(text) -> None:
    try:
        line = read_line(text, max_chars=MOST)
    except BadTextError:
        return
    for word in line.split():
        names = {unicodedata.name(char).split()[0] for char in word}
        assert len(names) == 1

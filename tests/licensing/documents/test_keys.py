import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing.documents.errors import BadKeyError
from licensing.documents.keys import (
    ALPHABET,
    derive_key,
    digest_of_key,
    digest_to_look_up,
    read_key,
)

SECRET = bytes(range(32))
rotations = st.integers(min_value=0, max_value=10**6)
keys = rotations.map(lambda number: derive_key(SECRET, license_id="7f", rotation=number))


def test_a_key_is_the_same_for_the_same_license_and_another_for_any_other() -> None:
    key = derive_key(SECRET, license_id="7f", rotation=0)

    assert re.fullmatch(rf"GPTS(-[{ALPHABET}]{{5}}){{5}}-[{ALPHABET}]{{2}}", key)
    assert derive_key(SECRET, license_id="7f", rotation=0) == key
    others = {
        derive_key(SECRET, license_id="7f", rotation=1),
        derive_key(SECRET, license_id="7e", rotation=0),
        derive_key(SECRET[::-1], license_id="7f", rotation=0),
    }
    assert len(others | {key}) == 4


@pytest.mark.parametrize(
    ("secret", "license_id", "rotation"),
    [(SECRET[:31], "7f", 0), (SECRET, "", 0), (SECRET, "7f", -1)],
)
def test_no_key_comes_of_a_weak_secret_or_of_no_license(secret, license_id, rotation) -> None:
    with pytest.raises(ValueError, match="secret of 32 bytes"):
        derive_key(secret, license_id=license_id, rotation=rotation)


@given(keys)
def test_reads_its_own_keys(key) -> None:
    assert read_key(key) == key
    assert digest_of_key(key) == hashlib.sha256(key.encode()).hexdigest()


@given(keys, st.data())
def test_reads_keys_as_people_write_them(key, data) -> None:
    body = key.removeprefix("GPTS-")
    for char, alikes in (("0", "Oo0"), ("1", "IiLl1")):
        body = body.replace(char, data.draw(st.sampled_from(alikes)))
    written = f"GPTS-{body}"
    written = data.draw(st.sampled_from([written.lower(), written.upper(), written]))
    dash = data.draw(st.sampled_from(["", " ", "-", "\u2013", " - ", "\u00a0", "\u2011"]))

    assert read_key(f"  {written.replace('-', dash)}\n") == key


@given(keys, st.data())
def test_no_changed_character_goes_unnoticed(key, data) -> None:
    place = data.draw(st.integers(min_value=0, max_value=len(key) - 1))
    char = data.draw(st.sampled_from(ALPHABET + "ILOU-_ é") | st.characters())
    changed = key[:place] + char + key[place + 1 :]

    try:
        assert read_key(changed) == key
    except BadKeyError:
        return
    assert changed[place].upper() in {key[place], "O", "I", "L", " "} or key[place] == "-"


@given(keys, st.integers(min_value=0, max_value=33))
def test_no_swapped_neighbours_go_unnoticed(key, place) -> None:
    swapped = key[:place] + key[place : place + 2][::-1] + key[place + 2 :]

    try:
        assert read_key(swapped) == key
    except BadKeyError:
        return
    assert key[place] == key[place + 1] or "-" in key[place : place + 2]


@given(keys, st.integers(min_value=0, max_value=33))
def test_no_lost_or_doubled_character_goes_unnoticed(key, place) -> None:
    for text in (key[:place] + key[place + 1 :], key[:place] + key[place] + key[place:]):
        if key[place] != "-":
            with pytest.raises(BadKeyError):
                read_key(text)


def test_a_check_has_one_spelling() -> None:
    """1021 leaves nothing when divided by 1021: without a bound ``00`` and ``ZX`` were one."""
    number = next(
        number
        for number in range(5000)
        if derive_key(SECRET, license_id="7f", rotation=number).endswith("-00")
    )
    key = derive_key(SECRET, license_id="7f", rotation=number)

    assert read_key(key) == key
    with pytest.raises(BadKeyError):
        read_key(key[:-2] + "ZX")


@given(st.text(max_size=300))
def test_refuses_everything_else_in_the_same_words(text) -> None:
    with pytest.raises(BadKeyError) as caught:
        read_key(text)
    assert str(caught.value).startswith("This is no license key. Copy it whole")
    assert caught.value.extra == {}


@pytest.mark.parametrize(
    "text",
    ["", "GPTS-", "GPTS" + "0" * 27, "\u0131PTS-AAAAA", " " * 201, "\ud800", "GPTU" + "1" * 27],
)
def test_what_is_no_key_is_looked_up_like_an_unknown_one(text) -> None:
    with pytest.raises(BadKeyError):
        digest_of_key(text)
    assert re.fullmatch("[0-9a-f]{64}", digest_to_look_up(text))


def test_a_key_is_looked_up_by_its_digest() -> None:
    key = derive_key(SECRET, license_id="7f", rotation=0)

    assert digest_to_look_up(key.lower()) == digest_of_key(key)

"""Pieces that are worth sending."""

from hypothesis import given
from hypothesis import strategies as st

from store.core.pieces import gathered


@given(st.lists(st.binary(max_size=20)), st.integers(1, 50))
def test_the_same_bytes_in_fewer_pieces(pieces: list[bytes], least_bytes: int) -> None:
    out = list(gathered(pieces, least_bytes))

    assert b"".join(out) == b"".join(pieces)
    assert all(least_bytes <= len(piece) < least_bytes + 20 for piece in out[:-1])


def test_nothing_is_asked_for_before_it_is_needed() -> None:
    pieces = iter([b"abc", b"de", b"f"])

    assert next(gathered(pieces, 4)) == b"abcde"
    assert list(pieces) == [b"f"]

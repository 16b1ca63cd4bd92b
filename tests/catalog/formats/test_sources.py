from pathlib import Path

import pytest

from catalog.formats.errors import TruncatedError, shown
from catalog.formats.sources import (
    CHUNK_BYTES,
    WINDOW_BYTES,
    Budget,
    BytesSource,
    Cursor,
    FileSource,
    MeteredSource,
    OverBudgetError,
    SourceChangedError,
)
from tests.catalog.formats.files import Hollow, Watched

SMALL = Budget(read_bytes=3 * WINDOW_BYTES, reads=3, steps=10, is_final=False)


def test_a_file_is_read_by_range(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"0123456789")

    with path.open("rb") as file:
        source = FileSource(file)

        assert source.size_bytes == 10
        assert source.read_at(3, 4) == b"3456"
        assert source.read_at(8, 4) == b"89"
        assert source.read_at(20, 4) == b""


def test_neighbours_are_fetched_once() -> None:
    watched = Watched(bytes(10 * WINDOW_BYTES))
    source = MeteredSource(watched, SMALL)

    for at in range(0, 1000, 8):
        source.read_at(at, 8)
    source.read_at(5 * WINDOW_BYTES, 8)
    source.read_at(0, 8)

    assert watched.reads == [(0, WINDOW_BYTES), (5 * WINDOW_BYTES, WINDOW_BYTES)]


def test_reads_are_clamped_to_the_content() -> None:
    source = MeteredSource(BytesSource(b"abc"), SMALL)

    assert source.read_at(1, 100) == b"bc"
    assert source.read_at(3, 1) == b""
    assert source.read_at(9, 1) == b""


def test_knows_whether_everything_was_seen() -> None:
    source = MeteredSource(Hollow(b"", 2 * WINDOW_BYTES), SMALL)
    source.read_at(WINDOW_BYTES + 1, 1)
    source.read_at(0, 1)

    assert not source.is_read_whole

    source.read_at(WINDOW_BYTES, 1)

    assert source.is_read_whole


@pytest.mark.parametrize("offsets", [[0, 1, 2, 3], [9, 7, 5, 3]], ids=["in order", "backwards"])
def test_too_many_reads_are_refused_and_not_made(offsets: list[int]) -> None:
    watched = Watched(bytes(10 * WINDOW_BYTES))
    source = MeteredSource(watched, SMALL)
    for at in offsets[:3]:
        source.read_at(at * WINDOW_BYTES, 1)

    with pytest.raises(OverBudgetError):
        source.read_at(offsets[3] * WINDOW_BYTES, 1)

    assert len(watched.reads) == 3


def test_too_many_bytes_are_refused_and_not_read() -> None:
    watched = Watched(bytes(10 * WINDOW_BYTES))

    with pytest.raises(OverBudgetError):
        MeteredSource(watched, SMALL).read_at(0, 4 * WINDOW_BYTES)

    assert watched.reads == []


def test_too_many_steps_are_refused() -> None:
    source = MeteredSource(BytesSource(b""), SMALL)
    source.spend(10)

    with pytest.raises(OverBudgetError):
        source.spend(1)


def test_a_source_that_lost_bytes_is_no_finding_about_the_file() -> None:
    source = BytesSource(b"abc")
    source.size_bytes = 10

    with pytest.raises(SourceChangedError) as caught:
        MeteredSource(source, SMALL).read_at(0, 10)

    assert isinstance(caught.value, OSError)


def test_a_cursor_takes_skips_and_stops_at_its_end() -> None:
    cursor = Cursor(BytesSource(b"0123456789"), 2, 8)

    assert cursor.take(2) == b"23"
    cursor.skip(1)
    assert (cursor.position, cursor.remaining) == (5, 3)
    with pytest.raises(TruncatedError):
        cursor.take(4)
    with pytest.raises(TruncatedError):
        cursor.skip(4)
    assert cursor.take(3) == b"567"
    assert cursor.take(0) == b""


def test_a_cursor_asks_for_no_more_than_is_there() -> None:
    watched = Watched(b"x" * 100)

    with pytest.raises(TruncatedError):
        Cursor(watched).take(2**60)

    assert watched.reads == []


def test_a_cursor_skips_beyond_its_buffer_without_reading() -> None:
    watched = Watched(bytes(10 * CHUNK_BYTES))
    cursor = Cursor(watched)
    cursor.take(1)
    cursor.skip(8 * CHUNK_BYTES)
    cursor.take(1)

    assert watched.reads == [(0, CHUNK_BYTES), (8 * CHUNK_BYTES + 1, CHUNK_BYTES)]


def test_a_line_may_be_longer_than_any_buffer() -> None:
    cursor = Cursor(BytesSource(b"one\n" + b"x" * (3 * CHUNK_BYTES) + b"\nthree"))

    assert cursor.line(10) == b"one"
    assert cursor.line(10) is None
    assert cursor.take(5) == b"three"


def test_a_line_of_the_kept_length_is_kept() -> None:
    cursor = Cursor(BytesSource(b"12345\n123456\n\n"))

    assert cursor.line(5) == b"12345"
    assert cursor.line(5) is None
    assert cursor.line(5) == b""
    with pytest.raises(TruncatedError):
        cursor.line(5)


def test_strangers_text_is_shown_harmless() -> None:
    assert shown("a\u202eb\n\ud800") == r"'a\u202eb\n\ud800'"
    assert shown("x" * 100, 10) == "'xxxxxxxxxx…'"

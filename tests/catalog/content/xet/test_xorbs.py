import io
import tracemalloc
from pathlib import Path

import lz4.frame
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.content.xet.errors import XetFormatError, XetProofError
from catalog.content.xet.hashes import chunk_hash, merkle_root, to_hex
from catalog.content.xet.packing import (
    GROUPED_LZ4,
    HEADER_BYTES,
    LZ4,
    MAX_CHUNK_BYTES,
    STORED,
    Grouping,
    Unpacker,
    group,
    pack,
    read_header,
)
from catalog.content.xet.xorbs import MAX_BODY_BYTES, MAX_CHUNKS, XorbReader, XorbTable
from tests.catalog.content.xet.making import (
    chunked,
    client_output,
    entries,
    noise,
    record,
    table_of,
    unpack,
    xorb,
)

WEIGHTS = np.random.default_rng(0).normal(size=60_000).astype(np.float32).tobytes()
CHUNKS = chunked(WEIGHTS + noise(200_000) + b"text " * 20_000)


def kept(data: bytes, expected: bytes | None = None) -> bytes:
    reader = XorbReader(io.BytesIO(data), expected)
    return b"".join(iter(reader.read_some, b""))


def test_a_xorb_is_kept_as_it_came() -> None:
    data = xorb(CHUNKS)

    assert kept(data, merkle_root(entries(CHUNKS))) == data
    table = table_of(data)
    assert [chunk.size_bytes for chunk in table.chunks] == [len(chunk) for chunk in CHUNKS]
    assert table.stored_bytes == len(data)
    assert table.raw_size(0, len(CHUNKS)) == sum(map(len, CHUNKS))


def test_every_range_of_chunks_is_found_again() -> None:
    data = xorb(CHUNKS)
    table = table_of(data)

    for start in range(len(CHUNKS)):
        for end in range(start + 1, len(CHUNKS) + 1):
            first, last = table.stored_span(start, end)
            part = table_of(data[first:last])
            assert [chunk.hash for chunk in part.chunks] == [
                chunk_hash(chunk) for chunk in CHUNKS[start:end]
            ]
            assert table.raw_size(start, end) == sum(map(len, CHUNKS[start:end]))


def test_bytes_are_found_by_their_place() -> None:
    table = table_of(xorb(CHUNKS))

    at = 0
    for index, chunk in enumerate(CHUNKS):
        assert table.raw_start(index) == at
        assert table.chunk_at(at) == table.chunk_at(at + len(chunk) - 1) == index
        at += len(chunk)


def test_a_table_goes_through_the_database_unchanged() -> None:
    table = table_of(xorb(CHUNKS))

    data = table.to_bytes()

    assert len(data) == 40 * len(CHUNKS)
    assert list(XorbTable.from_bytes(data).chunks) == list(table.chunks)
    assert XorbTable.from_bytes(data).hash == merkle_root(entries(CHUNKS))


def test_what_the_client_writes_is_accepted_without_its_footer(tmp_path: Path) -> None:
    content = WEIGHTS + noise(500_000) + bytes(300_000)

    written, _, _ = client_output(tmp_path, content)

    raw = b""
    for data in written:
        records = kept(data)
        assert data.startswith(records)
        assert b"XETBLOB" in data[len(records) : len(records) + 8]
        table = table_of(data)
        for index in range(len(table.chunks)):
            start, end = table.stored_span(index, index + 1)
            _, scheme, size = read_header(records[start : start + 8])
            raw += unpack(scheme, records[start + HEADER_BYTES : end], size)
    # The zeros are one chunk many times over, which the client stores once.
    assert raw.startswith(content[: len(WEIGHTS) + 400_000])


GROUPING = Grouping()


@given(st.one_of(st.binary(max_size=300), st.just(WEIGHTS[:MAX_CHUNK_BYTES])))
def test_grouping_goes_both_ways(raw: bytes) -> None:
    assert GROUPING.undo(group(raw)) == raw
    assert group(raw) == b"".join(bytes(raw[n] for n in range(k, len(raw), 4)) for k in range(4))


@pytest.mark.parametrize(
    ("raw", "scheme"),
    [(noise(50_000), STORED), (b"a" * 50_000, LZ4), (WEIGHTS[:50_000], GROUPED_LZ4)],
    ids=["noise", "text", "weights"],
)
def test_packing_takes_the_smallest_way(raw: bytes, scheme: int) -> None:
    data = pack(raw)

    packed, chosen, size = read_header(data)
    assert (chosen, packed, size) == (scheme, len(data) - HEADER_BYTES, len(raw))
    assert unpack(chosen, data[HEADER_BYTES:], size) == raw
    assert len(data) <= len(raw) + HEADER_BYTES


@given(st.binary(min_size=1, max_size=5000))
def test_packing_goes_both_ways(raw: bytes) -> None:
    data = pack(raw)

    _, scheme, size = read_header(data)
    assert unpack(scheme, data[HEADER_BYTES:], size) == raw


FRAME = lz4.frame.compress(b"a" * 1000)
MALFORMED = {
    "nothing": b"",
    "half a header": b"\0\1\0",
    "only a footer": b"XETBLOB\1" + bytes(100),
    "cut payload": xorb(CHUNKS)[:-1],
    "other version": b"\1" + record(b"abc", raw=3)[1:],
    "unknown scheme": record(b"abc", scheme=3, raw=3),
    "empty chunk": record(b"", raw=0),
    "too large a chunk": record(b"a", scheme=1, raw=MAX_CHUNK_BYTES + 1),
    "too large a payload": record(b"", raw=3, packed=2 * MAX_CHUNK_BYTES + 1),
    "stored size differs": record(b"abcd", raw=3),
    "no frame": record(b"\x01" * 50, scheme=1, raw=1000),
    "a raw LZ4 block": record(lz4.frame.compress(b"a" * 1000)[7:], scheme=1, raw=1000),
    "frame is larger": record(FRAME, scheme=1, raw=999),
    "frame is smaller": record(FRAME, scheme=1, raw=1001),
    "frame is cut": record(FRAME[:-5], scheme=1, raw=1000),
    "two frames": record(FRAME + FRAME, scheme=1, raw=1000),
    "something after the frame": record(FRAME + b"x", scheme=1, raw=1000),
    "something after the last chunk": xorb(CHUNKS) + b"junk",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_xorbs_are_refused(name: str) -> None:
    with pytest.raises(XetFormatError):
        kept(MALFORMED[name])


def test_what_lay_in_the_buffer_before_is_no_part_of_a_footer() -> None:
    large = record(b"B" * MAX_CHUNK_BYTES, raw=MAX_CHUNK_BYTES)
    # The last buffer begins with a header whose seventh byte is a B: a footer is read at its front.
    odd = record(bytes(0x14200), raw=0x14200)
    filler, end = record(bytes(100_000), raw=100_000), record(b"end", raw=3)
    chunks = large * 14 + filler + odd + large * 4 + end

    assert kept(chunks + b"XETBLOB") == chunks
    with pytest.raises(XetFormatError, match="middle of a chunk header"):
        kept(chunks + b"XETBLO")


@pytest.mark.parametrize("name", [each for each in MALFORMED if "frame" in each])
def test_after_a_broken_chunk_the_next_is_read_as_ever(name: str) -> None:
    unpacker = Unpacker()
    _, scheme, size = read_header(MALFORMED[name][:HEADER_BYTES])
    for _ in range(2):
        with pytest.raises(XetFormatError):
            unpacker.unpack(scheme, MALFORMED[name][HEADER_BYTES:], size)

        assert unpacker.unpack(LZ4, FRAME, 1000) == b"a" * 1000


def test_other_bytes_than_the_name_says_are_refused() -> None:
    with pytest.raises(XetProofError) as caught:
        kept(xorb(CHUNKS), merkle_root(entries(CHUNKS[:-1])))

    assert caught.value.extra["received"] == to_hex(merkle_root(entries(CHUNKS)))


@pytest.mark.parametrize("footer", [b"", b"XETBLOB" + bytes(30)])
def test_what_was_refused_once_is_never_at_its_good_end(footer: bytes) -> None:
    reader = XorbReader(io.BytesIO(xorb(CHUNKS) + footer), bytes(32))

    for _ in range(3):
        with pytest.raises(XetProofError):
            list(iter(reader.read_some, b""))


def test_too_many_chunks() -> None:
    assert len(table_of(record(b"a", raw=1) * MAX_CHUNKS).chunks) == MAX_CHUNKS
    with pytest.raises(XetFormatError, match="8192 chunks"):
        kept(record(b"a", raw=1) * (MAX_CHUNKS + 1))


def test_a_xorb_is_full_by_what_it_is_packed_to() -> None:
    """JavaScript's client counts so: what packs well has more than 64 MiB raw."""
    zeros = pack(bytes(MAX_CHUNK_BYTES))

    assert table_of(zeros * 600).raw_ends[-1] == 600 * MAX_CHUNK_BYTES


def test_a_footer_without_end_is_refused() -> None:
    class Endless:
        def __init__(self) -> None:
            self.given = 0

        def read(self, size: int = -1) -> bytes:
            part = (xorb(CHUNKS) + b"XETBLOB") if not self.given else bytes(size)
            self.given += len(part)
            return part

    source = Endless()
    with pytest.raises(XetFormatError, match="at most"):
        list(iter(XorbReader(source, None).read_some, b""))
    assert source.given < MAX_BODY_BYTES + 2 * 1024**2


def test_a_frame_that_explodes_costs_little_memory() -> None:
    bomb = lz4.frame.compress(bytes(60 * 1024**2))
    assert len(bomb) < 2 * MAX_CHUNK_BYTES

    tracemalloc.start()
    with pytest.raises(XetFormatError):
        kept(record(bomb, scheme=1, raw=MAX_CHUNK_BYTES))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < 8 * 1024**2


@given(st.data())
def test_a_flipped_bit_is_noticed(data: st.DataObject) -> None:
    small = chunked(WEIGHTS[:20_000] + b"text " * 3000)
    good = bytearray(xorb(small))
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    good[bit // 8] ^= 1 << bit % 8

    # The frame's own flags and checksum bits do not change what is unpacked; all else does.
    try:
        reader = XorbReader(io.BytesIO(bytes(good)), merkle_root(entries(small)))
        list(iter(reader.read_some, b""))
    except (XetFormatError, XetProofError):
        return
    unpacked = [
        unpack(scheme, bytes(good[start + HEADER_BYTES : end]), size)
        for start, end, (_, scheme, size) in (
            (start, end, read_header(bytes(good[start : start + 8])))
            for start, end in (reader.table.stored_span(n, n + 1) for n in range(len(small)))
        )
    ]
    assert unpacked == small


class Trickle:
    """Gives some bytes at a time, whatever is asked for."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data = io.BytesIO(data)
        self._step = step

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, self._step))


class TrickleInto(Trickle):
    """Writes them straight where they are wanted."""

    def readinto(self, target: memoryview) -> int:
        return self._data.readinto(target[: self._step])


@pytest.mark.parametrize("source", [Trickle, TrickleInto])
@pytest.mark.parametrize("step", [7, 100_001])
@pytest.mark.parametrize("footer", [b"", b"XETBLOB", b"XETBLOB" + bytes(30)])
def test_reading_in_small_pieces_changes_nothing(source, step: int, footer: bytes) -> None:
    data = xorb(CHUNKS)
    reader = XorbReader(source(data + footer, step), None)

    assert b"".join(iter(lambda: bytes(reader.read(1024**2)), b"")) == data
    assert bytes(reader.read(1024**2)) == b""

"""How the chunks of a xorb are packed (Xet specification, xorb format).

As they are, by LZ4, or by LZ4 after the bytes of 4-byte numbers were sorted by place.
"""

import struct
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import lz4.frame

from catalog.content.xet.chunking import MAX_CHUNK_BYTES
from catalog.content.xet.errors import XetFormatError

HEADER_BYTES = 8
MAX_PACKED_BYTES = 2 * MAX_CHUNK_BYTES
MAX_RECORD_BYTES = HEADER_BYTES + MAX_PACKED_BYTES

STORED, LZ4, GROUPED_LZ4 = 0, 1, 2
"""Packing schemes. The last one sorts the bytes of 4-byte numbers by place before LZ4."""

_HEADER = struct.Struct("<II")
"""Version and packed length in one number, scheme and raw length in the other."""
_BLOCK_BYTES = 64 * 1024
_ROOM_BYTES = MAX_CHUNK_BYTES + _BLOCK_BYTES
"""For what a frame unpacks to: where a whole block has room, LZ4 does not copy it once more."""

Bytes = bytes | memoryview


def read_header(data: Bytes, start: int = 0) -> tuple[int, int, int]:
    """Return packed length, scheme and raw length of the record that begins at ``start``.

    Raises:
        XetFormatError: it is cut off, or a value is out of range.
    """
    if len(data) - start < HEADER_BYTES:
        raise XetFormatError("The xorb ends in the middle of a chunk header. Send it again.")
    first, second = _HEADER.unpack_from(data, start)
    packed_bytes, scheme, size_bytes = first >> 8, second & 255, second >> 8
    if first & 255 or scheme > GROUPED_LZ4:
        raise XetFormatError("A chunk has a version or packing scheme this store does not know.")
    if not 1 <= size_bytes <= MAX_CHUNK_BYTES or packed_bytes > MAX_PACKED_BYTES:
        raise XetFormatError(
            f"A chunk has 1 to {MAX_CHUNK_BYTES} bytes, packed at most {MAX_PACKED_BYTES}."
        )
    return packed_bytes, scheme, size_bytes


class Unpacker:
    """Unpacks one chunk after the other in the same buffers. Not for several threads at once."""

    def __init__(self) -> None:
        self._frames: Any = lz4.frame.create_decompression_context()

    def unpack(self, scheme: int, payload: Bytes, size_bytes: int) -> Bytes:
        """Return the raw bytes of a chunk, good until the next call.

        What was not packed is returned as it is, wherever it lies. What says to be less than it
        is fills no memory: ``_ROOM_BYTES`` are unpacked at most.

        Args:
            scheme: ``STORED``, ``LZ4`` or ``GROUPED_LZ4``.
            payload: What follows the header.
            size_bytes: Raw size the header promises, 1 to ``MAX_CHUNK_BYTES``.

        Raises:
            XetFormatError: the payload is broken, or has another size.
        """
        raw = payload if scheme == STORED else self._unpack_frame(payload)
        if len(raw) != size_bytes:
            raise XetFormatError("A chunk does not have the size its header promises.")
        return self._grouping.undo(raw) if scheme == GROUPED_LZ4 else raw

    def _unpack_frame(self, payload: Bytes) -> bytes:
        raw: bytes
        try:
            raw, read_bytes, is_over = lz4.frame.decompress_chunk(
                self._frames, payload, max_length=_ROOM_BYTES
            )
        except RuntimeError as exc:  # what lz4 raises for corrupt input
            lz4.frame.reset_decompression_context(self._frames)
            raise XetFormatError("A chunk is not an LZ4 frame.") from exc
        if not is_over or read_bytes != len(payload):
            lz4.frame.reset_decompression_context(self._frames)
            raise XetFormatError("A chunk is not exactly one LZ4 frame of the promised size.")
        return raw

    @cached_property
    def _grouping(self) -> "Grouping":
        return Grouping()


class Grouping:
    """Puts the bytes of 4-byte numbers together again, in buffers that are used again.

    Arithmetic on whole arrays is faster than writing to every fourth place.
    """

    def __init__(self) -> None:
        import numpy as np  # not for processes that never see a packed chunk

        most = MAX_CHUNK_BYTES // 4 + 32  # for what is left over, and rows begin at even places
        self._planes, self._byte = np.frombuffer, np.dtype("u1")
        self._low, self._high, self._half = np.empty((3, most), "<u2")
        self._numbers, self._wide = np.empty((2, most), "<u4")
        self._raw: memoryview = self._numbers.view("u1").data
        self._times, self._or = np.multiply, np.bitwise_or
        self._256, self._65536 = np.array(1 << 8, "<u2"), np.array(1 << 16, "<u4")

    def undo(self, grouped: Bytes) -> memoryview:
        """Undo ``group``; the result is good until the next call."""
        count, rest = divmod(len(grouped), 4)
        second, third = count + (rest > 0), 2 * count + min(rest, 2)
        low, high, half = self._low[:count], self._high[:count], self._half[:count]
        numbers, wide = self._numbers[:count], self._wide[:count]
        # One kind of numbers at each step: of mixed ones numpy converts a few thousand at a time.
        low[:] = self._planes(grouped, self._byte, count, second)
        half[:] = self._planes(grouped, self._byte, count, 0)
        self._join(low, self._256, half)
        high[:] = self._planes(grouped, self._byte, count, 3 * count + rest)
        half[:] = self._planes(grouped, self._byte, count, third)
        self._join(high, self._256, half)
        numbers[:], wide[:] = high, low
        self._join(numbers, self._65536, wide)
        for place, start in enumerate((0, second, third)[:rest]):
            self._raw[4 * count + place] = grouped[start + count]
        return self._raw[: len(grouped)]

    def _join(self, high: Any, factor: Any, low: Any) -> None:
        """Set ``high`` to ``high * factor + low``."""
        self._times(high, factor, high)
        self._or(high, low, high)


def group(raw: bytes) -> bytes:
    """Return the bytes at places 0, 4, 8, …, then those at 1, 5, 9, …, and so on."""
    return b"".join(raw[place::4] for place in range(4))


def pack(raw: bytes) -> bytes:
    """Return the record of a chunk, packed in the way that makes it smallest."""
    ways = [
        (len(raw), STORED, raw),
        *((len(data), scheme, data) for scheme, data in _packed(raw)),
    ]
    packed_bytes, scheme, payload = min(ways, key=lambda way: way[0])
    header = b"\0" + packed_bytes.to_bytes(3, "little") + bytes([scheme])
    return header + len(raw).to_bytes(3, "little") + payload


def _packed(raw: bytes) -> Iterator[tuple[int, bytes]]:
    yield LZ4, lz4.frame.compress(raw)
    yield GROUPED_LZ4, lz4.frame.compress(group(raw))

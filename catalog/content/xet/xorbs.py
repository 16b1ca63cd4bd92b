"""Xorbs: up to 8192 chunks back to back, each packed for itself (Xet specification, xorb format).

A record is an 8-byte header and a payload: version 0, packed length (3 bytes, little-endian),
scheme, raw length (3 bytes), then the packed bytes. Old clients append a footer, which starts
with ``XETBLOB`` where a header would be; nobody reads it, so it is not kept.
"""

import os
import struct
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from threading import Lock
from typing import NamedTuple, overload

from blake3 import blake3

from catalog.content.xet.errors import XetFormatError, XetProofError
from catalog.content.xet.hashes import chunk_hash, merkle_root, to_hex
from catalog.content.xet.packing import HEADER_BYTES, Bytes, Unpacker, read_header
from catalog.content.xet.window import Window
from store.storage import ByteSource, Digest

MIB = 1024**2
MAX_CHUNKS = 8192
FULL_BYTES = 64 * MIB
"""Where a xorb is full. Python clients count what is in it, JavaScript's what it is packed to: from
there a xorb can hold as much raw as its chunks may, 1 GiB.
"""
MAX_BODY_BYTES = 66 * MIB
"""What a request may carry: a full xorb, headers, and the footer of old clients."""

_FOOTER_MARK = b"XETBLOB"
_ONE_AT_A_TIME = Lock()
"""Held while what has come is verified: dozens of short calls for each chunk let go of Python's own
lock and want it back, which costs as much as they do where several threads are at it at once.
"""
_READ_BYTES = MIB
"""What one read returns at most."""
_TABLE_ROW = struct.Struct("<32sII")
ROW_BYTES = _TABLE_ROW.size
"""What a chunk takes in a table."""


class XorbChunk(NamedTuple):
    """One chunk of a xorb."""

    hash: bytes
    end: int
    """Where its record ends in the stored xorb, in bytes."""
    size_bytes: int
    """Raw."""


class _Rows(Sequence[XorbChunk]):
    """The chunks of a table as they are kept: 40 bytes each, read when asked for."""

    def __init__(self, read: Callable[[int, int], bytes], size_bytes: int) -> None:
        self._read = read
        """Returns what lies between two places."""
        self._count = size_bytes // _TABLE_ROW.size

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> XorbChunk: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[XorbChunk]: ...
    def __getitem__(self, index: int | slice) -> XorbChunk | Sequence[XorbChunk]:
        if isinstance(index, slice):
            start, end, step = index.indices(len(self))
            part = self._read(start * _TABLE_ROW.size, max(start, end) * _TABLE_ROW.size)
            return [XorbChunk._make(row) for row in _TABLE_ROW.iter_unpack(part)][::step]
        place = range(len(self))[index]
        part = self._read(place * _TABLE_ROW.size, (place + 1) * _TABLE_ROW.size)
        return XorbChunk._make(_TABLE_ROW.unpack(part))

    def __iter__(self) -> Iterator[XorbChunk]:
        return map(
            XorbChunk._make, _TABLE_ROW.iter_unpack(self._read(0, len(self) * _TABLE_ROW.size))
        )


def size_between(raw_ends: Sequence[int], start: int, end: int) -> int:
    """Return the raw size of chunks ``start`` to ``end`` (exclusive) in bytes.

    Args:
        raw_ends: Where each chunk of a xorb ends in the raw content.
        start: The first of them.
        end: Behind the last.
    """
    return _start(raw_ends, end) - _start(raw_ends, start)


def _start(raw_ends: Sequence[int], index: int) -> int:
    return raw_ends[index - 1] if index else 0


@dataclass(frozen=True)
class XorbTable:
    """What the store itself saw in a xorb; the only list of its chunks anything trusts."""

    chunks: Sequence[XorbChunk]

    @classmethod
    def from_bytes(cls, data: bytes) -> "XorbTable":
        """Read back what ``to_bytes`` wrote."""
        return cls(_Rows(lambda start, end: data[start:end], len(data)))

    @classmethod
    def from_file(cls, file: int, begin: int, size_bytes: int) -> "XorbTable":
        """Read what ``to_bytes`` wrote out of an open file, each row when it is asked for."""
        return cls(_Rows(lambda at, end: os.pread(file, end - at, begin + at), size_bytes))

    def to_bytes(self) -> bytes:
        """Return 40 bytes for each chunk: hash, end of its record, raw size."""
        return b"".join(_TABLE_ROW.pack(*chunk) for chunk in self.chunks)

    @cached_property
    def hash(self) -> bytes:
        """The xorb's name."""
        return merkle_root([(chunk.hash, chunk.size_bytes) for chunk in self.chunks])

    @cached_property
    def raw_ends(self) -> Sequence[int]:
        """Where each chunk ends in the raw content, in bytes."""
        return array("I", accumulate(chunk.size_bytes for chunk in self.chunks))

    @property
    def stored_bytes(self) -> int:
        """Size of the records, headers included."""
        return self.chunks[-1].end

    def raw_start(self, index: int) -> int:
        """Return where chunk ``index`` begins in the raw content; ``len(chunks)`` is the end."""
        return _start(self.raw_ends, index)

    def raw_size(self, start: int, end: int) -> int:
        """Return the raw size of chunks ``start`` to ``end`` (exclusive) in bytes."""
        return size_between(self.raw_ends, start, end)

    def stored_span(self, start: int, end: int) -> tuple[int, int]:
        """Return where the records of chunks ``[start, end)`` begin and end, in bytes."""
        return (self.chunks[start - 1].end if start else 0), self.chunks[end - 1].end

    def chunk_at(self, raw_offset: int) -> int:
        """Return the index of the chunk that holds the raw byte ``raw_offset``."""
        return bisect_right(self.raw_ends, raw_offset)


class XorbReader:
    """Lets the records of a xorb through, each verified before it is handed on.

    Memory stays at one buffer, whatever the length. Read it to its end: only then is ``table``
    complete and the whole proven.

    Args:
        source: The body; at most ``MAX_BODY_BYTES`` are taken.
        expected: The hash the xorb goes by; ``None``: whatever it is.
        on_raw: Hears the raw bytes of each chunk as it is verified, good during the call, and the
            scheme they were packed by.
    """

    def __init__(
        self,
        source: ByteSource,
        expected: bytes | None,
        on_raw: Callable[[Bytes, int], object] | None = None,
    ) -> None:
        self._window = Window(source, _READ_BYTES, MAX_BODY_BYTES)
        self._expected = expected
        self._on_raw = on_raw
        self._unpacker = Unpacker()
        self._stored = 0
        self._chunks: list[XorbChunk] = []
        self._is_over = False

    @cached_property
    def table(self) -> XorbTable:
        """What was read. Ask for it after the end was reached."""
        return XorbTable(self._chunks)

    @property
    def digest(self) -> Digest:
        """What the stored bytes go by: the hash of their table. Ask after the end was reached.

        Other bytes with the same table have the same chunks at the same places.
        """
        return Digest(f"xorb-{blake3(self.table.to_bytes()).hexdigest()}")

    def read(self, size: int, /) -> memoryview:
        """Return the next records, at most ``size`` bytes, which are good until the next call.

        ``size`` is at least ``packing.MAX_RECORD_BYTES``; nothing is returned only at the end.

        Raises:
            XetFormatError, XetProofError: see ``read_some``.
        """
        window = self._window
        window.fill()
        with _ONE_AT_A_TIME:
            while self._check_one(min(size, _READ_BYTES)):
                pass
        if not window.start and not self._is_over:
            self._end()  # only now: reading on writes over what lies in the window
        return window.view[: window.start]

    def read_some(self) -> bytes:
        """Return the next records as they are to be stored; empty at the end.

        Raises:
            XetFormatError: a rule of the format is broken.
            XetProofError: the whole has another hash than expected (at the end).
        """
        return bytes(self.read(_READ_BYTES))

    def _check_one(self, most: int) -> bool:
        """Verify the next record; ``False``: there is none, or it ends behind ``most``."""
        window = self._window
        start, held = window.start, window.held
        if held < HEADER_BYTES and (window.is_full or not held):
            return False
        seen = window.view[: start + held]  # behind it lies what came before
        if seen[start] and seen[start : start + len(_FOOTER_MARK)] == _FOOTER_MARK:
            return False
        packed_bytes, scheme, size_bytes = read_header(seen, start)
        record_bytes = HEADER_BYTES + packed_bytes
        if start + record_bytes > most:
            return False
        if held < record_bytes:
            raise XetFormatError("The xorb ends in the middle of a chunk. Send it again.")
        payload = window.take(record_bytes)[HEADER_BYTES:]
        raw = self._unpacker.unpack(scheme, payload, size_bytes)
        self._note(record_bytes, raw)
        if self._on_raw is not None:
            self._on_raw(raw, scheme)
        return True

    def _note(self, record_bytes: int, raw: Bytes) -> None:
        self._stored += record_bytes
        if len(self._chunks) == MAX_CHUNKS:
            raise XetFormatError(f"A xorb holds at most {MAX_CHUNKS} chunks.")
        self._chunks.append(XorbChunk(chunk_hash(raw), self._stored, len(raw)))

    def _end(self) -> None:
        self._window.drain()  # a footer: bounded like everything else, and not kept
        if not self._chunks:
            raise XetFormatError("A xorb holds at least one chunk.")
        if self._expected is not None and self.table.hash != self._expected:
            raise XetProofError(
                "The bytes are not those of this xorb hash. Send them again.",
                expected=to_hex(self._expected),
                received=to_hex(self.table.hash),
            )
        self._is_over = True

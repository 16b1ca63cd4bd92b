"""Bounded reading: where the bytes of a file come from and how many of them may be looked at.

A file may have 50 GB and lie in an object store, so every reader of this room asks for a few
ranges through a ``ByteSource`` and never for "the file". ``MeteredSource`` counts what is asked
and stops a reader that wants more than its ``Budget``.
"""

import os
from collections import deque
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from catalog.formats.errors import TruncatedError

KIB = 1024
MIB = 1024 * KIB
WINDOW_BYTES = 64 * KIB
"""Smallest range fetched at once: neighbours of a header are usually wanted next."""
CHUNK_BYTES = 256 * KIB
"""Range a ``Cursor`` fetches ahead."""


class ByteSource(Protocol):
    """Read-only bytes of known length."""

    @property
    def size_bytes(self) -> int:
        """Length of the whole content in bytes."""
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """Return the ``length`` bytes from ``offset`` on; fewer only where the content ends.

        Raises:
            OSError: The place the bytes come from failed. Never a verdict about the file.
        """
        ...


class BytesSource:
    """Bytes already in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        """See ``ByteSource.read_at``."""
        return self._data[offset : offset + length]


class FileSource:
    """An open, seekable binary file. Its position is moved; not for use by two threads at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size_bytes = file.seek(0, os.SEEK_END)

    def read_at(self, offset: int, length: int) -> bytes:
        """See ``ByteSource.read_at``."""
        self._file.seek(offset)
        parts = []
        while length > 0 and (part := self._file.read(length)):
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


class SourceChangedError(OSError):
    """The source gave fewer bytes than it has; its storage is at fault, not the file."""


class OverBudgetError(Exception):
    """A reader wanted more bytes, reads or steps than its budget. No finding about the file."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much work one file may cost."""

    read_bytes: int
    """Most bytes fetched from the source."""
    reads: int
    """Most ranges fetched; each may be a request to an object store."""
    steps: int
    """Most units of work in Python loops: pickle opcodes, array elements, archive members."""
    is_final: bool
    """Whether going over is a verdict (``error``) or leaves the file ``pending`` for a job."""


AT_ONCE = Budget(read_bytes=18 * MIB, reads=64, steps=250_000, is_final=False)
"""For a request that waits: the largest safetensors header (16 MiB) fits, well under a second."""
FULL = Budget(read_bytes=4096 * MIB, reads=100_000, steps=30_000_000, is_final=True)
"""For a background job with its own time limit; about half a minute of Python at worst."""


class MeteredSource:
    """A ``ByteSource`` that remembers its last two windows and enforces a ``Budget``."""

    def __init__(self, source: ByteSource, budget: Budget) -> None:
        self._source = source
        self._budget = budget
        self._read_bytes = 0
        self._reads = 0
        self._steps = 0
        self._seen_until = 0
        self._windows: deque[tuple[int, bytes]] = deque(maxlen=2)
        self.size_bytes = source.size_bytes

    @property
    def is_read_whole(self) -> bool:
        """Whether every byte from the first to the last was fetched, in order."""
        return self._seen_until >= self.size_bytes

    def spend(self, steps: int) -> None:
        """Count ``steps`` units of work.

        Raises:
            OverBudgetError: They are more than the budget has left.
        """
        self._steps += steps
        if self._steps > self._budget.steps:
            raise OverBudgetError(f"more than {self._budget.steps} steps")

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``offset`` on, clamped to the end of the content.

        Raises:
            OverBudgetError: Nothing was fetched, the budget has too little left.
            SourceChangedError: The source is shorter than it said.
        """
        length = max(0, min(length, self.size_bytes - offset))
        if length == 0:
            return b""
        for start, data in self._windows:
            if start <= offset and offset + length <= start + len(data):
                return data[offset - start : offset - start + length]
        return self._fetch(offset, length)

    def _fetch(self, offset: int, length: int) -> bytes:
        wanted = min(max(length, WINDOW_BYTES), self.size_bytes - offset)
        self._reads += 1
        self._read_bytes += wanted
        if self._read_bytes > self._budget.read_bytes or self._reads > self._budget.reads:
            raise OverBudgetError(
                f"more than {self._budget.read_bytes} bytes or {self._budget.reads} reads"
            )
        data = self._source.read_at(offset, wanted)
        if len(data) != wanted:
            raise SourceChangedError(
                f"The source promised {self.size_bytes} bytes, but had {len(data)} of {wanted} "
                f"at byte {offset}."
            )
        if offset <= self._seen_until:
            self._seen_until = max(self._seen_until, offset + wanted)
        self._windows.append((offset, data))
        return data[:length]


class Cursor:
    """Reads a source forwards between two offsets.

    Args:
        source: Where the bytes are.
        start: First byte, an offset in the source.
        end: Offset behind the last byte that may be read; the end of the content by default.
    """

    def __init__(self, source: ByteSource, start: int = 0, end: int | None = None) -> None:
        self._source = source
        self._end = source.size_bytes if end is None else min(end, source.size_bytes)
        self._buffer = b""
        self._base = start
        self._at = 0

    @property
    def position(self) -> int:
        """Offset in the source of the next byte."""
        return self._base + self._at

    @property
    def remaining(self) -> int:
        """Bytes left before the end."""
        return self._end - self.position

    def window(self, needed: int) -> tuple[bytes, int]:
        """Return a buffer and the index in it where at least ``needed`` next bytes begin.

        Raises:
            TruncatedError: Fewer bytes are left.
        """
        if len(self._buffer) - self._at < needed:
            self._need(needed)
            position = self.position
            length = min(max(needed, CHUNK_BYTES), self._end - position)
            self._buffer = self._source.read_at(position, length)
            self._base, self._at = position, 0
        return self._buffer, self._at

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes.

        Raises:
            TruncatedError: Fewer bytes are left; nothing was read or allocated.
        """
        at = self._at
        if at + count > len(self._buffer):
            at = self.window(count)[1]
        self._at = at + count
        return self._buffer[at : at + count]

    def skip(self, count: int) -> None:
        """Step over ``count`` bytes without reading them.

        Raises:
            TruncatedError: Fewer bytes are left.
        """
        self._need(count)
        self._at += count

    def line(self, keep: int) -> bytes | None:
        r"""Step over the next ``\n`` and return what stands before it.

        Returns:
            The bytes without the line break, or ``None`` when they are more than ``keep``.

        Raises:
            TruncatedError: There is no line break before the end.
        """
        kept = b""
        while True:
            buffer, at = self.window(1)
            found = buffer.find(b"\n", at)
            end = len(buffer) if found < 0 else found
            if len(kept) <= keep:
                kept += buffer[at : min(end, at + keep + 1)]
            self._at = end
            if found >= 0:
                self._at += 1
                return kept if len(kept) <= keep else None

    def _need(self, count: int) -> None:
        if count > self._end - self.position:
            raise TruncatedError(
                "truncated",
                "The file ends too early; upload it again and compare its size.",
                where=f"byte {self.position}",
            )

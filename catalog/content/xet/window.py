"""A source read into one buffer, from which pieces are taken where they lie."""

from collections.abc import Callable

from catalog.content.xet.errors import XetFormatError
from store.storage import ByteSource


class Window:
    """The bytes of a source that came and were not given up yet.

    Args:
        source: Read once; straight into the buffer where it can (``readinto``).
        size_bytes: Of the buffer.
        max_bytes: More than that the source may not have.
    """

    def __init__(self, source: ByteSource, size_bytes: int, max_bytes: int) -> None:
        self._source = source
        self._read_into: Callable[[memoryview], int] = getattr(source, "readinto", self._copy)
        self.view = memoryview(bytearray(size_bytes))
        """The buffer; what is in it stays where it is until ``fill``."""
        self.start = 0
        """Where what is still to be looked at begins."""
        self._end = 0
        self._came_bytes, self._max_bytes = 0, max_bytes

    def fill(self) -> None:
        """Give up what lies before ``start``, and read until the buffer is full or all is read.

        Raises:
            XetFormatError: the source has more bytes than it may.
        """
        rest = self._end - self.start
        self.view[:rest] = self.view[self.start : self._end]
        self.start, self._end = 0, rest
        while self._end < len(self.view) and (came := self._read_into(self.view[self._end :])):
            self._end += came
            self._came_bytes += came
            if self._came_bytes > self._max_bytes:
                raise XetFormatError(f"A xorb is sent in at most {self._max_bytes} bytes.")

    @property
    def is_full(self) -> bool:
        """Whether more may come."""
        return self._end == len(self.view)

    @property
    def held(self) -> int:
        """How many bytes lie at ``start``."""
        return self._end - self.start

    def take(self, count: int) -> memoryview:
        """Return the next ``count`` bytes, which are there, as they lie in the buffer."""
        piece = self.view[self.start : self.start + count]
        self.start += count
        return piece

    def drain(self) -> None:
        """Read the rest and forget it."""
        while self.held:
            self.start = self._end
            self.fill()

    def _copy(self, target: memoryview) -> int:
        data = self._source.read(len(target))
        target[: len(data)] = data
        return len(data)

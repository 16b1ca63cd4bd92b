"""A pack as a stream of bytes: headers, inflation and checksum, each within bounds."""

import hashlib
import zlib
from collections.abc import Iterator
from typing import IO

from catalog.history.errors import BadPackError

SIZE_BITS = 60
"""A number of more bits is no size."""
_SUM_BYTES = 20
_READ_BYTES = 64 * 1024


class PackSource:
    """A pack read forward once, its checksum made on the way."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._buffer = memoryview(b"")
        self._sum = hashlib.sha1()  # noqa: S324 - git's
        self.place = 0
        """Bytes taken since the pack's first."""

    def take(self, count: int) -> bytes:
        """Return exactly ``count`` bytes."""
        pieces = []
        while count:
            piece = bytes(self._some()[:count])
            self._advance(len(piece))
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def size_line(self) -> tuple[int, int]:
        """Return (kind, size) of the entry that begins here."""
        byte = self.take(1)[0]
        kind, size, shift = (byte >> 4) & 7, byte & 15, 4
        while byte & 0x80:
            if shift > SIZE_BITS:
                raise BadPackError("An entry of the pack has a senseless size.")
            byte = self.take(1)[0]
            size |= (byte & 0x7F) << shift
            shift += 7
        return kind, size

    def distance(self) -> int:
        """Return how far back the base of an offset delta begins."""
        byte = self.take(1)[0]
        back = byte & 0x7F
        while byte & 0x80:
            if back >> SIZE_BITS:
                raise BadPackError("An entry of the pack has a senseless distance.")
            byte = self.take(1)[0]
            back = ((back + 1) << 7) | (byte & 0x7F)
        return back

    def inflated(self, size: int) -> bytes:
        """Return the ``size`` bytes that are deflated here."""
        return b"".join(self._pieces(size))

    def hashed(self, size: int) -> bytes:
        """Return the id of the blob of ``size`` bytes that is deflated here, unkept."""
        digest = hashlib.sha1(b"blob %d\0" % size)  # noqa: S324 - git's
        for piece in self._pieces(size):
            digest.update(piece)
        return digest.digest()

    def finish(self) -> None:
        """Check the pack's checksum, and that nothing comes after it."""
        expected = self._sum.digest()
        if self.take(_SUM_BYTES) != expected:
            raise BadPackError("The pack's checksum is wrong: it was damaged on its way.")
        if self._buffer or self._file.read(1):
            raise BadPackError("There is something behind the pack's end.")

    def _pieces(self, size: int) -> Iterator[bytes]:
        """Inflate, a piece at a time, never more than was announced."""
        stream, left = zlib.decompressobj(), size
        while not stream.eof:
            given = self._some()
            try:  # one byte more than is due shows that there is too much
                piece = stream.decompress(given, min(left + 1, _READ_BYTES))
            except zlib.error as exc:
                raise BadPackError("An entry of the pack cannot be inflated.") from exc
            rest = stream.unused_data if stream.eof else stream.unconsumed_tail
            used = len(given) - len(rest)
            if len(piece) > left or not (used or piece or stream.eof):
                raise BadPackError("An entry of the pack is larger than it says.")
            self._advance(used)
            left -= len(piece)
            if piece:
                yield piece
        if left:
            raise BadPackError("An entry of the pack is smaller than it says.")

    def _some(self) -> memoryview:
        if not self._buffer:
            self._buffer = memoryview(self._file.read(_READ_BYTES))
            if not self._buffer:
                raise BadPackError("The pack ends too early.")
        return self._buffer

    def _advance(self, count: int) -> None:
        self._sum.update(self._buffer[:count])
        self._buffer = self._buffer[count:]
        self.place += count

"""Git's framing: lines with their length before them (gitprotocol-common(5)), and side bands."""

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import IO

from dulwich.protocol import pkt_line

from store.core.errors import InvalidError

FLUSH = b"0000"
DELIM = b"0001"
MAX_DATA = 65_515
"""Bytes of data in one line of a side band."""
PACK_BAND, PROGRESS_BAND, FATAL_BAND = 1, 2, 3

_HEX = frozenset(b"0123456789abcdefABCDEF")


class BadLineError(InvalidError):
    """What came is not framed as git frames it."""

    code = "bad_pkt_line"


class Mark(Enum):
    """Lines without content."""

    FLUSH = 0
    DELIM = 1
    END = 2
    """The response's, or nothing is left."""


def read_line(source: IO[bytes]) -> bytes | Mark:
    """Return the next line, its end of line taken off, or a mark.

    Raises:
        BadLineError: it is malformed, or ends in the middle.
    """
    head = source.read(4)
    if not head:
        return Mark.END
    if len(head) != 4 or not _HEX.issuperset(head):
        raise BadLineError("This is not git's protocol.")
    length = int(head, 16)
    if length < 3:
        return Mark(length)
    data = source.read(length - 4) if length > 4 else b""
    if length == 3 or len(data) != length - 4:
        raise BadLineError("A line ends in the middle.")
    return data.removesuffix(b"\n")


def read_section(source: IO[bytes]) -> tuple[list[bytes], Mark]:
    """Return the lines up to the next mark, and the mark."""
    lines = []
    while not isinstance(line := read_line(source), Mark):
        lines.append(line)
    return lines, line


def line(text: str) -> bytes:
    """Return ``text`` as one line."""
    return bytes(pkt_line(text.encode() + b"\n"))


def on_band(band: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield ``pieces`` as lines of a side band."""
    prefix = bytes([band])
    for piece in pieces:
        for start in range(0, len(piece), MAX_DATA):
            yield bytes(pkt_line(prefix + piece[start : start + MAX_DATA]))


def remark(text: str, *, band: int = PROGRESS_BAND) -> bytes:
    """Return something for a person to read: git prints it behind ``remote:``."""
    return b"".join(on_band(band, [f"{text}\n".encode()]))

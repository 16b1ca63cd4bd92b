"""A heat map as a PNG of our own: a few kilobytes, right on light and on dark."""

import base64
import struct
import zlib

_INK = bytes((13, 128, 124))
"""Between the accents of the light and the dark theme; how much shows is the value."""


def heatmap_png(levels: bytes, side: int) -> bytes:
    """Return a square picture in which 0 is clear and 255 is full.

    Args:
        levels: ``side * side`` values, row by row.
        side: Pixels in each direction.

    Raises:
        ValueError: the number of values is another.
    """
    if len(levels) != side * side:
        raise ValueError(f"{len(levels)} values are no {side} x {side}.")
    rows = b"".join(b"\0" + levels[at : at + side] for at in range(0, side * side, side))
    head = struct.pack(">IIBBBBB", side, side, 8, 3, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", head),
            _chunk(b"PLTE", _INK * 256),
            _chunk(b"tRNS", bytes(range(256))),
            _chunk(b"IDAT", zlib.compress(rows, 9)),
            _chunk(b"IEND", b""),
        )
    )


def data_uri(png: bytes) -> str:
    """Return a picture as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

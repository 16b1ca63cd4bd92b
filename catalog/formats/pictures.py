"""Check that a picture is a picture from its first to its last byte, without decoding it.

What follows the end of a picture is invisible in it: a zip or a script can ride there. Drawn
pictures (SVG) are programs when they hold scripts; plain ones are welcome in a README.
"""

import re
import struct
from collections.abc import Callable

from catalog.formats.errors import PictureError
from catalog.formats.kinds import Kind
from catalog.formats.sources import MIB, ByteSource

MAX_SVG_BYTES = 4 * MIB
_MAX_CHUNKS = 100_000
_ACTIVE_SVG = re.compile(
    r"<\s*(?:[\w.-]{1,40}:)?(?:script|foreignobject|iframe|embed|object|handler)\b"
    r"|\bon[a-z]{3,30}\s{0,20}=|javascript:|data:text/html|<!entity|<\?xml-stylesheet",
    re.IGNORECASE,
)


def check_picture(source: ByteSource, kind: Kind, spend: Callable[[int], None]) -> None:
    """Check the frame of a PNG, JPEG, GIF or WebP file.

    Args:
        source: The file.
        kind: Which of the four it is.
        spend: Called with the number of chunks read; raises to give up.

    Raises:
        PictureError: It is cut short, damaged, or something follows its end.
    """
    if kind is Kind.PNG:
        _check_png(source, spend)
    elif kind is Kind.WEBP:
        length = int.from_bytes(source.read_at(4, 4), "little") + 8
        if length + (length & 1) != source.size_bytes + (source.size_bytes & 1):
            raise _odd_end()
    else:
        end = b"\xff\xd9" if kind is Kind.JPEG else b";"
        if source.read_at(source.size_bytes - len(end), len(end)) != end:
            raise _odd_end()


def _check_png(source: ByteSource, spend: Callable[[int], None]) -> None:
    at = 8
    for number in range(_MAX_CHUNKS):
        spend(1)
        header = source.read_at(at, 8)
        if len(header) < 8 or (number == 0 and header != b"\0\0\0\rIHDR"):
            raise _odd_end()
        length, name = struct.unpack(">L4s", header)
        at += 12 + length
        if name == b"IEND":
            if at != source.size_bytes or length:
                raise _odd_end()
            return
    raise _odd_end()


def _odd_end() -> PictureError:
    return PictureError(
        "picture_end",
        "The picture is cut short or something follows its end; save it again with an image "
        "program.",
    )


def check_svg(source: ByteSource) -> None:
    """Check that an SVG holds nothing that runs.

    Raises:
        PictureError: It is too large to check, or has scripts, handlers or foreign content.
    """
    if source.size_bytes > MAX_SVG_BYTES:
        raise PictureError(
            "svg_too_large",
            f"The drawing has more than {MAX_SVG_BYTES:,} bytes; export it as PNG.",
        )
    text = source.read_at(0, source.size_bytes).decode("utf-8", "replace")
    found = _ACTIVE_SVG.search(text)
    if found:
        raise PictureError(
            "svg_active",
            "The drawing holds scripts or foreign content, so it is only offered as a download; "
            "export it as a plain SVG or PNG.",
            where=f"character {found.start()}",
        )

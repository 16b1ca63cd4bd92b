"""Fonts of documents, and what they cannot draw.

DejaVu Sans has Latin, Cyrillic, Greek, Armenian, Georgian, Hebrew and Arabic; Droid Sans Fallback
has Han, kana and hangul. They are packed in ``fonts/`` beside their licenses: unpacked they take
4.9 MB, packed 1.8 MB. A document carries only the shapes it uses.
"""

import lzma
import unicodedata
from collections.abc import Iterable
from functools import cache
from io import BytesIO
from pathlib import Path

from fontTools.ttLib import TTFont

FOLDER = Path(__file__).parent / "fonts"
REGULAR, BOLD, FALLBACK = "DejaVuSans", "DejaVuSans-Bold", "DroidSansFallback"
UNDRAWN = "\N{REPLACEMENT CHARACTER}"
"""Stands for what no font has, so that nobody takes the rest for the whole."""
_INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})
_SHAPED = frozenset({"R", "AL", "NSM"})
"""Bidirectional classes: from right to left, joined letters, and marks that are placed."""


@cache
def font_bytes(name: str) -> bytes:
    """Return a font as a TrueType file. Unpacked once per process."""
    return lzma.decompress((FOLDER / f"{name}.ttf.xz").read_bytes())


@cache
def coverage(name: str) -> frozenset[int]:
    """Return the code points a font has a shape for."""
    with TTFont(BytesIO(font_bytes(name))) as font:
        return frozenset(font.getBestCmap())


def drawable(text: str) -> str:
    """Return ``text`` with ``UNDRAWN`` for each character that would leave no trace on paper.

    That is what no font has, and what controls direction or width.
    """
    return "".join(map(_drawable_char, text))


def undrawn(texts: Iterable[str]) -> list[str]:
    """Return the characters of the texts that ``drawable`` replaces, sorted, each once."""
    chars = {char for text in texts for char in text}
    return sorted(char for char in chars if _drawable_char(char) == UNDRAWN != char)


def needs_fallback(text: str) -> bool:
    """Whether anything in it can only be drawn with ``FALLBACK``."""
    return any(ord(char) not in coverage(REGULAR) for char in drawable(text))


def needs_shaping(text: str) -> bool:
    """Whether its letters join, stack or run from right to left."""
    return any(unicodedata.bidirectional(char) in _SHAPED for char in text)


def _drawable_char(char: str) -> str:
    category = unicodedata.category(char)
    if category in _INVISIBLE:
        return UNDRAWN
    if ord(char) in coverage(REGULAR):
        return char
    if category == "Zs":
        return " "
    # nine in ten documents end here without ever reading the large font
    return char if ord(char) in coverage(FALLBACK) else UNDRAWN

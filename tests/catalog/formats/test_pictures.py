import struct
import zlib

import pytest

from catalog.formats.errors import PictureError
from catalog.formats.kinds import PICTURES, Kind
from catalog.formats.pictures import MAX_SVG_BYTES, check_picture, check_svg
from catalog.formats.sources import BytesSource
from catalog.formats.verdicts import Verdict
from tests.catalog.formats.files import Hollow, judged


def free(steps: int) -> None:
    """Cost nothing."""


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))


IHDR = chunk(b"IHDR", struct.pack(">LLBBBBB", 1, 1, 8, 0, 0, 0, 0))
IDAT = chunk(b"IDAT", zlib.compress(b"\0\0"))
IEND = chunk(b"IEND", b"")
PNG = b"\x89PNG\r\n\x1a\n" + IHDR + IDAT + IEND
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(20) + b"\xff\xd9"
GIF = b"GIF89a\1\0\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
WEBP = b"RIFF" + struct.pack("<L", 16) + b"WEBPVP8 " + bytes(8)
PICTURES_BY_KIND = {Kind.PNG: PNG, Kind.JPEG: JPEG, Kind.GIF: GIF, Kind.WEBP: WEBP}


def test_there_is_a_sample_of_each() -> None:
    assert set(PICTURES_BY_KIND) == PICTURES


@pytest.mark.parametrize("kind", PICTURES_BY_KIND)
def test_a_picture_is_clean(kind: Kind) -> None:
    report = judged(PICTURES_BY_KIND[kind], f"figure.{kind.value}")

    assert (report.verdict, report.kind, report.matches_name) == (Verdict.CLEAN, kind, True)


@pytest.mark.parametrize("kind", PICTURES_BY_KIND)
@pytest.mark.parametrize("behind", [b"PK\x03\x04", b"<script>", b"\0" * 100])
def test_something_behind_a_picture_is_unknown(kind: Kind, behind: bytes) -> None:
    report = judged(PICTURES_BY_KIND[kind] + behind, f"figure.{kind.value}")

    assert (report.verdict, report.code) == (Verdict.UNKNOWN, "picture_end")


@pytest.mark.parametrize("kind", PICTURES_BY_KIND)
def test_a_picture_cut_short_is_unknown(kind: Kind) -> None:
    report = judged(PICTURES_BY_KIND[kind][:-3], f"figure.{kind.value}")

    assert (report.verdict, report.code) == (Verdict.UNKNOWN, "picture_end")


@pytest.mark.parametrize(
    "data",
    [
        PNG[:8] + IDAT + IEND,
        PNG[:8] + IHDR + IDAT,
        PNG[:8] + IHDR + struct.pack(">L4s", 2**31, b"IDAT") + IEND,
        PNG[:8] + IHDR + chunk(b"IEND", b"x"),
    ],
)
def test_an_odd_png_is_refused(data: bytes) -> None:
    with pytest.raises(PictureError):
        check_picture(BytesSource(data), Kind.PNG, free)


def test_a_png_of_endless_chunks_is_refused() -> None:
    data = PNG[:8] + IHDR + chunk(b"tEXt", b"") * 100_001 + IEND

    with pytest.raises(PictureError):
        check_picture(BytesSource(data), Kind.PNG, free)


SVG = (
    b"<svg xmlns='http://www.w3.org/2000/svg'><path d='M0 0h1'/><text>on time = money</text></svg>"
)


def test_a_plain_drawing_is_clean_but_never_shown_inline() -> None:
    report = judged(SVG, "logo.svg")

    assert (report.verdict, report.kind, report.is_active) == (Verdict.CLEAN, Kind.SVG, True)


@pytest.mark.parametrize(
    "part",
    [
        b"<script>x</script>", b"<SCRIPT/>", b"<s:script xmlns:s='x'/>", b"<a onclick='x'/>",
        b"<a onload = 'x'/>", b"<a href='JavaScript:x'/>", b"<foreignObject/>", b"<iframe/>",
        b"<embed/>", b"<object/>", b"<a href='data:text/html,x'/>", b"<handler/>",
    ],
)  # fmt: skip
def test_a_drawing_with_scripts_is_unknown(part: bytes) -> None:
    report = judged(SVG.replace(b"</svg>", part + b"</svg>"), "logo.svg")

    assert (report.verdict, report.code) == (Verdict.UNKNOWN, "svg_active")


def test_entities_in_a_drawing_are_unknown() -> None:
    data = b"<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY a 'b'>]><svg>&a;</svg>"

    assert judged(data, "logo.svg").code == "svg_active"


def test_a_huge_drawing_is_refused_unread() -> None:
    with pytest.raises(PictureError) as caught:
        check_svg(Hollow(SVG, MAX_SVG_BYTES + 1))

    assert caught.value.code == "svg_too_large"


def test_a_drawing_that_is_no_text_is_unknown() -> None:
    report = judged(SVG + b" " * 70_000 + b"\xff", "logo.svg")

    assert (report.verdict, report.code) == (Verdict.UNKNOWN, "not_text")

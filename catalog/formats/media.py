"""Tell pictures, films and sounds by their first bytes, as browsers play them."""

from catalog.formats.errors import PictureError
from catalog.formats.kinds import PICTURES
from catalog.formats.pictures import check_picture
from catalog.formats.sniff import sniff
from catalog.formats.sources import AT_ONCE, ByteSource, MeteredSource

_PICTURE_TYPES = {kind: f"image/{kind.value}" for kind in PICTURES}
_QUICKTIME = b"qt  "
_EBML = b"\x1a\x45\xdf\xa3"
_HEAD_BYTES = 4096
_MPEG_SYNC = 0xE0
"""The upper three bits of the second byte of an MPEG frame, behind one of ones."""
_MPEG_RATE_BITS, _BAD_RATE = 0xF0, 0xF0


def media_type_of(source: ByteSource) -> str:
    """Return the media type of an attachment; empty when it is none that is taken.

    Raises:
        PictureError: It is a picture that is cut short, or with something behind its end.
        OverBudgetError: It has too many parts to look at.
    """
    metered = MeteredSource(source, AT_ONCE)
    head = metered.read_at(0, _HEAD_BYTES)
    if kind := _film_or_sound(head):
        return kind
    found = sniff(metered, "attachment").kind
    if found not in PICTURES:
        return ""
    check_picture(metered, found, metered.spend)
    return _PICTURE_TYPES[found]


def _film_or_sound(head: bytes) -> str:
    if head[4:8] == b"ftyp":
        return "video/quicktime" if head[8:12] == _QUICKTIME else "video/mp4"
    if head[:4] == _EBML:
        return "video/webm" if b"webm" in head[:64] else ""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "audio/wav"
    if head[:3] == b"ID3" or _is_mpeg_frame(head):
        return "audio/mpeg"
    return ""


def _is_mpeg_frame(head: bytes) -> bool:
    """Whether an MPEG audio frame begins here: sync, a real version, layer and bit rate."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & _MPEG_SYNC != _MPEG_SYNC:
        return False
    has_version = head[1] & 0x18 != 0x08
    has_layer = head[1] & 0x06 != 0x00
    return has_version and has_layer and head[2] & _MPEG_RATE_BITS != _BAD_RATE


__all__ = ["PictureError", "media_type_of"]

"""How a file is announced to a browser: its type and the name to save it under."""

import mimetypes

from catalog.formats.kinds import TEXTS, Kind

OPAQUE = "application/octet-stream"
PLAIN = "text/plain; charset=utf-8"
_PICTURES = {
    Kind.PNG: "image/png",
    Kind.JPEG: "image/jpeg",
    Kind.GIF: "image/gif",
    Kind.WEBP: "image/webp",
}
_SAFE_NAMES = {"application/zip", "application/gzip", "application/pdf"}


def content_type_for(path: str, kind: str) -> str:
    """Return a type that no browser executes: pictures as such, all text as plain text.

    Args:
        path: The file's path; its ending may choose among harmless types.
        kind: What the scanner saw (``catalog.formats.kinds.Kind``); empty when it has not looked.
    """
    if kind == Kind.JSON:
        return "application/json"
    if kind in _PICTURES:
        return _PICTURES[Kind(kind)]
    if kind in TEXTS:
        return PLAIN
    guessed = mimetypes.guess_type(path)[0]
    return guessed if guessed in _SAFE_NAMES else OPAQUE

"""How a file is announced to a browser: by a type that no browser executes."""

from catalog.formats.kinds import TEXTS, Kind, ending

OPAQUE = "application/octet-stream"
PLAIN = "text/plain; charset=utf-8"
_BY_KIND: dict[str, str] = {
    **dict.fromkeys(TEXTS, PLAIN),  # HTML, SVG and XML included
    Kind.JSON: "application/json",
    Kind.PNG: "image/png",
    Kind.JPEG: "image/jpeg",
    Kind.GIF: "image/gif",
    Kind.WEBP: "image/webp",
}
_BY_ENDING = {"zip": "application/zip", "gz": "application/gzip", "tgz": "application/gzip"}
"""Harmless whatever the bytes are. No PDF, which may hold scripts, and no table of the machine's
own (``mimetypes``), which may know anything."""


def content_type_for(path: str, kind: str) -> str:
    """Return a type that no browser executes: pictures as such, all text as plain text.

    Args:
        path: The file's path; its ending may choose among harmless types.
        kind: What the scanner saw (``catalog.formats.kinds.Kind``); empty when it has not looked.
    """
    return _BY_KIND.get(kind) or _BY_ENDING.get(ending(path), OPAQUE)

"""A ``Content-Disposition`` that a hostile file name cannot turn into anything else."""

import unicodedata
from urllib.parse import quote

_MAX_BYTES = 240
"""Longest name in bytes of UTF-8: common file systems take 255, browsers add `` (1)``."""
_MAX_SUFFIX_CHARS = 16
_SAFE_ASCII = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !#$&'()+,-.=@[]^_`{}~"
)
"""Without ``"``, ``\\`` and ``;`` (quoting), ``%`` (some browsers decode it), ``/:*?<>|``."""


def content_disposition(filename: str, *, inline: bool) -> str:
    """Return the header's value for saving under ``filename``: one line of plain ASCII.

    Both forms of RFC 6266 §4.3, the exact one first, and the ``;`` at the end without which
    ``huggingface_hub`` does not recognize the second.

    Args:
        filename: From a stranger: any text of any length. Control, bidirectional and other
            invisible characters, separators of paths and halves of surrogate pairs become ``_``;
            more than 240 bytes are cut off before the suffix.
        inline: Let a browser show the file if it can, instead of saving it.
    """
    name = _shortened("".join(_harmless(char) for char in filename))
    if not name.strip(". "):
        name = "download"
    plain = "".join(char if char in _SAFE_ASCII else "_" for char in name)
    exact = quote(name, safe="", encoding="utf-8")
    kind = "inline" if inline else "attachment"
    return f"{kind}; filename*=UTF-8''{exact}; filename=\"{plain}\";"


def _harmless(char: str) -> str:
    """Return ``char``, or ``_`` for a separator and all that is not seen (Unicode C*, Zl, Zp)."""
    category = unicodedata.category(char)
    return "_" if char in "/\\" or category[0] == "C" or category in {"Zl", "Zp"} else char


def _shortened(name: str) -> str:
    if len(name.encode()) <= _MAX_BYTES:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix) > _MAX_SUFFIX_CHARS:
        stem, dot, suffix = name, "", ""
    room = _MAX_BYTES - len((dot + suffix).encode())
    return stem.encode()[:room].decode(errors="ignore") + dot + suffix

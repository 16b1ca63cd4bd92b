"""What can be wrong with a stranger's file, and how to say it.

These are no ``StoreError``: nothing failed. They are findings about bytes, which
``catalog.formats.verdicts`` turns into a verdict that is stored and shown.
"""

MAX_REASON_CHARS = 500
"""Longest reason a verdict keeps, in characters (the column behind it has this width)."""


def shown(text: object, limit: int = 60) -> str:
    """Return a stranger's ``text`` so that it can stand in a sentence.

    Control characters, line breaks, bidi marks and lone surrogates become escapes; what is longer
    than ``limit`` characters is cut.
    """
    raw = str(text)
    cut = raw[:limit]
    safe = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)
    return f"'{safe}…'" if len(raw) > limit else f"'{safe}'"


class FormatError(ValueError):
    """The bytes break a rule of the format they claim to be.

    Args:
        code: Stable machine name of the rule, ``snake_case``, at most 64 characters.
        reason: One plain sentence for the publisher: what is wrong and what to do next.
        where: The place, for example ``"tensor 'wte.weight'"`` or ``"byte 8"``; may be empty.
    """

    def __init__(self, code: str, reason: str, *, where: str = "") -> None:
        super().__init__(f"{reason} ({where})" if where else reason)
        self.code = code
        self.reason = reason
        self.where = where


class TruncatedError(FormatError):
    """The file ends before the thing it announced."""


class SafetensorsError(FormatError):
    """A safetensors header breaks a rule."""


class GgufError(FormatError):
    """A GGUF header breaks a rule."""


class JsonError(FormatError):
    """A JSON file is not strict JSON, or lacks the shape its name promises."""


class ZipError(FormatError):
    """A zip container is not put together the way its writers do it."""


class PickleError(FormatError):
    """A pickle does something other than rebuild plain tensors."""


class PictureError(FormatError):
    """A picture is broken or carries something behind it."""


class SentencePieceError(FormatError):
    """A SentencePiece model breaks a rule."""

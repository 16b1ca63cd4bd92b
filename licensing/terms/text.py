"""The text of terms: one form for all, a hash that stands for it, and blanks filled at issue."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping

from django.utils.translation import gettext as _

from store.core.errors import InvalidError, TooLargeError

MAX_BYTES = 100_000
"""Of the normalized text in UTF-8; the GPL, the longest anybody uses, has a third of that."""
TAB = 4
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that make text read in another order than it is stored, and signed."""
_BREAKS = re.compile("\r\n?|[\v\f\x85\u2028\u2029]")

PLACEHOLDERS = ("licensee", "licensor", "model", "seats", "term", "year")
"""Blanks of our texts, written ``{licensee}``. Anything else in braces is plain text."""
_BLANK = re.compile(rf"\{{({'|'.join(PLACEHOLDERS)})\}}")


class BadTermsError(InvalidError):
    """The text cannot be the terms of a license: it is empty, or hides something."""

    code = "bad_terms"


class TermsTooLargeError(TooLargeError):
    """The terms are longer than ``MAX_BYTES``."""

    code = "terms_too_large"


class BlankTermsError(InvalidError):
    """A blank of the text has nothing to be filled with."""

    code = "blank_terms"


def normalize_terms(text: str) -> str:
    r"""Return ``text`` in the one form that is shown, hashed and kept. Safe to repeat.

    Unicode NFC, lines end in ``\n``, tabs are spaces, no spaces at line ends, no empty lines
    around it, one line end after it.

    Raises:
        TermsTooLargeError: more than ``MAX_BYTES``.
        BadTermsError: nothing is left, or there are control characters, halves of characters or
            marks that turn the reading direction around.
    """
    _check_size(text)
    text = unicodedata.normalize("NFC", _BREAKS.sub("\n", text.removeprefix("\ufeff")))
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        for char in line:
            if char != "\t" and _is_hidden(char):
                raise BadTermsError(
                    _("Line %(line)d has a hidden character (U+%(code)04X). Take it out.")
                    % {"line": number, "code": ord(char)},
                    line=number,
                )
    text = "\n".join(line.expandtabs(TAB).rstrip() for line in lines).strip("\n")
    if not text:
        raise BadTermsError(_("The terms are empty. Write them, or choose a template."))
    text += "\n"
    _check_size(text)
    return text


def terms_sha256(text: str) -> str:
    """Return the hash that stands for the terms: of the normalized text in UTF-8, 64 hex digits.

    Raises:
        TermsTooLargeError, BadTermsError: as ``normalize_terms``.
    """
    return hashlib.sha256(normalize_terms(text).encode()).hexdigest()


def blanks(text: str) -> list[str]:
    """Return the names of the blanks in a text of ours, each once, in order."""
    return list(dict.fromkeys(_BLANK.findall(text)))


def fill_terms(text: str, values: Mapping[str, str]) -> str:
    """Return a text of ours with its blanks filled, all in one pass.

    Values become one line without hidden characters, and braces in them fill nothing: nobody's
    name can add a clause.

    Raises:
        BlankTermsError: a blank has no value, or an empty one.
    """
    clean = {name: _one_line(value) for name, value in values.items()}
    missing = [name for name in blanks(text) if not clean.get(name)]
    if missing:
        raise BlankTermsError(
            _("These terms need a value for: %(names)s.") % {"names": ", ".join(missing)},
            missing=missing,
        )
    return _BLANK.sub(lambda found: clean[found[1]], text)


def _one_line(value: str) -> str:
    spaced = "".join(" " if char.isspace() else char for char in value)
    shown = "".join(char for char in spaced if not _is_hidden(char))
    return " ".join(unicodedata.normalize("NFC", shown).split())


def _is_hidden(char: str) -> bool:
    return char in _BIDI or char == "\ufeff" or unicodedata.category(char) in {"Cc", "Cs"}


def _check_size(text: str) -> None:
    size_bytes = len(text.encode(errors="surrogatepass"))
    if size_bytes > MAX_BYTES:
        raise TermsTooLargeError(
            _("Terms have at most %(most)d bytes; these have %(given)d. Shorten them.")
            % {"most": MAX_BYTES, "given": size_bytes},
            most_bytes=MAX_BYTES,
        )

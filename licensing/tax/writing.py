"""Names and addresses that will stand on documents: any script, no tricks.

A line is brought to Unicode's form NFC and single spaces. Refused is what cannot be seen or makes
one text look like another:

- control, format (zero-width, bidi), private and unassigned characters, and letters that show as
  nothing. That includes the joiners some scripts use inside words; names are legible without them;
- letters of mathematics, which look like Latin ones (``U+1D400`` and on);
- more than three combining marks in a row;
- a word with letters of two scripts, as ``Acme`` with a Cyrillic ``a``, unless they are written
  together (Chinese, Japanese and Korean with Latin). Words of different scripts may stand side by
  side, as in the names of many companies. A word all of whose letters are of one script passes
  although each may have a Latin double: such words exist.

Scripts are those of ``confusable-homoglyphs``, taken from the Unicode character database.
"""

import re
import unicodedata
from functools import lru_cache

from confusable_homoglyphs.categories import alias
from django.utils.translation import gettext as _

from store.core.errors import InvalidError

MAX_MARKS = 3
"""Combining marks in a row; Vietnamese needs two where NFC leaves them, Hebrew up to three."""
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Marks, letters and symbols that show as nothing."""
_SELECTORS = re.compile("[\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Variation selectors: invisible, and two texts with and without look alike."""
_NEUTRAL = frozenset({"COMMON", "INHERITED"})
_TOGETHER = (
    frozenset({"LATIN", "HAN", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "HAN", "BOPOMOFO"}),
    frozenset({"LATIN", "HAN", "HANGUL"}),
)
"""Scripts that one word may mix (Unicode Technical Standard 39, "highly restrictive")."""


class BadTextError(InvalidError):
    """A line that must not stand on a document; the message says why.

    Args:
        message: What is wrong.
        reason: ``empty``, ``too_long``, ``invisible``, ``look_alike`` or ``marks``.
    """

    code = "bad_text"

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message, reason=reason)
        self.reason = reason


_OF_LINES_AND_EMOJI = "\r\n\u200d\ufe0f"


def hides_characters(text: str) -> bool:
    """Whether a text has characters that cannot be seen; ends of lines and emoji may stand."""
    return any(_is_invisible(char) for char in text if char not in _OF_LINES_AND_EMOJI)


def read_line(text: str, *, max_chars: int) -> str:
    """Return a line somebody wrote, fit for a document.

    Args:
        text: One line.
        max_chars: How long it may be, in characters, once it is tidied up.

    Raises:
        BadTextError: it is empty, too long, or has something of what the module lists.
    """
    if len(text) > 4 * max_chars:  # before any work; NFC makes nothing four times shorter
        raise _too_long(max_chars)
    line = " ".join(unicodedata.normalize("NFC", text).split())
    if len(line) > max_chars:
        raise _too_long(max_chars)
    if any(_is_invisible(char) for char in line):
        raise BadTextError(
            _("It contains characters that cannot be seen. Type it anew instead of pasting it."),
            reason="invisible",
        )
    if not any(unicodedata.category(char)[0] in "LN" for char in line):
        raise BadTextError(_("Write at least one letter or digit."), reason="empty")
    if _has_pile_of_marks(line):
        raise BadTextError(_("It has too many accents on one letter."), reason="marks")
    for word in _words(line):
        if not _is_one_writing(word):
            raise BadTextError(
                _("'%(word)s' mixes letters of several alphabets that look alike.")
                % {"word": word[:40]},
                reason="look_alike",
            )
    return line


def _too_long(max_chars: int) -> BadTextError:
    return BadTextError(
        _("Use at most %(most)d characters.") % {"most": max_chars}, reason="too_long"
    )


def _is_invisible(char: str) -> bool:
    return (
        unicodedata.category(char)[0] == "C" or char in _BLANK or _SELECTORS.match(char) is not None
    )


def _has_pile_of_marks(line: str) -> bool:
    row = 0
    for char in line:
        row = row + 1 if unicodedata.category(char)[0] == "M" else 0
        if row > MAX_MARKS:
            return True
    return False


def _words(line: str) -> list[str]:
    """Return the runs of letters, marks and digits."""
    parts = (char if unicodedata.category(char)[0] in "LMN" else " " for char in line)
    return "".join(parts).split()


def _is_one_writing(word: str) -> bool:
    if any(unicodedata.decomposition(char).startswith("<font>") for char in word):
        return False
    scripts = frozenset(_script(char) for char in word) - _NEUTRAL
    return len(scripts) < 2 or any(scripts <= together for together in _TOGETHER)


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    return str(alias(char))

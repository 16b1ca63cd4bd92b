"""Names as they may stand on invoices: any script, but nothing hidden and nothing disguised."""

import unicodedata

from django.utils.translation import gettext as _
from fontTools.unicodedata import script

from store.core.errors import InvalidError

MAX_NAME_CHARS = 200
MAX_MARKS = 4
"""Accents on one letter; more of them reach over the lines above and below."""

_HIDDEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Control, direction and zero-width, unassigned, private use, half pairs, ends of lines."""
_BLANK = frozenset(
    [
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),  # fillers
        *(*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)),  # selectors
    ]
)
"""Characters that take no ink though they count as letters or marks."""
_ALIKE = frozenset({"Latn", "Cyrl", "Grek", "Armn", "Cher", "Copt", "Lisu"})
"""Scripts with capitals of the same shape; a word is written in one of them."""


class BadNameError(InvalidError):
    """The name cannot stand on a document; the message names the character or the rule."""

    code = "bad_name"


class LookalikeNameError(BadNameError):
    """Letters of one word come from scripts that look alike: it may pretend to be another."""

    code = "lookalike_name"


def clean_name(text: str) -> str:
    """Return ``text`` composed (NFC), with single plain spaces.

    Names wholly in one script pass, whichever it is; so do Latin words among Chinese ones.

    Raises:
        BadNameError: empty, longer than ``MAX_NAME_CHARS``, without a letter or digit, or with a
            character nobody sees.
        LookalikeNameError: a word mixes scripts that look alike, or has letters in disguise.
    """
    if len(text) > MAX_NAME_CHARS * 4:  # before any work; composing shortens at most so much
        raise _bad_length()
    for char in text:
        if unicodedata.category(char) in _HIDDEN or ord(char) in _BLANK:
            raise BadNameError(
                _("A name cannot contain %(char)s, which nobody sees. Take it out.")
                % {"char": name_of(char)},
                code_point=ord(char),
            )
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not 1 <= len(name) <= MAX_NAME_CHARS:
        raise _bad_length()
    if not any(char.isalnum() for char in name):
        raise BadNameError(_("A name has at least one letter or digit."))
    _check_marks(name)
    for word in _words(name):
        _check_word(word)
    return name


def name_of(char: str) -> str:
    """Return a character as ``U+202E RIGHT-TO-LEFT OVERRIDE``."""
    return f"U+{ord(char):04X} {unicodedata.name(char, '')}".rstrip()


def _bad_length() -> BadNameError:
    return BadNameError(_("A name has 1 to %(most)d characters.") % {"most": MAX_NAME_CHARS})


def _is_mark(char: str) -> bool:
    return unicodedata.category(char) in {"Mn", "Me"}


def _check_marks(name: str) -> None:
    run = 0
    for char in name:
        run = run + 1 if _is_mark(char) else 0
        if run > MAX_MARKS:
            raise BadNameError(
                _("A letter has at most %(most)d accents. Take %(char)s out.")
                % {"most": MAX_MARKS, "char": name_of(char)},
                code_point=ord(char),
            )


def _words(name: str) -> list[str]:
    """Runs of letters, marks and digits."""
    spaced = (char if char.isalnum() or _is_mark(char) else " " for char in name)
    return "".join(spaced).split()


def _check_word(word: str) -> None:
    first: dict[str, str] = {}
    for char in word:
        if unicodedata.decomposition(char).startswith("<font>"):
            raise LookalikeNameError(
                _("%(char)s is a letter in disguise. Write the plain letter instead.")
                % {"char": name_of(char)},
                code_point=ord(char),
            )
        if (found := script(char)) in _ALIKE:
            first.setdefault(found, char)
        if len(first) > 1:
            raise LookalikeNameError(
                _("The word '%(word)s' mixes alphabets that look alike: %(chars)s.")
                % {"word": word, "chars": ", ".join(map(name_of, first.values()))},
                code_points=[ord(one) for one in first.values()],
            )

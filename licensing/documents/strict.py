"""Reads JSON the way signed bytes deserve: one spelling, no surprises.

The canonical form is that of RFC 8785 for what license files hold (objects with ASCII names,
lists, text, whole numbers, booleans, null): sorted names, no spaces, UTF-8, the shortest escapes.
"""

import base64
import binascii
import json
import re
from typing import Any, NoReturn

from licensing.documents.errors import MalformedLicenseError

MAX_INTEGER = 2**53 - 1
"""Larger whole numbers lose digits in other languages' JSON."""
MAX_DEPTH = 12
"""Levels of lists and objects; a license file has six."""
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
_HEX = re.compile(r"[0-9a-f]+")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)  # open ones too: it never backtracks
_BRACKET = re.compile(rb"[][{}]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def canonical(value: Any) -> bytes:
    """Return the one spelling of ``value`` as bytes.

    Raises:
        MalformedLicenseError: it holds text that is not Unicode, or a number that is not finite.
    """
    try:
        return json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        ).encode()
    except ValueError as error:  # lone surrogates included
        raise MalformedLicenseError("A text in the license is not valid Unicode.") from error


def read_json(data: bytes, *, what: str = "The license") -> Any:
    """Return the value in ``data``, which may be spelled in any way JSON allows.

    Raises:
        MalformedLicenseError: it is no JSON, names a member twice, has a fraction or a huge
            number, or is nested more than ``MAX_DEPTH`` deep.
    """
    try:
        if _depth(data) > MAX_DEPTH:
            _refuse(f"{what} is nested too deeply.")
        return json.loads(
            data.decode(),
            object_pairs_hook=_members,
            parse_float=_no_fraction,
            parse_constant=_no_fraction,
        )
    except (ValueError, RecursionError) as error:
        raise MalformedLicenseError(
            f"{what} is not readable. Download it again; do not edit it."
        ) from error


def read_canonical(data: bytes) -> Any:
    """Return the value in ``data``, which must be in the canonical form.

    Raises:
        MalformedLicenseError: see ``read_json``; or another spelling of the value.
    """
    value = read_json(data)
    if canonical(value) != data:
        _refuse("The license is not spelled as stores spell it. Download it again.")
    return value


def to_base64url(data: bytes) -> str:
    """Return ``data`` as base64url without padding (RFC 7515, appendix C)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Return the bytes that ``text`` stands for.

    Raises:
        MalformedLicenseError: other characters, padding, or spare bits that are not zero: one
            text for each sequence of bytes, so that no bit can be changed unnoticed.
    """
    if not _BASE64URL.fullmatch(text):
        _refuse("The license holds characters that do not belong there. Download it again.")
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise MalformedLicenseError("The license is cut off. Download it again.") from error
    if to_base64url(data) != text:
        _refuse("The license was changed. Download it again.")
    return data


class Fields:
    """The members of one object, each taken once and checked.

    Args:
        value: What stands where an object is expected.
        where: Its place in the document, for messages.
        names: Exactly the members it must have.
    """

    def __init__(self, value: Any, where: str, names: set[str]) -> None:
        if not isinstance(value, dict) or set(value) != names:
            listed = ", ".join(sorted(names))
            _refuse(f"{where} must have exactly these members: {listed}.")
        self.value: dict[str, Any] = value
        self.where = where

    def text(self, name: str, *, most_chars: int = 300, may_be_empty: bool = False) -> str:
        """Return a text without control characters."""
        found = self.value[name]
        if not isinstance(found, str) or len(found) > most_chars or _CONTROL.search(found):
            self._wrong(name)
        if not found and not may_be_empty:
            self._wrong(name)
        return str(found)

    def hex(self, name: str, *, chars: int) -> str:
        """Return a number in lower-case hex digits."""
        found = self.text(name)
        if len(found) != chars or not _HEX.fullmatch(found):
            self._wrong(name)
        return found

    def integer(self, name: str, *, least: int = 0, most: int = MAX_INTEGER) -> int:
        """Return a whole number (``true`` is none)."""
        found = self.value[name]
        if type(found) is not int or not least <= found <= most:
            self._wrong(name)
        return int(found)

    def integer_or_none(self, name: str) -> int | None:
        """Return a whole number, or ``None`` for null."""
        return None if self.value[name] is None else self.integer(name)

    def choice(self, name: str, among: tuple[str, ...]) -> str:
        """Return one of some words."""
        found = self.text(name)
        if found not in among:
            self._wrong(name)
        return found

    def boolean(self, name: str) -> bool:
        """Return true or false."""
        found = self.value[name]
        if not isinstance(found, bool):
            self._wrong(name)
        return bool(found)

    def items(self, name: str, *, least: int, most: int) -> list[Any]:
        """Return a list of so many values."""
        found = self.value[name]
        if not isinstance(found, list) or not least <= len(found) <= most:
            self._wrong(name)
        return list(found)

    def words(self, name: str, *, most: int) -> dict[str, str | int | bool]:
        """Return an object of short texts, whole numbers and booleans."""
        found = self.value[name]
        if not isinstance(found, dict) or len(found) > most:
            self._wrong(name)
        inner = Fields(found, f"{self.where}.{name}", set(found))
        return {key: inner.word(key) for key in sorted(found)}

    def word(self, name: str) -> str | int | bool:
        """Return a short text, a whole number or a boolean, under a plain name."""
        found = self.value[name]
        if not _NAME.fullmatch(name):
            self._wrong(name)
        if isinstance(found, bool):
            return found
        if isinstance(found, int):
            return self.integer(name)
        return self.text(name, may_be_empty=True)

    def _wrong(self, name: str) -> NoReturn:
        _refuse(f"{self.where}.{name} has a value that no license has.")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is named twice")
    return members


def _no_fraction(text: str) -> NoReturn:
    raise ValueError("only whole numbers")


def _depth(data: bytes) -> int:
    """Return how deep lists and objects are nested, in time that grows with the size alone."""
    deepest = depth = 0
    for mark in _BRACKET.findall(_TEXT.sub(b"", data)):
        depth += 1 if mark in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _refuse(message: str) -> NoReturn:
    raise MalformedLicenseError(message)

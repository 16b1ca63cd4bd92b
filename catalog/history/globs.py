"""The patterns of ``.gitattributes`` and ``.gitignore``, matched as git does, in bounded time.

Strangers write these files, so nothing here goes back: all patterns of a file are one machine that
reads a path once, a byte at a time. Its states are the bits of a number: "so much of this pattern
is matched", for every pattern and every place in it. A byte costs a few operations on that number,
whatever the patterns are.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

MAX_RULES = 2000
"""Lines of one file that are read; the rest is ignored."""
MAX_PATTERN_BYTES = 2048
"""A longer pattern is ignored, as git does in ``.gitattributes``: paths have half of it."""
MAX_STATES = 16_384
"""Bytes all patterns with wildcards may have together; what does not fit any more is ignored."""

_SLASH, _STAR, _QUESTION, _OPEN, _CLOSE, _ESCAPE, _DASH = b"/*?[]\\-"
_SPECIAL = b"*?[\\"
_ALL = frozenset(range(256)) - {_SLASH}
_SPACES = frozenset(b" \t\n\r\f\v")
_LOWER, _UPPER, _DIGITS = (frozenset(range(start, end + 1)) for start, end in (b"az", b"AZ", b"09"))
_VISIBLE = frozenset(range(33, 127))
_CLASSES = {
    b"alnum": _LOWER | _UPPER | _DIGITS,
    b"alpha": _LOWER | _UPPER,
    b"blank": frozenset(b" \t"),
    b"cntrl": frozenset(range(32)) | {127},
    b"digit": _DIGITS,
    b"graph": _VISIBLE,
    b"lower": _LOWER,
    b"print": _VISIBLE | {32},
    b"punct": _VISIBLE - _LOWER - _UPPER - _DIGITS,
    b"space": _SPACES,
    b"upper": _UPPER,
    b"xdigit": _DIGITS | frozenset(b"abcdefABCDEF"),
}


class _BrokenPatternError(Exception):
    """A pattern that never matches: an open bracket, an unknown class, an escape of nothing."""


def rule_lines(text: str, max_chars: int) -> list[bytes]:
    """Return the lines of a rules file, so much of it as is read."""
    data = text[:max_chars].encode("utf-8", "surrogatepass").removeprefix(b"\xef\xbb\xbf")
    return data.split(b"\n")[:MAX_RULES]


class Globs:
    """The patterns of one rules file, numbered in its order.

    Args:
        patterns: As they stand in the file, without a ``!`` before them.
    """

    def __init__(self, patterns: Iterable[bytes]) -> None:
        self._exact: dict[bytes, int] = {}
        """Patterns without wildcards: ``/`` and a path, or a name."""
        self._exact_folders: dict[bytes, int] = {}
        parts = _Parts()
        for number, pattern in enumerate(patterns):
            if len(pattern) <= MAX_PATTERN_BYTES:
                self._add(number, pattern, parts)
        self._parts = parts
        self._takes: dict[int, int] = {}
        self._crossing = _bits(parts.crossing)
        self._loops = _bits(parts.loops)
        self._any_loops = _bits(parts.any_loops)
        self._names = _bits(parts.names)
        self._ends = _bits(parts.ends)
        self._file_ends = _bits(end for end in parts.ends if end not in parts.folder_ends)
        self._begin = self._spread(_bits(parts.paths) | self._names)

    def _add(self, number: int, pattern: bytes, parts: "_Parts") -> None:
        only_folders = pattern.endswith(b"/")
        body = pattern[:-1] if only_folders else pattern
        is_path = b"/" in body
        body = body.removeprefix(b"/")
        if any(char in _SPECIAL for char in body):
            if parts.size + len(body) < MAX_STATES:
                parts.add(number, body, is_path=is_path, only_folders=only_folders)
        elif body:
            exact = self._exact_folders if only_folders else self._exact
            exact[b"/" + body if is_path else body] = number

    def deciding(self, path: str) -> Iterator[int]:
        """Yield the number of the last pattern that matches, or -1.

        For each folder above a file, from the top, and at the end for the file itself.
        """
        data = path.encode("utf-8", "surrogatepass")
        states, begin = self._begin, 0
        for at, byte in enumerate(data):
            if byte == _SLASH:
                folders = self._ends, (self._exact, self._exact_folders)
                yield self._last(states, data[:at], data[begin:at], *folders)
                begin = at + 1
            states = self._step(states, byte)
        yield self._last(states, data, data[begin:], self._file_ends, (self._exact,))

    def _last(
        self, states: int, path: bytes, name: bytes, ends: int, exact: Iterable[dict[bytes, int]]
    ) -> int:
        there = states & ends
        found = self._parts.ends[there.bit_length() - 1] if there else -1
        for known in exact:
            found = max(found, known.get(name, -1), known.get(b"/" + path, -1))
        return found

    def _step(self, states: int, byte: int) -> int:
        moved = (states & self._taking(byte)) << 1
        if byte == _SLASH:
            return self._spread(moved | (states & self._any_loops) | self._names)
        return self._spread(moved | (states & self._loops))

    def _spread(self, states: int) -> int:
        """``**/`` may also stand for nothing."""
        crossing = states & self._crossing
        return states | crossing << 1 | crossing << 2

    def _taking(self, byte: int) -> int:
        """Return the states that go on by ``byte``."""
        if byte not in self._takes:
            parts = self._parts
            sets = (at for at, wanted in parts.sets if byte in wanted)
            self._takes[byte] = _bits([*parts.literals[byte], *sets])
        return self._takes[byte]


@dataclass(slots=True)
class _Parts:
    """The states of all patterns with wildcards."""

    size: int = 0
    literals: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """States that go on by one byte."""
    sets: list[tuple[int, frozenset[int]]] = field(default_factory=list)
    """States that go on by several."""
    loops: list[int] = field(default_factory=list)
    """States that stay, by any byte but a slash."""
    any_loops: list[int] = field(default_factory=list)
    """States that stay, by any byte."""
    crossing: list[int] = field(default_factory=list)
    """States before a ``**/``."""
    paths: list[int] = field(default_factory=list)
    """Where patterns for paths begin."""
    names: list[int] = field(default_factory=list)
    """Where patterns for names begin, which are tried behind each slash."""
    ends: dict[int, int] = field(default_factory=dict)
    """The pattern that is matched, by state."""
    folder_ends: set[int] = field(default_factory=set)

    def add(self, number: int, body: bytes, *, is_path: bool, only_folders: bool) -> None:
        """Add the states of a pattern; those of a broken one lead nowhere."""
        (self.paths if is_path else self.names).append(self.size)
        try:
            self._add_body(body, is_path=is_path)
        except _BrokenPatternError:
            self.size += 1
            return
        self.ends[self.size] = number
        if only_folders:
            self.folder_ends.add(self.size)
        self.size += 1

    def _add_body(self, body: bytes, *, is_path: bool) -> None:
        at = 0
        first = next(place for place, char in enumerate(body) if char in _SPECIAL)
        while at < len(body):
            char = body[at]
            if char == _STAR:
                end = len(body) - len(body[at:].lstrip(b"*"))
                # git looks at what is before a star only from the first special character on
                is_free = at == first or body[at - 1] == _SLASH
                crosses = is_path and is_free and end - at > 1 and _is_part_end(body, end)
                at = self._add_stars(body, end, crosses=crosses)
            elif char == _QUESTION:
                at = self._add_set(_ALL, at + 1)
            elif char == _OPEN:
                at = self._add_set(*_bracket(body, at + 1))
            else:
                at += char == _ESCAPE
                if at == len(body):
                    raise _BrokenPatternError
                self._add_literal(body[at])
                at += 1

    def _add_literal(self, byte: int) -> None:
        self.literals[byte].append(self.size)
        self.size += 1

    def _add_set(self, wanted: frozenset[int], then: int) -> int:
        self.sets.append((self.size, wanted))
        self.size += 1
        return then

    def _add_stars(self, body: bytes, end: int, *, crosses: bool) -> int:
        if not crosses or body[end : end + 1] != b"/":
            self.loops.append(self.size)
            if crosses:
                self.any_loops.append(self.size)
            return end
        if not self.crossing or self.crossing[-1] != self.size - 2:  # twice is once
            self.crossing.append(self.size)
            self.size += 1
            self.loops.append(self.size)
            self.any_loops.append(self.size)
            self._add_literal(_SLASH)
        return end + 1


def _is_part_end(body: bytes, at: int) -> bool:
    return at == len(body) or body.startswith((b"/", b"\\/"), at)


def _bracket(body: bytes, at: int) -> tuple[frozenset[int], int]:
    """Return the bytes a bracket stands for, and where the pattern goes on behind it."""
    is_negated = body[at : at + 1] in {b"!", b"^"}
    at += is_negated
    wanted: set[int] = set()
    before: int | None = None
    is_first = True
    while True:
        char = _at(body, at)
        if char == _CLOSE and not is_first:
            break
        is_first = False
        if char == _ESCAPE:
            at += 1
            before = _at(body, at)
            wanted.add(before)
        elif char == _DASH and before and body[at + 1 : at + 2] not in {b"", b"]"}:
            at += 1 + (body[at + 1] == _ESCAPE)
            wanted |= set(range(before, _at(body, at) + 1))
            before = None
        elif char == _OPEN and (named := _named(body, at)) is not None:
            wanted |= named[0]
            at, before = named[1], None
        else:
            before = char
            wanted.add(char)
        at += 1
    return (_ALL - wanted if is_negated else frozenset(wanted - {_SLASH})), at + 1


def _named(body: bytes, at: int) -> tuple[frozenset[int], int] | None:
    """Return what ``[:name:]`` stands for and where it ends; ``None``: it is a bracket."""
    if body[at + 1 : at + 2] != b":":
        return None
    end = body.find(b"]", at + 2)
    if end < 0:
        raise _BrokenPatternError
    if end < at + 3 or body[end - 1 : end] != b":":
        return None
    found = _CLASSES.get(body[at + 2 : end - 1])
    if found is None:
        raise _BrokenPatternError
    return found, end


def _at(body: bytes, at: int) -> int:
    if at >= len(body):
        raise _BrokenPatternError
    return body[at]


def _bits(places: Iterable[int]) -> int:
    """Return a number with these bits set, in time that does not grow by its length each time."""
    data = bytearray()
    for place in places:
        if place >> 3 >= len(data):
            data.extend(bytes((place >> 3) + 1 - len(data)))
        data[place >> 3] |= 1 << (place & 7)
    return int.from_bytes(data, "little")

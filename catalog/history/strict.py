"""Reading git objects that strangers made: what git itself calls well-formed, and no more.

What breaks a rule here is refused before anything is written, so that every clone passes
``git fsck --strict``.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from dulwich.errors import ObjectFormatException
from dulwich.objects import parse_tree

from catalog.history.errors import BadObjectError, BadPathError
from catalog.history.objects import EXECUTABLE_MODE, FILE_MODE, LINK_MODE, TREE_MODE
from catalog.history.paths import check_path
from catalog.models import GitObject

MAX_PARENTS = 64
MAX_LINK_BYTES = 4095
"""Linux's PATH_MAX without its NUL: a longer target is no path."""
SUBMODULE_MODE = 0o160000

_IDENT = rb"(?:([^<>\n]*) )?<([^<>\n]*)> (\d{1,18}) ([+-]\d{4})\n"
_COMMIT = re.compile(
    rb"tree ([0-9a-f]{40})\n((?:parent [0-9a-f]{40}\n)*)author " + _IDENT + rb"committer " + _IDENT
)
_TAG = re.compile(
    rb"object ([0-9a-f]{40})\ntype (commit|tree|blob|tag)\ntag ([^\n]+)\n(?:tagger "
    + _IDENT
    + rb")?"
)
_HEADER = re.compile(rb"[^ \n]+ ")
_MAIN_HEADERS = (b"tree ", b"parent ", b"author ", b"committer ", b"object ", b"type ", b"tag ")
_LAST_SECOND = 253_402_214_400
"""The last day Python and PostgreSQL both know."""


class Line(NamedTuple):
    """One line of a tree. Tuples, because a push can have millions of them."""

    name: bytes
    mode: int
    oid: bytes
    """20 bytes."""


@dataclass(frozen=True, slots=True)
class CommitFacts:
    """What a commit object says. Ids are 20 bytes."""

    tree: bytes
    parents: tuple[bytes, ...]
    author: str
    email: str
    authored_at: datetime
    message: str

    @property
    def title(self) -> str:
        """The first line of the message."""
        return self.message.split("\n", 1)[0]

    @property
    def rest(self) -> str:
        """The message without its first line."""
        return self.message.partition("\n")[2].strip("\n")


@dataclass(frozen=True, slots=True)
class TagFacts:
    """What an annotated tag leads to: the id (20 bytes) and git's type number."""

    target: bytes
    kind: int


def read_commit(oid: bytes, data: bytes) -> CommitFacts:
    """Parse a commit object.

    Raises:
        BadObjectError: git would not call it well-formed.
    """
    match = _COMMIT.match(data)
    if match is None or b"\0" in data:
        raise _bad("commit", oid, "its header is malformed")
    parents = tuple(bytes.fromhex(line[7:].decode()) for line in match[2].splitlines())
    if len(parents) > MAX_PARENTS:
        raise _bad("commit", oid, f"it has more than {MAX_PARENTS} parents")
    return CommitFacts(
        tree=bytes.fromhex(match[1].decode()),
        parents=parents,
        author=_text(match[3] or b""),
        email=_text(match[4]),
        authored_at=_moment(int(match[5])),
        message=_text(_message("commit", oid, data[match.end() :])),
    )


def read_tag(oid: bytes, data: bytes) -> TagFacts:
    """Parse an annotated tag object.

    Raises:
        BadObjectError: git would not call it well-formed.
    """
    match = _TAG.match(data)
    if match is None or b"\0" in data:
        raise _bad("tag", oid, "its header is malformed")
    _message("tag", oid, data[match.end() :])
    return TagFacts(bytes.fromhex(match[1].decode()), GitObject.Kind[match[2].decode().upper()])


def read_tree(oid: bytes, data: bytes) -> list[Line]:
    """Parse a tree object: sorted, no name twice, every mode and name allowed.

    Raises:
        BadObjectError: git would not call it well-formed, or it holds a submodule.
        BadPathError: a name cannot be stored.
    """
    try:
        lines = [
            Line(name, mode, bytes.fromhex(child.decode()))
            for name, mode, child in parse_tree(data, 20, strict=True)
        ]
    except (ObjectFormatException, ValueError) as exc:
        raise _bad("tree", oid, "it cannot be read") from exc
    last = b""
    for line in lines:
        key = line.name + b"/" if line.mode == TREE_MODE else line.name
        if key <= last:
            raise _bad("tree", oid, "it is not sorted")
        last = key
        _check_line(oid, line)
    if len({line.name for line in lines}) != len(lines):
        raise _bad("tree", oid, "it has a name twice")
    return lines


def _check_line(oid: bytes, line: Line) -> None:
    shown = line.name.decode("utf-8", "replace")[:200]
    if line.mode == SUBMODULE_MODE:
        raise BadObjectError(
            f"'{shown}' is a submodule, and models have none: another server may change or lose"
            " what it points to. Commit its files instead.",
            path=shown,
        )
    if line.mode not in {FILE_MODE, EXECUTABLE_MODE, LINK_MODE, TREE_MODE}:
        raise _bad("tree", oid, f"'{shown}' has the mode {line.mode:o}")
    try:
        name = line.name.decode()
    except UnicodeDecodeError as exc:
        raise BadPathError(f"The name '{shown}' is not valid UTF-8.", path=shown) from exc
    if "/" in name:
        raise BadPathError(f"The name '{shown}' contains a slash.", path=shown)
    if name.lower() == "git~1":  # what Windows calls .git
        raise BadPathError(f"The path '{shown}' contains '.git'.", path=shown)
    check_path(f"x/{name}")  # as one part of a path; whole paths are checked where they change


def _message(kind: str, oid: bytes, rest: bytes) -> bytes:
    """Return what follows the header lines, which may go on (signatures, encodings)."""
    if rest.startswith(b"\n") or not rest:
        return rest[1:]
    head, gap, message = rest.partition(b"\n\n")
    for line in head.removesuffix(b"\n").split(b"\n"):
        is_more = line.startswith(b" ")
        if not is_more and (not _HEADER.match(line) or line.startswith(_MAIN_HEADERS)):
            raise _bad(kind, oid, "its header is malformed")
    if not gap and not rest.endswith(b"\n"):
        raise _bad(kind, oid, "its header is malformed")
    return message


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _moment(seconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=min(seconds, _LAST_SECOND))


def _bad(kind: str, oid: bytes, why: str) -> BadObjectError:
    return BadObjectError(f"The {kind} {oid.hex()} is refused: {why}.", oid=oid.hex())

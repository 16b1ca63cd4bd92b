"""What changed in files, line by line, within bounds.

Files are strangers' and comparing lines can take time that grows with the square of their
number, so the work of one call is bounded: what exceeds it is told by name alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from io import StringIO
from itertools import takewhile
from typing import Literal, NamedTuple

from catalog.history.changes import Change
from catalog.history.objects import ObjectStore, TreeItem
from catalog.history.pointers import LfsPointer, parse_pointer
from catalog.models import ModelRepo

MAX_FILE_BYTES = 512 * 1024
"""Files above it are compared by name alone."""
MAX_WORK = 4_000_000
"""Old lines times new lines, summed over the files of one call: about a third of a second."""
MAX_LINES = 4_000
"""Lines told by one call, so that a page stays readable."""
CONTEXT_LINES = 3
_TOO_LARGE = "too large to compare line by line"
_ENOUGH = "left out: the list of changes is long enough"
UNSEEN = "not shown: the check has not found it harmless"
CLOSED = "not shown: you have no access to the contents of this model"
_UNENDED = "\\ No newline at end of file"

Sign = Literal[" ", "+", "-", "\\"]
_Op = tuple[str, int, int, int, int]


class Line(NamedTuple):
    """One line of a diff."""

    sign: Sign
    """Kept, added, deleted; a backslash for git's remark on a missing end of line."""
    text: str


@dataclass(frozen=True, slots=True)
class Hunk:
    """Changed lines with their neighbours."""

    old_start: int
    """Number of the first line in the old file, from 1; 0 when it has none."""
    old_count: int
    new_start: int
    new_count: int
    lines: list[Line]

    @property
    def header(self) -> str:
        """Git's line above the hunk."""
        return f"@@ -{self.old_start},{self.old_count} +{self.new_start},{self.new_count} @@"


@dataclass(frozen=True, slots=True)
class FileDiff:
    """How one file changed."""

    change: Change
    hunks: list[Hunk] = field(default_factory=list)
    note: str = ""
    """Why there are no lines; empty when there are."""

    @property
    def pointers(self) -> tuple[LfsPointer | None, LfsPointer | None]:
        """What the old and the new side point to; ``None``: nothing, or an ordinary file.

        Lines of a pointer mean nothing to people: pages show sizes instead.
        """
        old = "".join(f"{line.text}\n" for line in self._lines_of("-"))
        new = "".join(f"{line.text}\n" for line in self._lines_of("+"))
        return parse_pointer(old.encode()), parse_pointer(new.encode())

    def _lines_of(self, side: Sign) -> list[Line]:
        """Return one side of a file so small that a hunk holds all of it."""
        lines = self.hunks[0].lines if len(self.hunks) == 1 else []
        return [line for line in lines if line.sign in {" ", side}] if len(lines) < 20 else []

    @property
    def is_binary(self) -> bool:
        """Lines mean nothing in it."""
        return self.note == "binary"

    @property
    def is_unseen(self) -> bool:
        """The reader may not see what is in it."""
        return self.note in {UNSEEN, CLOSED}

    @property
    def is_closed(self) -> bool:
        """The reader may not see what is in any file of the model."""
        return self.note == CLOSED


def file_diffs(repo: ModelRepo, changes: Iterable[Change]) -> list[FileDiff]:
    """Return how each file changed, in the order given."""
    store, budget = ObjectStore(repo.pk), _Budget()
    return [_file_diff(store, change, budget) for change in changes]


def unified_text(diffs: Iterable[FileDiff]) -> str:
    """Return ``diffs`` as git prints them; files without lines by name alone."""
    return "".join(_text_of(diff) for diff in diffs)


def _text_of(diff: FileDiff) -> str:
    change = diff.change
    old = f"a/{change.path}" if change.old else "/dev/null"
    new = f"b/{change.path}" if change.new else "/dev/null"
    head = f"diff --git a/{change.path} b/{change.path}\n"
    if diff.note:
        what = "Binary files" if diff.is_binary else "Files"
        return f"{head}{what} {old} and {new} differ\n"
    lines = [f"--- {old}", f"+++ {new}"] if diff.hunks else []
    for hunk in diff.hunks:
        lines.append(hunk.header)
        lines += [line.text if line.sign == "\\" else line.sign + line.text for line in hunk.lines]
    return head + "".join(f"{line}\n" for line in lines)


class _Budget:
    """What is left of the bounds of one call."""

    def __init__(self) -> None:
        self.work = MAX_WORK
        self.lines = MAX_LINES


def _file_diff(store: ObjectStore, change: Change, budget: _Budget) -> FileDiff:
    if budget.lines <= 0:
        return FileDiff(change, note=_ENOUGH)
    old, new = _lines(store, change.old), _lines(store, change.new)
    if isinstance(old, str) or isinstance(new, str):
        return FileDiff(change, note=old if isinstance(old, str) else str(new))
    operations = _operations(old, new, budget)
    if operations is None:
        return FileDiff(change, note=_TOO_LARGE)
    hunks = list(_hunks(old, new, operations))
    told = sum(len(hunk.lines) for hunk in hunks)
    if told > budget.lines:
        return FileDiff(change, note=_ENOUGH)
    budget.lines -= told
    return FileDiff(change, hunks)


def _lines(store: ObjectStore, item: TreeItem | None) -> list[str] | str:
    """Return the lines with their ends, or why the file has none."""
    if item is None:
        return []
    data = store.blob(item.oid)
    if len(data) > MAX_FILE_BYTES:
        return _TOO_LARGE
    if b"\0" in data[:8000]:
        return "binary"
    return list(StringIO(data.decode("utf-8", "replace"), newline="\n"))


def _operations(old: list[str], new: list[str], budget: _Budget) -> list[_Op] | None:
    """Return how ``old`` becomes ``new``; ``None`` when finding out takes too long.

    What both begin and end with is set aside first: most changes are small.
    """
    head = sum(1 for _ in takewhile(_are_equal, zip(old, new, strict=False)))
    rest = zip(reversed(old[head:]), reversed(new[head:]), strict=False)
    tail = sum(1 for _ in takewhile(_are_equal, rest))
    old_end, new_end = len(old) - tail, len(new) - tail
    work = (old_end - head) * (new_end - head)
    if work > budget.work:
        return None
    budget.work -= work
    inner = SequenceMatcher(None, old[head:old_end], new[head:new_end]).get_opcodes()
    return [
        ("equal", 0, head, 0, head),
        *((tag, a + head, b + head, c + head, d + head) for tag, a, b, c, d in inner),
        ("equal", old_end, len(old), new_end, len(new)),
    ]


def _are_equal(pair: tuple[str, str]) -> bool:
    return pair[0] == pair[1]


def _hunks(old: list[str], new: list[str], operations: list[_Op]) -> Iterator[Hunk]:
    matcher = SequenceMatcher(None, old, new)
    # Found with less work above; the matcher is only to group them. typeshed omits it.
    matcher.opcodes = operations  # type: ignore[attr-defined]
    for group in matcher.get_grouped_opcodes(CONTEXT_LINES):
        _, old_start, _, new_start, _ = group[0]
        _, _, old_end, _, new_end = group[-1]
        lines: list[Line] = []
        for tag, a, b, c, d in group:
            if tag == "equal":
                lines += _told(" ", old[a:b])
            else:
                lines += [*_told("-", old[a:b]), *_told("+", new[c:d])]
        yield Hunk(
            old_start=old_start + (old_end > old_start),
            old_count=old_end - old_start,
            new_start=new_start + (new_end > new_start),
            new_count=new_end - new_start,
            lines=lines,
        )


def _told(sign: Sign, lines: list[str]) -> Iterator[Line]:
    for line in lines:
        yield Line(sign, line.removesuffix("\n"))
        if not line.endswith("\n"):
            yield Line("\\", _UNENDED)

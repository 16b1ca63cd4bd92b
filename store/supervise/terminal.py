"""One readable log in the terminal: each line under the name of its process."""

import os
import re
import sys
from collections.abc import Sequence
from typing import TextIO

_COLORS = (36, 33, 35, 32, 34, 31)
"""ANSI foreground colors, in the order processes are named."""

_LONGEST_LINE_BYTES = 16_384
"""A line longer than this is shown in pieces: a child that never ends a line must not fill the
memory."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What could move the cursor, rename the window or turn text around: strangers' words (paths,
user agents) end up in logs."""


class Terminal:
    """Writes the lines of several processes, each with a colored name in front.

    Args:
        names: Everybody who will speak, for the width of the column.
        output: Where to; colors are used only if it is a terminal and NO_COLOR is unset.
    """

    def __init__(self, names: Sequence[str], output: TextIO | None = None) -> None:
        self._output = output or sys.stdout
        self._names = list(names)
        self._width = max(map(len, names), default=0)
        self._rest: dict[str, bytes] = {}
        self._has_colors = self._output.isatty() and not os.environ.get("NO_COLOR")

    def feed(self, name: str, data: bytes) -> None:
        """Take what ``name`` wrote; whole lines are shown, the rest is kept."""
        *lines, rest = (self._rest.get(name, b"") + data).split(b"\n")
        while len(rest) > _LONGEST_LINE_BYTES:
            lines.append(rest[:_LONGEST_LINE_BYTES])
            rest = rest[_LONGEST_LINE_BYTES:]
        self._rest[name] = rest
        for line in lines:
            self.say(name, line.decode("utf-8", errors="replace").removesuffix("\r"))

    def flush(self, name: str) -> None:
        """Show what ``name`` left without a line end."""
        if rest := self._rest.pop(name, b""):
            self.say(name, rest.decode("utf-8", errors="replace"))

    def say(self, name: str, text: str) -> None:
        """Show one line, or several, of ``name``."""
        for line in text.split("\n"):
            safe = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", line)
            self._write(f"{self._prefix(name)} {safe}\n")

    def _prefix(self, name: str) -> str:
        column = f"{name:<{self._width}} |"
        if not self._has_colors or name not in self._names:
            return column
        color = _COLORS[self._names.index(name) % len(_COLORS)]
        return f"\x1b[{color}m{column}\x1b[0m"

    def _write(self, text: str) -> None:
        try:
            self._output.write(text)
            self._output.flush()
        except OSError:  # closed: the store goes on, its logs are in files too
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._output.fileno())  # or the flush at exit would fail as well
            os.close(nowhere)

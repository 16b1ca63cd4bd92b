"""The YAML head of a card, read so that no card can hurt the reader.

Plain YAML 1.1 without aliases: an alias can make a few lines mean gigabytes once they are written
as JSON. Dates become text, NaN and infinity are refused, so that the result is JSON.
"""

import datetime as dt
import math
import re
from dataclasses import dataclass
from typing import Any

import yaml

MAX_BYTES = 64 * 1024
MAX_DEPTH = 20
MAX_NODES = 20_000

_FENCED = re.compile(
    r"\A\ufeff?(?P<lead>\s*)---[ \t]*\r?\n(?P<head>.*?)^---[ \t]*(?:\r?\n|\Z)(?P<body>.*)",
    re.DOTALL | re.MULTILINE,
)
_OPEN = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n")


class FrontMatterError(ValueError):
    """The head of a card cannot be read.

    Args:
        message: What is wrong and how to mend it.
        line: Line of the README it was noticed at, from 1; 0 when no line is to blame.
    """

    def __init__(self, message: str, *, line: int = 0) -> None:
        super().__init__(f"Line {line}: {message}" if line else message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Card:
    """A README in its two parts."""

    data: dict[str, Any]
    """The front matter as JSON values; empty when there is none."""
    body: str
    has_front_matter: bool


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses aliases, double keys and towers."""

    nodes = 0
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise FrontMatterError(
                "anchors and aliases (& and *) are not allowed; write the value out.",
                line=mark.line + 2,
            )
        self.nodes += 1
        self.depth += 1
        if self.nodes > MAX_NODES or self.depth > MAX_DEPTH:
            raise FrontMatterError("the front matter is too deep or too long; keep it flat.")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, list | dict) or key in seen:
                raise FrontMatterError(
                    f"the key {str(key)[:40]!r} stands twice or is no plain word.",
                    line=key_node.start_mark.line + 2,
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def split_card(text: str) -> tuple[str | None, str]:
    """Return (front matter text or ``None``, body) of a README.

    Empty lines before the front matter are none of it, as for the Hub's client; they stay at its
    head, so that its lines count from the second of the README.

    Raises:
        FrontMatterError: the opening ``---`` has no closing one.
    """
    match = _FENCED.match(text)
    if match:
        return "\n" * match["lead"].count("\n") + match["head"], match["body"]
    if _OPEN.match(text):
        raise FrontMatterError("the front matter never ends: add a line '---' below it.", line=1)
    return None, text.removeprefix("\ufeff")


def read_card(text: str) -> Card:
    """Read a README.

    Raises:
        FrontMatterError: the head is no YAML mapping, too large, or uses what is not allowed.
    """
    head, body = split_card(text)
    if head is None:
        return Card({}, body, has_front_matter=False)
    return Card(parse(head), body, has_front_matter=True)


def parse(head: str) -> dict[str, Any]:
    """Return the YAML mapping in ``head`` as JSON values.

    Raises:
        FrontMatterError: see ``read_card``.
    """
    value = parse_yaml(head, first_line=2)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FrontMatterError("the front matter must be a list of 'key: value' lines.", line=2)
    return value


def parse_yaml(text: str, *, first_line: int = 1) -> Any:
    """Return what a stranger's YAML says, as JSON values.

    Args:
        text: One document.
        first_line: Its first line's number in the file, for messages.

    Raises:
        FrontMatterError: it is too large or too deep, no YAML, or uses what is not allowed.
    """
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise FrontMatterError(f"the front matter is larger than {MAX_BYTES} bytes.")
    try:
        value = _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + first_line if exc.problem_mark else 0
        problem = exc.problem or "this is not YAML"
        raise FrontMatterError(f"{problem}. Check quotes, colons and indents.", line=line) from exc
    except FrontMatterError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as exc:
        raise FrontMatterError("the front matter has a value that cannot be read.") from exc
    return _plain(value)


def _plain(value: Any) -> Any:
    """Return ``value`` with JSON types only."""
    if isinstance(value, dict):
        return {_text(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        raise FrontMatterError("NaN and infinity are no values for a card.")
    if isinstance(value, bytes):
        raise FrontMatterError("binary values (!!binary) have no place in a card.")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return str(value)
    return _text(value) if isinstance(value, str) else value


def _text(text: str) -> str:
    """Return ``text`` without what PostgreSQL cannot keep."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()

"""JSON as RFC 8259 means it, with bounds that hold before memory is taken.

Python's own reader accepts ``NaN``, repeated keys, numbers beyond any float and lone surrogates;
a publisher may use each to show one thing to us and another to a loader (SECURITY.md D5).
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Never

from catalog.formats.errors import FormatError, JsonError, shown
from catalog.formats.sources import MIB

MAX_DEPTH = 64
"""Deepest nesting; real configurations stay below 10."""
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class JsonLimits:
    """Bounds of one kind of file."""

    size_bytes: int
    containers: int = 200_000
    """Most ``{`` and ``[``: an empty list costs 64 bytes of memory for 3 bytes of file."""
    values: int = 500_000
    """Most commas, which bounds the number of values."""


CONFIG = JsonLimits(size_bytes=1 * MIB)
"""config.json and its fellows: 20 MB of it took transformers 6.8 s (SECURITY.md D5)."""
TOKEN_SETTINGS = JsonLimits(size_bytes=4 * MIB)
"""tokenizer_config.json and lists of special tokens: Gemma's has 1.2 MB, 6,400 added tokens."""
TOKENIZER = JsonLimits(size_bytes=64 * MIB, containers=1_500_000, values=4_000_000)
"""tokenizer.json: the largest known (262,144 tokens, 514,906 merges) has 0.6 M containers."""
INDEX = JsonLimits(size_bytes=16 * MIB)
"""The list of shards: one line a tensor."""


class _RefusedValueError(ValueError):
    """Carries a code out of the hooks of ``json.loads``."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def _no_constant(text: str) -> Never:
    raise _RefusedValueError(
        "json_not_a_number", f"It contains {text}, which is not JSON; write null or a number."
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise _RefusedValueError(
            "json_duplicate_key",
            f"The key {shown(twice)} appears twice in one object; keep one of the two.",
        )
    return result


def parse(
    data: bytes,
    limits: JsonLimits,
    *,
    parse_int: Callable[[str], Any] | None = None,
    error: type[FormatError] = JsonError,
) -> Any:
    """Return the value in ``data``.

    Args:
        data: The whole text, UTF-8 without byte order mark.
        limits: Bounds checked before anything is built.
        parse_int: Reads integers; raises ``ValueError`` to refuse one.
        error: The class raised.

    Raises:
        FormatError: ``data`` is too large, too deep, or not strict JSON.
    """
    _check_size(data, limits, error)
    try:
        text = data.decode("utf-8")
        value = json.loads(
            text, parse_constant=_no_constant, object_pairs_hook=_object, parse_int=parse_int
        )
    except UnicodeDecodeError as exc:
        raise error(
            "json_not_utf8", "It is not UTF-8; save it as UTF-8.", where=f"byte {exc.start}"
        ) from exc
    except json.JSONDecodeError as exc:
        raise error(
            "json_syntax",
            "It is not valid JSON; check it with a JSON validator.",
            where=f"line {exc.lineno}, column {exc.colno}",
        ) from exc
    except RecursionError as exc:
        raise _too_deep(error) from exc
    except _RefusedValueError as exc:
        raise error(exc.code, exc.reason) from exc
    except ValueError as exc:  # an integer of more than 4,300 digits, or refused by parse_int
        raise error(
            "json_number", "A number is out of range; use a plain, smaller number."
        ) from exc
    _check_tree(value, error)
    if _SURROGATE_ESCAPE.search(data):
        _check_surrogates(value, error)
    return value


def _check_size(data: bytes, limits: JsonLimits, error: type[FormatError]) -> None:
    if len(data) > limits.size_bytes:
        raise too_large(len(data), limits, error)
    if data.startswith(b"\xef\xbb\xbf"):
        raise error(
            "json_byte_order_mark", "It starts with a byte order mark; save it as plain UTF-8."
        )
    containers = data.count(b"{") + data.count(b"[")
    if containers > limits.containers or data.count(b",") > limits.values:
        raise error(
            "json_too_many_values",
            f"It holds more than {limits.values:,} values or {limits.containers:,} lists and "
            "objects; make it smaller.",
        )


def too_large(
    size_bytes: int, limits: JsonLimits, error: type[FormatError] = JsonError
) -> Exception:
    """Return the error for a text of ``size_bytes``, so that callers need not read it first."""
    return error(
        "json_too_large",
        f"It has {size_bytes:,} bytes; at most {limits.size_bytes:,} are read. Make it smaller.",
    )


def _too_deep(error: type[FormatError]) -> FormatError:
    return error("json_too_deep", f"It is nested deeper than {MAX_DEPTH} levels; flatten it.")


def _check_tree(value: Any, error: type[FormatError]) -> None:
    """Walk level by level, so that hostile depth costs no stack; find overflowed floats."""
    level: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for node in level:
            below.extend(
                node.values() if type(node) is dict else node if type(node) is list else ()
            )
        if any(type(item) is float and not math.isfinite(item) for item in below):
            raise error("json_number", "A number is out of range; use a plain, smaller number.")
        level = [item for item in below if type(item) is dict or type(item) is list]
        if not level:
            return
    raise _too_deep(error)


def _check_surrogates(value: Any, error: type[FormatError]) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as exc:
        raise error(
            "json_lone_surrogate",
            "A \\u escape is half of a character pair; write the character itself.",
        ) from exc

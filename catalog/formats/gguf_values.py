"""The values in a GGUF header: scalars, texts and arrays, each bounded before it is read."""

import struct
from dataclasses import dataclass

from catalog.formats.errors import GgufError, shown
from catalog.formats.sources import KIB, MIB, Cursor

MAX_STRING_BYTES = 1 * MIB
"""A single text: the longest real ones are chat templates of some 20 kB."""
MAX_ARRAY_ELEMENTS = 8_000_000
PREVIEW_ELEMENTS = 4
_PREVIEW_BYTES = 64
_KEPT_STRING_CHARS = 64 * KIB

_STRING, _ARRAY = 8, 9
_SCALARS = {
    0: ("uint8", "<B"), 1: ("int8", "<b"), 2: ("uint16", "<H"), 3: ("int16", "<h"),
    4: ("uint32", "<I"), 5: ("int32", "<i"), 6: ("float32", "<f"), 7: ("bool", "<B"),
    10: ("uint64", "<Q"), 11: ("int64", "<q"), 12: ("float64", "<d"),
}  # fmt: skip
_BOOL = 7

Scalar = int | float | bool | str


@dataclass(frozen=True, slots=True)
class GgufArray:
    """What is kept of an array: never its 100,000 strings."""

    element_type: str
    count: int
    preview: tuple[Scalar, ...]
    """The first ``PREVIEW_ELEMENTS`` at most."""


Value = Scalar | GgufArray


def read_name(cursor: Cursor, max_bytes: int, what: str) -> str:
    """Read the name of a ``what``: a length, then that many bytes of printable UTF-8.

    Raises:
        GgufError: It is empty, longer than ``max_bytes``, or not printable.
    """
    position = cursor.position
    length: int = struct.unpack("<Q", cursor.take(8))[0]
    if not 0 < length <= max_bytes:
        raise GgufError(
            "gguf_name_length",
            f"The name of a {what} must have 1 to {max_bytes} bytes, this one has {length:,}; "
            "rename it.",
            where=f"byte {position}",
        )
    try:
        name = cursor.take(length).decode()
    except UnicodeDecodeError:
        name = "\0"
    if not name.isprintable():
        raise GgufError(
            "gguf_name",
            f"The name of a {what} contains unprintable characters; rename it.",
            where=f"byte {position}",
        )
    return name


def read_value(cursor: Cursor, key: str) -> Value:
    """Read a type number and the value behind it.

    Raises:
        GgufError: The type is unknown, or the value is larger than what is left of the file.
    """
    type_id: int = struct.unpack("<I", cursor.take(4))[0]
    if type_id == _STRING:
        return _read_text(cursor, key)
    if type_id == _ARRAY:
        return _read_array(cursor, key)
    return _read_scalars(cursor, key, type_id, 1)[0]


def _read_text(cursor: Cursor, key: str) -> str:
    length: int = struct.unpack("<Q", cursor.take(8))[0]
    if length > MAX_STRING_BYTES:
        raise GgufError(
            "gguf_string_length",
            f"A text has {length:,} bytes; at most {MAX_STRING_BYTES:,} are accepted. Shorten it.",
            where=f"key {shown(key)}",
        )
    try:
        return cursor.take(length).decode()[:_KEPT_STRING_CHARS]
    except UnicodeDecodeError as exc:
        raise GgufError(
            "gguf_string_utf8",
            "A text is not UTF-8; write the file again with the gguf package.",
            where=f"key {shown(key)}",
        ) from exc


def _read_scalars(cursor: Cursor, key: str, type_id: int, count: int) -> tuple[Scalar, ...]:
    if type_id not in _SCALARS:
        raise GgufError(
            "gguf_value_type",
            f"Value type {type_id} does not exist; the file is damaged.",
            where=f"key {shown(key)}",
        )
    layout = _SCALARS[type_id][1]
    raw = cursor.take(count * struct.calcsize(layout))
    values = tuple(item[0] for item in struct.iter_unpack(layout, raw))
    if type_id != _BOOL:
        return values
    if not set(values) <= {0, 1}:
        raise GgufError(
            "gguf_bool",
            "A truth value is neither 0 nor 1; the file is damaged.",
            where=f"key {shown(key)}",
        )
    return tuple(bool(value) for value in values)


def _read_array(cursor: Cursor, key: str) -> GgufArray:
    where = f"key {shown(key)}"
    type_id, count = struct.unpack("<IQ", cursor.take(12))
    if type_id == _ARRAY:
        raise GgufError(
            "gguf_nested_array", "An array holds arrays; flatten the metadata.", where=where
        )
    if type_id not in _SCALARS and type_id != _STRING:
        raise GgufError(
            "gguf_value_type", f"Value type {type_id} does not exist; the file is damaged.",
            where=where,
        )  # fmt: skip
    smallest = 8 if type_id == _STRING else struct.calcsize(_SCALARS[type_id][1])
    if count > MAX_ARRAY_ELEMENTS or count * smallest > cursor.remaining:
        raise GgufError(
            "gguf_array_length",
            f"An array announces {count:,} elements, more than the file can hold or than are "
            f"accepted ({MAX_ARRAY_ELEMENTS:,}); the file is damaged.",
            where=where,
        )
    kept = min(count, PREVIEW_ELEMENTS)
    if type_id == _STRING:
        return GgufArray("string", count, _preview_strings(cursor, kept, count))
    preview = _read_scalars(cursor, key, type_id, kept)
    cursor.skip((count - kept) * smallest)
    return GgufArray(_SCALARS[type_id][0], count, preview)


def _preview_strings(cursor: Cursor, kept: int, count: int) -> tuple[str, ...]:
    preview = []
    for _ in range(kept):
        length = struct.unpack("<Q", cursor.take(8))[0]
        shown_bytes = cursor.take(min(length, _PREVIEW_BYTES))
        cursor.skip(length - len(shown_bytes))
        preview.append(shown_bytes.decode(errors="replace"))
    _skip_strings(cursor, count - kept)
    return tuple(preview)


def _skip_strings(cursor: Cursor, count: int) -> None:
    """Step over ``count`` strings: the one loop that runs 400,000 times for a usual file."""
    unpack = struct.Struct("<Q").unpack_from
    while count:
        buffer, at = cursor.window(8)
        begin, last = at, len(buffer) - 8
        while count and at <= last:
            at += 8 + unpack(buffer, at)[0]
            count -= 1
        cursor.skip(at - begin)  # the last string may reach far behind the buffer, or the file

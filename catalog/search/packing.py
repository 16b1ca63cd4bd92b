"""Ids on their way from PostgreSQL: packed into bytes, ten times quicker to read than rows."""

import sys
from array import array

from pyroaring import BitMap

PACKED = "string_agg(int4send(repo_id::int4), ''::bytea)"
"""SQL that aggregates ``repo_id``. Sequences of repositories end at two thousand millions; then
this casts no more, and bitmaps of 64 bits are due."""


def unpack_ids(data: bytes | memoryview | None) -> "array[int]":
    """Return the ids in ``data`` in their order; ``None`` (no row) gives none."""
    numbers = array("I")
    numbers.frombytes(data or b"")
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def unpack_set(data: bytes | memoryview | None) -> BitMap:
    """Return the ids in ``data`` as a set."""
    return BitMap(unpack_ids(data))

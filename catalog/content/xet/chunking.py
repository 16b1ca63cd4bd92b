"""Cuts content into chunks as Xet clients do, so that both find the same ones.

A boundary follows the byte where the gear hash ``h = (h << 1) + T[byte]`` (64 bits, 0 at the start
of a chunk) has 16 leading zero bits, in a chunk of at least 8 KiB; the longest chunk has 128 KiB
(Xet specification, content-defined chunking). Only the last 64 bytes reach into ``h``, and none
of them lies before the chunk. So ``h`` is a sliding window, which six vector additions compute:
the window of 2k bytes is that of the last k plus that of the k before, shifted by k.
"""

import json
from collections import deque
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from store.storage import ByteSource

MIN_CHUNK_BYTES = 8 * 1024
MAX_CHUNK_BYTES = 128 * 1024

_WINDOW_BYTES = 64
_ZERO_BITS = 16
_READ_BYTES = 1024**2
_SLICE_BYTES = 32 * 1024
"""Small enough for the numbers of a slice to stay in the processor's cache."""


def chunks_of(source: ByteSource) -> Iterator[bytes]:
    """Yield the chunks of all that ``source`` still holds, at about 100 MB a second."""
    waiting = bytearray()
    start = seen = 0  # of the waiting bytes, and of what was read, from the beginning
    tail = b""
    ends: deque[int] = deque()
    while block := source.read(_READ_BYTES):
        ends.extend(seen + end for end in _boundaries(tail, block))
        tail = (tail + block)[1 - _WINDOW_BYTES :]
        waiting += block
        seen += len(block)
        while size_bytes := _next_size(ends, start, seen):
            yield bytes(waiting[:size_bytes])
            del waiting[:size_bytes]
            start += size_bytes
    if waiting:
        yield bytes(waiting)


def _next_size(ends: deque[int], start: int, seen: int) -> int:
    """Return the size of the chunk that begins at ``start``; 0: its end is not known yet."""
    while ends and ends[0] - start < MIN_CHUNK_BYTES:
        ends.popleft()
    if ends and ends[0] - start <= MAX_CHUNK_BYTES:
        return ends.popleft() - start
    return MAX_CHUNK_BYTES if seen - start >= MAX_CHUNK_BYTES else 0


def _boundaries(tail: bytes, block: bytes) -> Iterator[int]:
    """Yield where in ``block`` chunks may end, from the 63 bytes before it and its own."""
    data = tail + block
    for start in range(0, len(block), _SLICE_BYTES):
        end = min(start + _SLICE_BYTES, len(block)) + len(tail)
        first = max(0, start + len(tail) - _WINDOW_BYTES + 1)
        for found in _zeros(data[first:end]):
            at = first + found - len(tail)
            if at >= start:
                yield at + 1


def _zeros(data: bytes) -> list[int]:
    """Return the places where the window that ends there has its upper bits zero.

    Places with less than a whole window before them are meaningless; nobody cuts so early.
    """
    import numpy as np

    window = _gear_table()[np.frombuffer(data, np.uint8)]
    span = 1
    while span < _WINDOW_BYTES:
        window[span:] += window[:-span] << np.uint64(span)
        span *= 2
    found: list[int] = np.flatnonzero(window >> np.uint64(64 - _ZERO_BITS) == 0).tolist()
    return found


@cache
def _gear_table() -> Any:
    import numpy as np

    numbers = json.loads(Path(__file__).with_name("gear_table.json").read_text())
    return np.array([int(number, 16) for number in numbers], np.uint64)

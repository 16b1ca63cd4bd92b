"""The raw content of xorbs that have just come, kept for the moments until it is hashed again.

A xorb is unpacked when it is verified, and the files of a shard are read a second time for their
sha256. Keeping what was unpacked saves the more expensive half of that; a xorb that begins with
a chunk as it is gets no copy, as most likely nothing was to be unpacked. It is a cache of this
machine: absent, short or lost, the content is unpacked anew; what it says is believed only where
it leads to the digest the client announced.
"""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from mmap import ACCESS_READ, MADV_DONTNEED, PAGESIZE, mmap
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from catalog.content.xet.hashes import to_hex
from catalog.content.xet.packing import STORED, Bytes

MAX_BYTES = 4 * 1024**3
"""What all of them together may take."""
MAX_COPY_BYTES = 128 * 1024**2
"""Content of more is unpacked anew: it packs so well that this costs little."""
MAX_AGE_S = 1800
_BUFFER_BYTES = 1024**2
"""Chunks end anywhere; written one by one, they take a fifth longer."""


class RawCopy:
    """A copy being written. A disk that is full or broken only costs the copy."""

    def __init__(self, name: str) -> None:
        self._final = _folder() / name
        self._path = self._final.with_name(f".{secrets.token_hex(8)}")
        self._file: BinaryIO | None = None
        self._is_begun = False
        self._room = MAX_COPY_BYTES

    def write(self, raw: Bytes, scheme: int) -> None:
        """Append the raw bytes of a chunk; how the first is packed decides about the copy."""
        if scheme != STORED and not self._is_begun:
            self._open()
        self._is_begun = True
        self._room -= len(raw)
        if self._room < 0:
            self.drop()
        if self._file is not None:
            try:
                self._file.write(raw)
            except OSError:
                self.drop()

    def _open(self) -> None:
        """Begin, if there is room."""
        with suppress(OSError):
            self._final.parent.mkdir(parents=True, exist_ok=True)
            if _make_room():
                self._file = self._path.open("xb", buffering=_BUFFER_BYTES)

    def keep(self) -> None:
        """Give it its name: the whole was verified."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
                self._path.rename(self._final)
            self._file = None

    def drop(self) -> None:
        """Delete it, unless it has its name."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None
        with suppress(OSError):
            self._path.unlink()


@contextmanager
def raw_copy(name: str) -> Iterator[RawCopy]:
    """Keep the raw content of the xorb of this name, if the block calls ``keep``."""
    copy = RawCopy(name)
    try:
        yield copy
    finally:
        copy.drop()


class KeptRaw:
    """The raw content of a xorb, where it lies in its file: reading copies nothing.

    Nobody shortens such a file.
    """

    def __init__(self, held: mmap) -> None:
        self._held = held

    def blocks(self, start: int, end: int) -> Iterator[memoryview]:
        """Yield the bytes ``[start, end)``, at most 1 MiB a time, each good until the next.

        What was read is let go of at once: a process is charged with the pages it looks at, and a
        xorb has up to ``MAX_COPY_BYTES``.
        """
        view = memoryview(self._held)
        for place in range(start, end, _BUFFER_BYTES):
            after = min(place + _BUFFER_BYTES, end)
            yield view[place:after]
            page = place - place % PAGESIZE
            self._held.madvise(MADV_DONTNEED, page, after - page)


def kept_raw(xorb: bytes, size_bytes: int) -> KeptRaw | None:
    """Return the raw content of a xorb that has ``size_bytes``; ``None``: it is not kept whole."""
    try:
        with (_folder() / to_hex(xorb)).open("rb") as file:
            if os.fstat(file.fileno()).st_size != size_bytes:
                return None
            return KeptRaw(mmap(file.fileno(), size_bytes, access=ACCESS_READ))
    except OSError:
        return None


def forget_raw(xorb: bytes) -> None:
    """Delete a copy: its content was hashed."""
    with suppress(OSError):
        (_folder() / to_hex(xorb)).unlink()


def sweep_raw() -> None:
    """Delete copies nobody came for."""
    with suppress(OSError):
        _make_room()


def _make_room() -> bool:
    """Delete copies nobody came for; tell whether there is room for another."""
    used, limit_s = 0, time.time() - MAX_AGE_S
    for path in _folder().iterdir():
        with suppress(FileNotFoundError):
            status = path.stat()
            if status.st_mtime < limit_s:
                path.unlink()
            else:
                used += status.st_size
    return used < MAX_BYTES


def _folder() -> Path:
    folder: Path = settings.SPOOL_DIR / "raw"
    return folder

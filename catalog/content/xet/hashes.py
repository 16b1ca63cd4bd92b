"""The hashes of the Xet protocol: all of them BLAKE3 under a key that says what is hashed.

Formulas and keys are those of the public protocol specification 1.1.0 ("Xet protocol", hashing)
and of hf-xet 1.8.0, which is asked in the tests.
"""

import re
import struct
from collections.abc import Iterable

from blake3 import blake3

from catalog.content.xet.errors import XetFormatError

HASH_BYTES = 32
EMPTY_ROOT = bytes(HASH_BYTES)
"""Root of no chunks at all, and the hash of an empty file."""

_CHUNK_KEY = bytes.fromhex("6697f5775b9550de3135cbaca597181c9de421109beb2b58b4d0b04b93adf229")
_NODE_KEY = bytes.fromhex("017ec5c7a5472996fd946666b48a02e65ddd536f37c76dd2f86352e64a53713f")
_TERM_KEY = bytes.fromhex("7f1857d6ce56ed66127ff913e7a5c3f3a4cd26d5b5db49e64124987f28fb94c3")
_FILE_KEY = bytes(32)

_GROUPS = struct.Struct("<4Q")
_BIG_GROUPS = struct.Struct(">4Q")
_HEX = re.compile(r"[0-9a-f]{64}")
_LOWEST_OF_LAST = 24  # the last of the four little-endian numbers begins here
_MAX_GROUP = 9
_SMALLEST_CUT = 2
_NODE_DIVISOR = 4
_INDEX_DIVISOR = 1024


def to_hex(raw: bytes) -> str:
    """Return a hash as text: four little-endian 64-bit numbers, 64 characters in all."""
    return _BIG_GROUPS.pack(*_GROUPS.unpack(raw)).hex()


def from_hex(text: str) -> bytes:
    """Return the 32 bytes of a hash that is written as text.

    Raises:
        XetFormatError: it is not 64 lower-case hexadecimal characters.
    """
    if not _HEX.fullmatch(text):
        raise XetFormatError(
            "A Xet hash is written as 64 lower-case hexadecimal characters.", hash=text[:80]
        )
    return _GROUPS.pack(*(int(text[at : at + 16], 16) for at in range(0, 64, 16)))


def chunk_hash(data: bytes | memoryview) -> bytes:
    """Return the name of a chunk with this raw content."""
    return blake3(data, key=_CHUNK_KEY).digest()


class MerkleTree:
    """Works out the root over chunks as they are told, in memory for a few of each level.

    A node covers 3 to 9 entries of the level below, fewer at its end; which ones, no later entry
    changes. So only what has no node yet is kept.
    """

    def __init__(self) -> None:
        self._open: list[list[tuple[bytes, int]]] = []
        """By level, from the chunks up: the entries after the last node."""
        self._counts: list[int] = []

    def add(self, raw: bytes, size_bytes: int) -> None:
        """Tell of the next chunk: its hash (32 bytes) and its raw size."""
        self._add(0, (raw, size_bytes))

    def _add(self, level: int, entry: tuple[bytes, int]) -> None:
        while True:
            if level == len(self._open):
                self._open.append([])
                self._counts.append(0)
            group = self._open[level]
            group.append(entry)
            self._counts[level] += 1
            is_cut = len(group) > _SMALLEST_CUT and not entry[0][_LOWEST_OF_LAST] % _NODE_DIVISOR
            if not is_cut and len(group) < _MAX_GROUP:
                return
            self._open[level] = []
            entry = _node(group)
            level += 1

    def root(self) -> bytes:
        """Return the root; nothing may be added any more. That of one chunk is its own hash."""
        if not self._open:
            return EMPTY_ROOT
        level = 0
        while self._counts[level] > 1:
            if group := self._open[level]:
                self._add(level + 1, _node(group))
            level += 1
        return self._open[level][0][0]

    def file_hash(self) -> bytes:
        """Return the name of the file that has these chunks; nothing may be added any more."""
        return blake3(self.root(), key=_FILE_KEY).digest() if self._open else EMPTY_ROOT


def merkle_root(entries: Iterable[tuple[bytes, int]]) -> bytes:
    """Return the root over chunks, which is the name of a xorb that holds just them.

    Args:
        entries: Hash (32 bytes) and raw length in bytes of each chunk, in order. One entry is its
            own root; none has the root ``EMPTY_ROOT``.
    """
    return _tree(entries).root()


def file_hash(entries: Iterable[tuple[bytes, int]]) -> bytes:
    """Return the name of a file: its chunks in order, wherever they are stored."""
    return _tree(entries).file_hash()


def _tree(entries: Iterable[tuple[bytes, int]]) -> MerkleTree:
    tree = MerkleTree()
    for raw, size_bytes in entries:
        tree.add(raw, size_bytes)
    return tree


def term_hash(chunk_hashes: Iterable[bytes]) -> bytes:
    """Return what proves that a client knows the chunks of a term, not just where they are."""
    return blake3(b"".join(chunk_hashes), key=_TERM_KEY).digest()


def hidden_hash(raw: bytes, key: bytes) -> bytes:
    """Return a chunk's hash as dedup answers show it: only who has the chunk recognizes it."""
    return blake3(raw, key=key).digest()


def is_indexable(raw: bytes) -> bool:
    """Tell whether clients ask for this chunk wherever in a file it stands: about 1 in 1024."""
    return int.from_bytes(raw[_LOWEST_OF_LAST:], "little") % _INDEX_DIVISOR == 0


def _node(group: Iterable[tuple[bytes, int]]) -> tuple[bytes, int]:
    lines, total = [], 0
    for raw, size_bytes in group:
        lines.append(f"{to_hex(raw)} : {size_bytes}\n")
        total += size_bytes
    return blake3("".join(lines).encode(), key=_NODE_KEY).digest(), total

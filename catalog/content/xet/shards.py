"""Shards: which files are made of which pieces of which xorbs (Xet specification, shard format).

Everything is a record of 48 bytes: a header, the files up to a bookend, the xorbs up to another.
What may follow (lookup tables and the footer of old clients) says nothing new and is not read.
Counts come from strangers: none is believed before so many records are seen to be there, and
records are read where they lie, so that a shard costs little more memory than its bytes.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from mmap import mmap
from typing import NamedTuple

from catalog.content.xet.errors import XetFormatError
from catalog.content.xet.hashes import hidden_hash, to_hex
from catalog.content.xet.xorbs import XorbTable

MAX_SHARD_BYTES = 64 * 1024**2
RECORD_BYTES = 48
FOOTER_BYTES = 200

_TAG = bytes.fromhex("48465265706f4d6574614461746100556967456a7b815783a5bdd95ccdd14aa9")
_VERSION = 2
_BOOKEND = b"\xff" * 32 + bytes(16)
_HAS_PROOFS = 1 << 31
_HAS_METADATA = 1 << 30
_INDEXED = 1 << 31

_HEADER = struct.Struct("<32sQQ")
_FILE = struct.Struct("<32sII8x")
_TERM = struct.Struct("<32s4xIII")
_HASH = struct.Struct("<32s16x")
_XORB = struct.Struct("<32s4xI8x")
_CHUNK = struct.Struct("<32sIII4x")
_XORB_OUT = struct.Struct("<32sIIII")
_FOOTER = struct.Struct("<9Q32sQQ48xQQQQ")


class Term(NamedTuple):
    """One piece of a file: chunks ``[start, end)`` of a xorb, as a client claims it."""

    xorb: bytes
    size_bytes: int
    """Raw."""
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class FileClaim:
    """A file as a client describes it."""

    hash: bytes
    sha256: str | None
    """What its content hashes to, as the client says; ``None``: it does not."""
    count: int
    """Terms, and as many proofs."""
    _records: memoryview

    def terms(self) -> Iterator[tuple[Term, bytes]]:
        """Yield each term with its proof (see ``hashes.term_hash``)."""
        middle = self.count * RECORD_BYTES
        terms = _TERM.iter_unpack(self._records[:middle])
        proofs = _HASH.iter_unpack(self._records[middle:])
        for term, (proof,) in zip(terms, proofs, strict=True):
            yield Term._make(term), proof


@dataclass(frozen=True, slots=True)
class XorbClaim:
    """A xorb as a client describes it."""

    hash: bytes
    count: int
    _records: memoryview

    def indexed(self) -> Iterator[int]:
        """Yield the places of the chunks the client wants to be found by."""
        for place, (_, _, _, flags) in enumerate(_CHUNK.iter_unpack(self._records)):
            if flags & _INDEXED:
                yield place

    def agrees_with(self, table: XorbTable) -> bool:
        """Tell whether this is what the store itself saw in the xorb."""
        if self.count != len(table.chunks):
            return False
        claims = _CHUNK.iter_unpack(self._records)
        return all(
            (raw, offset, size) == (chunk.hash, table.raw_start(place), chunk.size_bytes)
            for place, (chunk, (raw, offset, size, _)) in enumerate(
                zip(table.chunks, claims, strict=True)
            )
        )


@dataclass(frozen=True, slots=True)
class Shard:
    """Everything a shard claims."""

    files: list[FileClaim]
    xorbs: list[XorbClaim]


class _Cursor:
    """Reads records in order, never past the end."""

    def __init__(self, data: bytes | mmap) -> None:
        self._data = memoryview(data)
        self._at = 0

    def take(self, count: int) -> memoryview:
        end = self._at + count * RECORD_BYTES
        if end > len(self._data):
            raise XetFormatError("The shard ends before the records it announces. Send it again.")
        part = self._data[self._at : end]
        self._at = end
        return part

    def until_bookend(self) -> Iterator[memoryview]:
        while (record := self.take(1)) != _BOOKEND:
            yield record


def read_shard(data: bytes | mmap) -> Shard:
    """Read a shard as clients upload it.

    Args:
        data: At most ``MAX_SHARD_BYTES``; the claims keep a view of it.

    Raises:
        XetFormatError: it breaks a rule of the format, or a file comes without proofs.
    """
    if len(data) > MAX_SHARD_BYTES:
        raise XetFormatError(f"A shard has at most {MAX_SHARD_BYTES} bytes.")
    cursor = _Cursor(data)
    tag, version, _ = _HEADER.unpack(cursor.take(1))
    if tag != _TAG or version != _VERSION:
        raise XetFormatError("This is no Xet shard of version 2.")
    files = [_file(cursor, record) for record in cursor.until_bookend()]
    xorbs = [_xorb(cursor, record) for record in cursor.until_bookend()]
    return Shard(files, xorbs)


def _file(cursor: _Cursor, record: memoryview) -> FileClaim:
    name, flags, count = _FILE.unpack(record)
    if not flags & _HAS_PROOFS or not count:
        raise XetFormatError(
            "A file in a shard needs terms and a proof for each. Update hf_xet and send it again.",
            file=to_hex(name),
        )
    records = cursor.take(2 * count)
    sha256 = None
    if flags & _HAS_METADATA:
        sha256 = to_hex(_HASH.unpack(cursor.take(1))[0])
    return FileClaim(name, sha256, count, records)


def _xorb(cursor: _Cursor, record: memoryview) -> XorbClaim:
    name, count = _XORB.unpack(record)
    return XorbClaim(name, count, cursor.take(count))


class Shown(NamedTuple):
    """A xorb of a dedup answer, and what of it the asker may know."""

    table: XorbTable
    runs: Sequence[tuple[int, int]]
    """Chunks ``[start, end)``, in order, apart from each other."""


def dedup_answer(
    xorbs: Iterable[Shown], *, key: bytes, blind_key: bytes, created_s: int, expires_s: int
) -> bytes:
    """Return the shard that tells a client which chunks are here already.

    The chunks' hashes are hidden under ``key`` (32 bytes, not zero): who has a chunk finds it in
    the answer, and nobody learns a hash from it, which is what proofs of possession rest on.

    ``key`` is in the answer, so who guesses a chunk could look for it. Chunks outside of ``runs``
    are therefore blind: their place in the xorb stays, because others are named by theirs, but the
    hash is one that no chunk has, always the same and like any other to see; and all of a gap have
    the same length, give or take a byte. What can be told is how long a gap is as a whole.

    Args:
        xorbs: What to tell of.
        key: The site's key for dedup answers.
        blind_key: What blind hashes are made with; secret.
        created_s: Now, in seconds since 1970.
        expires_s: Until when the client may use the answer.
    """
    parts = [_HEADER.pack(_TAG, _VERSION, FOOTER_BYTES), _BOOKEND]
    raw_bytes = stored_bytes = 0
    for table, runs in xorbs:
        size = table.raw_ends[-1]
        raw_bytes += size
        stored_bytes += table.stored_bytes
        parts.append(_XORB_OUT.pack(table.hash, 0, len(table.chunks), size, table.stored_bytes))
        done = 0
        for start, end in [*runs, (len(table.chunks), len(table.chunks))]:
            parts += _blind(table, done, start, blind_key)
            parts += [
                _CHUNK.pack(hidden_hash(chunk.hash, key), table.raw_start(i), chunk.size_bytes, 0)
                for i, chunk in enumerate(table.chunks[start:end], start)
            ]
            done = end
    parts.append(_BOOKEND)
    end = sum(map(len, parts))
    # All three lookup tables are empty and "begin" at the footer: the client then builds its own
    # from the xorbs, which it reads up to that place.
    offsets = (1, RECORD_BYTES, 2 * RECORD_BYTES, end, 0, end, 0, end, 0)
    sizes = (stored_bytes, raw_bytes, stored_bytes, end)
    parts.append(_FOOTER.pack(*offsets, key, created_s, expires_s, *sizes))
    return b"".join(parts)


def _blind(table: XorbTable, start: int, end: int, key: bytes) -> Iterator[bytes]:
    """Yield records for chunks nobody is to recognize."""
    count, begins = end - start, table.raw_start(start)
    size = table.raw_size(start, end)
    places = [begins + size * step // count for step in range(count + 1)] if count else []
    for chunk, (place, after) in enumerate(pairwise(places), start):
        raw = hidden_hash(table.hash + chunk.to_bytes(4, "little"), key)
        yield _CHUNK.pack(raw, place, after - place, 0)

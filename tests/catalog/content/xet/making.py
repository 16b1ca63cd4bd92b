"""Xorbs and shards as clients make them, put together by hand so that they can be wrong."""

import io
import random
import struct
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

from catalog.content.xet.chunking import chunks_of
from catalog.content.xet.hashes import chunk_hash, file_hash, from_hex, merkle_root, term_hash
from catalog.content.xet.packing import Unpacker, pack
from catalog.content.xet.xorbs import XorbReader, XorbTable

TAG = bytes.fromhex("48465265706f4d6574614461746100556967456a7b815783a5bdd95ccdd14aa9")
BOOKEND = b"\xff" * 32 + bytes(16)


def lcg(size_bytes: int) -> bytes:
    """Return the bytes of the linear congruential generator that the vectors name."""
    parts, x = [], 1
    for _ in range(-(-size_bytes // 8)):
        x = (x * 6364136223846793005 + 1442695040888963407) % 2**64
        parts.append(x.to_bytes(8, "little"))
    return b"".join(parts)[:size_bytes]


def noise(size_bytes: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


def chunked(content: bytes) -> list[bytes]:
    return list(chunks_of(io.BytesIO(content)))


def entries(chunks: Iterable[bytes]) -> list[tuple[bytes, int]]:
    return [(chunk_hash(chunk), len(chunk)) for chunk in chunks]


def xorb(chunks: Iterable[bytes]) -> bytes:
    return b"".join(pack(chunk) for chunk in chunks)


def record(payload: bytes, *, scheme: int = 0, raw: int, packed: int | None = None) -> bytes:
    size = len(payload) if packed is None else packed
    head = b"\0" + size.to_bytes(3, "little") + bytes([scheme]) + raw.to_bytes(3, "little")
    return head + payload


def table_of(data: bytes) -> XorbTable:
    """Return what the reader sees in a xorb, whatever it is called."""
    reader = XorbReader(io.BytesIO(data), None)
    while reader.read_some():
        pass
    return reader.table


def file_block(
    chunks: Sequence[bytes], terms: Sequence[tuple[bytes, int, int]], content: bytes | None = None
) -> bytes:
    """Return the records of one file: terms are (xorb hash, first chunk, end) in ``chunks``."""
    flags = (1 << 31) | (1 << 30 if content is not None else 0)
    parts = [struct.pack("<32sII8x", file_hash(entries(chunks)), flags, len(terms))]
    proofs, at = [], 0
    for name, start, end in terms:
        part = chunks[at : at + end - start]
        at += end - start
        parts.append(struct.pack("<32sIIII", name, 0, sum(map(len, part)), start, end))
        proofs.append(term_hash(chunk_hash(chunk) for chunk in part) + bytes(16))
    if content is not None:
        proofs.append(from_hex(sha256(content).hexdigest()) + bytes(16))
    return b"".join(parts + proofs)


def xorb_block(chunks: Sequence[bytes], *, indexed: Iterable[int] = ()) -> bytes:
    parts = [
        struct.pack("<32sIIII", merkle_root(entries(chunks)), 0, len(chunks), 0, 0),
    ]
    at = 0
    for place, chunk in enumerate(chunks):
        flags = 1 << 31 if place in set(indexed) else 0
        parts.append(struct.pack("<32sIIII", chunk_hash(chunk), at, len(chunk), flags, 0))
        at += len(chunk)
    return b"".join(parts)


def shard(files: Iterable[bytes] = (), xorbs: Iterable[bytes] = ()) -> bytes:
    header = TAG + struct.pack("<QQ", 2, 0)
    return b"".join([header, *files, BOOKEND, *xorbs, BOOKEND])


def client_output(folder: Path, *contents: bytes) -> tuple[list[bytes], list[bytes], list[str]]:
    """Let hf_xet itself write ``contents``; return its xorbs, its shards and the file hashes."""
    import hf_xet

    commit = hf_xet.XetSession().new_upload_commit(endpoint=f"local://{folder}")
    handles = [commit.start_upload_bytes(content) for content in contents]
    commit.wait_to_finish()
    hashes = [handle.result().xet_info.hash for handle in handles]
    stored = folder / "xet" / "xorbs"
    paths = sorted(path for path in stored.glob("xorbs/default.*") if path.name.count(".") == 1)
    xorbs = [path.read_bytes() for path in paths]
    shards = [path.read_bytes() for path in sorted(stored.glob("shards/*.mdb"))]
    return xorbs, shards, hashes


def unpack(scheme: int, payload: bytes, size_bytes: int) -> bytes:
    """Return the raw bytes of one chunk."""
    return bytes(Unpacker().unpack(scheme, payload, size_bytes))

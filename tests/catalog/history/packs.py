"""Packs as git makes them, and as nobody should."""

import hashlib
import struct
import subprocess
import zlib
from pathlib import Path

COMMIT, TREE, BLOB, TAG, OFS_DELTA, REF_DELTA = 1, 2, 3, 4, 6, 7
KINDS = {COMMIT: "commit", TREE: "tree", BLOB: "blob", TAG: "tag"}


def oid_of(kind: int, data: bytes) -> bytes:
    return hashlib.sha1(f"{KINDS[kind]} {len(data)}\0".encode() + data).digest()


def entry(kind: int, data: bytes, *, size: int | None = None, between: bytes = b"") -> bytes:
    """An entry; ``size``: what it says; ``between``: a delta's base."""
    left = len(data) if size is None else size
    head = [(kind << 4) | (left & 15)]
    left >>= 4
    while left:
        head[-1] |= 0x80
        head.append(left & 0x7F)
        left >>= 7
    return bytes(head) + between + zlib.compress(data)


def pack_of(*entries: bytes, count: int | None = None, version: int = 2) -> bytes:
    number = len(entries) if count is None else count
    body = struct.pack(">4sLL", b"PACK", version, number) + b"".join(entries)
    return body + hashlib.sha1(body).digest()


def number(value: int) -> bytes:
    """A size as differences tell it."""
    out = bytearray()
    while True:
        out.append((value & 0x7F) | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(out)


def back(distance: int) -> bytes:
    """How far an offset delta points back."""
    out = [distance & 0x7F]
    distance >>= 7
    while distance:
        distance -= 1
        out.insert(0, 0x80 | (distance & 0x7F))
        distance >>= 7
    return bytes(out)


def appended(old: bytes, more: bytes) -> bytes:
    """The difference that copies ``old`` and puts ``more`` (up to 127 bytes) behind it."""
    copy = bytes([0b1011_0000, len(old) & 0xFF, len(old) >> 8]) if old else b""
    insert = bytes([len(more)]) + more if more else b""
    return number(len(old)) + number(len(old) + len(more)) + copy + insert


def git(folder: Path, *args: str, data: bytes = b"") -> bytes:
    done = subprocess.run(
        ["git", *args],
        cwd=folder,
        input=data,
        capture_output=True,
        check=True,
        timeout=60,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "GIT_AUTHOR_NAME": "Ann",
            "GIT_AUTHOR_EMAIL": "ann@example.org",
            "GIT_COMMITTER_NAME": "Ann",
            "GIT_COMMITTER_EMAIL": "ann@example.org",
        },
    )
    return done.stdout

"""Hashing while receiving: bytes pass through and are refused at their end unless they match."""

import hashlib
from collections.abc import Iterator

from store.storage.base import CHUNK_BYTES, Digest
from store.storage.errors import DigestMismatchError, SizeMismatchError
from store.storage.sources import ByteSource


class VerifyingReader:
    """Reads a source once and vouches for it: the read that would return its end raises instead.

    Args:
        source: Read to its end, one byte past the promised size at most.
        size_bytes: Promised size.
        digest: Promised sha256; ``None``: only the size is checked.
    """

    def __init__(self, source: ByteSource, size_bytes: int, digest: Digest | None) -> None:
        self._source = source
        self._size_bytes = size_bytes
        self._digest = digest
        self._hash = hashlib.sha256()
        self._received_bytes = 0
        self._is_verified = False
        self._rest = b""  # taken from the source, not yet asked for by ``read``

    def read_some(self) -> bytes:
        """Return the next piece, at most 1 MiB; empty once everything was seen and matches.

        Raises:
            SizeMismatchError: the source is longer or shorter than promised.
            DigestMismatchError: it has another sha256.
        """
        if self._is_verified:
            return b""
        left = self._size_bytes - self._received_bytes
        # one byte more than is due shows a source that is too long
        piece = self._source.read(min(CHUNK_BYTES, left + 1))
        if not piece:
            self._verify()
            return b""
        self._received_bytes += len(piece)
        if self._received_bytes > self._size_bytes:
            raise SizeMismatchError(
                f"There are more than the promised {self._size_bytes} bytes.",
                expected_bytes=self._size_bytes,
            )
        self._hash.update(piece)
        return piece

    def pieces(self) -> Iterator[bytes]:
        """Yield everything piece by piece; raise at the end as ``read_some`` does."""
        return iter(self.read_some, b"")

    def read(self, size: int = -1) -> bytes:
        """Return exactly ``size`` bytes, fewer only at the verified end; all for ``-1``.

        Raises:
            SizeMismatchError: see ``read_some``.
            DigestMismatchError: see ``read_some``.
        """
        pieces: list[bytes] = []
        due = self._size_bytes - self._received_bytes + len(self._rest)
        wanted = due + 1 if size < 0 else size
        while wanted > 0 and (piece := self._rest or self.read_some()):
            pieces.append(piece[:wanted])
            self._rest = piece[wanted:]
            wanted -= len(pieces[-1])
        return b"".join(pieces)

    @property
    def hexdigest(self) -> str:
        """The sha256 of what passed so far."""
        return self._hash.hexdigest()

    def _verify(self) -> None:
        if self._received_bytes != self._size_bytes:
            raise SizeMismatchError(
                f"There are {self._received_bytes} bytes, not the promised {self._size_bytes}.",
                expected_bytes=self._size_bytes,
                received_bytes=self._received_bytes,
            )
        if self._digest is not None and self.hexdigest != self._digest:
            raise DigestMismatchError(
                "The bytes do not have the promised sha256. Send the file again.",
                expected=self._digest,
                received=self.hexdigest,
            )
        self._is_verified = True

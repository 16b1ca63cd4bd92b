"""What bytes are read from."""

from collections.abc import Iterator
from functools import partial
from typing import NewType, Protocol

Digest = NewType("Digest", str)
"""Hash of the content, 64 lower-case hexadecimal characters: a sha256 as it is, or behind ``xorb-``
what a ``NamedSource`` says of itself, of content nobody asks for by its sha256."""

MIB = 1024**2
CHUNK_BYTES = MIB
"""How much is read, hashed and written at a time, in bytes."""


class ByteSource(Protocol):
    """The reading half of a binary file."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, empty at the end."""


class NamedSource(Protocol):
    """Finds out while it is read what it is; a block is good until the next is asked for."""

    def read(self, size: int, /) -> bytes | memoryview:
        """Return up to ``size`` bytes, empty at the end."""

    @property
    def digest(self) -> Digest:
        """The name of the whole; ask for it after the end was reached."""


def blocks_of(source: NamedSource) -> Iterator[bytes | memoryview]:
    """Yield everything, at most 1 MiB a time, each block good until the next is asked for."""
    return iter(partial(source.read, CHUNK_BYTES), b"")

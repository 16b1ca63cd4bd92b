"""What bytes are read from."""

from typing import Protocol


class ByteSource(Protocol):
    """The reading half of a binary file."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, empty at the end."""


class BlockSource(Protocol):
    """Gives blocks that are good only until the next one is asked for."""

    def read(self, size: int, /) -> bytes | memoryview:
        """Return up to ``size`` bytes, empty at the end."""

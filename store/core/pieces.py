"""Bytes on their way out, in pieces that are worth sending."""

from collections.abc import Iterable, Iterator


def gathered(pieces: Iterable[bytes], least_bytes: int) -> Iterator[bytes]:
    """Yield the same bytes in pieces of at least ``least_bytes``, but for the last.

    What is sent costs by the piece. A piece is joined of whole ones: it is larger than
    ``least_bytes`` by less than the largest of them.
    """
    held: list[bytes] = []
    held_bytes = 0
    for piece in pieces:
        held.append(piece)
        held_bytes += len(piece)
        if held_bytes >= least_bytes:
            yield b"".join(held)
            held, held_bytes = [], 0
    if held:
        yield b"".join(held)

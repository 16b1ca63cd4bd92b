"""Our own strict reader of SentencePiece models (``tokenizer.model``).

A model is one protobuf message: pieces, then specifications. Only its outline is read: every piece
is a text with a score, and no field is there that the format does not know. Layout:
https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
"""

from dataclasses import dataclass

from catalog.formats.errors import SentencePieceError
from catalog.formats.sources import MIB, ByteSource

MAX_BYTES = 16 * MIB
"""The largest known (262,144 pieces) has 4.7 MB."""
MAX_PIECES = 1_000_000

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_PIECE = 1
_SPECIFICATIONS = frozenset({2, 3, 4, 5})
"""trainer_spec, normalizer_spec, self_test_data, denormalizer_spec: messages."""
_PIECE_FIELDS = {1: _LENGTH, 2: _FIXED32, 3: _VARINT}
"""Text, score, type."""


@dataclass(frozen=True, slots=True)
class SentencePieceModel:
    """An outline that kept every rule."""

    pieces: int


class _Reader:
    """Walks the fields of one message inside ``data``."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data, self.at, self.end = data, at, end

    def varint(self) -> int:
        value = shift = 0
        while self.at < self.end and shift < 64:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise _broken(self.at)

    def field(self) -> tuple[int, int, int]:
        """Step over one field; return its number, its wire type and where its content begins."""
        tag = self.varint()
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            begin = self.at
            self.varint()
            return number, wire, begin
        if wire == _LENGTH:
            length = self.varint()
        elif wire in {_FIXED32, _FIXED64}:
            length = 4 if wire == _FIXED32 else 8
        else:
            raise _broken(self.at)
        begin = self.at
        self.at = begin + length
        if self.at > self.end:
            raise _broken(begin)
        return number, wire, begin


def read_model(source: ByteSource) -> SentencePieceModel:
    """Read and check the outline of a SentencePiece model.

    Raises:
        SentencePieceError: A rule is broken; ``code`` names it.
    """
    if source.size_bytes > MAX_BYTES:
        raise SentencePieceError(
            "sentencepiece_too_large",
            f"It has {source.size_bytes:,} bytes; at most {MAX_BYTES:,} are read. Train a smaller "
            "vocabulary.",
        )
    data = source.read_at(0, source.size_bytes)
    reader = _Reader(data, 0, len(data))
    pieces = 0
    while reader.at < reader.end:
        number, wire, begin = reader.field()
        if number == _PIECE and wire == _LENGTH:
            _check_piece(data, begin, reader.at)
            pieces += 1
        elif wire != _LENGTH or (number not in _SPECIFICATIONS and number < 200):
            raise _broken(begin)  # 200 and up are extensions, by the format's own rule
    if not 0 < pieces <= MAX_PIECES:
        raise SentencePieceError(
            "sentencepiece_pieces",
            f"It has {pieces:,} pieces, expected 1 to {MAX_PIECES:,}; train the tokenizer again.",
        )
    return SentencePieceModel(pieces)


def _check_piece(data: bytes, at: int, end: int) -> None:
    """Check one piece: first the layout every trainer writes, in one step, else field by field."""
    if end - at >= 7 and data[at] == 0x0A and data[at + 1] < 0x80:
        behind = at + 2 + data[at + 1]
        if (behind + 5 == end or (behind + 7 == end and data[behind + 5] == 0x18)) and data[
            behind
        ] == 0x15:
            _check_text(data, at + 2, behind)
            return
    reader = _Reader(data, at, end)
    while reader.at < end:
        number, wire, begin = reader.field()
        if _PIECE_FIELDS.get(number, wire if number >= 200 else -1) != wire:
            raise _broken(begin)
        if number == 1:
            _check_text(data, begin, reader.at)


def _check_text(data: bytes, at: int, end: int) -> None:
    try:
        data[at:end].decode()
    except UnicodeDecodeError as exc:
        raise _broken(at) from exc


def _broken(at: int) -> SentencePieceError:
    return SentencePieceError(
        "sentencepiece_damaged",
        "It is no complete SentencePiece model; upload it again.",
        where=f"byte {at}",
    )

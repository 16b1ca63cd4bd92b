"""Find out what a file is from its bytes.

The name is never trusted: a scanner that goes by names skips the pickle that calls itself
``model.safetensors`` (SECURITY.md D1). Two things are looked for in every file, whatever else it
seems to be: a pickle at its beginning, and, in what is compressed, a pickle inside.
"""

import bz2
import codecs
import lzma
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from catalog.formats import zips
from catalog.formats.errors import FormatError
from catalog.formats.kinds import Kind, agrees
from catalog.formats.opcodes import trace
from catalog.formats.sources import KIB, ByteSource, BytesSource, MeteredSource

HEAD_BYTES = 64 * KIB
"""Read of every file; all magic numbers and the text test fit."""
INSIDE_BYTES = 64 * KIB
"""Unpacked at most of a compressed file to see what is inside."""

_POLYGLOT_BYTES = 1024 * KIB
"""Followed behind the header of a safetensors file that is a pickle as well."""

_CONTROLS = re.compile(r"[\x00-\x07\x0e-\x1a\x1c-\x1f]")
"""Characters no text has. Backspace and escape stay: logs of progress bars have them."""
_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1"
_TAG = re.compile(r"<(!doctype\s+)?([a-z]+)", re.IGNORECASE)
_PROLOGS = (("<?xml", "?>"), ("<!--", "-->"))
_MAX_PROLOGS = 100
_HTML_TAGS = frozenset({"html", "head", "body", "script", "iframe", "style", "title", "base"})

_MAGIC: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"GGUF", Kind.GGUF),
    (0, b"\x89PNG\r\n\x1a\n", Kind.PNG),
    (0, b"\xff\xd8\xff", Kind.JPEG),
    (0, b"GIF87a", Kind.GIF),
    (0, b"GIF89a", Kind.GIF),
    (8, b"WEBP", Kind.WEBP),
    (0, b"%PDF-", Kind.PDF),
    (0, b"PK\x03\x04", Kind.ZIP),
    (0, b"PK\x05\x06", Kind.ZIP),
    (0, b"\x93NUMPY", Kind.NUMPY),
    (0, b"\x89HDF\r\n\x1a\n", Kind.HDF5),
    (4, b"TFL3", Kind.TFLITE),
    (0, b"PAR1", Kind.PARQUET),
    (0, b"ARROW1", Kind.ARROW),
    (0, b"SQLite format 3\0", Kind.SQLITE),
    (257, b"ustar", Kind.TAR),
    (0, b"\x1f\x8b", Kind.GZIP),
    (0, b"\xfd7zXZ\0", Kind.XZ),
    (0, b"]\x00\x00", Kind.XZ),  # the older .lzma, which joblib also writes
    (4, b"1AY&SY", Kind.BZIP2),
    (0, b"\x28\xb5\x2f\xfd", Kind.ZSTD),
    (0, b"\x04\x22\x4d\x18", Kind.LZ4),
    (0, b"7z\xbc\xaf\x27\x1c", Kind.SEVEN_ZIP),
    (0, b"Rar!\x1a\x07", Kind.RAR),
    (0, b"\x7fELF", Kind.ELF),
    (0, b"\xce\xfa\xed\xfe", Kind.MACH_O),
    (0, b"\xcf\xfa\xed\xfe", Kind.MACH_O),
    (0, b"\xfe\xed\xfa\xce", Kind.MACH_O),
    (0, b"\xfe\xed\xfa\xcf", Kind.MACH_O),
    (0, b"\xca\xfe\xba\xbe", Kind.JAVA_CLASS),  # or a fat macOS program: the same four bytes
    (0, b"\0asm", Kind.WASM),
    (0, b"lmgg", Kind.GGML),
    (0, b"fmgg", Kind.GGML),
    (0, b"tjgg", Kind.GGML),
)
_WORDS = frozenset(magic for _, magic, kind in _MAGIC if magic.isalnum() and kind is not Kind.PDF)
_ZLIB_STARTS = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")


@dataclass(frozen=True, slots=True)
class Sniffed:
    """What a file is."""

    kind: Kind
    matches_name: bool | None
    """Whether the name promises this kind; ``None`` when it promises nothing."""


def sniff(source: MeteredSource, path: str) -> Sniffed:
    """Tell what the bytes of ``source`` are; ``path`` only decides ``matches_name``.

    Raises:
        OverBudgetError: It is not clear within the budget.
    """
    kind = _kind(source)
    return Sniffed(kind, agrees(kind, path))


def _kind(source: MeteredSource) -> Kind:
    head = source.read_at(0, HEAD_BYTES)
    if not head:
        return Kind.EMPTY
    by_magic = _by_magic(head, source.size_bytes)
    if by_magic is Kind.ZIP:
        return _zip_kind(source)
    if _is_pickle(source, head, by_magic):
        return Kind.PICKLE
    unpack = _UNPACKERS.get(by_magic) if by_magic else None
    if unpack is not None and _holds_pickle(head, unpack):
        return Kind.COMPRESSED_PICKLE
    return by_magic or _text_kind(head) or _by_structure(head) or Kind.BINARY


def _by_magic(head: bytes, size_bytes: int) -> Kind | None:
    for offset, magic, kind in _MAGIC:
        if head.startswith(magic, offset):
            # an article may begin with "GGUF"
            return None if magic in _WORDS and _text_kind(head) else kind
    length = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and length <= size_bytes - 8:
        return Kind.SAFETENSORS
    if head.startswith(_ZLIB_STARTS):
        return Kind.ZLIB
    if head.startswith(b"MZ") and _is_program(head):
        return Kind.PE
    if _is_old_tar(head):
        return Kind.TAR
    is_pyc = head[2:4] == b"\r\n" and 3000 <= int.from_bytes(head[:2], "little") < 4000
    return Kind.PYTHON_BYTECODE if is_pyc and b"\0" in head[4:16] else None


def _is_old_tar(head: bytes) -> bool:
    """Recognize a tar without "ustar" by its checksum: torch once wrote such files."""
    told = head[148:156].strip(b" \0")
    if len(head) < 512 or not re.fullmatch(rb"[0-7]{1,7}", told):
        return False
    return sum(head[:148]) + sum(head[156:512]) + 8 * ord(" ") == int(told, 8)


def _is_program(head: bytes) -> bool:
    """Tell a Windows program from text that begins with "MZ"."""
    return b"\0" in head[:64] or b"PE\0\0" in head


def _is_pickle(source: MeteredSource, head: bytes, by_magic: Kind | None) -> bool:
    """Tell whether an unpickler would take these bytes.

    Protocol 2 and later say so in two bytes. Older ones are text, and any other format may be
    built so that its beginning is a pickle as well: then it counts as one if it calls anything,
    even if it is broken later.
    """
    if by_magic is Kind.SAFETENSORS:  # its header may happen to have 0x480 bytes: no mark
        # a length that ends in "V" opens a line; of zeros, that might go on for gigabytes
        end = int.from_bytes(head[:8], "little") + _POLYGLOT_BYTES
        return trace(source, 0, end, spend=source.spend).runs_code
    return _is_marked(head) or trace(source, spend=source.spend).runs_code


def _is_marked(head: bytes) -> bool:
    return len(head) > 1 and head[0] == 0x80 and head[1] <= 5


def _zip_kind(source: MeteredSource) -> Kind:
    try:
        names = [member.name for member in zips.members(source)]
    except FormatError:
        return Kind.ZIP
    bases = {name.rpartition("/")[2].casefold() for name in names}
    # torch finds its members without regard to case
    if bases & {"data.pkl", "constants.pkl"}:
        return Kind.TORCH_ZIP
    if {"config.json", "metadata.json", "model.weights.h5"} <= set(names):
        return Kind.KERAS
    if names and all(name.endswith(".npy") for name in names):
        return Kind.NPZ
    return Kind.ZIP


def _unzlib(head: bytes) -> bytes:
    return zlib.decompressobj().decompress(head, INSIDE_BYTES)


def _ungzip(head: bytes) -> bytes:
    return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, INSIDE_BYTES)


def _unxz(head: bytes) -> bytes:
    # the dictionary a header asks for may be 4 GiB
    return lzma.LZMADecompressor(memlimit=128 * KIB * KIB).decompress(head, INSIDE_BYTES)


def _unbzip2(head: bytes) -> bytes:
    return bz2.BZ2Decompressor().decompress(head, INSIDE_BYTES)


_UNPACKERS: dict[Kind, Callable[[bytes], bytes]] = {
    Kind.ZLIB: _unzlib,
    Kind.GZIP: _ungzip,
    Kind.XZ: _unxz,
    Kind.BZIP2: _unbzip2,
}


def _holds_pickle(head: bytes, unpack: Callable[[bytes], bytes]) -> bool:
    """Tell whether a compressed file begins with a pickle inside."""
    try:
        inside = unpack(head)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError):
        return False
    return is_pickle_head(inside)


def is_pickle_head(head: bytes) -> bool:
    """Tell whether the first bytes of something are a pickle: by its mark, or because it calls."""
    return _is_marked(head) or trace(BytesSource(head)).runs_code


def _text_kind(head: bytes) -> Kind | None:
    text = text_of(head, is_final=len(head) < HEAD_BYTES)
    if text is None:
        return None
    if head.startswith(_LFS_POINTER):
        return Kind.LFS_POINTER
    start = text.lstrip("\ufeff \t\r\n")
    if start[:1] in {"{", "["}:
        return Kind.JSON
    return _markup_kind(start) or Kind.TEXT


def _markup_kind(text: str) -> Kind | None:
    match = _TAG.match(text, _behind_prologs(text))
    is_xml = text.startswith("<?xml")
    if match is None:
        return Kind.XML if is_xml else None
    tag = match[2].lower()
    if tag == "svg":
        return Kind.SVG
    if tag in _HTML_TAGS:
        return Kind.HTML
    return Kind.XML if is_xml or match[1] else None


def _behind_prologs(text: str) -> int:
    """Return the index behind declarations, comments and space; by hand, so never quadratic."""
    at = 0
    for _ in range(_MAX_PROLOGS):
        closing = next((close for opening, close in _PROLOGS if text.startswith(opening, at)), None)
        end = -1 if closing is None else text.find(closing, at)
        if closing is None or end < 0:
            break
        at = end + len(closing)
        at += len(text[at : at + KIB]) - len(text[at : at + KIB].lstrip())
    return at


def text_of(data: bytes, *, is_final: bool) -> str | None:
    """Return ``data`` as text, or ``None`` when it is none.

    Args:
        data: Bytes, UTF-8 or anything.
        is_final: Whether a character cut off at the end is an error.
    """
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(data, is_final)
    except UnicodeDecodeError:
        return None
    return None if _CONTROLS.search(text) else text


def _by_structure(head: bytes) -> Kind | None:
    """Recognize formats without a magic number by how they begin."""
    # a SentencePiece model begins with its first piece: 0a <length> 0a <length> text
    if head[:1] == head[2:3] == b"\n" and len(head) > 4 and head[3] + 2 <= head[1]:
        return Kind.SENTENCEPIECE
    # ONNX: field 1 is its version, field 2 the name of its producer
    if head[:1] == b"\x08" and head[2:3] == b"\x12" and head[4:8].isascii() and head[1:2] < b"\x40":
        return Kind.ONNX
    # msgpack: a map whose first key is a text
    first, second = head[:1], head[1:2]
    if b"\x81" <= first <= b"\x8f" and (b"\xa1" <= second <= b"\xbf" or second == b"\xd9"):
        return Kind.MSGPACK
    if first in {b"\xde", b"\xdf"} and len(head) > 5:
        return Kind.MSGPACK
    return None


def read_whole_text(source: ByteSource, spend: Callable[[int], None]) -> bool:
    """Tell whether a file is UTF-8 text from its first byte to its last.

    Args:
        source: The file; it is read in pieces.
        spend: Called with the number of pieces; raises to give up.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    step = 1024 * KIB
    for at in range(0, source.size_bytes, step):
        spend(1)
        piece = source.read_at(at, step)
        try:
            text = decoder.decode(piece, at + len(piece) == source.size_bytes)
        except UnicodeDecodeError:
            return False
        if _CONTROLS.search(text):
            return False
    return True

"""Our own strict reader of GGUF headers.

The package ``gguf`` is no validator: it hangs on an array that claims 2^60 elements. Here every
count and length is compared with the bytes left before anything is read or allocated, and tensors
must lie as llama.cpp itself demands. Rules: SECURITY.md D4. Layout:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct
from collections import Counter
from dataclasses import dataclass

from catalog.formats.errors import GgufError, TruncatedError, shown
from catalog.formats.ggml_types import FILE_TYPES, GGML_TYPES, UNPACKED
from catalog.formats.gguf_values import GgufArray, Value, read_name, read_value
from catalog.formats.sources import MIB, ByteSource, Cursor

MAX_HEADER_BYTES = 64 * MIB
"""Keys, values and tensor list together; a vocabulary of 262,144 tokens with merges takes 20 MB."""
MAX_PAIRS = 65_536
MAX_TENSORS = 100_000
MAX_DIMENSIONS = 4
MAX_KEY_BYTES = 512
MAX_NAME_BYTES = 128
"""The specification says 64; some builds of ggml raise it to 128."""
MAX_ALIGNMENT = 1 * MIB
MAX_ELEMENTS = 2**63 - 1

_PARALLEL_ARRAYS = tuple(f"tokenizer.ggml.{name}" for name in ("tokens", "scores", "token_type"))
_CONSTANT_TENSORS = ("rope_freqs.", "rope_factors_")
"""Tables derived from the configuration, not learned."""


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor of a file."""

    name: str
    type_name: str
    """Name of the ggml type, for example ``Q4_K``."""
    shape: tuple[int, ...]
    """Elements per dimension, the fastest-moving first (the reverse of safetensors)."""
    elements: int
    offset: int
    """First byte, counted from ``GgufHeader.data_start``."""
    size_bytes: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """A header that kept every rule."""

    version: int
    metadata: dict[str, Value]
    tensors: tuple[GgufTensor, ...]
    alignment: int
    data_start: int
    """Offset in the file where tensor data begins, in bytes."""

    def text(self, key: str) -> str:
        """Return the string under ``key``, or ``""``."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else ""

    def count(self, key: str) -> int | None:
        """Return the non-negative integer under ``key``, or ``None``."""
        value = self.metadata.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_ELEMENTS:
            return value
        return None

    def length(self, key: str) -> int | None:
        """Return the number of elements of the array under ``key``, or ``None``."""
        value = self.metadata.get(key)
        return value.count if isinstance(value, GgufArray) else None

    @property
    def architecture(self) -> str:
        """``general.architecture``, for example ``llama``."""
        return self.text("general.architecture")

    def of_architecture(self, key: str) -> int | None:
        """Return the integer under ``{architecture}.{key}``, or ``None``."""
        return self.count(f"{self.architecture}.{key}")

    @property
    def parameters(self) -> int:
        """Learned elements: all tensors but the rotary tables."""
        return sum(t.elements for t in self.tensors if not t.name.startswith(_CONSTANT_TENSORS))

    @property
    def elements_by_type(self) -> dict[str, int]:
        """Elements per ggml type, the most frequent first."""
        counted: Counter[str] = Counter()
        for tensor in self.tensors:
            counted[tensor.type_name] += tensor.elements
        return dict(counted.most_common())

    @property
    def quantization(self) -> str:
        """Name of the quantization, ``""`` when the weights are plain floats.

        ``general.file_type`` where the publisher set it, since it tells mixtures apart
        (``Q4_K_M``); else the type that holds most elements.
        """
        declared = FILE_TYPES.get(self.count("general.file_type") or 0, "")
        dominant = next(iter(self.elements_by_type), "")
        if dominant in UNPACKED:
            return ""
        # small models fall back to other types than their name says: believe the tensors then
        return declared if _bits(declared) == _bits(dominant) else dominant


def _bits(name: str) -> str:
    """Return the part of a type's name before the mixture: ``Q4`` of ``Q4_K_M``."""
    return name.partition("_")[0]


def read_header(source: ByteSource) -> GgufHeader:
    """Read and check the header of a GGUF file; tensor data is not touched.

    Raises:
        GgufError: A rule is broken; ``code`` names it.
    """
    end = min(source.size_bytes, MAX_HEADER_BYTES)
    try:
        return _read(Cursor(source, 0, end), source.size_bytes)
    except TruncatedError as exc:
        if end < source.size_bytes:
            raise GgufError(
                "gguf_header_too_large",
                f"The header has more than {MAX_HEADER_BYTES:,} bytes; shorten its metadata.",
            ) from exc
        raise GgufError(
            "gguf_truncated",
            "The file ends inside its header; the upload was cut short, so upload it again.",
            where=exc.where,
        ) from exc


def _read(cursor: Cursor, file_bytes: int) -> GgufHeader:
    version = _read_version(cursor)
    tensor_count, pair_count = struct.unpack("<QQ", cursor.take(16))
    # a pair takes at least 13 bytes (key length, type, one byte), a tensor 24
    _check_count("tensors", tensor_count, min(MAX_TENSORS, cursor.remaining // 24))
    _check_count("key-value pairs", pair_count, min(MAX_PAIRS, cursor.remaining // 13))
    metadata: dict[str, Value] = {}
    for _ in range(pair_count):
        key = read_name(cursor, MAX_KEY_BYTES, "key")
        if key in metadata:
            raise GgufError(
                "gguf_duplicate_key",
                f"The key {shown(key)} appears twice; write the file again with the gguf package.",
            )
        metadata[key] = read_value(cursor, key)
    _check_token_arrays(metadata)
    alignment = _alignment(metadata)
    tensors = _read_tensors(cursor, tensor_count, alignment)
    data_start = _padded(cursor.position, alignment)
    _check_end(tensors, data_start, alignment, file_bytes)
    return GgufHeader(version, metadata, tensors, alignment, data_start)


def _read_version(cursor: Cursor) -> int:
    if cursor.take(4) != b"GGUF":
        raise GgufError(
            "gguf_magic", "It does not begin with 'GGUF'; this is another kind of file."
        )
    version: int = struct.unpack("<I", cursor.take(4))[0]
    if version in (2, 3):
        return version
    if version in (2 << 24, 3 << 24):
        raise GgufError(
            "gguf_big_endian",
            "It is written for big-endian machines; convert it to little-endian.",
            where="byte 4",
        )
    raise GgufError(
        "gguf_version",
        f"It has version {version}; only 2 and 3 are read, so convert the model again.",
        where="byte 4",
    )


def _check_count(what: str, count: int, most: int) -> None:
    if count > most:
        raise GgufError(
            "gguf_count",
            f"It announces {count:,} {what}, more than the file can hold or than are accepted "
            f"({most:,}); the file is damaged.",
        )


def _check_token_arrays(metadata: dict[str, Value]) -> None:
    lengths = {
        key: value.count
        for key in _PARALLEL_ARRAYS
        if isinstance(value := metadata.get(key), GgufArray)
    }
    if len(set(lengths.values())) > 1:
        raise GgufError(
            "gguf_token_arrays",
            "The lists of tokens, scores and token types differ in length; convert the "
            "tokenizer again.",
            where=", ".join(f"{key}: {count:,}" for key, count in lengths.items()),
        )


def _alignment(metadata: dict[str, Value]) -> int:
    alignment = metadata.get("general.alignment", 32)
    if (
        not isinstance(alignment, int)
        or not 8 <= alignment <= MAX_ALIGNMENT
        or alignment & (alignment - 1)
    ):
        raise GgufError(
            "gguf_alignment",
            f"The alignment must be a power of two from 8 to {MAX_ALIGNMENT:,}; write the file "
            "again with the gguf package.",
            where="key 'general.alignment'",
        )
    return alignment


def _padded(size: int, alignment: int) -> int:
    return (size + alignment - 1) // alignment * alignment


def _read_tensors(cursor: Cursor, count: int, alignment: int) -> tuple[GgufTensor, ...]:
    tensors: list[GgufTensor] = []
    names: set[str] = set()
    expected = 0
    for _ in range(count):
        tensor = _read_tensor(cursor)
        where = f"tensor {shown(tensor.name)}"
        if tensor.name in names:
            raise GgufError(
                "gguf_duplicate_tensor",
                "A tensor is listed twice; write the file again with the gguf package.",
                where=where,
            )
        if tensor.offset != expected:
            # llama.cpp demands exactly this; a gap could hide a second file in the weights
            raise GgufError(
                "gguf_offset",
                f"A tensor begins at byte {tensor.offset:,} of the data, expected {expected:,}: it "
                "overlaps another, is not aligned, or leaves a hole. Write the file again.",
                where=where,
            )
        names.add(tensor.name)
        tensors.append(tensor)
        expected = _padded(expected + tensor.size_bytes, alignment)
    return tuple(tensors)


def _read_tensor(cursor: Cursor) -> GgufTensor:
    name = read_name(cursor, MAX_NAME_BYTES, "tensor")
    where = f"tensor {shown(name)}"
    dimensions: int = struct.unpack("<I", cursor.take(4))[0]
    if dimensions > MAX_DIMENSIONS:
        raise GgufError(
            "gguf_dimensions",
            f"A tensor has {dimensions:,} dimensions; at most {MAX_DIMENSIONS} exist in ggml.",
            where=where,
        )
    shape = struct.unpack(f"<{dimensions}Q", cursor.take(8 * dimensions))
    type_id, offset = struct.unpack("<IQ", cursor.take(12))
    elements = 1
    for size in shape:
        elements *= size
        if not 0 < elements <= MAX_ELEMENTS:
            raise GgufError(
                "gguf_shape",
                "A shape is empty or larger than any computer; convert the model again.",
                where=where,
            )
    stored = GGML_TYPES.get(type_id)
    if stored is None:
        raise GgufError(
            "gguf_tensor_type",
            f"Tensor type {type_id} is not known; convert the model with a current llama.cpp.",
            where=where,
        )
    if (shape[0] if shape else 1) % stored.block_elements:
        raise GgufError(
            "gguf_block",
            f"The first dimension of a {stored.name} tensor must be a multiple of "
            f"{stored.block_elements}; quantize the model again.",
            where=where,
        )
    size_bytes = elements // stored.block_elements * stored.block_bytes
    return GgufTensor(name, stored.name, shape, elements, offset, size_bytes)


def _check_end(
    tensors: tuple[GgufTensor, ...], data_start: int, alignment: int, file_bytes: int
) -> None:
    if not tensors:
        reached = min(data_start, file_bytes)  # a file of metadata alone may leave the padding out
    else:
        reached = data_start + tensors[-1].offset + tensors[-1].size_bytes
    if reached > file_bytes:
        raise GgufError(
            "gguf_beyond_end",
            f"The tensors reach to byte {reached:,}, the file has {file_bytes:,}; the upload was "
            "cut short, so upload it again.",
        )
    if file_bytes > _padded(reached, alignment):
        raise GgufError(
            "gguf_trailing_bytes",
            f"{file_bytes - reached:,} bytes follow the last tensor and belong to nothing; write "
            "the file again with the gguf package.",
        )

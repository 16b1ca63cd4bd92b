"""Our own strict reader of safetensors headers.

What we accept, the Rust library accepts too (a differential test holds that), but not the other
way round: the library takes duplicate keys, names of control characters, 100,001 dimensions and
headers of 100 MB. Rules: SECURITY.md D3. Layout:
https://github.com/huggingface/safetensors#format

    8 bytes little-endian header length n · n bytes JSON · tensor data to the end of the file
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from catalog.formats import strict_json
from catalog.formats.errors import SafetensorsError, shown
from catalog.formats.sources import MIB, ByteSource

MAX_HEADER_BYTES = 16 * MIB
MAX_TENSORS = 100_000
MAX_DIMENSIONS = 8
MAX_NAME_CHARS = 512
MAX_ELEMENTS = 2**63 - 1
"""Largest product of a shape; a database column holds it."""

BITS_PER_ELEMENT = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8,
    "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
"""Every dtype of safetensors 0.8 with its width; a test compares it with the library."""

_HEADER_LIMITS = strict_json.JsonLimits(
    size_bytes=MAX_HEADER_BYTES,
    containers=4 * MAX_TENSORS,  # three a tensor, and brackets in names
    values=20 * MAX_TENSORS,
)
_MASK = re.compile(r"(?:^|\.)(?:attn|attention|self_attn)\.bias$")
_CONSTANT = re.compile(r"(?:^|\.)(?:masked_bias|rotary_emb\.inv_freq|position_ids)$")
_TENSOR_KEYS = {"dtype", "shape", "data_offsets"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a file."""

    name: str
    dtype: str
    """A key of ``BITS_PER_ELEMENT``."""
    shape: tuple[int, ...]
    """Elements per dimension; ``()`` is a scalar."""
    start: int
    """First byte, counted from the end of the header."""
    end: int
    """Byte behind the last one, counted from the end of the header."""

    @property
    def elements(self) -> int:
        """Product of the shape."""
        product = 1
        for size in self.shape:
            product *= size
        return product

    @property
    def is_constant(self) -> bool:
        """Whether it is a causal mask or a position table: computed, never learned.

        GPT-2 as first published holds twelve masks of 1024 by 1024, a tenth of its elements.
        """
        is_mask = self.shape[:2] == (1, 1) and len(self.shape) == 4
        return bool((is_mask and _MASK.search(self.name)) or _CONSTANT.search(self.name))


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """A header that kept every rule."""

    tensors: tuple[Tensor, ...]
    """In the order of their bytes."""
    metadata: dict[str, str]
    header_bytes: int
    """Length of the JSON; tensor data begins at ``8 + header_bytes``."""

    @property
    def elements_by_dtype(self) -> dict[str, int]:
        """Elements per dtype, constant buffers included, the most frequent first."""
        counted: Counter[str] = Counter()
        for tensor in self.tensors:
            counted[tensor.dtype] += tensor.elements
        return dict(counted.most_common())

    @property
    def parameters(self) -> int:
        """Learned elements: all tensors but constant buffers that older models saved along."""
        return sum(tensor.elements for tensor in self.tensors if not tensor.is_constant)


def read_header(source: ByteSource) -> SafetensorsHeader:
    """Read and check the header of a safetensors file; tensor data is not touched.

    Raises:
        SafetensorsError: A rule is broken; ``code`` names it.
    """
    length = _header_length(source)
    raw = source.read_at(8, length)
    if raw[:1] != b"{":
        raise SafetensorsError(
            "safetensors_header_start",
            "The header does not begin with '{'; save the file with the safetensors library.",
            where="byte 8",
        )
    header = strict_json.parse(raw, _HEADER_LIMITS, parse_int=_count, error=SafetensorsError)
    metadata = _metadata(header.pop("__metadata__", {}))
    if len(header) > MAX_TENSORS:
        raise SafetensorsError(
            "safetensors_too_many_tensors",
            f"It lists {len(header):,} tensors; at most {MAX_TENSORS:,} are accepted. "
            "Split the file into shards.",
        )
    tensors = sorted(
        (_tensor(name, entry) for name, entry in header.items()), key=lambda t: (t.start, t.end)
    )
    _check_cover(tensors, source.size_bytes - 8 - length)
    return SafetensorsHeader(tuple(tensors), metadata, length)


def _header_length(source: ByteSource) -> int:
    if source.size_bytes < 10:  # the length and "{}"
        raise SafetensorsError(
            "safetensors_too_short",
            f"A safetensors file has at least 10 bytes, this one has {source.size_bytes}; "
            "upload it again.",
        )
    length = int.from_bytes(source.read_at(0, 8), "little")
    if length > MAX_HEADER_BYTES:
        raise SafetensorsError(
            "safetensors_header_too_large",
            f"The first 8 bytes announce a header of {length:,} bytes, more than "
            f"{MAX_HEADER_BYTES:,}; this is no safetensors file, or it must be split into shards.",
            where="byte 0",
        )
    if length > source.size_bytes - 8:
        raise SafetensorsError(
            "safetensors_header_beyond_end",
            f"The header should have {length:,} bytes, but the file ends before; "
            "the upload was cut short, so upload it again.",
            where="byte 0",
        )
    return length


def _count(digits: str) -> int:
    """Read an integer of the header: never negative (``-0`` is a float to Rust), at most 2^63-1."""
    if not digits.isdigit() or (number := int(digits)) > MAX_ELEMENTS:
        raise ValueError(digits)
    return number


def _metadata(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise SafetensorsError(
            "safetensors_metadata",
            "__metadata__ must be an object of strings; save the metadata as text.",
            where="__metadata__",
        )
    return value


def _tensor(name: str, entry: Any) -> Tensor:
    if not 0 < len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise _bad(
            name,
            "name",
            f"A tensor name must have 1 to {MAX_NAME_CHARS} printable characters; rename it.",
        )
    if not isinstance(entry, dict) or entry.keys() != _TENSOR_KEYS:
        raise _bad(
            name,
            "entry",
            "A tensor needs exactly dtype, shape and data_offsets; save the file with the "
            "safetensors library.",
        )
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS_PER_ELEMENT:
        raise _bad(name, "dtype", f"{shown(dtype)} is no dtype of safetensors.")
    if not _is_counts(shape) or len(shape) > MAX_DIMENSIONS:
        raise _bad(
            name,
            "shape",
            f"A shape is a list of at most {MAX_DIMENSIONS} whole numbers; reshape the tensor.",
        )
    if not _is_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _bad(
            name,
            "offsets",
            "data_offsets must be two whole numbers, begin and end; save the file again.",
        )
    tensor = Tensor(name, dtype, tuple(shape), offsets[0], offsets[1])
    _check_length(tensor)
    return tensor


def _bad(name: str, rule: str, reason: str) -> SafetensorsError:
    return SafetensorsError(f"safetensors_{rule}", reason, where=f"tensor {shown(name)}")


def _is_counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int for item in value)


def _check_length(tensor: Tensor) -> None:
    product = 1
    for size in tensor.shape:
        product *= size
        if product > MAX_ELEMENTS:  # at each step: a later 0 must not hide an overflow
            raise _bad(tensor.name, "overflow", "The shape is larger than any computer.")
    bits = product * BITS_PER_ELEMENT[tensor.dtype]
    if bits % 8 or bits // 8 != tensor.end - tensor.start:
        raise _bad(
            tensor.name,
            "length",
            f"Shape and dtype need {bits / 8:,.10g} bytes, data_offsets give "
            f"{tensor.end - tensor.start:,}; save the file again.",
        )


def _check_cover(tensors: list[Tensor], data_bytes: int) -> None:
    """Tensors must follow each other from the first to the last byte: no holes, no overlaps.

    A hole could hide a second file (a zip, a script) inside the weights.
    """
    reached = 0
    for tensor in tensors:
        if tensor.start != reached:
            problem = "overlaps the one before it" if tensor.start < reached else "leaves a hole"
            raise SafetensorsError(
                "safetensors_not_contiguous",
                f"A tensor {problem}; save the file with the safetensors library.",
                where=f"tensor {shown(tensor.name)}",
            )
        reached = tensor.end
    if reached != data_bytes:
        problem = "ends before its last tensor" if reached > data_bytes else "goes on behind it"
        raise SafetensorsError(
            "safetensors_wrong_size",
            f"The tensors need {reached:,} bytes of data, the file has {data_bytes:,}: it "
            f"{problem}. Upload it again.",
        )

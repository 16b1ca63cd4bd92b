"""Builders of good and hostile files."""

import io
import json
import os
import pickle
import struct
import sys
import time
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from catalog.formats import pickles
from catalog.formats.errors import FormatError
from catalog.formats.judges import Verdict
from catalog.formats.kinds import Kind
from catalog.formats.sources import AT_ONCE, FULL, Budget, BytesSource, MeteredSource
from catalog.formats.verdicts import FileReport, judge

_WIDTHS = {"F32": 4, "F16": 2, "BF16": 2, "U8": 1, "I32": 4, "I64": 8}


def judged(data: bytes, path: str, *, budget: Budget = AT_ONCE) -> FileReport:
    """Judge bytes, and check on the way that a job would come to the same verdict."""
    report = judge(BytesSource(data), path, budget=budget)
    if report.verdict is not Verdict.PENDING:
        assert judge(BytesSource(data), path, budget=FULL) == report
    return report


YARD_S = 0.005
"""Seconds the yardstick takes on the machine the bounds were set on."""


def seconds(action: Callable[[], object], *, runs: int = 5) -> float:
    """Return the processor time of the best of several runs, in seconds of that machine.

    Each run is held against a yardstick run beside it, so a slow or busy machine changes little.
    A run that records coverage is several times slower, so its time counts for less.
    """
    shares = [_took(action) / _took(_yardstick) for _ in range(runs)]
    return min(shares) * YARD_S / (20 if sys.gettrace() else 1)


def _took(action: Callable[[], object]) -> float:
    started = time.process_time()
    action()
    return time.process_time() - started


def _yardstick() -> int:
    total = 0
    for number in range(100_000):
        total += number
    return total


def case_name(value: object) -> str:
    """Name a parametrized case by its code, not by its bytes."""
    return value if isinstance(value, str) and value.isidentifier() else "-"


class Watched(BytesSource):
    """Counts what is read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reads: list[tuple[int, int]] = []

    def read_at(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, length))
        return super().read_at(offset, length)

    @property
    def read_bytes(self) -> int:
        return sum(length for _, length in self.reads)


class Hollow:
    """A file of any size that holds ``head``, then zeros: no memory is taken for them."""

    def __init__(self, head: bytes, size_bytes: int) -> None:
        self.head = head
        self.size_bytes = size_bytes

    def read_at(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size_bytes - offset))
        part = self.head[offset : offset + length]
        return part + bytes(length - len(part))


# safetensors


def st_raw(header: bytes, data: bytes = b"") -> bytes:
    """Put a header, however broken, in front of data."""
    return struct.pack("<Q", len(header)) + header + data


def st_entry(dtype: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def st_header(
    tensors: Mapping[str, tuple[str, list[int]]], metadata: dict[str, str] | None = None
) -> tuple[dict[str, Any], int]:
    """Return a good header and the bytes of data it needs."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata is not None else {}
    at = 0
    for name, (dtype, shape) in tensors.items():
        size = _WIDTHS[dtype]
        for dimension in shape:
            size *= dimension
        header[name] = st_entry(dtype, shape, at, at + size)
        at += size
    return header, at


def st_file(
    tensors: Mapping[str, tuple[str, list[int]]], metadata: dict[str, str] | None = None
) -> bytes:
    """Build a good safetensors file of zeros."""
    header, size = st_header(tensors, metadata)
    return st_raw(json.dumps(header).encode(), bytes(size))


# GGUF


def gg_string(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def gg_pair(key: str, type_id: int, value: bytes) -> bytes:
    return gg_string(key) + struct.pack("<I", type_id) + value


def gg_text(key: str, text: str | bytes) -> bytes:
    return gg_pair(key, 8, gg_string(text))


def gg_u32(key: str, number: int) -> bytes:
    return gg_pair(key, 4, struct.pack("<I", number))


def gg_array(key: str, type_id: int, count: int, items: bytes) -> bytes:
    return gg_pair(key, 9, struct.pack("<IQ", type_id, count) + items)


def gg_tensor(name: str, shape: list[int], type_id: int, offset: int) -> bytes:
    dims = struct.pack(f"<{len(shape)}Q", *shape)
    return (
        gg_string(name) + struct.pack("<I", len(shape)) + dims + struct.pack("<IQ", type_id, offset)
    )


def gg_file(
    pairs: list[bytes],
    tensors: list[bytes] | None = None,
    data: bytes = b"",
    *,
    version: int = 3,
    alignment: int = 32,
    counts: tuple[int, int] | None = None,
) -> bytes:
    """Build a GGUF file; data begins where the alignment says."""
    tensors = tensors or []
    tensor_count, pair_count = counts or (len(tensors), len(pairs))
    head = b"GGUF" + struct.pack("<IQQ", version, tensor_count, pair_count)
    head += b"".join(pairs) + b"".join(tensors)
    return head + bytes(-len(head) % alignment) + data


def gg_model(**changes: Any) -> bytes:
    """Build a small llama: one F32 matrix of 4 by 8, four tokens."""
    pairs = [
        gg_text("general.architecture", "llama"),
        gg_text("general.name", "Small"),
        gg_u32("llama.context_length", 128),
        gg_u32("llama.block_count", 2),
        gg_u32("llama.embedding_length", 8),
        gg_u32("llama.attention.head_count", 2),
        gg_text("tokenizer.ggml.model", "gpt2"),
        gg_array("tokenizer.ggml.tokens", 8, 4, b"".join(map(gg_string, ["a", "b", "c", "d"]))),
    ]
    values = {"pairs": pairs, "tensors": [gg_tensor("w", [8, 4], 0, 0)], "data": bytes(128)}
    return gg_file(**(values | changes))


# pickles


class Runs:
    """Unpickling this calls ``function(*arguments)``."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function = function
        self.arguments = arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


def touching(marker: object) -> Runs:
    """Return an object whose unpickling creates the file ``marker``."""
    return Runs(os.system, f"touch {marker}")


def torch_file(value: Any, **options: Any) -> bytes:
    """Save with the real torch."""
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def torch_zip(data_pkl: bytes, extra: Mapping[str, bytes] | None = None) -> bytes:
    """Put any pickle into a container that torch.load accepts, stored and without gaps."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        members = {"data.pkl": data_pkl, "version": b"3\n", "byteorder": b"little"}
        for name, content in (members | dict(extra or {})).items():
            archive.writestr(zipfile.ZipInfo(f"archive/{name}"), content)
    return buffer.getvalue()


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Build an ordinary zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def pickled(value: Any, protocol: int = 4) -> bytes:
    return pickle.dumps(value, protocol)


def refusal(data: bytes) -> str:
    """Return the code with which the pickle gate refuses ``data``."""

    source = MeteredSource(BytesSource(data), FULL)
    check = pickles.check_torch_zip if data[:2] == b"PK" else pickles.check_raw
    with pytest.raises(FormatError) as caught:
        check(source)
    return caught.value.code


# reports


def report(
    facts: Any = None,
    *,
    verdict: Verdict = Verdict.CLEAN,
    kind: Kind = Kind.JSON,
    size_bytes: int = 100,
    reason: str = "",
) -> FileReport:
    """Make a report without a file."""
    return FileReport(verdict, kind, verdict.value, reason, size_bytes, facts=facts)


def reports(contents: Mapping[str, bytes]) -> dict[str, FileReport]:
    """Judge a whole repository."""
    return {path: judged(data, path) for path, data in contents.items()}


CONFIG = {
    "architectures": ["GPT2LMHeadModel"],
    "model_type": "gpt2",
    "n_positions": 1024,
    "vocab_size": 257,
    "n_embd": 8,
    "n_layer": 2,
    "n_head": 2,
    "torch_dtype": "float16",
}
TOKENIZER = {
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]},
    "added_tokens": [{"id": 3, "content": "<end>"}],
}


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()

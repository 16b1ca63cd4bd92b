"""What differs between two safetensors files, tensor by tensor.

Headers tell most. Whether the numbers of a tensor of the same shape and type changed is found by
reading both, the smallest tensors first, within a bound of bytes: the rest is told as not
compared.
"""

from dataclasses import dataclass, field
from typing import Literal

from catalog.formats.safetensors import SafetensorsHeader, Tensor, read_header
from catalog.formats.sources import KIB, ByteSource

BLOCK_BYTES = 256 * KIB

Kind = Literal["added", "removed", "type", "shape", "values", "uncompared"]


@dataclass(frozen=True, slots=True)
class TensorChange:
    """One tensor that differs, or may differ."""

    name: str
    kind: Kind
    old: Tensor | None
    new: Tensor | None


@dataclass(slots=True)
class TensorComparison:
    """How two files differ."""

    changes: list[TensorChange] = field(default_factory=list)
    """In the order of the names."""
    same: int = 0
    """Tensors that are equal to the last byte."""
    uncompared: int = 0
    """Tensors of the same type and shape whose numbers were not read: the bound was reached."""


@dataclass(slots=True)
class Allowance:
    """How many bytes may still be read, from both files together."""

    left_bytes: int


def compare_files(
    old: ByteSource | None, new: ByteSource | None, allowance: Allowance
) -> TensorComparison:
    """Compare two files; ``None`` is a file that is not there.

    Args:
        old: Before.
        new: After.
        allowance: Shared by all comparisons of one answer; headers do not count.

    Raises:
        SafetensorsError: One of them breaks a rule of the format.
    """
    before, after = _tensors(old), _tensors(new)
    found = TensorComparison()
    pairs = []
    for name in before.keys() | after.keys():
        kind = _kind(before.get(name), after.get(name))
        if kind is None:
            pairs.append(name)
        else:
            found.changes.append(TensorChange(name, kind, before.get(name), after.get(name)))
    if old is not None and new is not None:
        starts = _data_start(old), _data_start(new)
        for name in sorted(pairs, key=lambda name: (before[name].end - before[name].start, name)):
            pair = before[name], after[name]
            verdict = _same_values(old, new, pair, starts, allowance)
            if verdict is True:
                found.same += 1
                continue
            found.uncompared += verdict is None
            kind = "uncompared" if verdict is None else "values"
            found.changes.append(TensorChange(name, kind, *pair))
    found.changes.sort(key=lambda change: change.name)
    return found


def _tensors(source: ByteSource | None) -> dict[str, Tensor]:
    if source is None:
        return {}
    header: SafetensorsHeader = read_header(source)
    return {tensor.name: tensor for tensor in header.tensors}


def _data_start(source: ByteSource) -> int:
    return 8 + int.from_bytes(source.read_at(0, 8), "little")


def _kind(old: Tensor | None, new: Tensor | None) -> Kind | None:
    """Return what the headers tell; ``None``: the same type and shape."""
    if old is None:
        return "added"
    if new is None:
        return "removed"
    if old.dtype != new.dtype:
        return "type"
    return "shape" if old.shape != new.shape else None


def _same_values(
    old: ByteSource,
    new: ByteSource,
    pair: tuple[Tensor, Tensor],
    starts: tuple[int, int],
    allowance: Allowance,
) -> bool | None:
    """Whether the numbers are equal; ``None`` when finding out would read too much."""
    length = pair[0].end - pair[0].start
    for at in range(0, length, BLOCK_BYTES):
        size = min(BLOCK_BYTES, length - at)
        if allowance.left_bytes < 2 * size:
            return None
        allowance.left_bytes -= 2 * size
        before = old.read_at(starts[0] + pair[0].start + at, size)
        if before != new.read_at(starts[1] + pair[1].start + at, size):
            return False
    return True

"""How much memory a model takes, of the machine and of its graphics card."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from inference.box.limits import MIB

_EMPTY_BOX_BYTES = 400 * MIB
"""Resident memory of Python, torch and transformers alone; measured 380 MB."""
_EMPTY_CARD_BYTES = 500 * MIB
"""What a process takes of a card before its first tensor, which torch does not count: a guess."""
_CARD_GROWTH = 1.25
"""Of weights on a card, with the keys and values of what is written: until its box says it."""
_FP32_BITS = 32
_STORED_BITS = 16
"""Of a weight in a file that does not say; processors compute in fp32."""
_NAMED_BITS = re.compile(r"(?<![A-Za-z])(?:I?Q|TQ|B?F)(\d{1,2})(?!\d)", re.IGNORECASE)
"""How the name of a GGUF file says what a weight takes: ``tiny-Q4_K_M.gguf``, ``tiny-f16.gguf``."""


class Footprint(NamedTuple):
    """Memory, taken or to be had, in bytes."""

    memory_bytes: int
    card_bytes: int = 0
    """Of the graphics card. To be had: 0 where nobody looks at it."""

    def fits(self, budget: "Footprint") -> bool:
        """Whether so much is to be had."""
        on_card = not budget.card_bytes or self.card_bytes <= budget.card_bytes
        return on_card and self.memory_bytes <= budget.memory_bytes


def total(footprints: Iterable[Footprint]) -> Footprint:
    """Return what all of them take together."""
    found = list(footprints)
    return Footprint(sum(one.memory_bytes for one in found), sum(one.card_bytes for one in found))


def guessed(folder: Path) -> Footprint:
    """Guess what a box with the model of ``folder`` takes, until it is measured."""
    files = list(_files(folder))  # looked at whenever a box is used: once is enough
    on_card = int(_on_card(files) * _CARD_GROWTH) + _EMPTY_CARD_BYTES
    return Footprint(_unpacked(files) + _EMPTY_BOX_BYTES, on_card)


def measured(memory_bytes: int, tensors_bytes: int) -> Footprint:
    """Return what a box takes.

    Args:
        memory_bytes: Of the machine, as the kernel counts it.
        tensors_bytes: Of the card, as torch counts it; 0: it has none.
    """
    return Footprint(memory_bytes, tensors_bytes + _EMPTY_CARD_BYTES if tensors_bytes else 0)


def unpacked_bytes(folder: Path) -> int:
    """Guess what the files of a model take in the memory of a processor, in bytes."""
    return _unpacked(_files(folder))


def on_card_bytes(folder: Path) -> int:
    """Guess the same for a graphics card: weights stay as they are stored, but GGUF."""
    return _on_card(_files(folder))


def folder_bytes(folder: Path) -> int:
    """Size of all files below a folder, in bytes, links followed."""
    return sum(size_bytes for _name, size_bytes in _files(folder))


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield name and size of every file."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.name, path.stat().st_size


def _unpacked(files: Iterable[tuple[str, int]]) -> int:
    return sum(int(size_bytes * _growth(name)) for name, size_bytes in files)


def _on_card(files: Iterable[tuple[str, int]]) -> int:
    return sum(
        int(size_bytes * (_growth(name) if _is_gguf(name) else 1)) for name, size_bytes in files
    )


def _is_gguf(name: str) -> bool:
    return name.lower().endswith(".gguf")


def _growth(name: str) -> float:
    named = _NAMED_BITS.search(name) if _is_gguf(name) else None
    bits = int(named[1]) if named else _STORED_BITS
    return max(1.0, _FP32_BITS / max(bits, 1))

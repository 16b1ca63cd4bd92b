"""Which files of a repository are one model's weights.

A repository may hold the same weights several times: as safetensors, as GGUF in four
quantizations, as a pickle for old clients. Counting them all would multiply the model, so one set
is chosen, by the rules loaders follow.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from catalog.formats.file_facts import GgufFacts, IndexFacts, SafetensorsFacts
from catalog.formats.kinds import Kind, base_name
from catalog.formats.verdicts import FileReport

Format = Literal["safetensors", "gguf", "pickle"]

WHOLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_NUMBER = re.compile(r"-(\d{5})-of-(\d{5})(?=\.[a-z]+$)")
_ADAPTER = re.compile(r"adapter_(?:model|config)")
_PROJECTOR = re.compile(r"(?:^|[-_.])mmproj", re.IGNORECASE)
"""The eye of a picture model, beside its GGUF."""
_TORCH_WEIGHTS = re.compile(
    r"(?:pytorch_model|model|consolidated|adapter_model|diffusion_pytorch_model)[^/]*"
    r"\.(?:bin|pt|pth|ckpt)"
)
_PICKLES = frozenset({Kind.PICKLE, Kind.TORCH_ZIP})


@dataclass(frozen=True, slots=True)
class WeightSet:
    """Files that together are one copy of a model's weights."""

    format: Format
    paths: tuple[str, ...]
    """Sorted; all of them are in the repository."""
    missing: tuple[str, ...] = ()
    """Files that should be there too."""
    hint: str = ""
    """Why a loader does not find them, and what to do; empty when it does."""


def weight_sets(files: Mapping[str, FileReport]) -> list[WeightSet]:
    """Return the copies of the weights, the best first: safetensors, GGUF, pickles.

    Adapters are none. Files at the top count; those in folders only when there are none.
    """
    depths = {path.count("/") for path, report in files.items() if _is_weights(path, report)}
    if not depths:
        return []
    level = min(depths)
    near = {path: report for path, report in files.items() if path.count("/") == level}
    folder = min((p.rpartition("/")[0] for p, r in near.items() if _is_weights(p, r)), default="")
    prefix = f"{folder}/" if folder else ""
    here = {p.removeprefix(prefix): r for p, r in near.items() if p.startswith(prefix)}
    found = [s for s in (_safetensors(here), _gguf(here), _pickles(here)) if s]
    if not folder:
        return found
    hint = f"The weights lie in the folder {prefix}; publish them at the top of the repository."
    return [WeightSet(s.format, tuple(prefix + p for p in s.paths), s.missing, hint) for s in found]


def weight_files(files: Mapping[str, FileReport]) -> set[str]:
    """Return the paths of all weights, whichever copy they are of, and of their list of shards."""
    return {path for path, report in files.items() if path == INDEX or _is_weights(path, report)}


def _is_weights(path: str, report: FileReport) -> bool:
    name = base_name(path)
    if _ADAPTER.match(name):
        return False
    is_named = name.endswith((".safetensors", ".gguf"))
    is_torch = report.kind in _PICKLES and _TORCH_WEIGHTS.fullmatch(name) is not None
    return is_named or is_torch


def _safetensors(files: Mapping[str, FileReport]) -> WeightSet | None:
    if WHOLE in files:
        return WeightSet("safetensors", (WHOLE,))
    index = files.get(INDEX)
    if index is not None and isinstance(index.facts, IndexFacts):
        names = index.facts.files
        return WeightSet(
            "safetensors",
            tuple(name for name in names if name in files),
            tuple(name for name in names if name not in files),
        )
    loose = {p: r for p, r in files.items() if p.endswith(".safetensors") and _is_weights(p, r)}
    if not loose:
        return None
    paths, missing = _largest_group(loose)
    hint = (
        f"The list of shards is missing or damaged: publish {INDEX} beside them."
        if _NUMBER.search(paths[0])
        else f"Loaders look for {WHOLE}: rename {paths[0]}."
    )
    return WeightSet("safetensors", paths, missing, hint)


def _gguf(files: Mapping[str, FileReport]) -> WeightSet | None:
    found = {
        path: report
        for path, report in files.items()
        if path.endswith(".gguf") and not _PROJECTOR.search(path)
    }
    # one that was judged and accepted before any other, whatever their sizes
    good = {path: report for path, report in found.items() if isinstance(report.facts, GgufFacts)}
    if not found:
        return None
    paths, missing = _largest_group(good or found)
    hint = "The GGUF file comes in parts: publish it in one piece." if len(paths) > 1 else ""
    return WeightSet("gguf", paths, missing, hint)


def _pickles(files: Mapping[str, FileReport]) -> WeightSet | None:
    found = {path: report for path, report in files.items() if is_torch_weights(path, report)}
    if not found:
        return None
    paths, missing = _largest_group(found)
    return WeightSet("pickle", paths, missing)


def is_torch_weights(path: str, report: FileReport) -> bool:
    """Tell whether a file is weights as torch pickles them, by bytes and name."""
    return report.kind in _PICKLES and _TORCH_WEIGHTS.fullmatch(base_name(path)) is not None


def _largest_group(files: Mapping[str, FileReport]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Choose among files that are each a whole model or a numbered part of one.

    The largest: every quantization takes the same memory once it is loaded, and loses less.

    Returns:
        The paths of one model, sorted, and the numbered parts that are missing.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for path in files:
        groups[_NUMBER.sub("-of-\\2", path)].append(path)
    paths = sorted(
        max(groups.values(), key=lambda g: (sum(files[p].size_bytes for p in g), sorted(g)))
    )
    number = _NUMBER.search(paths[0])
    count = min(int(number[2]), 10_000) if number else 0
    wanted = {_NUMBER.sub(f"-{i:05}-of-\\2", paths[0]) for i in range(1, count + 1)}
    return tuple(paths), tuple(sorted(wanted - set(paths)))


def parameters(files: Mapping[str, FileReport], weights: WeightSet) -> int | None:
    """Return the exact number of learned elements; ``None`` when a header is not known."""
    if weights.missing or not weights.paths:
        return None
    total = 0
    for path in weights.paths:
        facts = files[path].facts
        if not isinstance(facts, SafetensorsFacts | GgufFacts):
            return None
        total += facts.parameters
    return total


def elements_by_dtype(files: Mapping[str, FileReport], weights: WeightSet) -> dict[str, int]:
    """Return all stored elements per dtype or ggml type, the most frequent first."""
    counted: dict[str, int] = defaultdict(int)
    for path in weights.paths:
        facts = files[path].facts
        if isinstance(facts, SafetensorsFacts):
            for name, count in facts.elements_by_dtype.items():
                counted[name] += count
        elif isinstance(facts, GgufFacts):
            for name, count in facts.elements_by_type.items():
                counted[name] += count
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))

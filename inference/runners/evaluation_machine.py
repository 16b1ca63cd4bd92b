"""What an evaluation learns of the machine: load time, most memory, what each piece ran on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inference.box.client import Box
from inference.box.protocol import LoadedEvent
from inference.models import EvaluationShard, Sample
from inference.runners.evaluation_record import hardware, libraries
from inference.runners.evaluation_scores import Figure
from inference.runners.scorer import BoxScorer
from inference.scoring.intervals import Interval
from inference.services.usage import Work

_UNITS = {
    "load_s": "s",
    "peak_memory_bytes": "bytes",
    "peak_card_allocated_bytes": "bytes",
    "peak_card_reserved_bytes": "bytes",
}


def machine_facts(box: Box, scorer: BoxScorer) -> dict[str, float]:
    """Return load time and most memory of a box that did nothing else, for its samples' facts.

    Memory of a graphics card is what torch counts in the box (``inference.box.card``); it is left
    out where there is none.
    """
    found: dict[str, float] = {"load_s": box.facts.load_s}
    most = peak_bytes(box.pid)
    if most is not None:
        found["peak_memory_bytes"] = most
    for name in ("card_allocated_bytes", "card_reserved_bytes"):
        on_card = max((getattr(end, name) for end in scorer.ends), default=0)
        if on_card:
            found[f"peak_{name}"] = on_card
    return found


def work_of(box: Box, scorer: BoxScorer) -> Work:
    """Return what a box did for one piece."""
    return Work(
        prompt_tokens=scorer.scored_tokens + sum(end.prompt_tokens for end in scorer.ends),
        new_tokens=sum(end.new_tokens for end in scorer.ends),
        memory_bytes=box.rss_bytes(),
    )


def machine_figures(samples: Sequence[Sample]) -> list[Figure]:
    """Return the figures of all boxes of a run: the first one's load time, the most memory.

    Args:
        samples: All of the run, in order, with what :func:`machine_facts` said of their boxes.
    """
    figures = []
    for name, unit in _UNITS.items():
        said = [float(each.facts[name]) for each in samples if name in each.facts]
        if said:
            value = said[0] if name == "load_s" else max(said)
            interval = Interval(value, None, None, "")
            figures.append(Figure("speed", name, interval, 1, unit, is_higher_better=False))
    return figures


def with_environment(
    known: Sequence[dict[str, Any]], shard: EvaluationShard, facts: LoadedEvent
) -> list[dict[str, Any]]:
    """Return the distinct environments of a run, ``shard`` added to the one it was done in.

    Each has ``hardware``, ``libraries``, ``device``, ``dtype``, and ``pieces``: what of which task
    was done there (``task``, ``first``, ``count``).
    """
    here = {
        "hardware": hardware(),
        "libraries": libraries(),
        "device": facts.device,
        "dtype": facts.dtype,
    }
    piece = {"task": shard.task, "first": shard.first, "count": shard.count}
    found = [dict(each) for each in known]
    for each in found:
        if all(each[name] == value for name, value in here.items()):
            each["pieces"] = _joined(each["pieces"], piece)
            return found
    return [*found, here | {"pieces": [piece]}]


def _joined(pieces: list[dict[str, Any]], piece: dict[str, Any]) -> list[dict[str, Any]]:
    """Return ``pieces`` with one more; one that goes on where the last ended makes it longer."""
    *earlier, last = pieces
    if (last["task"], last["first"] + last["count"]) == (piece["task"], piece["first"]):
        return [*earlier, last | {"count": last["count"] + piece["count"]}]
    return [*pieces, piece]


def peak_bytes(pid: int) -> int | None:
    """Return the most memory a process has had in RAM, in bytes; ``None`` where nobody counts."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None

"""What a probe is: questions that never change, asked one by one, and how answers are judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from inference.box.params import SamplingParams
from inference.runners.scorer import Scorer

MAX_TEXT_CHARS = 20_000
CHAT = "chat"
"""Option of a task: models that have a chat template are asked through it."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of a task, and how those of the samples make it.

    Args:
        unit: ``share``, ``tokens``, ``tokens/s``, ``s``, ``bytes``, ``bits/byte``.
        is_higher_better: What counts as good; for figures that are neither, ``True``.
        together: ``mean`` of the samples that have it, or the ``only`` one there is.
    """

    unit: str = "share"
    is_higher_better: bool = True
    together: Literal["mean", "only"] = "mean"


@dataclass(frozen=True, slots=True)
class Answered:
    """One sample as it is kept."""

    prompt: str
    expected: str
    output: str
    metrics: Mapping[str, float]
    facts: Mapping[str, Any] = field(default_factory=dict)


class Probe(Protocol):
    """A task. Made from its spec and data alone, so that any worker makes the same questions."""

    metrics: Mapping[str, Metric]

    def __len__(self) -> int:
        """How many questions it has."""

    def ask(self, scorer: Scorer, index: int) -> Answered:
        """Ask question ``index`` and judge the answer."""


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """What a suite says of a probe.

    Args:
        seed: Of everything that is drawn.
        count: Questions, where the probe makes them itself.
        options: The probe's own settings.
        rows: Lines of its data file.
    """

    seed: int = 0
    count: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Any]] = ()


def greedy(max_new_tokens: int, *, stop: tuple[str, ...] = ()) -> SamplingParams:
    """Return parameters that draw nothing."""
    return SamplingParams(max_new_tokens=max_new_tokens, temperature=0.0, seed=0, stop=stop)

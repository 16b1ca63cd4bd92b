"""From the samples of a run to its figures, each with its interval."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inference.models import Sample
from inference.runners.probes.base import Metric
from inference.scoring.intervals import Interval, bootstrap_mean, bootstrap_ratio, wilson

SHARE, PERPLEXITY, BITS = "share", "perplexity", "bits/byte"
USUAL = ("acc_norm", "acc", "exact_match", "bits_per_byte", "f1", "bleu")
"""What a task of the harness is judged by, the first it has."""
_BITS = -1 / math.log(2)


@dataclass(frozen=True, slots=True)
class Figure:
    """A score before it is a row."""

    task: str
    metric: str
    interval: Interval
    samples: int
    unit: str
    is_higher_better: bool


def probe_figures(
    task: str, metrics: Mapping[str, Metric], samples: Sequence[Sample], *, seed: int
) -> list[Figure]:
    """Return the figures of a probe; one that no sample has is left out."""
    found = []
    for name, metric in metrics.items():
        values = [sample.metrics[name] for sample in samples if name in sample.metrics]
        if values:
            interval = interval_of_mean(values, seed=seed)
            found.append(
                Figure(task, name, interval, len(values), metric.unit, metric.is_higher_better)
            )
    return found


def interval_of_mean(values: Sequence[float], *, seed: int) -> Interval:
    """Return the mean of values: Wilson's interval where each is 0 or 1, else a bootstrap's."""
    if all(value in (0, 1) for value in values):
        return wilson(int(sum(values)), len(values))
    return bootstrap_mean([float(value) for value in values], seed=seed)


def harness_values(samples: Sequence[Sample]) -> dict[str, list[Any]]:
    """Return what lm-evaluation-harness puts together, by metric, in the order of the samples."""
    found: dict[str, list[Any]] = {}
    for sample in samples:
        items = sample.facts.get("items", {})
        for name, value in (sample.metrics | items).items():
            found.setdefault(name, []).append(value)
    return {name: values for name, values in found.items() if len(values) == len(samples)}


def harness_figure(
    task: str, metric: str, values: Sequence[Any], value: float, fact: Mapping[str, Any], seed: int
) -> Figure:
    """Return one figure of a task of the harness.

    Args:
        task: Its name.
        metric: Name of the figure, maybe with a filter's after a comma.
        values: One for each sample, as the harness puts them together.
        value: What it made of them; this is the score, to the last digit.
        fact: What the harness says of the metric: ``aggregation``, ``is_higher_better``.
        seed: Of the draws.
    """
    aggregation = str(fact.get("aggregation", ""))
    interval = _interval(aggregation, values, seed)
    ends = (interval.low, interval.high)
    if None not in ends:  # rounding may differ by the last digit
        ends = (min(ends[0] or 0.0, value), max(ends[1] or 0.0, value))
    found = Interval(value, *ends, interval.method)
    unit = _unit(aggregation, values)
    return Figure(task, metric, found, len(values), unit, bool(fact.get("is_higher_better", True)))


def _unit(aggregation: str, values: Sequence[Any]) -> str:
    if aggregation == "bits_per_byte":
        return BITS
    if aggregation in {"perplexity", "weighted_perplexity"}:
        return PERPLEXITY
    numbers = [value for value in values if isinstance(value, int | float)]
    is_share = len(numbers) == len(values) and all(0 <= number <= 1 for number in numbers)
    return SHARE if aggregation == "mean" and is_share else ""


def _interval(aggregation: str, values: Sequence[Any], seed: int) -> Interval:
    """Return the interval of the kinds we know; the ends of others are unknown."""
    if aggregation == "mean" and all(isinstance(value, int | float) for value in values):
        return interval_of_mean(values, seed=seed)
    if aggregation == "perplexity":
        return _exponential(bootstrap_mean([-float(value) for value in values], seed=seed))
    if aggregation in {"bits_per_byte", "weighted_perplexity"}:
        tops, bottoms = [float(top) for top, _ in values], [float(under) for _, under in values]
        if aggregation == "bits_per_byte":
            return bootstrap_ratio(tops, bottoms, seed=seed, scale=_BITS)
        return _exponential(bootstrap_ratio(tops, bottoms, seed=seed, scale=-1.0))
    return Interval(math.nan, None, None, "")


def _exponential(interval: Interval) -> Interval:
    """Return the interval of ``exp`` of a figure, which keeps the order of its ends."""
    if interval.low is None or interval.high is None:
        return interval
    return Interval(_exp(interval.value), _exp(interval.low), _exp(interval.high), interval.method)


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))


def sample_value(aggregation: str, value: Any) -> float | None:
    """Return what a value says of its own sample; ``None``: it says something only together."""
    if isinstance(value, bool | int | float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, list) and len(value) == 2 and value[1]:
        if aggregation == "bits_per_byte":
            return float(_BITS * value[0] / value[1])
        if aggregation == "weighted_perplexity":
            return _exp(-value[0] / value[1])
    return None

"""Confidence intervals: how sure a figure is that was measured on some samples. Pure functions."""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 2_000
"""Enough for the ends of a 95 % interval to be steady in their second digit."""
_AT_ONCE = 2_000_000
"""Most numbers drawn in one go, so that large tasks need little memory."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the ends of its confidence interval, ``low <= value <= high`` but for rounding.

    ``method`` is ``wilson``, ``bootstrap``, or empty where nothing can be said (one sample).
    """

    value: float
    low: float | None
    high: float | None
    method: str


def wilson(successes: int, samples: int, *, confidence: float = CONFIDENCE) -> Interval:
    """Return the share of successes with Wilson's score interval.

    It stays within 0 and 1 and is right for few samples and for shares near the ends, where the
    usual ``p ± 1.96 s`` is not.

    Args:
        successes: How many samples passed, ``0 <= successes <= samples``.
        samples: How many there were, at least 1.
        confidence: Of the interval, above 0 and below 1.

    Raises:
        ValueError: the counts or the confidence are out of range.

    Source:
        E. B. Wilson 1927, "Probable inference, the law of succession, and statistical inference",
        J. Am. Stat. Assoc. 22:209-212; recommended by Brown, Cai & DasGupta 2001, Stat. Sci. 16(2).
    """
    if samples < 1 or not 0 <= successes <= samples:
        raise ValueError(f"{successes} of {samples} is no share")
    z = _z(confidence)
    share, extra = successes / samples, z * z / samples
    center = (share + extra / 2) / (1 + extra)
    half = z / (1 + extra) * sqrt(share * (1 - share) / samples + extra / (4 * samples))
    # At the ends the bound is the end itself; rounding would leave it a little beside.
    low = 0.0 if successes == 0 else max(0.0, center - half)
    high = 1.0 if successes == samples else min(1.0, center + half)
    return Interval(share, low, high, "wilson")


def bootstrap_mean(
    values: "Floats | list[float]",
    *,
    seed: int,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Interval:
    """Return the mean of ``values`` with a percentile bootstrap interval; see ``bootstrap_ratio``.

    The value is the plain sum divided by the count, as lm-evaluation-harness computes it.
    """
    ones = [1.0] * len(values)
    return bootstrap_ratio(values, ones, seed=seed, confidence=confidence, resamples=resamples)


def bootstrap_ratio(
    numerators: "Floats | list[float]",
    denominators: "Floats | list[float]",
    *,
    seed: int,
    scale: float = 1.0,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Interval:
    """Return ``scale * sum(numerators) / sum(denominators)`` and a percentile bootstrap interval.

    Samples are drawn with replacement, numerator and denominator together: bits per byte of whole
    texts, say, where a long text weighs more. The same seed gives the same interval.

    Args:
        numerators: One for each sample, at least one, finite.
        denominators: As many, each above 0.
        seed: Of the draws.
        scale: Factor of the result; may be negative.
        confidence: Of the interval, above 0 and below 1.
        resamples: How often to draw.

    Raises:
        ValueError: the lengths differ or are 0, or a number is out of range.

    Source:
        Efron & Tibshirani 1993, "An Introduction to the Bootstrap", §13.3 (percentile interval)
        and §10 (ratios).
    """
    top, bottom = _checked(numerators), _checked(denominators)
    if top.shape != bottom.shape or (bottom <= 0).any():
        raise ValueError("one denominator above 0 for each numerator")
    _z(confidence)
    value = scale * (sum(top.tolist()) / sum(bottom.tolist()))
    if top.size == 1:
        return Interval(value, None, None, "")
    drawn = np.concatenate(
        [
            scale * (top[chosen].sum(axis=1) / bottom[chosen].sum(axis=1))
            for chosen in _draws(top.size, seed, resamples)
        ]
    )
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(value, min(float(low), value), max(float(high), value), "bootstrap")


def bootstrap_draws(samples: int, *, seed: int, resamples: int) -> list[NDArray[np.int64]]:
    """Return draws with replacement in blocks: rows of ``samples`` indices, ``resamples`` rows."""
    return list(_draws(samples, seed, resamples))


def _draws(samples: int, seed: int, resamples: int) -> Any:
    """Yield blocks of shape ``(rows, samples)`` that have ``resamples`` rows together."""
    random = np.random.default_rng(seed)
    rows = max(1, _AT_ONCE // samples)
    for start in range(0, resamples, rows):
        yield random.integers(0, samples, size=(min(rows, resamples - start), samples))


def _checked(values: "Floats | list[float]") -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or found.size == 0 or not np.isfinite(found).all():
        raise ValueError("a row of at least one finite number is needed")
    return found


def _z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError("confidence is above 0 and below 1")
    return NormalDist().inv_cdf((1 + confidence) / 2)

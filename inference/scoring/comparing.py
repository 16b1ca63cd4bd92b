"""Whether two runs on the same samples differ by more than chance. Pure functions."""

from dataclasses import dataclass
from math import comb

import numpy as np

from inference.scoring.intervals import CONFIDENCE, RESAMPLES, Floats, bootstrap_draws


@dataclass(frozen=True, slots=True)
class Difference:
    """``value`` of run A less that of run B, its interval, and what chance has to do with it.

    ``p_value``, two-sided, above 0 and at most 1: how easily chance alone differs as much.
    """

    value: float
    low: float
    high: float
    p_value: float

    @property
    def is_distinguishable(self) -> bool:
        """Whether the two differ at the 5 % level."""
        return self.p_value < 1 - CONFIDENCE


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the exact two-sided p value that A and B answer equally well.

    Args:
        only_a: Samples that A got right and B did not.
        only_b: The other way round.

    Raises:
        ValueError: a count is negative.

    Source:
        McNemar 1947, Psychometrika 12:153-157, in its exact (binomial) form; for comparing models
        on one test set see Dietterich 1998, Neural Computation 10(7).
    """
    if only_a < 0 or only_b < 0:
        raise ValueError("counts are not negative")
    differing = only_a + only_b
    if not differing:
        return 1.0
    tail = sum(comb(differing, k) for k in range(min(only_a, only_b) + 1))
    return min(1.0, float(2 * tail / 2**differing))


def paired_difference(
    a: "Floats | list[float]",
    b: "Floats | list[float]",
    *,
    weights: "Floats | list[float] | None" = None,
    seed: int,
    resamples: int = RESAMPLES,
) -> Difference:
    """Compare two runs sample by sample: the mean difference, or that of weighted means.

    The p value is that of a paired bootstrap: twice the share of resamples on the other side of 0,
    counted so that it is never 0. Where every sample is 0 or 1 and nothing is weighted it is
    McNemar's exact one instead.

    Args:
        a: One value for each sample of run A, finite.
        b: As many, of the same samples in the same order.
        weights: Weight of each sample (bytes of a text, say), above 0; ``None``: all alike.
        seed: Of the draws.
        resamples: How often to draw.

    Raises:
        ValueError: the lengths differ or are 0, or a number is out of range.

    Source:
        Koehn 2004, "Statistical significance tests for machine translation evaluation", EMNLP
        (paired bootstrap); Efron & Tibshirani 1993, §15.4 and §16.2 for the count.
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    weight = np.ones_like(first) if weights is None else np.asarray(weights, np.float64)
    if first.ndim != 1 or not first.size or not first.shape == second.shape == weight.shape:
        raise ValueError("two rows of the same samples are needed")
    if not (np.isfinite(first).all() and np.isfinite(second).all()) or (weight <= 0).any():
        raise ValueError("values are finite and weights above 0")
    gap = (first - second) * weight
    value = float(gap.sum() / weight.sum())
    drawn = np.concatenate(
        [
            gap[chosen].sum(axis=1) / weight[chosen].sum(axis=1)
            for chosen in bootstrap_draws(gap.size, seed=seed, resamples=resamples)
        ]
    )
    low, high = (float(end) for end in np.quantile(drawn, [0.025, 0.975]))
    if weights is None and _is_binary(first) and _is_binary(second):
        p_value = mcnemar(int((first > second).sum()), int((second > first).sum()))
    else:
        beyond = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
        p_value = min(1.0, 2 * (beyond + 1) / (resamples + 1))
    return Difference(value, low, high, p_value)


def _is_binary(values: Floats) -> bool:
    return bool(np.isin(values, (0.0, 1.0)).all())

"""Whether one model is better than another beyond doubt, from what both answered.

Two runs of the same suite met the same questions, so their answers are compared one by one, which
sees more than two intervals side by side.
"""

import math
from collections.abc import Mapping, Sequence

from inference.models import Sample, Score
from inference.scoring.comparing import mcnemar, paired_difference

MOST_SAMPLES = 20_000
"""Of all runs together that are read for one comparison; beyond it intervals decide."""
_LEVEL = 0.05
_SEED = 20_261_126
_RESAMPLES = 500
"""Enough for a yes or no at the 5 % level while a reader waits."""
_ROUNDING = 1e-6

Answers = Mapping[tuple[str, int], float]
"""What each sample of a run is worth by (task, index)."""


def answers_of(scores: Sequence[Score]) -> dict[int, Answers]:
    """Return what the samples of runs are worth by their primary metric, by run. One query.

    Runs whose figure is no plain mean of that are left out: there samples have weights.
    """
    if sum(score.samples for score in scores) > MOST_SAMPLES:
        return {}
    metrics = {score.run.measured_id: score.metric for score in scores}
    found: dict[int, dict[tuple[str, int], float]] = {run_id: {} for run_id in metrics}
    rows = Sample.objects.filter(run_id__in=metrics).order_by()
    for run_id, task, index, values in rows.values_list("run_id", "task", "index", "metrics"):
        value = values.get(metrics[run_id])
        if isinstance(value, int | float) and math.isfinite(value):
            found[run_id][task, index] = float(value)
    return {
        score.run_id: found[score.run.measured_id]
        for score in scores
        if _is_mean(score, found[score.run.measured_id])
    }


def _is_mean(score: Score, answers: Answers) -> bool:
    if not answers:
        return False
    mean = math.fsum(answers.values()) / len(answers)
    return math.isclose(mean, score.value, rel_tol=_ROUNDING, abs_tol=_ROUNDING)


def differ(one: Score, two: Score, answers: Mapping[int, Answers]) -> bool:
    """Whether two scores of one suite differ by more than chance, at the 5 % level.

    By the answers to the same questions where they are at hand; else the 95 % intervals must not
    touch, which asks more. Of figures without an interval nobody can tell.
    """
    first, second = answers.get(one.run_id), answers.get(two.run_id)
    if first and second and first.keys() == second.keys():
        return _p_value(first, second) < _LEVEL
    if one.low is None or one.high is None or two.low is None or two.high is None:
        return False
    return one.low > two.high or two.low > one.high


def _p_value(first: Answers, second: Answers) -> float:
    a = list(first.values())
    b = [second[key] for key in first]
    if {*a, *b} <= {0.0, 1.0}:
        pairs = list(zip(a, b, strict=True))
        return mcnemar(sum(x > y for x, y in pairs), sum(y > x for x, y in pairs))
    return paired_difference(a, b, seed=_SEED, resamples=_RESAMPLES).p_value


def best_of(scores: Sequence[Score], answers: Mapping[int, Answers]) -> Score | None:
    """Return the score that beats all others beyond doubt; ``None``: no one does.

    Args:
        scores: Of different models in one version of one suite.
        answers: From ``answers_of``.
    """
    if len(scores) < 2:
        return None
    sign = 1 if scores[0].is_higher_better else -1
    best = max(scores, key=lambda score: sign * score.value)
    others = [score for score in scores if score is not best]
    is_best = all(
        sign * best.value > sign * other.value and differ(best, other, answers) for other in others
    )
    return best if is_best else None

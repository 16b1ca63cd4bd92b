"""Scores as people read them."""

from dataclasses import dataclass

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from inference.models import Score
from store.core.ui import figures

SHARE, BYTES, SECONDS, SPEED = "share", "bytes", "s", "tokens/s"
"""Units of ``Score.unit`` that are written in a way of their own."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A figure with its interval, in the unit people read it in (a share as percent)."""

    value: float
    low: float | None
    high: float | None
    unit: str
    """As written; of sizes and times empty: the texts have theirs."""
    text: str
    """The figure alone: ``48.3 %``."""
    between: str
    """The interval: ``45.1`` to ``51.5 %``; empty where there is none."""

    @property
    def whole(self) -> str:
        """The figure with its interval in brackets."""
        return f"{self.text} ({self.between})" if self.between else self.text

    @property
    def half_width(self) -> float | None:
        """Half of the interval's width; ``None`` where there is none."""
        if self.low is None or self.high is None:
            return None
        return (self.high - self.low) / 2


def reading(score: Score) -> Reading:
    """Return a score as people read it."""
    return read(score.value, score.low, score.high, score.unit)


def read(value: float, low: float | None, high: float | None, unit: str) -> Reading:
    """Return a figure as people read it.

    Args:
        value: In ``unit``.
        low: Lower end of its interval, if it has one.
        high: Upper end.
        unit: As ``Score.unit`` has it.
    """
    scale = 100 if unit == SHARE else 1
    shown = "%" if unit == SHARE else unit
    value = value * scale
    ends = None if low is None or high is None else (low * scale, high * scale)
    if unit in {BYTES, SECONDS}:
        say = figures.size_text if unit == BYTES else figures.duration_text
        between = f"{say(ends[0])}{figures.TO}{say(ends[1])}" if ends else ""
        low, high = ends or (None, None)
        return Reading(value, low, high, "", say(value), between)
    text = figures.measured_text(value, shown)
    if ends is None:
        return Reading(value, None, None, shown, text, "")
    return Reading(value, *ends, shown, text, figures.between_text(*ends, shown))


_METRICS = {
    "acc": _("right answers"),
    "acc_norm": _("right answers, length taken out"),
    "exact_match": _("exact answers"),
    "bits_per_byte": _("bits per byte"),
    "byte_perplexity": _("perplexity per byte"),
    "word_perplexity": _("perplexity per word"),
    "single_tokens_per_s": _("tokens per second, alone"),
    "saturated_tokens_per_s": _("tokens per second, many at once"),
    "first_token_s": _("time to the first token"),
}


def metric_text(metric: str) -> str:
    """Return what a metric is called for people; one nobody named here as it is."""
    known = _METRICS.get(metric)
    return str(known) if known is not None else metric.replace("_", " ").replace(",none", "")


def say_value(unit: str) -> figures.Say:
    """Return what writes numbers of a unit on an axis; they are scaled as ``Reading`` has them."""
    if unit == BYTES:
        return figures.size_text
    if unit == SECONDS:
        return figures.duration_text
    shown = "%" if unit == SHARE else ""
    return lambda value: figures.measured_text(value, shown)


def way_text(*, is_higher_better: bool) -> str:
    """Say which way is good."""
    return gettext("higher is better") if is_higher_better else gettext("lower is better")

"""Shapes of the small charts, in the units of their own view boxes. No colour, no text."""

from collections.abc import Sequence
from dataclasses import dataclass

SPARK_WIDTH, SPARK_HEIGHT = 120, 28
_MARGIN = 2.5  # room for the dot at the end


@dataclass(frozen=True, slots=True)
class Spark:
    """A line through evenly spaced values, and the place of the last one."""

    points: str
    """For ``<polyline points>``."""
    area: str
    """For ``<polygon points>``: the line closed along the bottom."""
    end_x: float
    end_y: float


def spark(values: Sequence[float]) -> Spark:
    """Return a line from zero (bottom) to the largest value (top).

    Args:
        values: At least one, none negative; a single one is drawn as a level line.

    Raises:
        ValueError: there is no value, or a negative one.
    """
    if not values or min(values) < 0:
        raise ValueError("a sparkline needs values, none of them negative")
    series = list(values) if len(values) > 1 else [values[0], values[0]]
    top = max(series) or 1
    across, up = SPARK_WIDTH - 2 * _MARGIN, SPARK_HEIGHT - 2 * _MARGIN
    spots = [
        (
            round(_MARGIN + across * at / (len(series) - 1), 1),
            round(_MARGIN + up * (1 - value / top), 1),
        )
        for at, value in enumerate(series)
    ]
    line = " ".join(f"{x},{y}" for x, y in spots)
    bottom = SPARK_HEIGHT - _MARGIN
    area = f"{line} {spots[-1][0]},{bottom} {spots[0][0]},{bottom}"
    return Spark(line, area, *spots[-1])


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its interval on a track from 0 to 100."""

    low: float
    width: float
    value: float


def interval(
    value: float, low: float, high: float, *, span_low: float, span_high: float
) -> Interval:
    """Place ``low <= value <= high`` on a track that spans the family's range.

    What lies outside the span is drawn at its end, so a mistaken span never hides a bar.

    Raises:
        ValueError: the span is empty or the interval does not contain the value.
    """
    if span_low >= span_high or not low <= value <= high:
        raise ValueError("an interval lies around its value, on a span that is not empty")
    places = [
        round(100 * min(max((at - span_low) / (span_high - span_low), 0), 1), 2)
        for at in (low, value, high)
    ]
    return Interval(places[0], round(max(places[2] - places[0], 1), 2), places[1])


@dataclass(frozen=True, slots=True)
class Line:
    """Values over time on a plane of 100 by 100, stretched to wherever it is shown."""

    points: str
    """For ``<polyline points>``."""
    area: str
    """For ``<polygon points>``: the line closed along zero."""
    before: str
    """The line it is compared with; empty: none."""
    zero: float
    """Height of zero, from the top."""


def line(values: Sequence[float], before: Sequence[float] = ()) -> Line:
    """Return a line from the smaller of zero and the least value to the largest.

    Args:
        values: At least one; they may be negative.
        before: As many, drawn behind it on the same scale; or none.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("a line needs values")
    low, high = span(values, before)

    def up(value: float) -> float:
        return round(100 * (high - value) / (high - low), 2)

    def path(series: Sequence[float]) -> str:
        spread = list(series) if len(series) > 1 else [series[0], series[0]]
        steps = len(spread) - 1
        return " ".join(f"{100 * at / steps:.2f},{up(value)}" for at, value in enumerate(spread))

    points = path(values)
    zero = up(0)
    behind = path(before) if before else ""
    return Line(points, f"{points} 100,{zero} 0,{zero}", behind, zero)


def span(values: Sequence[float], before: Sequence[float] = ()) -> tuple[float, float]:
    """Return the lowest and highest value a line's plane reaches; zero is always on it."""
    every = [*values, *before, 0]
    low, high = min(every), max(every)
    return (low, high) if high > low else (low, low + 1)

"""Places of dots with error bars on a plane, in percent of it, so that it fits any screen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from store.core.ui import figures

_ROOM = 0.06  # of the axis, left free at both ends: no dot lies on the frame
_TICKS = 5
_NAME_CHARS = 24
NAMES_MOST = 6
"""Dots named inside the picture; more would lie on each other."""

Scale = Literal["linear", "log"]


@dataclass(frozen=True, slots=True)
class Dot:
    """One thing with two numbers.

    Args:
        label: What it is.
        x: Across; above 0 on a logarithmic axis.
        y: Up.
        x_text: ``x`` for people.
        y_text: ``y`` for people.
        low: Lower end of the interval around ``y``.
        high: Its upper end.
        href: Its page.
        is_marked: It stands out, and is named in the picture.
    """

    label: str
    x: float
    y: float
    x_text: str
    y_text: str
    low: float | None = None
    high: float | None = None
    href: str = ""
    is_marked: bool = False


@dataclass(frozen=True, slots=True)
class Placed:
    """A dot on the plane, in percent from the left and from the top."""

    dot: Dot
    left: float
    top: float
    low: float
    high: float
    name: str
    """To be written beside it; empty: nothing."""
    is_right: bool
    """It lies so far right that its name goes to its left."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis, in percent from the left or the top."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a line between dots, in percent."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Plot:
    """All there is to draw."""

    dots: list[Placed]
    line: list[Segment]
    """Through the marked dots, from left to right."""
    x_ticks: list[Tick]
    y_ticks: list[Tick]


@dataclass(frozen=True, slots=True)
class _Axis:
    low: float
    high: float
    is_log: bool
    is_upwards: bool

    def at(self, value: float) -> float:
        """Return where ``value`` lies, in percent; ends outside are held at the frame."""
        number = math.log10(value) if self.is_log else value
        share = min(max((number - self.low) / (self.high - self.low), 0.0), 1.0)
        return round(100 * (1 - share if self.is_upwards else share), 2)

    def ticks(self, say: figures.Say) -> list[Tick]:
        """Return a few round numbers with their places."""
        values = _log_ticks(self.low, self.high) if self.is_log else _ticks(self.low, self.high)
        return [Tick(self.at(value), say(value)) for value in values]


def plot(
    dots: Sequence[Dot],
    *,
    x_scale: Scale = "linear",
    x_say: figures.Say | None = None,
    y_say: figures.Say = figures.measured_text,
    names_most: int = NAMES_MOST,
) -> Plot:
    """Place dots so that all of them, with their intervals, are in the picture.

    Args:
        dots: At least one.
        x_scale: Of the axis across.
        x_say: Numbers across, for people; ``None``: that axis has no numbers.
        y_say: Numbers up, for people.
        names_most: How many of the marked dots are named in the picture.

    Raises:
        ValueError: there is no dot, or one is not above 0 on a logarithmic axis.
    """
    if not dots:
        raise ValueError("a plot needs dots")
    if x_scale == "log" and min(dot.x for dot in dots) <= 0:
        raise ValueError("a logarithmic axis has no place for zero")
    across = _axis([dot.x for dot in dots], is_log=x_scale == "log")
    ends = [end for dot in dots for end in (dot.y, dot.low, dot.high) if end is not None]
    up = _axis(ends, is_upwards=True)
    named = {id(dot) for dot in [dot for dot in dots if dot.is_marked][:names_most]}
    placed = [_placed(dot, across, up, is_named=id(dot) in named) for dot in dots]
    chosen = sorted((each for each in placed if each.dot.is_marked), key=lambda each: each.left)
    line = [Segment(one.left, one.top, two.left, two.top) for one, two in pairwise(chosen)]
    return Plot(placed, line, across.ticks(x_say) if x_say else [], up.ticks(y_say))


def front(
    points: Sequence[tuple[float, float]], *, is_less_x_better: bool, is_less_y_better: bool
) -> set[int]:
    """Return the places of the points that no other beats (the Pareto front).

    A point is beaten by one that is at least as good in both numbers and better in one.

    Args:
        points: Any number of (x, y).
        is_less_x_better: Which way ``x`` is good.
        is_less_y_better: Which way ``y`` is good.
    """
    turned = [
        (x if is_less_x_better else -x, y if is_less_y_better else -y, place)
        for place, (x, y) in enumerate(points)
    ]
    kept: set[int] = set()
    best = math.inf
    last: tuple[float, float] | None = None
    for x, y, place in sorted(turned):
        if y < best:
            kept.add(place)
            best, last = y, (x, y)
        elif last == (x, y):  # the very same numbers: neither beats the other
            kept.add(place)
    return kept


def _placed(dot: Dot, across: _Axis, up: _Axis, *, is_named: bool) -> Placed:
    left, top = across.at(dot.x), up.at(dot.y)
    low = top if dot.low is None else up.at(dot.low)
    high = top if dot.high is None else up.at(dot.high)
    return Placed(dot, left, top, low, high, _short(dot.label) if is_named else "", left > 60)


def _short(label: str) -> str:
    """Return the last part of a name, cut where it would not fit beside its dot."""
    name = label.rpartition("/")[2]
    return name if len(name) <= _NAME_CHARS else f"{name[: _NAME_CHARS - 1]}…"


def _axis(values: Sequence[float], *, is_log: bool = False, is_upwards: bool = False) -> _Axis:
    numbers = [math.log10(value) for value in values] if is_log else list(values)
    low, high = min(numbers), max(numbers)
    room = (high - low) * _ROOM or (0.5 if is_log else abs(high) * 0.1 or 1.0)
    return _Axis(low - room, high + room, is_log, is_upwards)


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / _TICKS
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * times for times in (1, 2, 5, 10) if unit * times >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Return powers of ten; thirds between them where there would be fewer than three."""
    exponents = range(math.floor(low), math.ceil(high) + 1)
    tens = [10.0**each for each in exponents if low <= each <= high]
    if len(tens) >= 3:
        return tens
    finer = [times * 10.0**each for each in exponents for times in (1, 2, 5)]
    return [value for value in finer if low <= math.log10(value) <= high]

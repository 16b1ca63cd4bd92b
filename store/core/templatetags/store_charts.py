"""Small charts as SVG. Each says in words what it shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from django import template
from django.utils.translation import gettext as _

from store.core.ui import drawing, figures, plotting

register = template.Library()


class Sparkline(TypedDict):
    """A line and its description."""

    shape: drawing.Spark | None
    description: str


@register.inclusion_tag("components/sparkline.html")
def sparkline(values: Sequence[float], label: str) -> Sparkline:
    """Draw values over time, from zero to the largest; none negative.

    Args:
        values: Evenly spaced, oldest first. Empty: the label says that there is nothing yet.
        label: What they are, as "Downloads a day, last 30 days".
    """
    if not values:
        return {"shape": None, "description": _("%(label)s: none yet") % {"label": label}}
    description = _("%(label)s: %(low)s to %(high)s, last %(last)s") % {
        "label": label,
        "low": figures.count_text(min(values)),
        "high": figures.count_text(max(values)),
        "last": figures.count_text(values[-1]),
    }
    return {"shape": drawing.spark(values), "description": description}


class IntervalBar(TypedDict):
    """A value with its interval on a track."""

    shape: drawing.Interval
    text: str
    description: str


@register.inclusion_tag("components/interval_bar.html")
def interval_bar(
    value: float,
    low: float,
    high: float,
    span_low: float,
    span_high: float,
    unit: str = "",
    text: str = "",
) -> IntervalBar:
    """Draw a value with its interval against the range of its family, the number beside it.

    Args:
        value: The measured value.
        low: Lower end of its 95 % interval.
        high: Upper end.
        span_low: Least value of the family, the left end of the track.
        span_high: Largest value of the family.
        unit: Of all five.
        text: What stands beside the bar; empty: the value and half the interval's width.
    """
    text = text or figures.measured_text(value, unit, half_width=(high - low) / 2)
    description = _("%(value)s; the family reaches from %(low)s to %(high)s") % {
        "value": text,
        "low": figures.measured_text(span_low, unit),
        "high": figures.measured_text(span_high, unit),
    }
    shape = drawing.interval(value, low, high, span_low=span_low, span_high=span_high)
    return {"shape": shape, "text": text, "description": description}


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a chart."""

    at: str
    """When, in words."""
    value: float
    text: str
    """The value in words, with its unit."""


class LineChart(TypedDict):
    """A line over time with its ends, and the same as a table."""

    label: str
    shape: drawing.Line | None
    high: str
    low: str
    zero: str
    first: str
    last: str
    rows: list[tuple[Point, Point | None]]
    before_label: str


@register.inclusion_tag("components/line_chart.html")
def line_chart(
    points: Sequence[Point], label: str, before: Sequence[Point] = (), before_label: str = ""
) -> LineChart:
    """Draw values over time, with zero on the scale; a table says the same.

    Args:
        points: Evenly spaced, oldest first. None: the chart says that there is nothing yet.
        label: What they are, as "Earned a day".
        before: As many, of an earlier time they are compared with; or none.
        before_label: What that time is.
    """
    behind: Sequence[Point | None] = before or [None] * len(points)
    found: LineChart = {
        "label": label,
        "shape": None,
        "high": "",
        "low": "",
        "zero": "",
        "first": "",
        "last": "",
        "rows": list(zip(points, behind, strict=True)),
        "before_label": before_label,
    }
    every = [*points, *before]
    if not points:
        return found
    values = [point.value for point in points]
    found["shape"] = drawing.line(values, [point.value for point in before])
    highest = max(every, key=lambda point: point.value)
    lowest = min(every, key=lambda point: point.value)
    found["high"] = highest.text if highest.value > 0 else ""
    found["low"] = lowest.text if lowest.value < 0 else ""
    found["zero"] = figures.exact_text(0)
    found["first"], found["last"] = points[0].at, points[-1].at
    return found


class PlotShown(TypedDict):
    """Dots on a plane, and the same as a table."""

    label: str
    x_label: str
    y_label: str
    marked_label: str
    shape: plotting.Plot | None
    has_table: bool


@register.inclusion_tag("components/plot.html")
def plot(
    shape: plotting.Plot | None,
    label: str,
    x_label: str,
    y_label: str,
    marked_label: str = "",
    *,
    has_table: bool = True,
) -> PlotShown:
    """Draw things with two numbers and an interval; each dot is a link.

    Args:
        shape: From ``plotting.plot``; ``None``: the picture says that there is nothing yet.
        label: What is to be seen.
        x_label: What stands across.
        y_label: What stands up.
        marked_label: What the filled dots are; empty: none is filled.
        has_table: Whether a table of the same follows. Without it the page must have one.
    """
    return {
        "label": label,
        "x_label": x_label,
        "y_label": y_label,
        "marked_label": marked_label,
        "shape": shape,
        "has_table": has_table,
    }

"""Small charts as SVG. Each says in words what it shows."""

from collections.abc import Sequence
from typing import TypedDict

from django import template
from django.utils.translation import gettext as _

from store.core.ui import drawing, figures

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
    value: float, low: float, high: float, span_low: float, span_high: float, unit: str = ""
) -> IntervalBar:
    """Draw a value with its interval against the range of its family, the number beside it.

    Args:
        value: The measured value.
        low: Lower end of its 95 % interval.
        high: Upper end.
        span_low: Least value of the family, the left end of the track.
        span_high: Largest value of the family.
        unit: Of all five.
    """
    text = figures.measured_text(value, unit, half_width=(high - low) / 2)
    description = _("%(value)s; the family reaches from %(low)s to %(high)s") % {
        "value": text,
        "low": figures.measured_text(span_low, unit),
        "high": figures.measured_text(span_high, unit),
    }
    shape = drawing.interval(value, low, high, span_low=span_low, span_high=span_high)
    return {"shape": shape, "text": text, "description": description}

"""The picture of a board: quality against what it costs in parameters, bytes, time or money."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from inference.services import readings
from inference.services.leaderboards import Board, Row
from store.core.money import Money, currencies, show
from store.core.ui import figures
from store.core.ui.plotting import Dot, Plot, Scale, front, plot

MOST_DOTS = 150
"""Those nobody beats, then the best ones; more could not be told apart."""


@dataclass(frozen=True, slots=True)
class Axis:
    """What quality is held against."""

    name: str
    label: Any
    value: Callable[[Row], float | None]
    is_less_better: bool
    scale: Scale
    is_cost: bool = False
    """It needs ``leaderboards.add_costs`` of every row."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A board as a plane."""

    axis: Axis
    shape: Plot | None
    """``None``: of no model both numbers are known."""
    shown: int
    known: int
    """Models of which both numbers are known."""
    best: frozenset[int]
    """Repositories that no other beats in both (the Pareto front)."""


AXES = {
    axis.name: axis
    for axis in (
        Axis("parameters", _("Parameters"), lambda row: row.parameters or None, True, "log"),
        Axis("size", _("Size of the weights"), lambda row: row.weights_bytes or None, True, "log"),
        Axis("speed", _("Speed, tokens/s"), lambda row: row.speed or None, False, "log", True),
        Axis("price", _("Price"), lambda row: row.price_minor, True, "linear", True),
    )
}


def picture(board: Board, axis: Axis) -> Picture:
    """Return the rows of a board as dots, those marked that no other beats."""
    known = [(row, x) for row in board.rows if (x := axis.value(row)) is not None]
    best = front(
        [(x, row.value) for row, x in known],
        is_less_x_better=axis.is_less_better,
        is_less_y_better=not board.is_higher_better,
    )
    chosen = [pair for place, pair in enumerate(known) if place in best]
    others = [pair for place, pair in enumerate(known) if place not in best]
    shown = (chosen + others)[:MOST_DOTS]
    marked = frozenset(row.repo_id for row, _x in chosen)
    say = _say(axis, board.currency)
    dots = [_dot(row, x, say, is_marked=row.repo_id in marked) for row, x in shown]
    shape = None
    if dots:
        y_say = readings.say_value(board.unit)
        shape = plot(dots, x_scale=axis.scale, x_say=say, y_say=y_say)
    return Picture(axis, shape, len(dots), len(known), marked)


def _dot(row: Row, x: float, say: figures.Say, *, is_marked: bool) -> Dot:
    shown = row.reading
    return Dot(
        label=row.full_name,
        x=x,
        y=shown.value,
        x_text=say(x),
        y_text=shown.whole,
        low=shown.low,
        high=shown.high,
        href=f"/{row.full_name}",
        is_marked=is_marked,
    )


def _say(axis: Axis, currency: str) -> figures.Say:
    if axis.name == "size":
        return figures.size_text
    if axis.name == "price":
        return lambda minor: price_text(round(minor), currency)
    return figures.count_text


def price_text(minor: int | None, currency: str) -> str:
    """Return a price for people; 0 as such, unknown as a dash."""
    if minor is None:
        return figures.UNKNOWN
    return show(Money(max(minor, 0), currency), is_brief=True)


def price_number(minor: int | None, currency: str) -> str:
    """Return a price as a plain number in whole units; empty for unknown."""
    if minor is None:
        return ""
    return str(Money(minor, currency).decimal) if currency in currencies() else str(minor)

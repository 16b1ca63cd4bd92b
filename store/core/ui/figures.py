"""Numbers, sizes and times as people read them: SI prefixes, a thin space before the unit."""

from collections.abc import Callable
from datetime import datetime

from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

THIN = "\u202f"
"""A narrow space at which lines do not break."""
UNKNOWN = "\u2013"
"""What stands where a number is not known."""
TO = "\u2013"
"""Between the ends of a range."""

Say = Callable[[float], str]
"""Writes a number for people."""

_BYTES = ("B", "kB", "MB", "GB", "TB", "PB")
_COUNTS = ("", "k", "M", "B", "T")
_JUST_NOW_S = 60


def _scaled(number: float, units: tuple[str, ...]) -> str:
    """Return ``number`` with a unit: one decimal below 100, none from there on."""
    step = 0
    while abs(_rounded(number, step)) >= 1000 and step < len(units) - 1:
        number /= 1000
        step += 1
    text = _plain(_rounded(number, step), 1)
    return f"{text}{THIN}{units[step]}" if units[step] else text


def _rounded(number: float, step: int) -> float:
    """Return what will be shown, so that 999,960 becomes ``1 M`` and not ``1000 k``."""
    return round(number, 1 if step and abs(number) < 99.95 else 0)


def size_text(size_bytes: float | None) -> str:
    """Return bytes as ``269 MB`` or ``1.2 GB`` (powers of 1000)."""
    return UNKNOWN if size_bytes is None else _scaled(size_bytes, _BYTES)


def count_text(number: float | None) -> str:
    """Return a large count as ``12.4 k``, ``135 M`` or ``7 B``."""
    return UNKNOWN if number is None else _scaled(number, _COUNTS)


def exact_text(number: int | None) -> str:
    """Return every digit, in groups of three: ``1,204``."""
    return UNKNOWN if number is None else f"{number:,}"


def measured_text(value: float | None, unit: str = "", *, half_width: float | None = None) -> str:
    """Return a measured value: ``15 tok/s``, ``24.1 ± 0.8``.

    Args:
        value: What was measured; ``None``: not known.
        unit: Its unit, empty for a pure number.
        half_width: Half the width of the 95 % interval, in the same unit.
    """
    if value is None:
        return UNKNOWN
    if half_width is None:
        text = _plain(value, _decimals(value, leading=100))
    else:  # the interval has one digit, or two when the first is a 1; the value as many decimals
        decimals = _decimals(half_width, leading=2)
        text = f"{value:,.{decimals}f}{THIN}±{THIN}{half_width:,.{decimals}f}"
    return f"{text}{THIN}{unit}" if unit else text


def between_text(low: float, high: float, unit: str = "") -> str:
    """Return an interval with as many decimals as its width is worth: ``23.3`` to ``24.9 bits``."""
    decimals = _decimals((high - low) / 2, leading=2)
    text = f"{low:,.{decimals}f}{TO}{high:,.{decimals}f}"
    return f"{text}{THIN}{unit}" if unit else text


def _decimals(number: float, *, leading: int) -> int:
    """Return how many decimals bring ``number`` to ``leading`` or more, 4 at most."""
    return next((count for count in range(4) if abs(number) * 10**count >= leading), 4)


def _plain(number: float, decimals: int) -> str:
    text = f"{number:,.{decimals}f}"
    return text.rstrip("0").removesuffix(".") if decimals else text


def percent_text(share: float | None) -> str:
    """Return a share in [0, 1] as ``48.3 %``."""
    return UNKNOWN if share is None else f"{_plain(share * 100, 1)}{THIN}%"


def rate_text(basis_points: int | None) -> str:
    """Return a rate in basis points as ``12.5 %``."""
    return UNKNOWN if basis_points is None else f"{_plain(basis_points / 100, 2)}{THIN}%"


def duration_text(seconds: float | None) -> str:
    """Return a time span as ``0.8 s``, ``45 s``, ``2 min 5 s`` or ``1 h 12 min``."""
    if seconds is None:
        return UNKNOWN
    if seconds < 59.5:
        return f"{_plain(seconds, 1 if seconds < 9.95 else 0)}{THIN}s"
    if seconds < 3599.5:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes}{THIN}min" + (f" {rest}{THIN}s" if rest else "")
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}{THIN}h" + (f" {minutes}{THIN}min" if minutes else "")


def relative_text(moment: datetime) -> str:
    """Return how far ``moment`` is from now: ``3 days ago``, ``in 2 weeks``, ``just now``."""
    now = timezone.now()
    if abs((now - moment).total_seconds()) < _JUST_NOW_S:
        return _("just now")
    if moment > now:
        return _("in %(time)s") % {"time": timesince(now, moment, depth=1)}
    return _("%(time)s ago") % {"time": timesince(moment, now, depth=1)}


def days_text(days: int) -> str:
    """Return a number of days in words."""
    return ngettext("%(days)d day", "%(days)d days", days) % {"days": days}

"""Months and years of subscriptions, on the calendar."""

import calendar
from datetime import datetime

from licensing.models import Offer

_MONTHS = {Offer.Interval.MONTH: 1, Offer.Interval.YEAR: 12}


def after(start: datetime, interval: str, periods: int) -> datetime:
    """Return the end of so many periods from ``start``.

    The day of the month stays; where the month is shorter it is its last day, and later periods
    go back to the first day: counted from the start, never from period to period.

    Args:
        start: When the first period began.
        interval: ``month`` or ``year``.
        periods: How many, from 0.
    """
    months = start.month - 1 + _MONTHS[Offer.Interval(interval)] * periods
    year, month = start.year + months // 12, months % 12 + 1
    day = min(start.day, calendar.monthrange(year, month)[1])
    return start.replace(year=year, month=month, day=day)

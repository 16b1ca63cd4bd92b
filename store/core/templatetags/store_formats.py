"""Filters that write numbers, sizes and dates for people."""

from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from store.core.money import Money, show
from store.core.ui import figures

register = template.Library()


@register.filter
def size(size_bytes: int | None) -> str:
    """Show bytes: ``1.2 GB``; a dash for unknown."""
    return figures.size_text(size_bytes)


@register.filter
def amount(number: int | None) -> str:
    """Show a large count: ``135 M``; a dash for unknown."""
    return figures.count_text(number)


@register.filter
def exact(number: int | None) -> str:
    """Show a count to its last digit: ``1,204``."""
    return figures.exact_text(number)


@register.filter
def measured(value: float | None, unit: str = "") -> str:
    """Show a measured value with its unit: ``{{ speed|measured:"tok/s" }}`` gives ``15 tok/s``."""
    return figures.measured_text(value, unit)


@register.filter
def percent(share: float | None) -> str:
    """Show a share in [0, 1]: ``48.3 %``."""
    return figures.percent_text(share)


@register.filter
def rate(basis_points: int | None) -> str:
    """Show a rate given in basis points: ``12.5 %``."""
    return figures.rate_text(basis_points)


@register.filter
def money(amount_minor: int | None, currency: str) -> str:
    """Show an amount: ``{{ line.gross_minor|money:order.currency }}`` gives ``€22.61``."""
    return figures.UNKNOWN if amount_minor is None else show(Money(amount_minor, currency))


@register.filter
def duration(seconds: float | None) -> str:
    """Show a time span: ``2 min 5 s``."""
    return figures.duration_text(seconds)


@register.filter
def day(when: datetime | None) -> SafeString | str:
    """Show the date; how long ago it was, and the exact time, on hover."""
    return _time(when, has_clock=False)


@register.filter
def moment(when: datetime | None) -> SafeString | str:
    """Show date and time (UTC); how long ago it was on hover."""
    return _time(when, has_clock=True)


def _time(when: datetime | None, *, has_clock: bool) -> SafeString | str:
    if when is None:
        return figures.UNKNOWN
    local = timezone.localtime(when)
    exactly = f"{local:%Y-%m-%d %H:%M} UTC"
    return format_html(
        '<time datetime="{}" title="{} · {}">{}</time>',
        local.isoformat(timespec="seconds"),
        figures.relative_text(when),
        exactly,
        exactly if has_clock else date_format(local, "DATE_FORMAT"),
    )

"""What an offer, an order line or a license grants, in the words of the page."""

from typing import Protocol

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from catalog.models import Grant
from licensing.models import Offer, SeatKind
from store.core.money import Money, show
from store.core.ui.figures import days_text

_DAYS_OF_A_YEAR = 365


class Granting(Protocol):
    """What an ``Offer`` and an ``OrderLine`` have in common."""

    kind: str
    seats: int
    seat_kind: str
    term_days: int | None
    updates: str


class Lowered(Protocol):
    """What a ``PricedLine`` and an ``OrderLine`` have in common: a discount that may end."""

    @property
    def gross_minor(self) -> int: ...
    @property
    def discount_periods(self) -> int | None: ...
    @property
    def later_gross_minor(self) -> int | None: ...


def seats_text(seats: int, seat_kind: str) -> str:
    """Say for how many people or machines it is: ``5 machines``; 0 is any number."""
    is_people = seat_kind == SeatKind.PEOPLE
    if seats == 0:
        return _("any number of people") if is_people else _("any number of machines")
    if is_people:
        return ngettext("%(n)d person", "%(n)d people", seats) % {"n": seats}
    return ngettext("%(n)d machine", "%(n)d machines", seats) % {"n": seats}


def term_text(kind: str, term_days: int | None) -> str:
    """Say how long it lasts: ``for good``, ``90 days``, ``2 years``."""
    if kind == Offer.Kind.SUBSCRIPTION:
        return _("for as long as it is paid")
    if term_days is None:
        return _("for good")
    if term_days % _DAYS_OF_A_YEAR == 0:
        years = term_days // _DAYS_OF_A_YEAR
        return ngettext("for %(n)d year", "for %(n)d years", years) % {"n": years}
    return _("for %(days)s") % {"days": days_text(term_days)}


def updates_text(updates: str) -> str:
    """Say which updates it reaches."""
    return {
        Grant.Updates.ALL: _("all updates"),
        Grant.Updates.MAJOR: _("updates of this major version"),
        Grant.Updates.REVISION: _("this revision only"),
    }[Grant.Updates(updates)]


def grants_text(granting: Granting) -> str:
    """Say in one line what is granted: ``1 machine · for good · all updates``."""
    parts = (
        seats_text(granting.seats, granting.seat_kind),
        term_text(granting.kind, granting.term_days),
        updates_text(granting.updates),
    )
    return " · ".join(parts)


def price_text(offer: Offer, price: Money | None) -> str:
    """Return what one unit costs: ``€19``, ``€5 a month``, ``from €5`` or ``Free``.

    Args:
        offer: What is bought.
        price: Of one unit now, or the least that is taken; ``None``: it is free.
    """
    if price is None or offer.kind == Offer.Kind.FREE:
        return _("Free")
    amount = show(price, is_brief=True)
    if offer.kind == Offer.Kind.PAY_WHAT_YOU_WANT:
        if not price.amount_minor:
            return _("Pay what you want")
        return _("from %(price)s") % {"price": amount}
    return amount + interval_text(offer.interval)


def course_text(line: Lowered, interval: str, currency: str) -> str:
    """Say what a subscription costs while its discount holds, and then; empty: it does not end."""
    periods, later = line.discount_periods, line.later_gross_minor
    if periods is None or later is None:
        return ""
    if interval == Offer.Interval.MONTH:
        text = ngettext(
            "%(now)s for the first month, then %(later)s a month.",
            "%(now)s a month for the first %(n)d months, then %(later)s a month.",
            periods,
        )
    else:
        text = ngettext(
            "%(now)s for the first year, then %(later)s a year.",
            "%(now)s a year for the first %(n)d years, then %(later)s a year.",
            periods,
        )
    return text % {
        "now": show(Money(line.gross_minor, currency)),
        "later": show(Money(later, currency)),
        "n": periods,
    }


def interval_text(interval: str) -> str:
    """Return what follows a price that is paid again: `` a month``; empty for a single payment."""
    words = {Offer.Interval.MONTH.value: _("a month"), Offer.Interval.YEAR.value: _("a year")}
    return f" {words[interval]}" if interval else ""

"""What becomes of a seller's available money: the rule, the day, and what lets it go."""

from dataclasses import dataclass
from datetime import UTC, date, timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Namespace
from licensing.services.balances import Balance
from licensing.services.payout_accounts import BY_HAND
from licensing.services.payouts import obstacle_of, pause_of
from store.core.money import Money, show


@dataclass(frozen=True, slots=True)
class Prospect:
    """How the available money of one balance gets out.

    Args:
        obstacle: Why it is not paid out: ``too_little``, ``paused``, ``no_account``,
            ``unknown_gateway``; empty: the next payout takes it.
        rule: That in words.
        release: What lets it go, in words.
        on: The day of the next payout; ``None``: nobody knows yet.
        least_minor: Less is not paid out, in minor units.
        day: Of each month, on which this store pays out; 0: whenever its staff do.
        sending: What becomes of money that is on its way, in words.
    """

    obstacle: str
    rule: str
    release: str
    on: date | None
    least_minor: int
    day: int
    sending: str


def prospect_of(seller: Namespace, balance: Balance) -> Prospect:
    """Return what becomes of what is available of a balance."""
    obstacle = obstacle_of(seller, balance.gateway, balance.available_minor)
    rule, release = _words(seller, balance, obstacle)
    return Prospect(
        obstacle=obstacle,
        rule=rule,
        release=release,
        on=None if obstacle else _next_day(),
        least_minor=settings.ENV.payout_least_minor,
        day=settings.ENV.payout_day,
        sending=_sending(balance.gateway),
    )


def _words(seller: Namespace, balance: Balance, obstacle: str) -> tuple[str, str]:
    least = show(Money(settings.ENV.payout_least_minor, balance.currency))
    if obstacle == "too_little":
        return (
            _("Less than %(least)s is not paid out.") % {"least": least},
            _("Released by the first payout after it has become that much."),
        )
    if obstacle == "paused":
        pause = pause_of(seller)
        return (
            _("Payouts are paused: %(reason)s") % {"reason": pause.reason if pause else ""},
            _("Released when the site's staff resume them."),
        )
    if obstacle == "no_account":
        return (
            _("The store does not know where to send it, or may not send it there."),
            _("Released by the first payout after you have said where your money goes."),
        )
    if obstacle == "unknown_gateway":
        return (
            _("This store takes no payments by '%(name)s' any more, and cannot send it there.")
            % {"name": balance.gateway},
            _("Released when the site's staff have that way again: write to them."),
        )
    return (
        _("Payouts take all that is available, from %(least)s on.") % {"least": least},
        _("The next payout takes it.")
        if settings.ENV.payout_day
        else _("Paid out when the site's staff run a payout: this store has no fixed day."),
    )


def _next_day() -> date | None:
    """Return the next day of payouts, today included; ``None``: there is no fixed one."""
    day, today = settings.ENV.payout_day, timezone.now().astimezone(UTC).date()
    if not day:
        return None
    first = today if today.day <= day else today.replace(day=1) + timedelta(days=32)
    return first.replace(day=day)


def _sending(gateway: str) -> str:
    if gateway in BY_HAND:
        return _(
            "The site's staff transfer it by hand, on no fixed day. It counts as sent when they"
            " have noted the bank's reference."
        )
    return _("Sent as soon as the payment service takes it; the store asks every day.")

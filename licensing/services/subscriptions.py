"""What a subscription is to those who pay for it: its state, its next charge, its end."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.viewer import Viewer
from licensing.gateways.registry import UnknownGatewayError, gateway_named
from licensing.models import License, Order, Subscription
from licensing.services import periods
from licensing.services.granting import GOING
from licensing.services.renewals import (
    NotRenewableError,
    SubscriptionNotFoundError,
    may_end,
    next_period,
    priced_again,
)
from licensing.services.resuming import is_resumable

State = Subscription.State


@dataclass(frozen=True, slots=True)
class Later:
    """What a subscription costs once its discount has ended.

    Args:
        amount_minor: Each period with today's tax.
        begins_at: When the first of them begins.
    """

    amount_minor: int
    begins_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """How a subscription stands now. Amounts are minor units of ``currency``.

    Args:
        subscription: With its line and that line's order.
        license: The license it carries.
        amount_minor: What the next period costs with today's tax; of one that ends, what the last
            one did.
        later: From when on each period costs more, and what: its discount ends then. ``None``: the
            next one costs what all do that follow.
        currency: Three capitals.
        next_charge_at: When it is collected or asked for next; ``None``: never again.
        lasts_until: When access ends if nobody pays any more.
        is_own: The viewer may end it, and go on with it.
        unpaid: The open order of the period that is due; ``None``: there is none.
        renews_itself: The gateway collects by itself, and has a page for the card.
        resumes_for_minor: What its next period would cost if it went on again, due when what was
            paid ends; ``None``: it goes on, or cannot any more.
    """

    subscription: Subscription
    license: License
    amount_minor: int
    later: "Later | None"
    currency: str
    next_charge_at: datetime | None
    lasts_until: datetime
    is_own: bool
    unpaid: Order | None
    renews_itself: bool
    resumes_for_minor: int | None

    @property
    def goes_on(self) -> bool:
        """It is paid again until somebody ends it."""
        return self.subscription.state in GOING

    @property
    def is_resumable(self) -> bool:
        """It was ended and can go on again."""
        return self.resumes_for_minor is not None

    @property
    def is_over(self) -> bool:
        """Nothing of what was paid is left."""
        return self.lasts_until <= timezone.now()

    @property
    def interval(self) -> str:
        """``month`` or ``year``."""
        return self.subscription.line.interval


def standing_behind(viewer: Viewer, license_id: str) -> Standing:
    """Return the subscription that carries a license.

    Args:
        viewer: Who asks: who bought it, though they may have left the team, or a member of the
            holder. The scope of a token is for the caller to check.
        license_id: Public id of the license.

    Raises:
        UnauthenticatedError: nobody is signed in.
        SubscriptionNotFoundError: there is no such license, or not for them, or it is none.
    """
    user = viewer.signed_in()
    rows = License.objects.select_related("grant", "holder", "line__order", "line__subscription")
    row = rows.filter(public_id=license_id, line__subscription__isnull=False).first()
    if row is None or not (
        row.line.order.buyer_id == user.pk or viewer.role_in(row.holder_id) is not None
    ):
        raise SubscriptionNotFoundError(_("You have no such subscription."))
    return standing_of(viewer, row)


def standing_of(viewer: Viewer, row: License) -> Standing:
    """Return how the subscription of a license stands; the license has one."""
    subscription = row.line.subscription
    goes_on, period = subscription.state in GOING, next_period(subscription)
    resumes = is_resumable(subscription, row.grant)
    at = subscription.next_try_at or subscription.paid_until
    return Standing(
        subscription=subscription,
        license=row,
        amount_minor=_amount(subscription, period)
        if goes_on
        else row.line.agreed_minor(subscription.periods),
        later=_later(row, period) if goes_on or resumes else None,
        currency=row.line.order.currency,
        next_charge_at=max(at, timezone.now()) if goes_on else None,
        lasts_until=subscription.paid_until,
        is_own=may_end(viewer, subscription),
        unpaid=subscription.renewals.filter(state=Order.State.OPEN).order_by("id").last(),
        renews_itself=_renews_itself(row.line.order) and row.line.gross_minor > 0,
        resumes_for_minor=_amount(subscription, period) if resumes else None,
    )


def mending_url(viewer: Viewer, standing: Standing, return_url: str) -> str:
    """Return the gateway's page where a subscriber changes the card, or pays what is open.

    Args:
        viewer: Who is led there.
        standing: Of the subscription.
        return_url: Where the page leads back to.

    Returns:
        Its address; empty: the gateway has none for them.

    Raises:
        SubscriptionNotFoundError: not theirs.
        GatewayError, UnknownGatewayError: it cannot be asked.
    """
    user = viewer.signed_in()
    if not standing.is_own:
        raise SubscriptionNotFoundError(_("You have no such subscription."))
    first = standing.subscription.line.order
    gateway = gateway_named(first.gateway)
    return gateway.mending_url(first.public_id, payer_id=user.pk, return_url=return_url)


def _renews_itself(first: Order) -> bool:
    try:
        return gateway_named(first.gateway).renews_itself
    except UnknownGatewayError:
        return False


def _amount(subscription: Subscription, period: int) -> int:
    """Return what a period comes to; Stripe collects what was agreed at first, tax and all."""
    line = subscription.line
    first: Order = line.order
    try:
        if gateway_named(first.gateway).renews_itself:
            return line.agreed_minor(period)
        return priced_again(line, first, period)[0].gross_minor
    except (UnknownGatewayError, NotRenewableError):  # it waits, or fails, when it is due
        return line.agreed_minor(period)


def _later(row: License, period: int) -> Later | None:
    cheap = row.line.discount_periods
    if cheap is None or period > cheap:
        return None
    begins_at = periods.after(row.grant.starts_at, row.line.interval, cheap)
    return Later(_amount(row.line.subscription, cheap + 1), begins_at)

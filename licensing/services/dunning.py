"""Collecting the periods of subscriptions that are due, and what follows when it fails."""

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from catalog.models import ModelRepo
from licensing.gateways.base import (
    Gateway,
    GatewayError,
    GatewayRefusedError,
    PaymentDeclinedError,
)
from licensing.gateways.registry import UnknownGatewayError, gateway_named
from licensing.models import Order, Subscription
from licensing.services import checkout, granting, inbox, order_letters, renewals, settling

logger = logging.getLogger(__name__)
State = Subscription.State
EARLY = timedelta(hours=1)
"""A card is charged so long before the paid period ends: no license has a gap."""
EARLY_BY_HAND = timedelta(days=14)
"""Where nothing can be charged (bank transfer) the next period is asked for so early."""
RETRY_AFTER = (timedelta(days=1), timedelta(days=3), timedelta(days=5))
"""When a refused charge is tried again, counted from the first attempt; then it is over."""
ASK_AGAIN = timedelta(hours=6)
"""How often a gateway that renews by itself is asked for a period nobody told us of."""
SILENT_FOR = timedelta(days=30)
"""A subscription no gateway spoke of for so long after its paid period has ended."""
_AT_ONCE = 500


def renew_due() -> int:
    """Collect what is due, and end what is over. Run by the beat; safe to repeat.

    What goes wrong with one subscription is logged; the others go on, and the next run tries again.

    Returns:
        How many subscriptions were renewed.
    """
    _end_what_is_open()
    _end_what_is_over()
    now = timezone.now()
    due = Subscription.objects.filter(
        Q(next_try_at=None) | Q(next_try_at__lte=now),
        state__in=granting.GOING,
        paid_until__lte=now + EARLY_BY_HAND,
    )
    renewed = 0
    for row in due.select_related("line__order").order_by("paid_until")[:_AT_ONCE]:
        try:
            renewed += _collect(row, gateway_named(row.line.order.gateway))
        except (GatewayError, UnknownGatewayError):
            continue
        except Exception:
            logger.exception("subscription %s could not be renewed", row.public_id)
    return renewed


def _end_what_is_open() -> None:
    """End subscriptions of models that are all free for everybody now: nothing is collected."""
    for row in _of_open_models():
        first_id = row.line.order_id
        try:
            with transaction.atomic():
                granting.end_subscription(Order.objects.select_for_update().get(pk=first_id))
            for renewal in row.renewals.filter(state=Order.State.OPEN):
                settling.cancel(renewal.pk)
        except Exception:
            logger.exception("subscription %s could not be ended", row.public_id)


def _of_open_models() -> QuerySet[Subscription]:
    closed = ModelRepo.objects.exclude(opens_at__lte=timezone.now())
    going = Subscription.objects.filter(state__in=granting.GOING)
    rows = going.filter(line__repos__opens_at__lte=timezone.now())
    return rows.exclude(line__repos__in=closed).select_related("line").distinct()


def _end_what_is_over() -> int:
    """Write down that subscriptions have ended whose last paid period is past."""
    over = Subscription.objects.filter(state=State.ENDING, paid_until__lte=timezone.now())
    return over.update(state=State.ENDED)


def _collect(row: Subscription, gateway: Gateway) -> bool:
    is_free = row.line.gross_minor == 0  # no gateway has heard of it
    if gateway.renews_itself and not is_free:
        return _ask(row, gateway)
    method = "" if is_free else gateway.saved_method(row.line.order.public_id)
    early = EARLY if method or is_free else EARLY_BY_HAND
    if row.paid_until > timezone.now() + early:
        return False
    try:
        order = renewals.open_renewal(row, renewals.key_of_next(row))
    except renewals.NotRenewableError:
        return _missed(row, None)
    if order.state == Order.State.CANCELLED:
        return _over(row, order)
    if order.state != Order.State.OPEN:
        return False
    if is_free:
        return settling.take_free(order.pk)
    if not method:
        order_letters.ask_for_transfer(order, 0)
        return False
    return _charge(row, order, method)


def _ask(row: Subscription, gateway: Gateway) -> bool:
    """Ask a gateway that renews by itself for a period that should have been paid by now."""
    now, first = timezone.now(), row.line.order
    if row.paid_until > now:
        return False
    if row.paid_until < now - SILENT_FOR:
        return _over(row, None)
    inbox.receive(gateway.name, gateway.facts_of(first.public_id))
    seen = Subscription.objects.filter(pk=row.pk, periods=row.periods)
    return not seen.update(next_try_at=now + ASK_AGAIN)


def _charge(row: Subscription, order: Order, method: str) -> bool:
    try:
        started = checkout.start(order, payer=order.buyer, method=method)
    except (PaymentDeclinedError, GatewayRefusedError, checkout.OrderClosedError):
        return _missed(row, order)
    return _missed(row, order) if started.needs_browser else order.paid_at is not None


def _missed(row: Subscription, order: Order | None) -> bool:
    """Note a failed attempt and when the next one is; after the last one it is over."""
    if row.attempts >= len(RETRY_AFTER):
        return _over(row, order)
    since = RETRY_AFTER[row.attempts - 1] if row.attempts else timedelta()
    next_try_at = timezone.now() + RETRY_AFTER[row.attempts] - since
    missed = _unchanged(row).update(
        state=State.OVERDUE, attempts=row.attempts + 1, next_try_at=next_try_at
    )
    if missed and order is not None:
        order_letters.tell_unpaid(order)
    return False


def _over(row: Subscription, order: Order | None) -> bool:
    """End a subscription nobody paid for; its license ended with the paid period."""
    if order is not None and order.state == Order.State.OPEN:
        settling.cancel(order.pk)
    if granting.end_unpaid(row, order) and order is not None:
        order_letters.tell_unpaid(order)
    return False


def _unchanged(row: Subscription) -> QuerySet[Subscription]:
    """Return the row, if nothing was paid, cancelled or tried since it was read."""
    return Subscription.objects.filter(
        pk=row.pk, periods=row.periods, attempts=row.attempts, state=row.state
    )

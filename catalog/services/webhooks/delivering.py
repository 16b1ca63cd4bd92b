"""Sends what waits: one sender at a time for each webhook, a few for each person.

A sender takes the webhook for a moment (``busy_until``), sends what is due, one after the other,
and stops at the first failure. A sender that dies leaves rows as they were: they are sent again,
under the same ``webhook-id``, as soon as its time is over.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import SystemRandom

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from catalog.models import Webhook, WebhookAttempt, WebhookDelivery
from catalog.services.webhooks.listening import may_hear
from catalog.services.webhooks.signing import Secrets, secrets_of
from catalog.services.webhooks.stopping import switch_off
from catalog.services.webhooks.upkeep import OWNER_SLOTS
from store.core.database import hand_back_connection
from store.core.outgoing.rules import OutgoingRefusedError
from store.core.outgoing.sending import OutgoingError, post
from store.core.sealing import SealBrokenError

HOLD = timedelta(seconds=30)
"""So long a sender holds a webhook; longer than one attempt (10 s) and its rows."""
SLICE_S = 10.0
SLICE = 50
"""A sender gives its place to others after so long, or so many deliveries."""
FIRST_RETRY_S = 10.0
"""Pause after the first failure of a delivery, in seconds; tripled for each further one."""
MAX_RETRY_S = 6 * 3600.0
FIRST_REST_S = 5.0
"""Pause of the whole receiver after a failure, in seconds; doubled while it goes on failing."""
MAX_REST_S = 300.0
GONE = 410


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt went."""

    duration_ms: int
    status: int | None = None
    error: str = ""

    @property
    def is_good(self) -> bool:
        """The receiver took it."""
        return not self.error


def retry_delay_s(tries: int) -> float:
    """Return the pause after failed attempt ``tries`` (from 1): tripling, a fifth at random."""
    pause_s = min(FIRST_RETRY_S * 3.0 ** (tries - 1), MAX_RETRY_S)
    return pause_s * SystemRandom().uniform(0.8, 1.2)


def rest_s(failures: int) -> float:
    """Return how long a receiver is left alone after its failure ``failures`` (from 1)."""
    return min(FIRST_REST_S * 2.0 ** min(failures - 1, 20), MAX_REST_S)


def deliver_due(
    webhook_id: int, *, sender: str, should_stop: Callable[[], bool] = lambda: False
) -> int:
    """Send what waits for one webhook, unless another sender is at it.

    Args:
        webhook_id: Which.
        sender: A word nobody else uses.
        should_stop: Asked before each delivery.

    Returns:
        How many attempts were made.
    """
    if not _take(webhook_id, sender):
        return 0
    attempts, until = 0, time.monotonic() + SLICE_S
    try:
        while attempts < SLICE and time.monotonic() < until and not should_stop():
            delivery = _next_of(webhook_id)
            if delivery is None or not _hold_on(webhook_id, sender):
                break
            outcome = attempt(delivery)
            attempts += outcome is not None
            if outcome is not None and not outcome.is_good:
                break
    finally:
        mine = Webhook.objects.filter(pk=webhook_id, busy_by=sender)
        mine.update(busy_until=None, busy_by="")
    return attempts


def attempt(delivery: WebhookDelivery) -> Outcome | None:
    """Try one delivery and write down how it went.

    Returns:
        The outcome; ``None``: there was nothing to send, and the row says why.
    """
    webhook = delivery.webhook
    event = delivery.event
    if not delivery.is_test and (event is None or not may_hear(webhook.owner, event)):
        _end(delivery, WebhookDelivery.State.DROPPED, payload="")
        return None
    if delivery.give_up_at <= timezone.now():
        _end(delivery, WebhookDelivery.State.FAILED)
        return None
    try:
        secrets = secrets_of(webhook)
    except SealBrokenError:
        switch_off(webhook, Webhook.Stop.UNREADABLE)
        return None
    hand_back_connection()  # a receiver may take ten seconds
    at, outcome = timezone.now(), _post(delivery, secrets)
    made = WebhookAttempt(
        delivery=delivery,
        at=at,
        duration_ms=outcome.duration_ms,
        status=outcome.status,
        error=outcome.error,
    )
    _write(made, outcome)
    return outcome


def _take(webhook_id: int, sender: str) -> bool:
    """Take the webhook for this sender, if it is free and its owner has a place left."""
    with transaction.atomic():
        # People's senders are counted one after the other, so there are never too many.
        people = User.objects.select_for_update(no_key=True, of=("self",))
        owner = people.filter(webhooks=webhook_id).first()
        if owner is None:
            return False
        now = timezone.now()
        busy = Webhook.objects.filter(owner=owner, busy_until__gt=now).count()
        if busy >= OWNER_SLOTS:
            return False
        free = Webhook.objects.due(now).filter(pk=webhook_id)
        return bool(free.update(busy_until=now + HOLD, busy_by=sender))


def _hold_on(webhook_id: int, sender: str) -> bool:
    """Extend the hold. ``False``: it was lost, or the webhook was switched off or deleted."""
    mine = Webhook.objects.filter(pk=webhook_id, busy_by=sender, disabled_for="")
    return bool(mine.update(busy_until=timezone.now() + HOLD))


def _next_of(webhook_id: int) -> WebhookDelivery | None:
    waiting = WebhookDelivery.objects.filter(
        webhook_id=webhook_id,
        state=WebhookDelivery.State.WAITING,
        next_try_at__lte=timezone.now(),
    )
    return waiting.select_related("webhook__owner", "event").order_by("next_try_at", "pk").first()


def _post(delivery: WebhookDelivery, secrets: Secrets) -> Outcome:
    headers = secrets.headers(delivery.message_id, timezone.now(), delivery.payload)
    headers["Content-Type"] = "application/json"
    if delivery.is_test:
        headers["X-Webhook-Test"] = "true"
    started = time.monotonic()
    try:
        answer = post(delivery.webhook.url, delivery.payload.encode(), headers)
    except OutgoingRefusedError:
        return Outcome(_ms_since(started), error="refused")
    except OutgoingError as error:
        return Outcome(_ms_since(started), error=error.code)
    is_good = 200 <= answer.status < 300
    return Outcome(_ms_since(started), answer.status, "" if is_good else "status")


def _ms_since(started: float) -> int:
    return int((time.monotonic() - started) * 1000)


@transaction.atomic
def _write(made: WebhookAttempt, outcome: Outcome) -> None:
    """Write down an attempt and what it means, unless its owner deleted all that meanwhile."""
    # The webhook first, as everywhere: two orders would wait for each other.
    webhooks = Webhook.objects.select_for_update(no_key=True)
    webhook = webhooks.filter(pk=made.delivery.webhook_id).first()
    delivery = WebhookDelivery.objects.select_for_update().filter(pk=made.delivery_id).first()
    if webhook is not None and delivery is not None:
        made.save()
        _settle(webhook, delivery, outcome)


def _settle(webhook: Webhook, delivery: WebhookDelivery, outcome: Outcome) -> None:
    now = timezone.now()
    if outcome.is_good:
        _end(delivery, WebhookDelivery.State.DELIVERED, tries=delivery.tries + 1)
        webhook.failures, webhook.failing_since, webhook.rest_until = 0, None, None
        webhook.delivered_at = now
        webhook.save(update_fields=[*_HEALTH, "delivered_at"])
        return
    webhook.failures += 1
    webhook.failing_since = webhook.failing_since or now
    webhook.rest_until = now + timedelta(seconds=rest_s(webhook.failures))
    webhook.save(update_fields=_HEALTH)
    tries = delivery.tries + 1
    again = now + timedelta(seconds=retry_delay_s(tries))
    has_had_its_time = delivery.is_test or again > delivery.give_up_at
    if outcome.status == GONE:
        switch_off(webhook, Webhook.Stop.GONE)
    if has_had_its_time:
        _end(delivery, WebhookDelivery.State.FAILED, tries=tries)
    else:
        waiting = WebhookDelivery.objects.filter(
            pk=delivery.pk, state=WebhookDelivery.State.WAITING
        )
        waiting.update(tries=tries, next_try_at=again)


_HEALTH = ("failures", "failing_since", "rest_until")


def _end(delivery: WebhookDelivery, state: WebhookDelivery.State, **changes: object) -> None:
    waiting = WebhookDelivery.objects.filter(pk=delivery.pk, state=WebhookDelivery.State.WAITING)
    waiting.update(state=state, next_try_at=None, ended_at=timezone.now(), **changes)

"""Sends a delivery again, or a test, on the owner's wish."""

from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Scope
from accounts.viewer import Viewer
from catalog.models import RepoEvent, Webhook, WebhookDelivery, WebhookWatch
from catalog.services.webhooks.listening import GIVE_UP_AFTER, may_hear
from catalog.services.webhooks.payloads import render_test
from catalog.services.webhooks.upkeep import nudge
from store.core.errors import ConflictError, NotFoundError
from store.core.ratelimit import Window, hit_if_counting

BY_HAND = Window("webhook-sends", quota=120, window_s=3600)
"""Tests and replays of one person."""
TEST_LIFE = timedelta(minutes=5)
"""A test that nobody could send by then is over."""


class DeliveryNotFoundError(NotFoundError):
    """The webhook has no such delivery, or it was forgotten."""

    code = "delivery_not_found"


class WebhookDisabledError(ConflictError):
    """Nothing is sent while the webhook is off."""

    code = "webhook_disabled"


class PayloadForgottenError(ConflictError):
    """There is nothing left to send, or nothing the owner may still see."""

    code = "payload_forgotten"


def delivery_of(webhook: Webhook, public_id: str) -> WebhookDelivery:
    """Return one delivery of a webhook.

    Raises:
        DeliveryNotFoundError: there is none.
    """
    found = webhook.deliveries.select_related("event").filter(public_id=public_id).first()
    if found is None:
        raise DeliveryNotFoundError(_("This webhook has no such delivery."))
    return found


def payload_of(delivery: WebhookDelivery) -> str:
    """Return what is sent, as far as the owner may see it today; empty: not any more.

    Needs ``delivery.webhook.owner``.
    """
    event = delivery.event
    if delivery.is_test:
        return delivery.payload
    is_seen = event is not None and may_hear(delivery.webhook.owner, event)
    return delivery.payload if is_seen else ""


@transaction.atomic
def replay(viewer: Viewer, delivery: WebhookDelivery) -> WebhookDelivery:
    """Send a delivery again, with the same id and bytes, for another three days if need be.

    Raises:
        RateLimitedError: too many by hand.
        WebhookDisabledError: the webhook is off.
        PayloadForgottenError: it is too old, or about what the owner may not see any more.
    """
    viewer.require(Scope.WRITE)
    hit_if_counting(BY_HAND, str(delivery.webhook.owner_id))
    webhook = _awake(delivery.webhook)
    locked = WebhookDelivery.objects.select_for_update().get(pk=delivery.pk)
    if not locked.payload:
        raise PayloadForgottenError(_("This delivery is too old to be sent again."))
    now = timezone.now()
    locked.state, locked.ended_at = WebhookDelivery.State.WAITING, None
    locked.tries, locked.next_try_at = 0, now
    locked.give_up_at = now + (TEST_LIFE if locked.is_test else GIVE_UP_AFTER)
    locked.save()
    nudge(webhook.pk)
    return locked


@transaction.atomic
def send_test(viewer: Viewer, webhook: Webhook) -> WebhookDelivery:
    """Send an event that did not happen, to see whether the receiver takes it. Tried once.

    Raises:
        RateLimitedError: too many by hand.
        WebhookDisabledError: the webhook is off.
    """
    user = viewer.require(Scope.WRITE)
    hit_if_counting(BY_HAND, str(user.pk))
    locked = _awake(webhook)
    watched = locked.watches.filter(kind=WebhookWatch.Kind.MODEL, name__contains="/").first()
    full_name = watched.name if watched else f"{user.username}/test"
    now = timezone.now()
    made = WebhookDelivery.objects.create(
        webhook=locked,
        is_test=True,
        scope=RepoEvent.Scope.CONFIG,
        action=RepoEvent.Action.UPDATE,
        full_name=full_name,
        payload=render_test(locked, full_name),
        next_try_at=now,
        give_up_at=now + TEST_LIFE,
    )
    nudge(locked.pk)
    return made


def _awake(webhook: Webhook) -> Webhook:
    """Return the webhook as it is now, held and not resting any more."""
    rows = Webhook.objects.select_for_update(no_key=True, of=("self",)).select_related("owner")
    locked = rows.filter(pk=webhook.pk).first()
    if locked is None or locked.is_disabled:
        raise WebhookDisabledError(_("This webhook is off. Switch it on first."))
    Webhook.objects.filter(pk=locked.pk).update(rest_until=None)
    return locked

"""Switches webhooks off that cannot work, and writes to their owners."""

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from accounts.services import mailing
from accounts.services.audit import record
from catalog.models import Webhook

STOP_AFTER = timedelta(days=3)
"""So long nothing was taken …"""
STOP_FAILURES = 10
"""… and so often it was tried."""


@transaction.atomic
def switch_off(webhook: Webhook, reason: Webhook.Stop) -> bool:
    """Switch a webhook off and write to its owner. ``False``: it was off already."""
    rows = Webhook.objects.filter(pk=webhook.pk, disabled_for="")
    if not rows.update(disabled_for=reason, disabled_at=timezone.now()):
        return False
    event = record(
        "webhook.stop",
        actor=None,
        subject=webhook.public_id,
        namespace=webhook.owner.namespace,
        reason=reason.value,
        path=webhook.get_absolute_url(),
    )
    mailing.ask(mailing.Letter.WEBHOOK, event.pk)
    return True


def stop_failing() -> int:
    """Switch off what has failed for days on end. Run by the beat. Returns how many."""
    failing = Webhook.objects.filter(
        disabled_for="",
        failures__gte=STOP_FAILURES,
        failing_since__lte=timezone.now() - STOP_AFTER,
    )
    rows = failing.select_related("owner__namespace").order_by("pk")
    return sum(switch_off(webhook, Webhook.Stop.FAILING) for webhook in rows[:500])

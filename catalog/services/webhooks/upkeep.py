"""Keeps deliveries moving and the tables small. The beat calls it; so does every ending job."""

from datetime import timedelta

from django.db.models import Min, Q
from django.utils import timezone

from catalog.models import Webhook, WebhookDelivery
from store.core.jobs import JobName, enqueue
from store.core.models import Job

OWNER_SLOTS = 4
"""Receivers of one person that are talked to at the same time: a person whose receivers all hang
holds no more of the senders than this."""
KEEP_PAYLOADS = timedelta(days=7)
"""After its end a delivery can be sent again for so long."""
KEEP_DELIVERIES = timedelta(days=30)
_AT_ONCE = 500
_FIRST = Min("deliveries__next_try_at", filter=Q(deliveries__state=WebhookDelivery.State.WAITING))


def nudge(webhook_id: int) -> Job:
    """Ask for a sender for one webhook. While one is open or at work, no second one is made."""
    return enqueue(JobName.DELIVER_WEBHOOK, key=str(webhook_id), webhook_id=webhook_id)


def nudge_owner(owner_id: int) -> int:
    """Ask for as many senders for a person's webhooks as they may have now.

    Returns:
        How many were asked for.
    """
    now = timezone.now()
    mine = Webhook.objects.filter(owner_id=owner_id)
    room = max(0, OWNER_SLOTS - mine.filter(busy_until__gt=now).count())
    due = mine.due(now).annotate(first=_FIRST).order_by("first", "pk")
    chosen = list(due.values_list("pk", flat=True)[:room])
    for webhook_id in chosen:
        nudge(webhook_id)
    return len(chosen)


def nudge_after(job_id: int) -> int:
    """Ask for the senders that may follow when the job ``job_id`` has ended.

    Whatever was added while it was ending, and found it still open, is seen here.

    Returns:
        How many were asked for.
    """
    job = Job.objects.filter(pk=job_id).first()
    webhook = job and Webhook.objects.filter(pk=job.args["webhook_id"]).first()
    return nudge_owner(webhook.owner_id) if webhook else 0


def nudge_all() -> int:
    """Ask for senders for everything that is due and was forgotten: the beat's part.

    Returns:
        How many were asked for.
    """
    jobs = Job.objects.filter(name=JobName.DELIVER_WEBHOOK, state__in=Job.OPEN)
    asked = [int(key) for key in jobs.values_list("key", flat=True)]
    due = Webhook.objects.due(timezone.now()).exclude(pk__in=asked)
    chosen = list(due.annotate(first=_FIRST).order_by("first", "pk")[:_AT_ONCE])
    for webhook in chosen:
        nudge(webhook.pk)
    return len(chosen)


def give_up_late() -> int:
    """End deliveries whose time is over while nobody could send them. Returns how many."""
    now = timezone.now()
    late = WebhookDelivery.objects.filter(
        state=WebhookDelivery.State.WAITING, next_try_at__lte=now, give_up_at__lte=now
    )
    return late.update(state=WebhookDelivery.State.FAILED, next_try_at=None, ended_at=now)


def prune() -> int:
    """Forget payloads after a week and deliveries after a month. Returns how many went."""
    now = timezone.now()
    ended = WebhookDelivery.objects.filter(ended_at__isnull=False)
    ended.filter(ended_at__lt=now - KEEP_PAYLOADS).exclude(payload="").update(payload="")
    gone = ended.filter(ended_at__lt=now - KEEP_DELIVERIES)
    return gone.delete()[1].get("catalog.WebhookDelivery", 0)

"""Makes deliveries of events: one for each webhook that watches and whose owner may see."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo, RepoEvent, Webhook, WebhookDelivery, WebhookWatch
from catalog.services.webhooks.payloads import describe, domain_of, render
from catalog.services.webhooks.upkeep import nudge

GIVE_UP_AFTER = timedelta(days=3)
"""No attempt is made later than so long after the event."""
_AT_ONCE = 200
DAY = timedelta(days=1)


def tell(event: RepoEvent) -> None:
    """Note ``event`` for every webhook that is to hear of it. Safe to repeat."""
    domain = domain_of(event)
    if domain is None or event.buyer_id is not None:  # their webhooks hear of no sales
        return
    hearing = _watching(event).filter(disabled_for="", domains__contains=[domain])
    hearing = hearing.filter(created_at__lte=event.at)
    told = WebhookDelivery.objects.filter(event=event).values("webhook")
    rows = hearing.exclude(pk__in=told).select_related("owner").order_by("pk")
    parts = describe(event)
    for webhook in rows.iterator(chunk_size=_AT_ONCE):
        if _concerns(webhook.owner, event) and not _is_full(webhook):
            _deliver(webhook, event, render(parts, webhook))


def _concerns(owner: User, event: RepoEvent) -> bool:
    """Whether an event is for this owner of a webhook: sales are their sellers' alone."""
    if event.scope == RepoEvent.Scope.SALE:
        return owner.is_active and Viewer(user=owner).is_writer(event.namespace_id)
    return may_hear(owner, event)


def may_hear(owner: User, event: RepoEvent) -> bool:
    """Whether ``owner`` may know of the repository now, or might when it was deleted."""
    if not owner.is_active:
        return False
    viewer = Viewer(user=owner)
    repo = ModelRepo.objects.filter(public_id=event.repo_public_id)
    if repo.visible_to(viewer).exists():
        return True
    if repo.exists():  # asked last: it may be deleted between the two questions
        return False
    last = RepoEvent.objects.filter(repo_public_id=event.repo_public_id).order_by("-pk")[0]
    return not last.is_private or last.namespace_id in viewer.roles


def watching(repo: ModelRepo) -> QuerySet[Webhook]:
    """Return the webhooks, of anybody, that watch a repository by any of its names."""
    return _watching_names({repo.namespace.name}, _names_of(repo))


def _watching(event: RepoEvent) -> QuerySet[Webhook]:
    """Return the webhooks that watch the repository or whoever has or had it."""
    models = {event.full_name}
    if moved := (event.facts.get("moved_to") or {}).get("full_name"):
        models.add(moved)
    if event.repo:
        models.add(event.repo.full_name)
    owners = {name.partition("/")[0] for name in models}
    return _watching_names(owners, models | (_names_of(event.repo) if event.repo else set()))


def _names_of(repo: ModelRepo) -> set[str]:
    """Return every id that leads to a repository: its own, former ones, single words."""
    old = repo.redirects.values_list("namespace__name", "name")
    former = {f"{namespace}/{name}" for namespace, name in old}
    return {repo.full_name, *former, *repo.aliases.values_list("name", flat=True)}


def _watching_names(owners: set[str], models: set[str]) -> QuerySet[Webhook]:
    kind = WebhookWatch.Kind
    by_owner = Q(kind__in=[kind.USER, kind.ORG], small__in=[name.lower() for name in owners])
    by_model = Q(kind=kind.MODEL, small__in=[name.lower() for name in models])
    watches = WebhookWatch.objects.annotate(small=Lower("name")).filter(by_owner | by_model)
    return Webhook.objects.filter(pk__in=watches.values("webhook"))


def _is_full(webhook: Webhook) -> bool:
    """Whether the webhook has had its events of a day; then it says so on its page."""
    limit = settings.ENV.webhook_events_per_day
    now = timezone.now()
    of_today = webhook.deliveries.filter(created_at__gt=now - DAY, is_test=False)
    if not limit or of_today.count() < limit:
        return False
    Webhook.objects.filter(pk=webhook.pk).update(skipped=F("skipped") + 1, skipped_at=now)
    return True


@transaction.atomic
def _deliver(webhook: Webhook, event: RepoEvent, payload: str) -> None:
    now = timezone.now()
    made = WebhookDelivery(
        webhook=webhook,
        event=event,
        scope=event.scope,
        action=event.action,
        full_name=event.full_name,
        payload=payload,
        next_try_at=now,
        give_up_at=now + GIVE_UP_AFTER,
    )
    # Another worker may have been told of the same event; the webhook may be gone by now.
    if Webhook.objects.select_for_update(no_key=True).filter(pk=webhook.pk).exists():
        WebhookDelivery.objects.bulk_create([made], ignore_conflicts=True)
        if webhook.rest_until is None or webhook.rest_until <= now:
            nudge(webhook.pk)

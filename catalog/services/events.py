"""Telling what happened to a repository: noted with the change, told by a job."""

from collections.abc import Callable

from accounts.models import User
from catalog.models import ModelRepo, RepoEvent
from catalog.services.notices import tell_people
from catalog.services.webhooks.listening import tell as tell_webhooks
from store.core.jobs import JobName, enqueue

Consumer = Callable[[RepoEvent], None]
"""Tells one kind of listener. Called at least once for each event, so it is safe to repeat."""

CONSUMERS: tuple[Consumer, ...] = (tell_people, tell_webhooks)


def emit(
    scope: RepoEvent.Scope,
    action: RepoEvent.Action,
    *,
    repo: ModelRepo,
    actor: User | None,
    **facts: object,
) -> RepoEvent:
    """Note an event of ``repo``. Call it inside the transaction of the change.

    Args:
        scope: What it happened to.
        action: What happened.
        repo: As it was when it happened; before its row goes when it is deleted.
        actor: Who did it; ``None``: the store itself.
        **facts: Small values JSON can hold, never secrets or contents.
    """
    event = RepoEvent.objects.create(
        scope=scope,
        action=action,
        repo=repo,
        repo_public_id=repo.public_id,
        full_name=repo.full_name,
        is_private=repo.is_private,
        namespace=repo.namespace,
        actor=actor,
        facts=facts,
    )
    enqueue(JobName.SPREAD_EVENT, event_id=event.pk)
    return event


def spread(event_id: int) -> int:
    """Tell everybody who listens of one event; the job of that name. Safe to repeat.

    Returns:
        How many kinds of listeners were told.
    """
    event = RepoEvent.objects.select_related("repo__namespace", "namespace", "actor").get(
        pk=event_id
    )
    for tell in CONSUMERS:
        tell(event)
    return len(CONSUMERS)

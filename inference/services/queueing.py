"""Letting generations in: room, demo tokens, tokens of the day, and the queue. All or nothing."""

from collections.abc import Sequence
from contextlib import suppress

from django.db import transaction
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from inference.models import GenerationRun
from inference.services import quotas
from inference.services.params import AskedParams
from licensing.services import trials
from store.core.database import lock_name
from store.core.errors import RateLimitedError, TransientError
from store.core.jobs import JobName, enqueue
from store.core.models import Job

MAX_OPEN_OF_VISITOR = 2
MAX_OPEN_OF_PERSON = 4
MAX_OPEN = {
    "visitor": MAX_OPEN_OF_VISITOR,
    "user": MAX_OPEN_OF_PERSON,
    "organization": 16,
    "license": 16,
}
"""Requests one payer may have open, by kind. A call of several prompts is let in as one, and then
counts as many as it has."""
MAX_WAITING = 200
"""Requests in the queue of the whole store; past it everybody is asked to come back."""


class TooManyRunsError(RateLimitedError):
    """The payer has as many requests open as one may have."""

    code = "too_many_runs"


class QueueFullError(TransientError):
    """Too many people wait already."""

    code = "queue_full"


def queue(made: Sequence[GenerationRun], *, is_trial: bool, memory_bytes: int) -> None:
    """Take the tokens and write the rows, one call of a payer at a time: all of them, or nothing.

    Args:
        made: At least one, of one call: not saved yet, with the same model, payer and parameters.
        is_trial: They are paid with demo tokens of a sold model.
        memory_bytes: The least a worker must have.

    Raises:
        TooManyRunsError, QueueFullError, QuotaExceededError, TrialUsedUpError: not now, or not so
            much.
        TransientError: the queue cannot be reached.
    """
    first, taken = made[0], 0
    each = AskedParams.model_validate(first.params).most_computed_tokens
    try:
        with transaction.atomic():
            lock_asker(first.payer)
            _check_room(first)
            if is_trial:
                trials.take(first.repo, first.asker, each * len(made))
            taken = quotas.reserve(first.payer, each * len(made), now=first.created_at)
            for run in made:
                run.trial_tokens = each if is_trial else 0
                run.reserved_tokens = each if taken else 0
                run.save()
                run.job = enqueue(
                    JobName.GENERATE, asker=run.asker, memory_bytes=memory_bytes, run_id=run.pk
                )
                run.save(update_fields=["job"])
    except BaseException as error:
        with suppress(RedisError):
            quotas.give_back(first.payer, taken, day=first.created_at)
        if isinstance(error, RedisError):
            words = _("The queue cannot be reached. Try again in a minute.")
            raise TransientError(words) from error
        raise


def lock_asker(asker: str) -> None:
    """Let nobody else ask for the same asker or payer until the open transaction ends."""
    lock_name(f"asker {asker}")


def _check_room(run: GenerationRun) -> None:
    most = MAX_OPEN[run.payer.partition(":")[0]]
    mine = GenerationRun.objects.filter(payer=run.payer, state__in=GenerationRun.OPEN)
    if mine.count() >= most:
        raise TooManyRunsError(
            _("You have %(most)d requests open. Wait for one to end, or stop one.")
            % {"most": most},
            retry_after_s=10,
            limit=most,
        )
    check_queue()


def check_queue() -> None:
    """Refuse more work while too much waits.

    Raises:
        QueueFullError: too many wait.
    """
    waiting = Job.objects.filter(
        name__in=(JobName.GENERATE, JobName.EXPLAIN), state=Job.State.QUEUED
    )
    if waiting.count() >= MAX_WAITING:
        raise QueueFullError(_("Too many people are waiting. Try again in a few minutes."))

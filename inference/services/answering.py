"""How a question about a text ends: with its answer, without one, or stopped by who asked."""

from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone
from redis.exceptions import RedisError

from inference.models import Explanation
from inference.services import quotas, usage
from licensing.services import trials
from store.core import jobs
from store.core.models import Job

CANCELLED = "cancelled"
"""``error_code`` of a question that was stopped."""
_LOST = "The work on this was lost. Ask again."
_STOPPED = "This was stopped before there was an answer. Ask again."


def begin(explanation_id: int) -> bool:
    """Mark as running. ``False``: it has ended, or is gone."""
    rows = Explanation.objects.filter(pk=explanation_id, state__in=Explanation.OPEN)
    return bool(rows.update(state=Explanation.State.RUNNING))


@transaction.atomic
def finish(explanation_id: int, result: dict[str, Any]) -> bool:
    """Write the answer and what it used. ``False``: it had ended, or is gone."""
    rows = Explanation.objects.select_for_update().filter(pk=explanation_id)
    found = rows.filter(state__in=Explanation.OPEN).first()
    if found is None:
        return False
    found.state, found.result = Explanation.State.DONE, result
    found.finished_at = timezone.now()
    usage.record_explanation(found)
    found.reserved_tokens = found.trial_tokens = 0
    found.save()
    return True


def cancel(explanation: Explanation) -> bool:
    """Stop a question, whoever may read it: nobody waits for its answer any more.

    What a model has begun to read costs its tokens of the day, as a text that was stopped does.

    Returns:
        ``False``: it had ended already.
    """
    with transaction.atomic():
        if explanation.job_id:
            jobs.cancel(explanation.job_id)
            settle(explanation.job_id)
    was_open = explanation.is_open
    explanation.refresh_from_db()
    return was_open and explanation.error_code == CANCELLED


def settle(job_id: int) -> None:
    """End the explanation of a job that has ended without an answer."""
    rows = Explanation.objects.filter(job_id=job_id, state__in=Explanation.OPEN)
    for explanation in rows.select_related("job"):
        _settle(explanation)


def settle_all() -> int:
    """Do that for every one; the sweeper's part. Returns how many were ended."""
    rows = Explanation.objects.filter(state__in=Explanation.OPEN).exclude(job__state__in=Job.OPEN)
    return sum(_settle(each) for each in rows.select_related("job")[:500])


@transaction.atomic
def _settle(explanation: Explanation) -> bool:
    job = explanation.job
    if job is not None and job.is_open:
        return False
    rows = Explanation.objects.select_for_update()
    found = rows.filter(pk=explanation.pk, state__in=Explanation.OPEN).first()
    if found is None:
        return False
    is_stopped = job is not None and job.state == Job.State.CANCELLED
    was_begun = found.state == Explanation.State.RUNNING
    trials.give_back(found.repo_id, found.asker, found.trial_tokens)
    if not (is_stopped and was_begun):
        transaction.on_commit(partial(_give_back, found, found.reserved_tokens))
    found.state, found.finished_at = Explanation.State.FAILED, timezone.now()
    found.error_code, found.error = _reason(job)
    found.reserved_tokens = found.trial_tokens = 0
    found.save()
    return True


def _reason(job: Job | None) -> tuple[str, str]:
    if job is not None and job.state == Job.State.CANCELLED:
        return CANCELLED, _STOPPED
    if job is not None and job.error_code:
        return job.error_code, job.error or _LOST
    return "lost", _LOST


def give_back(explanation: Explanation) -> None:
    """Give the tokens of the day back of a question that was never written."""
    _give_back(explanation, explanation.reserved_tokens)


def _give_back(explanation: Explanation, tokens: int) -> None:
    try:
        quotas.give_back(explanation.asker, tokens, day=explanation.created_at)
    except RedisError:
        return  # it costs a quota some tokens

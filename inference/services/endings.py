"""How a generation ends. Once, whoever comes first: the worker, the person, or the sweeper."""

import logging
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone
from redis.exceptions import RedisError

from inference.models import GenerationRun
from inference.services import quotas, streams, usage
from inference.services.streams import Event, Transcript
from inference.services.told import Told
from licensing.services import trials
from store.core.histograms import FIRST_TOKEN_SECONDS, TOKENS_PER_SECOND
from store.core.models import Job

logger = logging.getLogger(__name__)

_LOST = "The work on this was lost. Ask again."


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run; the fields are those of the row."""

    state: GenerationRun.State
    texts: list[str] = field(default_factory=list)
    finish_reasons: list[str] = field(default_factory=list)
    tokens: list[list[Told]] = field(default_factory=list)
    prompt_tokens: int = 0
    new_tokens: int = 0
    load_s: float | None = None
    first_token_s: float | None = None
    generate_s: float | None = None
    memory_bytes: int = 0
    error_code: str = ""
    error: str = ""


def end(run_id: int, outcome: Outcome) -> bool:
    """Write the outcome and what it used, give unused tokens back and tell whoever watches.

    Returns:
        ``False``: the run had ended already, or is gone; nothing was written.
    """
    with transaction.atomic():
        run = GenerationRun.objects.select_for_update().filter(pk=run_id).first()
        if run is None or run.has_ended:
            return False
        unused = max(0, run.reserved_tokens - outcome.new_tokens)
        trial_tokens = min(run.trial_tokens, outcome.new_tokens)
        trials.give_back(run.repo_id, run.asker, run.trial_tokens - outcome.new_tokens)
        for name, value in asdict(outcome).items():
            setattr(run, name, value)
        run.reserved_tokens = run.trial_tokens = 0
        run.finished_at = timezone.now()
        run.save()
        usage.record(run, trial_tokens=trial_tokens)
        transaction.on_commit(partial(_tell, run, unused))
    return True


def settle(job_id: int) -> None:
    """End the run of a job that has ended without ending its run (it failed, say)."""
    runs = GenerationRun.objects.filter(job_id=job_id, state__in=GenerationRun.OPEN)
    for run in runs.select_related("job"):
        _settle(run)


def settle_all() -> int:
    """Do that for every run; the sweeper's part. Returns how many runs were ended."""
    runs = GenerationRun.objects.filter(state__in=GenerationRun.OPEN)
    lost = runs.exclude(job__state__in=Job.OPEN).select_related("job")
    return sum(_settle(run) for run in lost[:500])


def last_event(run: GenerationRun) -> Event:
    """Return the event that tells how ``run`` ended."""
    failed = run.state == GenerationRun.State.FAILED
    facts: dict[str, Any] = {
        "state": run.state,
        "texts": run.texts,
        "finish_reasons": run.finish_reasons,
        "prompt_tokens": run.prompt_tokens,
        "new_tokens": run.new_tokens,
        "load_s": run.load_s,
        "first_token_s": run.first_token_s,
        "generate_s": run.generate_s,
    }
    if failed:
        facts |= {"error_code": run.error_code, "error": run.error}
    return Event("failed" if failed else "done", facts)


def written_so_far(public_id: str) -> Transcript:
    """Return what watchers of an open run have seen; nothing when Valkey does not answer."""
    try:
        return streams.transcript(public_id)
    except RedisError:
        logger.warning("the text so far of a run is lost: Valkey does not answer")
        return Transcript()


def cancelled(so_far: Transcript) -> Outcome:
    """Return how a run ends that somebody stopped: what is written so far is kept."""
    return Outcome(
        state=GenerationRun.State.CANCELLED,
        texts=so_far.texts,
        tokens=so_far.tokens,
        prompt_tokens=so_far.prompt_tokens,
        finish_reasons=["cancelled"] * len(so_far.texts),
        new_tokens=so_far.new_tokens,
    )


def _settle(run: GenerationRun) -> bool:
    job = run.job
    if job is not None and job.is_open:
        return False
    so_far = written_so_far(run.public_id)
    if job is not None and job.state == Job.State.CANCELLED:
        return end(run.pk, cancelled(so_far))
    outcome = Outcome(
        state=GenerationRun.State.FAILED,
        texts=so_far.texts,
        tokens=so_far.tokens,
        prompt_tokens=so_far.prompt_tokens,
        new_tokens=so_far.new_tokens,
        error_code=job.error_code if job and job.error_code else "lost",
        error=job.error if job and job.error else _LOST,
    )
    return end(run.pk, outcome)


def _measure(run: GenerationRun) -> None:
    """Count how fast a run that ended well was; the monitoring reads it from any process."""
    if run.state != GenerationRun.State.DONE or run.started_at is None or not run.new_tokens:
        return
    queue = run.job.queue if run.job is not None else ""
    if run.first_token_s is not None:
        waited_s = (run.started_at - run.created_at).total_seconds()
        FIRST_TOKEN_SECONDS.observe(
            (queue,), max(0.0, waited_s) + (run.load_s or 0.0) + run.first_token_s
        )
        FIRST_TOKEN_SECONDS.flush()
    if run.generate_s:
        TOKENS_PER_SECOND.observe((queue,), run.new_tokens / run.generate_s)
        TOKENS_PER_SECOND.flush()


def _tell(run: GenerationRun, unused: int) -> None:
    """Valkey is only told: what it misses costs a quota some tokens and a watcher seconds."""
    _measure(run)
    try:
        streams.publish(run.public_id, [last_event(run)])
        quotas.give_back(run.payer, unused, day=run.created_at)
    except RedisError:
        logger.warning("the end of a run could not be announced: Valkey does not answer")

"""Runs one job: claim the row, call its handler, write how it ended.

Whatever happens here, the row stays the truth. An expected failure (``StoreError``) ends the job
with its code, one that may heal (``TransientError``) and every bug put it back for another
attempt, and a worker that vanishes leaves a lease that runs out.
"""

import logging
from collections.abc import Callable
from random import SystemRandom

import structlog
from django.db import close_old_connections, connection

from store.core import fairness, jobs
from store.core.errors import StoreError, TransientError
from store.core.jobs import Claim, JobName, LeaseLostError
from store.core.queues import MODEL_QUEUES
from store.core.work import JobContext, JobStoppedError
from workers.handlers import HANDLERS, WHEN_ENDED
from workers.heartbeat import Heartbeat, Stop

logger = logging.getLogger(__name__)

FIRST_RETRY_S = 5.0
"""Pause before the second attempt, in seconds; doubled for each further one."""
MAX_RETRY_S = 300.0
_INTERNAL = "Something went wrong on our side; it was logged."


def run_next(queue: str, *, on_stuck: Callable[[], None] | None = None) -> None:
    """Do the job of ``queue`` whose turn it is; nothing if none is due and free.

    Args:
        queue: Where to look.
        on_stuck: Called from another thread when the handler does not end although it must.
    """
    if claim := fairness.take_next(queue, memory_bytes=_memory_for(queue)):
        run_claim(claim, on_stuck=on_stuck)


def _memory_for(queue: str) -> int:
    """Return the memory this worker has for jobs of ``queue``, in bytes."""
    if queue not in MODEL_QUEUES:
        return fairness.ANY_MEMORY
    from inference.runners.hardware import hardware

    return hardware().memory_bytes


def run_job(job_id: int, *, on_stuck: Callable[[], None] | None = None) -> None:
    """Do this one job if it is due and free, whosever turn it is; see ``run_next``."""
    if claim := jobs.claim(job_id):
        run_claim(claim, on_stuck=on_stuck)


def run_claim(claim: Claim, *, on_stuck: Callable[[], None] | None = None) -> None:
    """Do a claimed job and write how it ended; see ``run_next``."""
    name = JobName(claim.job.name)
    with structlog.contextvars.bound_contextvars(job=claim.job.pk, job_name=name.value):
        _attempt(claim, name, on_stuck)
        if name in WHEN_ENDED:
            WHEN_ENDED[name](claim.job.pk)


def retry_delay_s(attempt: int) -> float:
    """Return the pause after failed attempt ``attempt`` (from 1): doubling, a fifth at random."""
    pause_s = min(FIRST_RETRY_S * 2.0 ** (attempt - 1), MAX_RETRY_S)
    return pause_s * SystemRandom().uniform(0.9, 1.1)


def _attempt(claim: Claim, name: JobName, on_stuck: Callable[[], None] | None) -> None:
    heartbeat = Heartbeat(claim, on_stuck)
    try:
        with heartbeat:
            result = HANDLERS[name](JobContext(claim, heartbeat.stopped))
    except (JobStoppedError, LeaseLostError):
        if heartbeat.reason is Stop.SHUTDOWN:
            claim.give_back()
    except TransientError as error:
        logger.warning("will be tried again: %s", error.message)
        _hand_back(claim, error.code, error.message)
    except StoreError as error:
        logger.info("failed: %s", error.message)
        claim.fail(code=error.code, message=error.message)
    except Exception:
        logger.exception("attempt %s failed", claim.job.attempts)
        if not connection.in_atomic_block:
            close_old_connections()  # the fault may be the connection's
        _hand_back(claim, "internal_error", _INTERNAL)
    else:
        claim.finish(result)


def _hand_back(claim: Claim, code: str, message: str) -> None:
    delay_s = retry_delay_s(claim.job.attempts)
    claim.hand_back(delay_s=delay_s, code=code, message=message)

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

from store.core import jobs
from store.core.errors import StoreError, TransientError
from store.core.jobs import Claim, JobName, LeaseLostError
from store.core.work import JobContext, JobStoppedError, JobYieldedError
from workers.handlers import HANDLERS, WHEN_ENDED
from workers.heartbeat import Heartbeat, Stop

logger = logging.getLogger(__name__)

FIRST_RETRY_S = 5.0
"""Pause before the second attempt, in seconds; doubled for each further one."""
MAX_RETRY_S = 300.0
_INTERNAL = "Something went wrong on our side; it was logged."


def run_job(job_id: int, *, on_stuck: Callable[[], None] | None = None) -> None:
    """Do the job if it is due and free; otherwise do nothing.

    Args:
        job_id: Its row.
        on_stuck: Called from another thread when the handler does not end although it must.
    """
    claim = jobs.claim(job_id)
    if claim is None:
        return
    name = JobName(claim.job.name)
    with structlog.contextvars.bound_contextvars(job=job_id, job_name=name.value):
        _attempt(claim, name, on_stuck)
        if name in WHEN_ENDED:
            WHEN_ENDED[name](job_id)


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
    except JobYieldedError as error:
        claim.give_back(delay_s=error.delay_s)
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

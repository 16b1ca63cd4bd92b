"""Keeps the lease of a running job and tells its handler when to stop."""

import logging
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType
from typing import Self

from django.db import DatabaseError, connection

from store.core.jobs import POLICIES, Claim, JobName

logger = logging.getLogger(__name__)

MAX_BEAT_S = 5.0
"""A cancelled job is noticed within this time, in seconds."""
STUCK_AFTER_S = 300.0
"""A handler that does not heed the stop for so long, in seconds, is given up with its process."""
DRAIN_S = 15.0
"""Time a job has to end by itself once the worker shuts down, in seconds."""

SHUTTING_DOWN = threading.Event()
"""Set once this process was asked to end."""


class Stop(StrEnum):
    """Why a handler was told to stop."""

    LOST = "lost"
    """Cancelled, or another worker has it."""
    TIME_LIMIT = "time_limit"
    SHUTDOWN = "shutdown"


class Heartbeat:
    """Renews ``claim`` in a thread of its own while the ``with`` block runs.

    Inside an open transaction it does nothing: nobody else can see that job, so nobody can take
    or cancel it.

    Args:
        claim: What is being worked on.
        on_stuck: Called when the handler ignores the stop; ``None`` leaves it alone.
    """

    def __init__(self, claim: Claim, on_stuck: Callable[[], None] | None = None) -> None:
        self.claim = claim
        self.stopped = threading.Event()
        self.reason: Stop | None = None
        policy = POLICIES[JobName(claim.job.name)]
        self._lease_s = policy.lease_s
        self._limit_s = policy.time_limit_s
        self._on_stuck = on_stuck
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"lease-{claim.job.pk}", daemon=True)

    def __enter__(self) -> Self:
        if not connection.in_atomic_block:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._beat()
            if not self._over.is_set():
                self._wait_for_the_handler()
        finally:
            connection.close()

    def _beat(self) -> None:
        """Renew until the work is over or must stop; say why in ``reason``."""
        started = renewed = time.monotonic()
        drained: float | None = None
        pause_s = min(self._lease_s / 3, MAX_BEAT_S, self._limit_s / 3)
        while not self._over.wait(pause_s):
            now = time.monotonic()
            if now - started > self._limit_s:
                return self._stop(Stop.TIME_LIMIT)
            if SHUTTING_DOWN.is_set():
                drained = drained or now + DRAIN_S
                if now > drained:
                    return self._stop(Stop.SHUTDOWN)
            if self._renew():
                renewed = now
            elif self.reason is Stop.LOST or now - renewed > self._lease_s:
                return self._stop(Stop.LOST)
        return None

    def _renew(self) -> bool:
        """Renew once. A database that is away costs nothing until the lease has run out."""
        try:
            is_ours = self.claim.renew()
        except DatabaseError:
            logger.warning("the lease of job %s could not be renewed", self.claim.job.pk)
            return False
        finally:
            connection.close()  # a job in each of many threads would hold two for its whole life
        if not is_ours:
            self.reason = Stop.LOST
        return is_ours

    def _stop(self, reason: Stop) -> None:
        logger.warning("job %s is told to stop: %s", self.claim.job.pk, reason)
        self.reason = reason
        if reason is Stop.TIME_LIMIT:  # at once: nobody takes up what a stuck handler still does
            self._fail_for_time()
        self.stopped.set()

    def _fail_for_time(self) -> None:
        message = f"This took longer than {self._limit_s} seconds and was stopped."
        try:
            self.claim.fail(code="time_limit", message=message)
        except DatabaseError:
            logger.exception("job %s could not be marked as failed", self.claim.job.pk)

    def _wait_for_the_handler(self) -> None:
        if self._over.wait(STUCK_AFTER_S) or self._on_stuck is None:
            return
        logger.critical("job %s does not stop; the worker process ends", self.claim.job.pk)
        self._on_stuck()

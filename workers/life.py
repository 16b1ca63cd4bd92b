"""What a worker process does beside its tasks: say that it lives, and leave in good order."""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from celery.signals import worker_ready, worker_shutting_down
from redis.exceptions import RedisError

from store.core import presence
from store.core.presence import Worker
from store.core.queues import MODEL_QUEUES
from workers.heartbeat import SHUTTING_DOWN

logger = logging.getLogger(__name__)


class Announcer:
    """Announces this process until it is told to leave.

    Args:
        worker: What it is.
        resident: Returns how many models it holds now, and their bytes.
    """

    def __init__(self, worker: Worker, resident: Callable[[], tuple[int, int]]) -> None:
        self.worker = worker
        self._resident = resident
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def start(self) -> None:
        """Announce now and every few seconds."""
        self._thread.start()

    def stop(self) -> None:
        """Take the announcement back."""
        self._leaving.set()
        self._thread.join(timeout=15)

    def _run(self) -> None:
        while True:
            try:
                boxes, boxes_bytes = self._resident()
                presence.announce(replace(self.worker, boxes=boxes, boxes_bytes=boxes_bytes))
            except RedisError:
                logger.warning("presence cannot be announced: Valkey does not answer")
            if self._leaving.wait(presence.ANNOUNCE_EVERY_S):
                break
        try:
            presence.retract(self.worker.name)
        except RedisError:
            logger.warning("presence was left to expire: Valkey does not answer")


_announcers: list[Announcer] = []


@worker_ready.connect
def on_ready(sender: Any, **_kwargs: Any) -> None:
    """Start announcing, once in the life of the process; Celery sends this at each reconnect."""
    if _announcers:
        return
    queues = tuple(sorted(queue.name for queue in sender.task_consumer.queues))
    worker = Worker(str(sender.hostname), queues, slots=int(sender.pool.limit))
    announcer = Announcer(worker, lambda: (0, 0))
    if set(queues) & set(MODEL_QUEUES):
        announcer = _with_models(worker)
    _announcers.append(announcer)
    announcer.start()
    logger.info("worker listens on %s", ", ".join(queues))


@worker_shutting_down.connect
def on_shutting_down(**_kwargs: Any) -> None:
    """Tell running jobs to come to an end, and everybody that this worker leaves."""
    SHUTTING_DOWN.set()
    for announcer in _announcers:
        threading.Thread(target=announcer.stop, name="leaving", daemon=True).start()


def _with_models(worker: Worker) -> Announcer:
    """Add what models run on here and what keeps them in; it is logged, once for each start."""
    from inference.box.client import protection
    from inference.box.errors import BoxError
    from inference.runners.hardware import hardware, resident

    here = hardware()
    try:
        held = protection().sentence
        logger.info("%s", held)
    except BoxError as error:
        held = f"models cannot be run: {error.message}"
        logger.error("%s", held)  # noqa: TRY400 - no trace needed
    described = replace(
        worker,
        device=here.device,
        hardware=here.name,
        memory_bytes=here.memory_bytes,
        protection=held,
    )
    return Announcer(described, resident)

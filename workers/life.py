"""What a worker process does beside its tasks: say that it lives, and leave in good order."""

import logging
import threading
from typing import Any

from celery.signals import worker_ready, worker_shutting_down
from redis.exceptions import RedisError

from store.core import presence
from store.core.jobs import Queue
from workers.heartbeat import SHUTTING_DOWN

logger = logging.getLogger(__name__)


class Announcer:
    """Announces the queues of this process until it is told to leave."""

    def __init__(self, queues: list[str]) -> None:
        self.queues = queues
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def start(self) -> None:
        """Announce now and every few seconds."""
        self._thread.start()

    def stop(self) -> None:
        """Take the announcements back."""
        self._leaving.set()
        self._thread.join(timeout=15)

    def _run(self) -> None:
        while True:
            try:
                for queue in self.queues:
                    presence.announce(queue)
            except RedisError:
                logger.warning("presence cannot be announced: Valkey does not answer")
            if self._leaving.wait(presence.ANNOUNCE_EVERY_S):
                break
        try:
            for queue in self.queues:
                presence.retract(queue)
        except RedisError:
            logger.warning("presence was left to expire: Valkey does not answer")


_announcers: list[Announcer] = []


@worker_ready.connect
def on_ready(sender: Any, **_kwargs: Any) -> None:
    """Start announcing, once in the life of the process; Celery sends this at each reconnect."""
    if _announcers:
        return
    queues = sorted(queue.name for queue in sender.task_consumer.queues)
    if Queue.INFERENCE in queues:
        _log_protection()
    announcer = Announcer(queues)
    _announcers.append(announcer)
    announcer.start()
    logger.info("worker listens on %s", ", ".join(queues))


@worker_shutting_down.connect
def on_shutting_down(**_kwargs: Any) -> None:
    """Tell running jobs to come to an end, and everybody that this worker leaves."""
    SHUTTING_DOWN.set()
    for announcer in _announcers:
        threading.Thread(target=announcer.stop, name="leaving", daemon=True).start()


def _log_protection() -> None:
    """Say in the log what keeps strangers' models in, once for each start."""
    from inference.box.client import protection
    from inference.box.errors import BoxError

    try:
        logger.info("%s", protection().sentence)
    except BoxError as error:
        logger.error("models cannot be run: %s", error.message)  # noqa: TRY400 - no trace needed

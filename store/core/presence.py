"""Which queues have a living worker.

A worker announces each queue it listens on every few seconds; the note expires by itself, so a
dead worker is forgotten without anybody's help.
"""

from store.core.jobs import Queue
from store.core.valkey import valkey

ANNOUNCE_EVERY_S = 10
"""How often a worker should announce itself, in seconds."""
FORGET_AFTER_S = 60
"""A worker that was silent so long is gone, in seconds."""


def announce(queue: str) -> None:
    """Note that a worker listens on ``queue`` now."""
    valkey().set(_key(queue), 1, ex=FORGET_AFTER_S)


def retract(queue: str) -> None:
    """Take the note back: the worker is leaving. Another one there announces itself soon."""
    valkey().delete(_key(queue))


def seen() -> dict[Queue, float]:
    """Return the queues that have a worker, each with the seconds since it was last heard of.

    The age is what has gone of the note's life, so clocks of several machines do not matter.
    """
    pipe = valkey().pipeline(transaction=False)
    for queue in Queue:
        pipe.pttl(_key(queue))
    return {
        queue: max(0.0, FORGET_AFTER_S - left_ms / 1000)
        for queue, left_ms in zip(Queue, pipe.execute(), strict=True)
        if left_ms > 0
    }


def _key(queue: str) -> str:
    return f"worker:{queue}"

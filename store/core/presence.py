"""Which workers live, on what hardware, and what they listen on.

A worker announces itself every few seconds; the note expires by itself, so a dead worker is
forgotten without anybody's help.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from store.core.queues import Queue
from store.core.valkey import valkey

ANNOUNCE_EVERY_S = 10
"""How often a worker should announce itself, in seconds."""
FORGET_AFTER_S = 60
"""A worker that was silent so long is gone, in seconds."""
_NAMES = "workers"
"""Set of the names of workers that were announced and not yet found gone."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process as it describes itself."""

    name: str
    """Unique, as ``inference@host``."""
    queues: tuple[str, ...]
    slots: int = 1
    """Jobs it does at a time."""
    device: Literal["cpu", "gpu"] = "cpu"
    hardware: str = ""
    """What people call it: ``8 cores``, ``NVIDIA L4``."""
    memory_bytes: int = 0
    """Memory a model may have on it, in bytes; 0: any, or it runs none."""
    protection: str = ""
    """What keeps strangers' models in, in words; empty where it runs none."""
    boxes: int = 0
    """Models it holds in memory now."""
    boxes_bytes: int = 0
    """Memory they use, in bytes."""
    age_s: float = 0.0
    """Seconds since it was last heard of: what has gone of its note's life, so clocks of several
    machines do not matter."""

    def can_run(self, queue: str, memory_bytes: int) -> bool:
        """Whether it takes jobs of ``queue`` that need so much memory (0: any will do)."""
        return queue in self.queues and memory_bytes <= (self.memory_bytes or memory_bytes)


def announce(worker: Worker) -> None:
    """Note that ``worker`` lives now."""
    pipe = valkey().pipeline(transaction=False)
    pipe.set(_key(worker.name), json.dumps(asdict(worker)), ex=FORGET_AFTER_S)
    pipe.sadd(_NAMES, worker.name)
    pipe.execute()


def retract(name: str) -> None:
    """Take the note back: the worker is leaving."""
    pipe = valkey().pipeline(transaction=False)
    pipe.delete(_key(name))
    pipe.srem(_NAMES, name)
    pipe.execute()


def workers() -> list[Worker]:
    """Return the workers that were heard of within ``FORGET_AFTER_S``, by name."""
    names = sorted(_text(word) for word in valkey().smembers(_NAMES))
    pipe = valkey().pipeline(transaction=False)
    for name in names:
        pipe.get(_key(name))
        pipe.pttl(_key(name))
    answers = pipe.execute()
    found, gone = [], []
    for name, note, left_ms in zip(names, answers[::2], answers[1::2], strict=True):
        if note is None or left_ms <= 0:
            gone.append(name)
        else:
            found.append(_read(json.loads(note), max(0.0, FORGET_AFTER_S - left_ms / 1000)))
    if gone:
        valkey().srem(_NAMES, *gone)
    return found


def seen(among: Iterable[Worker] | None = None) -> dict[Queue, float]:
    """Return the queues that have a worker, each with the seconds since one was last heard of."""
    found: dict[Queue, float] = {}
    for worker in workers() if among is None else among:
        for name in set(worker.queues) & set(Queue):
            queue = Queue(name)
            found[queue] = min(worker.age_s, found.get(queue, worker.age_s))
    return found


def _read(note: dict[str, Any], age_s: float) -> Worker:
    """Return what a note says, whichever version of the store wrote it."""
    known = {key: value for key, value in note.items() if key in Worker.__slots__}
    return Worker(**known | {"queues": tuple(known["queues"]), "age_s": age_s})


def _text(word: str | bytes) -> str:
    return word.decode() if isinstance(word, bytes) else word


def _key(name: str) -> str:
    return f"worker:{name}"

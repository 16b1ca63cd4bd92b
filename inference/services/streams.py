"""The events of a running generation, in a Valkey stream that lives for an hour.

The row keeps the outcome; the stream only carries it while it comes. One event of each kind:

``start``    the model is loaded: ``attempt``, ``prompt_tokens``, ``load_s``
``restart``  another worker begins anew: forget every text so far
``token``    text to append: ``sequence``, ``text``, ``new_tokens`` (of the whole run so far), and
             ``tokens`` (``services.told``) where probabilities were asked for
``done``     nothing more comes: ``state`` and the facts of the row
``failed``   the same, with ``error_code`` and ``error``

Every event carries the number of the attempt that wrote it, so that a worker that lost its lease
and does not know it yet cannot mix its text into the new one's.
"""

import json
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import RedisError

from inference.services.told import Told
from store.core.valkey import valkey

logger = logging.getLogger(__name__)

KEEP_S = 3600
"""Life of a stream after its last event, in seconds."""
MAX_EVENTS = 8192
"""Above every possible run: 4 sequences of 1024 tokens, one event each, and the frame."""
FIRST = "0-0"
LAST_EVENTS = frozenset({"done", "failed"})
_ID = re.compile(r"\d{1,15}-\d{1,10}")


@dataclass(frozen=True, slots=True)
class Event:
    """One event."""

    kind: str
    data: dict[str, Any]
    attempt: int = 0
    id: str = ""
    """Of the stream; grows from event to event. Empty before it is written."""

    @property
    def is_last(self) -> bool:
        """Nothing comes after it."""
        return self.kind in LAST_EVENTS


@dataclass
class Transcript:
    """The texts so far, folded from events; ignores what a superseded attempt still writes."""

    texts: list[str] = field(default_factory=list)
    tokens: list[list[Told]] = field(default_factory=list)
    """For each sequence what was told of its tokens."""
    prompt_tokens: int = 0
    new_tokens: int = 0
    attempt: int = 0

    def accept(self, event: Event) -> bool:
        """Take ``event`` in. ``False``: it is of an older attempt and counts for nothing."""
        if event.is_last:
            return True
        if event.attempt < self.attempt:
            return False
        if event.attempt > self.attempt:
            self.texts, self.new_tokens, self.attempt = [], 0, event.attempt
            self.tokens = []
        if event.kind == "start":
            self.prompt_tokens = int(event.data.get("prompt_tokens", 0))
        if event.kind == "token":
            sequence = int(event.data["sequence"])
            self.texts += [""] * (sequence + 1 - len(self.texts))
            self.texts[sequence] += event.data["text"]
            if event.data.get("tokens"):
                self.tokens += [[] for _ in range(sequence + 1 - len(self.tokens))]
                self.tokens[sequence] += event.data["tokens"]
            self.new_tokens = int(event.data["new_tokens"])
        return True


def publish(public_id: str, events: Iterable[Event]) -> bool:
    """Append ``events`` in one round trip.

    Returns:
        Whether somebody asked to stop this run.
    """
    pipe: Any = valkey().pipeline(transaction=False)
    for event in events:
        body = json.dumps(event.data, ensure_ascii=False)
        pipe.xadd(
            _key(public_id),
            {"kind": event.kind, "attempt": event.attempt, "data": body},
            maxlen=MAX_EVENTS,
            approximate=False,
        )
    pipe.expire(_key(public_id), KEEP_S)
    pipe.exists(_stop_key(public_id))
    return bool(pipe.execute()[-1])


def read(public_id: str, *, after: str = FIRST, block_ms: int | None = None) -> list[Event]:
    """Return the events after ``after``.

    Args:
        public_id: Of the run.
        after: Id of the last event known; anything that is none counts as the beginning.
        block_ms: Wait so long for an event if there is none yet; less than the client's socket
            time-out of 10 s.
    """
    since = after if _ID.fullmatch(after) else FIRST
    client: Any = valkey()
    if block_ms and not client.xread({_key(public_id): since}, count=1, block=block_ms):
        return []
    return [_event(*row) for row in client.xrange(_key(public_id), min=f"({since}")]


def transcript(public_id: str) -> Transcript:
    """Return what has been written so far."""
    so_far = Transcript()
    for event in read(public_id):
        so_far.accept(event)
    return so_far


def ask_to_stop(public_id: str) -> None:
    """Make the worker that writes this run stop at its next step."""
    valkey().set(_stop_key(public_id), 1, ex=KEEP_S)


def is_asked_to_stop(public_id: str) -> bool:
    """Whether ``ask_to_stop`` was called."""
    return bool(valkey().exists(_stop_key(public_id)))


def forget(public_id: str) -> None:
    """Delete what a run has written so far, or leave it to expire where Valkey does not answer."""
    try:
        valkey().delete(_key(public_id))
    except RedisError:
        logger.warning("the text of a deleted run stays for an hour: Valkey does not answer")


def _event(event_id: str, fields: dict[str, str]) -> Event:
    return Event(
        kind=fields["kind"],
        data=json.loads(fields["data"]),
        attempt=int(fields["attempt"]),
        id=event_id,
    )


def _key(public_id: str) -> str:
    return f"gen:{public_id}"


def _stop_key(public_id: str) -> str:
    return f"gen:{public_id}:stop"

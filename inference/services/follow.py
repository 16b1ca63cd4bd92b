"""Watching a run: event by event as it is written, or what has come since the last look."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from inference.models import GenerationRun
from inference.services import endings, runs, streams
from inference.services.streams import FIRST, Event, Transcript
from store.core.database import hand_back_connection

_WAIT_MS = 1000
_LOOK_EVERY_S = 2.0
"""Pause between two looks at the row while its stream is silent, in seconds."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What has come since the last look."""

    events: list[Event]
    last_id: str
    """Hand it in with the next look."""
    standing: runs.Standing


def watch(
    run: GenerationRun, *, after: str = FIRST, most_wait_ms: int = _WAIT_MS
) -> Iterator[Event | None]:
    """Yield events until the run has ended; ``None`` once in a while when there is nothing new.

    While the run waits, ``status`` events tell its place in the queue. No database connection is
    held between two events.

    Args:
        run: Through ``runs.read``.
        after: Id of the last event the caller knows.
        most_wait_ms: Longest wait for news before a ``None``; 0: say at once that there are none.

    Raises:
        RedisError: the stream cannot be read; ask for snapshots instead.
    """
    order, told, looked = Transcript(), None, 0.0
    ended: Event | None = None
    while True:
        wait_ms = None if ended else most_wait_ms
        for event in streams.read(run.public_id, after=after, block_ms=wait_ms):
            after = event.id
            if order.accept(event):
                yield event
            if event.is_last:
                return
        if ended is not None:  # its last words are lost with the stream; the row has them
            yield ended
            return
        if time.monotonic() - looked < _LOOK_EVERY_S:
            yield None
            continue
        looked = time.monotonic()
        status = _look(run)
        if status.is_last:
            ended = status  # what was written between the last look at the stream and this one
            continue
        yield status if status != told else None
        told = status


def snapshot(run: GenerationRun, *, after: str = FIRST) -> Snapshot:
    """Return the events after ``after``, for callers that ask again and again.

    Once the run has ended, the last event is always among them.
    """
    standing = runs.standing(run)
    try:
        events = _in_order(streams.read(run.public_id, after=after))
    except RedisError:
        events = []
    if run.has_ended and not any(event.is_last for event in events):
        events.append(endings.last_event(run))
    known = [event.id for event in events if event.id]
    return Snapshot(events, known[-1] if known else after, standing)


def _in_order(events: list[Event]) -> list[Event]:
    """Drop what superseded attempts wrote, and what a stopped worker wrote after the end."""
    order, kept = Transcript(), []
    for event in events:
        if order.accept(event):
            kept.append(event)
        if event.is_last:
            break
    return kept


def _look(run: GenerationRun) -> Event:
    """Return how ``run`` ended, or where it stands."""
    now = GenerationRun.objects.select_related("job").filter(pk=run.pk).first()
    if now is None:
        event = endings.last_event(deleted(run))
    elif now.has_ended:
        event = endings.last_event(now)
    else:
        event = Event("status", status_of(runs.standing(now)))
    hand_back_connection()
    return event


def deleted(run: GenerationRun) -> GenerationRun:
    """Return what to say of a run that went with its model."""
    return GenerationRun(
        public_id=run.public_id,
        state=GenerationRun.State.FAILED,
        error_code="deleted",
        error="The model was deleted, and everything it wrote with it.",
    )


def status_of(standing: runs.Standing) -> dict[str, Any]:
    """Return where a run stands, as pages and programs get it."""
    wait_s = standing.expected_wait_s
    problem = {"problem": standing.problem} if standing.problem else {}
    return problem | {
        "state": standing.state,
        "ahead": standing.ahead,
        "expected_wait_s": round(wait_s, 1) if wait_s is not None else None,
    }

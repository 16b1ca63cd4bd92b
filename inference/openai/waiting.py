"""Waiting for a run: to its end, or until it has begun."""

import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from redis.exceptions import RedisError

from accounts.viewer import Viewer
from inference.models import GenerationRun
from inference.openai.errors import CompletionTimeoutError, failure_of
from inference.services import follow, runs
from inference.services.streams import Event
from store.core.database import hand_back_connection

T = TypeVar("T")
_LOOK_S = 0.03
"""Pause between two looks at several runs side by side, in seconds."""
_POLL_S = 0.5
"""Pause between two looks at the row where its stream cannot be read, in seconds."""


def events_of(run: GenerationRun, *, is_patient: bool = True) -> Iterator[Event | None]:
    """Yield a run's events; where Valkey does not answer just its last one, from the row.

    Args:
        run: The run.
        is_patient: Wait for news before ``None`` is said; otherwise the caller does.
    """
    try:
        yield from follow.watch(run) if is_patient else follow.watch(run, most_wait_ms=0)
    except RedisError:
        while True:
            seen = follow.snapshot(fresh(run))
            last = [event for event in seen.events if event.is_last]
            if last:
                yield last[-1]
                return
            hand_back_connection()
            if is_patient:
                time.sleep(_POLL_S)
            yield None


def side_by_side(sources: Sequence[Iterator[T | None]]) -> Iterator[T | None]:
    """Yield from all as each has something to say; ``None`` when none of them has.

    Args:
        sources: Each says ``None`` when it has nothing, without waiting.
    """
    going_on = list(sources)
    while going_on:
        is_silent = True
        for source in list(going_on):
            for item in source:
                if item is None:
                    break
                is_silent = False
                yield item
            else:
                going_on.remove(source)
        if is_silent and going_on:
            time.sleep(_LOOK_S)
            yield None


def all_ended(
    viewer: Viewer, made: Sequence[GenerationRun], visitor_key: str, *, within_s: float
) -> list[GenerationRun]:
    """Return all runs of a call once they have ended well; otherwise none of them goes on.

    Args:
        viewer: Who asked for them.
        made: The runs.
        visitor_key: Theirs, where nobody is signed in.
        within_s: Longest wait for all of them, in seconds; then they are stopped.

    Raises:
        CompletionTimeoutError: they took longer.
        RunFailedError: one failed.
    """
    deadline = time.monotonic() + within_s
    try:
        return [
            ended(viewer, run, visitor_key, within_s=deadline - time.monotonic()) for run in made
        ]
    except BaseException:
        stop_open(viewer, made, visitor_key)
        raise


def stop_open(viewer: Viewer, made: Sequence[GenerationRun], visitor_key: str) -> None:
    """Stop those runs of a call that have not ended."""
    rows = GenerationRun.objects.filter(pk__in=[run.pk for run in made])
    rows = rows.filter(state__in=GenerationRun.OPEN).select_related("repo__namespace")
    for run in rows:
        runs.cancel(viewer, run, visitor_key)


def ended(
    viewer: Viewer, run: GenerationRun, visitor_key: str, *, within_s: float
) -> GenerationRun:
    """Return the run once it has ended well.

    Args:
        viewer: Who asked for it.
        run: The run.
        visitor_key: Theirs, where nobody is signed in.
        within_s: Longest wait, in seconds; then it is stopped.

    Raises:
        CompletionTimeoutError: it took longer.
        RunFailedError: it failed.
    """
    deadline = time.monotonic() + within_s
    events = events_of(run)
    try:
        for event in events:
            if event is not None and event.is_last:
                break
            if time.monotonic() > deadline:
                runs.cancel(viewer, run, visitor_key)
                raise CompletionTimeoutError(
                    f"There was no answer within {max(within_s, 0):.0f} seconds, and the run was"
                    " stopped. Ask for fewer tokens, or stream."
                )
    finally:
        events.close()  # type: ignore[attr-defined]
    found = fresh(run)
    if found.state != GenerationRun.State.DONE:
        raise failure_of(found)
    return found


def begun(events: Iterator[Event | None], *, within_s: float) -> list[Event]:
    """Return the events up to the first sign of work, or none: it waits for longer.

    What fails before its first word is then told by status, not in the middle of a stream.
    """
    deadline = time.monotonic() + within_s
    seen = []
    for event in events:
        if event is not None:
            seen.append(event)
            if event.kind != "status":
                break
        else:
            time.sleep(_LOOK_S)
        if time.monotonic() > deadline:
            break
    return seen


def fresh(run: GenerationRun) -> GenerationRun:
    """Return the run as it stands now; as deleted, where its model is gone."""
    rows = GenerationRun.objects.select_related("repo__namespace", "job")
    return rows.filter(pk=run.pk).first() or follow.deleted(run)

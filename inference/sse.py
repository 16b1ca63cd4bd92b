"""Server-sent events from a threaded server: bounded in number, in silence and in time."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import Self

from django.conf import settings
from django.http import StreamingHttpResponse
from redis.exceptions import RedisError

from inference.services.streams import Event
from store.core.database import hand_back_connection
from store.core.errors import TransientError

logger = logging.getLogger(__name__)

HEARTBEAT_S = 15.0
"""A comment is sent after so much silence, so that proxies and dead clients are noticed."""
MAX_STREAM_S = 600.0
"""A client is sent away after this time; it comes back by itself with the last id it has."""
RETRY_MS = 2000


class StreamsBusyError(TransientError):
    """This process serves as many streams as it may; ``extra["poll"]`` says where to ask."""

    code = "streams_busy"


class _Slots:
    """Places for streams in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.taken = 0

    def take(self) -> bool:
        with self._lock:
            if self.taken >= settings.ENV.max_streams:
                return False
            self.taken += 1
            return True

    def free(self) -> None:
        with self._lock:
            self.taken -= 1


SLOTS = _Slots()


class EventBytes(Iterator[bytes]):
    """Events as bytes of ``text/event-stream``; gives its place back when closed, even unread."""

    def __init__(self, events: Iterator[Event | None]) -> None:
        self._lines = self._write(events)
        self._is_open = True

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return next(self._lines)

    def close(self) -> None:
        """End the stream. Safe to repeat."""
        if self._is_open:
            self._is_open = False
            SLOTS.free()

    def _write(self, events: Iterator[Event | None]) -> Iterator[bytes]:
        started = spoken = time.monotonic()
        yield f"retry: {RETRY_MS}\n\n".encode()
        try:
            for event in events:
                now = time.monotonic()
                if event is not None:
                    spoken = now
                    yield encode(event)
                elif now - spoken > HEARTBEAT_S:
                    spoken = now
                    yield b": still here\n\n"
                if now - started > MAX_STREAM_S:
                    return
        except RedisError:  # pages that are cut off a few times ask again and again instead
            logger.warning("a stream was cut: Valkey does not answer")


def encode(event: Event) -> bytes:
    """Return one event as it goes over the wire; JSON has no raw line ends."""
    head = f"id: {event.id}\n" if event.id else ""
    body = json.dumps(event.data, ensure_ascii=False)
    return f"{head}event: {event.kind}\ndata: {body}\n\n".encode()


def event_stream(events: Iterator[Event | None], *, poll: str) -> StreamingHttpResponse:
    """Answer with ``events`` as they come.

    Args:
        events: ``None`` means nothing new; comes at least every few seconds.
        poll: Address to ask instead when no place is free.

    Raises:
        StreamsBusyError: no place is free in this process.
    """
    hand_back_connection()  # a stream lives long and needs the database only now and then
    if not SLOTS.take():
        raise StreamsBusyError("Too many streams are open. Ask again and again instead.", poll=poll)
    answer = StreamingHttpResponse(EventBytes(events), content_type="text/event-stream")
    answer["Cache-Control"] = "no-store"
    answer["X-Accel-Buffering"] = "no"
    return answer

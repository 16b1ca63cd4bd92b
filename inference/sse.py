"""Server-sent events from a threaded server: bounded in number, in silence and in time."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
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


class StreamBytes(Iterator[bytes]):
    """Bytes of ``text/event-stream``; gives its place back when closed, even unread.

    Args:
        lines: What to send.
        on_close: Called once when the stream ends, however it ends.
    """

    def __init__(self, lines: Iterator[bytes], on_close: Callable[[], None] = lambda: None) -> None:
        self._lines = lines
        self._on_close = on_close
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
            self._on_close()


def with_heartbeat(pieces: Iterator[bytes | None]) -> Iterator[bytes]:
    """Yield the pieces; a comment now and then in place of those that are ``None``."""
    spoken = time.monotonic()
    for piece in pieces:
        now = time.monotonic()
        if piece is not None:
            spoken = now
            yield piece
        elif now - spoken > HEARTBEAT_S:
            spoken = now
            yield b": still here\n\n"


def _written(events: Iterator[Event | None]) -> Iterator[bytes | None]:
    """Yield our own pages' streams: they come back by themselves when they are cut."""
    started = time.monotonic()
    yield f"retry: {RETRY_MS}\n\n".encode()
    try:
        for event in events:
            yield encode(event) if event is not None else None
            if time.monotonic() - started > MAX_STREAM_S:
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
    return _answer(event_bytes(events), poll)


def event_bytes(events: Iterator[Event | None]) -> StreamBytes:
    """Return events as the bytes our own pages read."""
    return StreamBytes(with_heartbeat(_written(events)))


def stream_answer(
    lines: Iterator[bytes], on_close: Callable[[], None] = lambda: None
) -> StreamingHttpResponse:
    """Answer with ``lines`` as they come.

    Args:
        lines: Bytes of ``text/event-stream``.
        on_close: Called once when the stream ends, however it ends.

    Raises:
        StreamsBusyError: no place is free in this process.
    """
    return _answer(StreamBytes(lines, on_close), "")


def _answer(body: StreamBytes, poll: str) -> StreamingHttpResponse:
    hand_back_connection()  # a stream lives long and needs the database only now and then
    if not SLOTS.take():
        words = "Too many streams are open. Ask again and again instead."
        raise StreamsBusyError(words, poll=poll)
    answer = StreamingHttpResponse(body, content_type="text/event-stream")
    answer["Cache-Control"] = "no-store"
    answer["X-Accel-Buffering"] = "no"
    return answer

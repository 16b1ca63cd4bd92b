"""Carries a running generation to whoever watches it, and brings back their wish to stop."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from redis.exceptions import RedisError

from inference.services import streams
from inference.services.streams import Event
from inference.services.told import Told

logger = logging.getLogger(__name__)

BATCH_S = 0.03
"""Text of so many seconds travels in one event: the eye sees no steps, Valkey fewer calls."""
STOP_POLL_S = 0.1
"""A wish to stop is noticed within this time even when no token comes, in seconds."""


class StreamWriter:
    """Publishes events of one attempt from a thread of its own while the ``with`` block runs.

    What Valkey cannot take now is kept and sent later, in order; the row does not depend on it.

    Args:
        public_id: Of the run.
        attempt: Which attempt writes; older attempts' late words are ignored by readers.
        must_end: Asked often; ``True`` ends the generation.
        on_end: Called once, from the thread, when it must end or somebody asked to stop.
    """

    def __init__(self, public_id: str, attempt: int, *, must_end: Callable[[], bool]) -> None:
        self.public_id = public_id
        self.attempt = attempt
        self.is_stop_asked = False
        self._must_end = must_end
        self._on_end: Callable[[], None] | None = None
        self._events: list[Event] = []
        self._texts: dict[int, str] = {}
        self._tokens: dict[int, list[Told]] = {}
        self._new_tokens = 0
        self._lock = threading.Lock()
        self._dirty = threading.Event()
        self._over = threading.Event()
        self._is_away = False
        self._thread = threading.Thread(target=self._run, name=f"stream-{public_id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._dirty.set()
        self._thread.join()
        self._flush()

    def when_it_must_end(self, on_end: Callable[[], None]) -> None:
        """Call ``on_end`` once, from another thread, when the generation must end."""
        self._on_end = on_end

    def put(self, kind: str, **data: object) -> None:
        """Publish an event that is no text, after the text so far."""
        with self._lock:
            self._events += [*self._take_texts(), Event(kind, dict(data), self.attempt)]
        self._dirty.set()

    def add(self, sequence: int, text: str, *, new_tokens: int, token: Told | None = None) -> None:
        """Publish ``text`` soon, together with what else comes within a few milliseconds.

        Args:
            sequence: Which text it belongs to, from 0.
            text: May be empty: the token is counted all the same.
            new_tokens: Of the whole run so far.
            token: What is told of it, where that was asked for.
        """
        with self._lock:
            if token is not None:
                self._tokens.setdefault(sequence, []).append(token)
            self._texts[sequence] = self._texts.get(sequence, "") + text
            self._new_tokens = new_tokens
        self._dirty.set()

    def _take_texts(self) -> list[Event]:
        taken = [
            Event("token", self._facts(sequence, text), self.attempt)
            for sequence, text in sorted(self._texts.items())
        ]
        self._texts, self._tokens = {}, {}
        return taken

    def _facts(self, sequence: int, text: str) -> dict[str, Any]:
        facts = {"sequence": sequence, "text": text, "new_tokens": self._new_tokens}
        tokens = self._tokens.get(sequence)
        return facts | {"tokens": tokens} if tokens else facts

    def _run(self) -> None:
        while not self._over.is_set():
            if self._dirty.wait(STOP_POLL_S):
                self._dirty.clear()
                self._flush()
                self._over.wait(BATCH_S)
            else:
                self._ask()
            if self._on_end and (self.is_stop_asked or self._must_end()):
                self._on_end()
                self._on_end = None

    def _flush(self) -> None:
        with self._lock:
            waiting = [*self._events, *self._take_texts()]
            self._events = []
        if not waiting:
            return
        try:
            self.is_stop_asked |= streams.publish(self.public_id, waiting)
            self._is_away = False
        except RedisError:
            self._note_away()
            with self._lock:
                self._events = [*waiting, *self._events]

    def _ask(self) -> None:
        try:
            self.is_stop_asked |= streams.is_asked_to_stop(self.public_id)
        except RedisError:
            self._note_away()
        else:
            if self._is_away:  # it is back: send what has waited
                self._dirty.set()

    def _note_away(self) -> None:
        if not self._is_away:
            logger.warning("a generation cannot be shown now: Valkey does not answer")
        self._is_away = True

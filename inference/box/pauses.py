"""Where the work on a question may be interrupted, so that others are not kept waiting."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from inference.box.protocol import Event


class EndedError(BaseException):
    """Ends the thread of a question nobody wants answered any more."""


class Pauses:
    """Where the work of one question may be interrupted.

    Attributes:
        is_between: The work waits between two parts; another question may have its turn.
        ends_itself: Once it is cancelled, it ends soon by itself with what it has.
        is_cancelled: It should do so.
        is_breakable: It has nothing yet, so that it may be broken off where it pauses.
        outbox: What was told in the middle of the work.
    """

    def __init__(self) -> None:
        self.is_between = True
        self.is_ended = False
        self.ends_itself = False
        self.is_cancelled = False
        self.is_breakable = False
        self.outbox: list[Event] = []
        self.when_away: Callable[[], None] | None = None
        """Undoes, before others compute, what the work has changed in the model."""
        self.when_back: Callable[[], None] | None = None
        self._turn = threading.Semaphore(0)
        self._back = threading.Semaphore(0)
        self._until = 0.0
        self._thread = 0

    def pause(self, *_: object) -> None:
        """Wait for more time if it is up. As a hook of a module it does nothing to others."""
        if threading.get_ident() == self._thread and time.monotonic() >= self._until:
            self._wait()

    def between(self) -> None:
        """Wait for more time in any case: another question may come to its turn here."""
        self.is_between = True
        self._wait()
        self.is_between = False

    def tell(self, event: Event) -> None:
        """Let an event go out at the next pause, where the work cannot yield it."""
        self.outbox.append(event)

    @contextmanager
    def in_model(self, model: Any) -> Iterator[None]:
        """Let the modules that do the work pause while the block runs."""
        leaves = [module for module in model.modules() if not any(module.children())]
        hooks = [module.register_forward_pre_hook(self.pause) for module in leaves]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def mine(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        """Return a hook for modules that does nothing when others compute."""
        return lambda *args: hook(*args) if threading.get_ident() == self._thread else None

    def begin(self) -> None:
        """Wait for the first turn; called in the thread that works."""
        self._thread = threading.get_ident()
        self._turn.acquire()
        self._check()
        self.is_between = False

    def give(self, seconds: float) -> None:
        """Let the work go on and wait until it pauses or ends."""
        self._until = time.monotonic() + seconds
        self._turn.release()
        self._back.acquire()

    def finish(self) -> None:
        """Say that the work has ended."""
        self.is_between = True
        self._back.release()

    def _wait(self) -> None:
        if self.when_away:
            self.when_away()
        self._back.release()
        self._turn.acquire()
        self._check()
        if self.when_back:
            self.when_back()

    def _check(self) -> None:
        if self.is_ended or (self.is_cancelled and self.is_breakable):
            raise EndedError

"""Work beside the writing: questions answered in pieces, between the engine's steps.

A forward pass over a long text takes many times as long as a step, and cutting the text into
pieces would change the last digits of its scores. So the work runs in a thread of its own, one
for each question, of which at most one moves at a time, and only while the engine waits for it:
the modules of the model ask before they begin whether its time is up, and then wait for more.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from inference.box.asking import Answering, Asking, ScoreRequest
from inference.box.loading import LoadedModel, RefusedError, is_out_of_memory
from inference.box.protocol import ErrorEvent, Event
from inference.box.scoring import scores

FAILURES = (RuntimeError, ValueError, IndexError, MemoryError)
"""What a forward pass of a bad model raises; anything else is a fault of ours."""
Work = Callable[[LoadedModel, Any, "Pauses"], Iterator[Answering]]
_WORK: dict[type, Work] = {ScoreRequest: scores}


def refusal_of(exc: Exception) -> RefusedError:
    """Return a failure of the model as one a person is told."""
    if isinstance(exc, RefusedError):
        return exc
    if is_out_of_memory(exc):
        return RefusedError("out_of_memory", "The answer needs more memory than the box has.")
    line = str(exc).strip().splitlines()[:1]
    return RefusedError("cannot_generate", f"The model failed. {' '.join(line)[:500]}")


class _EndedError(BaseException):
    """Ends the thread of a question nobody wants answered any more."""


class Pauses:
    """Where the work of one question may be interrupted.

    Attributes:
        is_between: The work waits between two parts and holds nothing big.
    """

    def __init__(self) -> None:
        self.is_between = True
        self.is_ended = False
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
        self._back.release()
        self._turn.acquire()
        self._check()

    def _check(self) -> None:
        if self.is_ended:
            raise _EndedError


class _Question:
    """A question under way, in its own thread."""

    def __init__(self, loaded: LoadedModel, request: Asking) -> None:
        self.id = request.id
        self.pauses = Pauses()
        self.is_over = False
        self._events: list[Event] = []
        self._failure: BaseException | None = None
        self._thread = threading.Thread(
            target=self._run, args=(loaded, request), name="question", daemon=True
        )

    def step(self, seconds: float) -> list[Event]:
        """Work for so long; return what was found.

        Raises:
            BaseException: a fault of ours, or a panic of the tokenizer.
        """
        if not self._thread.is_alive():
            self._thread.start()
        self.pauses.give(seconds)
        if self._failure is not None and not isinstance(self._failure, (RefusedError, *FAILURES)):
            raise self._failure
        if isinstance(self._failure, Exception):
            refusal = refusal_of(self._failure)
            self._events.append(ErrorEvent(id=self.id, code=refusal.code, message=refusal.message))
        found, self._events = self._events, []
        return found

    def end(self) -> list[Event]:
        """Let everything go; return what says so."""
        if self._thread.is_alive():
            self.pauses.is_ended = True
            self.pauses.give(0.0)
            self._thread.join()
        self.is_over = True
        return [ErrorEvent(id=self.id, code="cancelled", message="It was cancelled.")]

    def _run(self, loaded: LoadedModel, request: Asking) -> None:
        try:
            self.pauses.begin()
            for event in _WORK[type(request)](loaded, request, self.pauses):
                self._events.append(event)
        except _EndedError:
            pass
        except BaseException as exc:  # noqa: BLE001 - the engine's thread raises it
            self._failure = exc
        finally:
            self.is_over = True
            self.pauses.finish()


class Aside:
    """All questions of a model. One thread uses it.

    Args:
        loaded: The model.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._questions: deque[_Question] = deque()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is asked."""
        return not self._questions

    @property
    def working_on(self) -> str:
        """The question whose turn it is."""
        return self._questions[0].id if self._questions else ""

    def add(self, request: Asking) -> None:
        """Take a question in."""
        self._questions.append(_Question(self._loaded, request))

    def step(self, seconds: float, is_cancelled: Callable[[str], bool]) -> list[Event]:
        """Work for so long on the oldest question; between two parts the next has its turn.

        Args:
            seconds: Time to take; a single operation of the model may take longer.
            is_cancelled: Asked for each question, by its id, whether to end it.
        """
        events: list[Event] = []
        for question in [each for each in self._questions if is_cancelled(each.id)]:
            events += question.end()
        self._drop_ended()
        until = time.monotonic() + seconds
        while self._questions and (left_s := until - time.monotonic()) > 0:
            question = self._questions[0]
            events += question.step(left_s)
            self._drop_ended()
            if question.pauses.is_between and not question.is_over:
                self._questions.rotate(-1)
        return events

    def _drop_ended(self) -> None:
        self._questions = deque(each for each in self._questions if not each.is_over)

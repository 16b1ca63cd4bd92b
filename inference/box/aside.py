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
from typing import Any

from inference.box.asking import Asking, ScoreRequest
from inference.box.beam_messages import BeamRequest
from inference.box.beams import beams
from inference.box.echo_messages import EchoRequest
from inference.box.echoing import echo
from inference.box.explain_messages import ExplainRequest
from inference.box.explaining import explain
from inference.box.loading import LoadedModel, RefusedError, is_out_of_memory
from inference.box.pauses import EndedError, Pauses
from inference.box.protocol import ErrorEvent, Event
from inference.box.scoring import scores

FAILURES = (RuntimeError, ValueError, IndexError, MemoryError)
"""What a forward pass of a bad model raises; anything else is a fault of ours."""
Work = Callable[[LoadedModel, Any, Pauses], Iterator[Event]]
_WORK: dict[type, Work] = {
    ScoreRequest: scores,
    ExplainRequest: explain,
    BeamRequest: beams,
    EchoRequest: echo,
}


def refusal_of(exc: Exception) -> RefusedError:
    """Return a failure of the model as one a person is told."""
    if isinstance(exc, RefusedError):
        return exc
    if is_out_of_memory(exc):
        return RefusedError("out_of_memory", "The answer needs more memory than the box has.")
    line = str(exc).strip().splitlines()[:1]
    return RefusedError("cannot_generate", f"The model failed. {' '.join(line)[:500]}")


class _Question:
    """A question under way, in its own thread."""

    def __init__(self, loaded: LoadedModel, request: Asking) -> None:
        self.id = request.id
        self.pauses = Pauses()
        self.is_over = False
        self._events = self.pauses.outbox
        self._failure: BaseException | None = None
        work = _WORK[type(request)](loaded, request, self.pauses)
        self._thread = threading.Thread(
            target=self._run, args=(work,), name="question", daemon=True
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
        found = list(self._events)
        self._events.clear()
        return found

    def end(self) -> list[Event]:
        """Let everything go; return what says so."""
        if self._thread.is_alive():
            self.pauses.is_ended = True
            self.pauses.give(0.0)
            self._thread.join()
        self.is_over = True
        return [ErrorEvent(id=self.id, code="cancelled", message="It was cancelled.")]

    def _run(self, work: Iterator[Event]) -> None:
        try:
            self.pauses.begin()
            for event in work:
                self._events.append(event)
        except EndedError:
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
        """Take a question in.

        Raises:
            RefusedError: its prompt cannot be read, or leaves no room.
        """
        self._questions.append(_Question(self._loaded, request))

    def step(self, seconds: float, is_cancelled: Callable[[str], bool]) -> list[Event]:
        """Work for so long on the oldest question; between two parts the next has its turn.

        Args:
            seconds: Time to take; a single operation of the model may take longer.
            is_cancelled: Asked for each question, by its id, whether to end it.
        """
        events: list[Event] = []
        for question in [each for each in self._questions if is_cancelled(each.id)]:
            if question.pauses.ends_itself:
                question.pauses.is_cancelled = True
                self._questions.remove(question)
                self._questions.appendleft(question)  # somebody waits for its end
            else:
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

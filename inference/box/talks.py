"""What is under way in one box: who waits for which of its events. Never imports torch.

A thread reads what the box says and hands each event to whoever asked, once it is known that it
may come now. The first thing that is wrong ends the process and everything under way in it.
"""

import queue
import threading
import time

from inference.box.asking import Asking
from inference.box.errors import BoxBrokeProtocolError, BoxError, BoxTimeoutError
from inference.box.orders import AnyAnswer, order_of
from inference.box.process import BoxProcess
from inference.box.protocol import (
    CancelRequest,
    ErrorEvent,
    Event,
    GenerateRequest,
    PingRequest,
    PongEvent,
    pack,
)


def broke(process: BoxProcess, event: Event) -> BoxBrokeProtocolError:
    """End a process that said something out of turn; return what to raise."""
    process.kill()
    return BoxBrokeProtocolError(
        "The model's process said something out of turn and was ended.",
        detail=repr(event)[:500],
    )


class Talk:
    """One generation or question: its events, in the order they came."""

    def __init__(self, request: GenerateRequest | Asking) -> None:
        self.id = request.id
        self.is_over = False
        """Its last event has come."""
        self._order = order_of(request)
        self._events: queue.SimpleQueue[AnyAnswer | ErrorEvent | BoxError] = queue.SimpleQueue()

    def take(self, event: Event) -> bool:
        """Keep an event; ``False``: it may not come now."""
        if isinstance(event, ErrorEvent):
            self.is_over = True
            self._events.put(event)
            return True
        if not isinstance(event, AnyAnswer) or event.id != self.id:
            return False
        if not self._order.accepts(event):
            return False
        self.is_over = self._order.is_last(event)
        self._events.put(event)
        return True

    def fail(self, error: BoxError) -> None:
        """End it by a failure of the box."""
        self.is_over = True
        self._events.put(error)

    def next(self, deadline: float) -> AnyAnswer | ErrorEvent:
        """Return the next event.

        Args:
            deadline: ``time.monotonic()`` by which it must be there.

        Raises:
            TimeoutError: it is not.
            BoxError: the box has failed.
        """
        try:
            found = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(found, BoxError):
            raise found
        return found


class Talks:
    """Everything under way in a box. Safe for any number of threads.

    Args:
        process: The box's process, with its model loaded. From now on it is read here only.
    """

    def __init__(self, process: BoxProcess) -> None:
        self._process = process
        self._lock = threading.Lock()
        self._open: dict[str, Talk] = {}
        self._pongs: queue.SimpleQueue[BoxError | None] = queue.SimpleQueue()
        self._pings = 0
        self._failure: BoxError | None = None
        self._thread = threading.Thread(target=self._listen, name="box reader", daemon=True)
        self._thread.start()

    def begin(self, request: GenerateRequest | Asking) -> Talk:
        """Send a request.

        Raises:
            BoxError: the box has failed before, or takes nothing.
            ValueError: something of this name is under way.
        """
        talk = Talk(request)
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if request.id in self._open:
                raise ValueError(f"{request.id} is under way.")
            self._open[request.id] = talk
        try:
            self._process.send(pack(request))
        except BoxError:
            self._forget(talk)
            raise
        return talk

    def cancel(self, request_id: str) -> None:
        """Ask to end a generation; it ends after the token it is at. Unknown ids are ignored."""
        try:
            self._process.send(pack(CancelRequest(id=request_id)))
        except BoxError:
            return  # whoever reads the events learns it there

    def end(self, talk: Talk, *, within_s: float) -> None:
        """End a generation nobody listens to any more, or the process that does not end it."""
        if not talk.is_over:
            self.cancel(talk.id)
        deadline = time.monotonic() + within_s
        try:
            while not talk.is_over:
                talk.next(deadline)
        except TimeoutError:
            self._process.kill()
        except BoxError:
            return

    def ping(self, *, timeout_s: float) -> None:
        """Wait for an answer to a ping.

        Raises:
            BoxError: the box is gone, or does not answer in time and was ended.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure
            self._pings += 1
        self._process.send(pack(PingRequest()))
        try:
            error = self._pongs.get(timeout=timeout_s)
        except queue.Empty:
            self._process.kill()
            raise BoxTimeoutError(
                "The model took too long (ping) and was ended.", detail=self._process.last_words
            ) from None
        if error is not None:
            raise error

    def close(self) -> None:
        """End the process and the thread that reads it."""
        self._process.kill()
        self._thread.join(timeout=30)
        self._process.close()

    def _listen(self) -> None:
        try:
            while True:
                event = self._process.receive(float("inf"), "")
                if not self._pass_on(event):
                    raise broke(self._process, event)
        except BoxError as exc:
            failure = exc
        with self._lock:
            self._failure = failure
            left, self._open = list(self._open.values()), {}
            pings, self._pings = self._pings, 0
        for talk in left:
            talk.fail(failure)
        for _ in range(pings):
            self._pongs.put(failure)

    def _pass_on(self, event: Event) -> bool:
        if isinstance(event, PongEvent):
            with self._lock:
                is_asked, self._pings = self._pings > 0, max(0, self._pings - 1)
            if is_asked:
                self._pongs.put(None)
            return is_asked
        with self._lock:
            talk = self._open.get(getattr(event, "id", None) or "")
        if talk is None or not talk.take(event):
            return False
        if talk.is_over:
            self._forget(talk)
        return True

    def _forget(self, talk: Talk) -> None:
        with self._lock:
            self._open.pop(talk.id, None)

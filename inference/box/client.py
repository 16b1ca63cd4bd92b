"""The trusted side of one box: start it, generate, cancel, end it. Never imports torch.

::

    with Box.start(folder) as box:
        for event in box.generate("Once", SamplingParams(seed=1)):
            ...
"""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from inference.box.errors import (
    BoxBrokeProtocolError,
    BoxError,
    BoxProtectionError,
    ModelRefusedError,
)
from inference.box.limits import BoxLimits
from inference.box.params import SamplingParams
from inference.box.process import CHILD_MODULE, BoxProcess
from inference.box.protocol import (
    CancelRequest,
    DoneEvent,
    EndedEvent,
    ErrorEvent,
    Event,
    GenerateRequest,
    HelloEvent,
    LoadedEvent,
    LoadRequest,
    PingRequest,
    PongEvent,
    Protection,
    StartedEvent,
    TokenEvent,
    pack,
)
from inference.box.setup import environment, setup_request

GenerationEvent = StartedEvent | TokenEvent | EndedEvent | DoneEvent

_HELLO_S = 30.0
"""Python, pydantic and the locks take 0.4 s on an idle core; a loaded machine gets more."""
_CANCEL_S = 20.0
"""A cancelled generation may finish the step it is at; then the process is ended."""
_NAMES = itertools.count(1)


def _lock_in(process: BoxProcess, limits: BoxLimits, model_dir: Path | None) -> Protection:
    """Send the locks, wait for the report.

    Raises:
        BoxProtectionError: the network stays open and ``limits`` do not allow that.
    """
    process.send(pack(setup_request(limits, model_dir)))
    event = process.receive(time.monotonic() + _HELLO_S, "starting")
    if not isinstance(event, HelloEvent):
        raise _broke(process, event)
    if not (event.protection.is_enough or limits.allow_unprotected):
        process.kill()
        raise BoxProtectionError(
            "This machine offers no way to cut models off the network "
            f"({'; '.join(event.protection.notes)}). Run the worker where network namespaces or "
            "seccomp work, or set STORE_ALLOW_UNPROTECTED_BOX=true if no stranger publishes here.",
            notes=list(event.protection.notes),
        )
    return event.protection


def _load(process: BoxProcess, request: LoadRequest, limits: BoxLimits) -> LoadedEvent:
    process.send(pack(request))
    event = process.receive(time.monotonic() + limits.load_s, "loading")
    if isinstance(event, ErrorEvent):
        raise ModelRefusedError(event.message, reason=event.code)
    if not isinstance(event, LoadedEvent):
        raise _broke(process, event)
    return event


def protection(limits: BoxLimits | None = None) -> Protection:
    """Start a box without a model and return what protects it on this machine (0.5 s)."""
    limits = (limits or BoxLimits()).model_copy(update={"allow_unprotected": True})
    process = BoxProcess(environment=environment(limits), memory_bytes=limits.memory_bytes)
    try:
        return _lock_in(process, limits, None)
    finally:
        process.close()


def _broke(process: BoxProcess, event: Event) -> BoxBrokeProtocolError:
    process.kill()
    return BoxBrokeProtocolError(
        "The model's process said something out of turn and was ended.",
        detail=repr(event)[:500],
    )


class Box:
    """One model in one locked-in process. One generation at a time; ``cancel`` from any thread.

    Attributes:
        facts: What was loaded, as the child says (checked for shape, not for truth).
        protection: What holds the child back.
    """

    def __init__(
        self,
        process: BoxProcess,
        limits: BoxLimits,
        protection: Protection,
        facts: LoadedEvent,
    ) -> None:
        self._process = process
        self._limits = limits
        self._running: str | None = None
        self.protection = protection
        self.facts = facts

    @classmethod
    def start(
        cls,
        model_dir: Path,
        *,
        limits: BoxLimits | None = None,
        gguf_file: str | None = None,
        module: str = CHILD_MODULE,
    ) -> Self:
        """Start a process, lock it in and load the model of ``model_dir``.

        Args:
            model_dir: Folder with this one model's files and nothing else; read only. Links in it
                may lead elsewhere: the files they lead to become readable too.
            limits: What it may use; the defaults of :class:`BoxLimits`.
            gguf_file: Name of a GGUF file in the folder; safetensors are preferred without it.
            module: What to run; tests run others.

        Raises:
            ModelRefusedError: the model cannot run; ``reason`` and message say why.
            BoxProtectionError: the machine cannot lock it in.
            BoxError: it crashed, hung or grew too large while loading.
        """
        limits = limits or BoxLimits()
        process = BoxProcess(
            environment=environment(limits), memory_bytes=limits.memory_bytes, module=module
        )
        try:
            held = _lock_in(process, limits, model_dir)
            load = LoadRequest(model_dir=str(model_dir.resolve()), gguf_file=gguf_file)
            facts = _load(process, load, limits)
        except BaseException:
            process.close()
            raise
        return cls(process, limits, held, facts)

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.is_alive

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    def rss_bytes(self) -> int:
        """Memory the process has in RAM, in bytes, as the kernel counts it."""
        return self._process.rss_bytes()

    def generate(
        self, prompt: str, params: SamplingParams, *, request_id: str | None = None
    ) -> Iterator[GenerationEvent]:
        """Continue ``prompt``; yields what happens as it happens, a ``DoneEvent`` at the end.

        Leaving the iterator early cancels the generation. After a :class:`BoxError` the process
        is gone; after a :class:`ModelRefusedError` it waits for the next prompt.

        Args:
            prompt: Up to ``MAX_PROMPT_CHARS`` characters.
            params: How to sample.
            request_id: Name to cancel it by; up to 64 of ``A-Z a-z 0-9 _ -``.

        Raises:
            ModelRefusedError: the prompt is too long, or the model fails.
            BoxError: it crashed, hung or grew too large.
        """
        request_id = request_id or f"g{next(_NAMES)}"
        request = GenerateRequest(id=request_id, prompt=prompt, params=params)
        deadline = time.monotonic() + self._limits.generate_s
        check = _Order(request)
        self._process.send(pack(request))
        self._running = request_id
        try:
            while self._running is not None:
                event = self._process.receive(deadline, "generating")
                if isinstance(event, ErrorEvent) and event.id == request_id:
                    self._running = None
                    raise ModelRefusedError(event.message, reason=event.code)
                passed = check.passed(event)
                if passed is None:
                    raise _broke(self._process, event)
                if isinstance(passed, DoneEvent):
                    self._running = None
                yield passed
        finally:
            if self._running is not None:
                self._abandon(request_id)

    def cancel(self, request_id: str) -> None:
        """Ask to end a generation; it ends after the token it is at. Unknown ids are ignored."""
        try:
            self._process.send(pack(CancelRequest(id=request_id)))
        except BoxError:
            return  # whoever reads the events learns it there

    def _abandon(self, request_id: str) -> None:
        """Nobody listens any more: end the generation and read it away, or end the process."""
        self._running = None
        if not self.is_alive:
            return
        self.cancel(request_id)
        deadline = time.monotonic() + _CANCEL_S
        try:
            while True:
                event = self._process.receive(deadline, "cancelling")
                if isinstance(event, (DoneEvent, ErrorEvent)):
                    return
        except BoxError:
            self._process.kill()

    def ping(self, *, timeout_s: float = 5.0) -> float:
        """Return the seconds an idle box takes to answer.

        Raises:
            BoxError: it is gone, or does not answer in time and was ended.
        """
        started = time.monotonic()
        self._process.send(pack(PingRequest()))
        event = self._process.receive(started + timeout_s, "ping")
        if not isinstance(event, PongEvent):
            raise _broke(self._process, event)
        return time.monotonic() - started

    def close(self) -> None:
        """End the process. Only when no generation is being read."""
        self._process.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Order:
    """Checks that the events of one generation come in the order they may."""

    def __init__(self, request: GenerateRequest) -> None:
        self._id = request.id
        self._most = request.params.max_new_tokens
        self._counts = [0] * request.params.num_sequences
        self._open = set(range(request.params.num_sequences))
        self._started = False

    def passed(self, event: Event) -> GenerationEvent | None:
        """Return ``event`` if it may come now, and take note of it."""
        if not isinstance(event, GenerationEvent) or event.id != self._id:
            return None
        return event if self._accepts(event) else None

    def _accepts(self, event: GenerationEvent) -> bool:
        if isinstance(event, StartedEvent):
            is_first, self._started = not self._started, True
            return is_first and event.max_new_tokens <= self._most
        if not self._started:
            return False
        if isinstance(event, DoneEvent):
            return not self._open and event.new_tokens == sum(self._counts)
        return event.sequence in self._open and self._accepts_part(event)

    def _accepts_part(self, event: TokenEvent | EndedEvent) -> bool:
        count = self._counts[event.sequence]
        if isinstance(event, EndedEvent):
            self._open.discard(event.sequence)
            return event.new_tokens == count
        self._counts[event.sequence] = count + 1
        return event.number == count and count < self._most

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
from typing import Any, Self

from inference.box.asking import Answering, Asking
from inference.box.beam_messages import BeamRequest
from inference.box.conversation import Prompted, TokenPrompt
from inference.box.echo_messages import EchoPartEvent, EchoRequest, EchoToken
from inference.box.errors import (
    BoxProtectionError,
    BoxTimeoutError,
    ModelRefusedError,
)
from inference.box.limits import BoxLimits
from inference.box.orders import AnyAnswer, GenerationEvent
from inference.box.params import SamplingParams
from inference.box.process import CHILD_MODULE, BoxProcess
from inference.box.prompted import fields_of
from inference.box.protocol import (
    LAST_EVENTS,
    DoneEvent,
    ErrorEvent,
    GenerateRequest,
    HelloEvent,
    LoadedEvent,
    LoadRequest,
    Protection,
    pack,
)
from inference.box.setup import environment, setup_request
from inference.box.talks import Talks, broke

_HELLO_S = 30.0
"""Python, pydantic and the locks take 0.4 s on an idle core; a loaded machine gets more."""
_CANCEL_S = 20.0
"""A cancelled generation may finish the step it is at; then the process is ended."""
_DOING = {
    "generate": "generating",
    "beams": "generating",
    "echo": "reading",
    "score": "scoring",
    "explain": "explaining",
}
_NAMES = itertools.count(1)


def _lock_in(process: BoxProcess, limits: BoxLimits, model_dir: Path | None) -> Protection:
    """Send the locks, wait for the report.

    Raises:
        BoxProtectionError: the network stays open and ``limits`` do not allow that.
    """
    process.send(pack(setup_request(limits, model_dir)))
    event = process.receive(time.monotonic() + _HELLO_S, "starting")
    if not isinstance(event, HelloEvent):
        raise broke(process, event)
    if not (event.protection.is_enough or limits.allow_unprotected):
        process.kill()
        raise BoxProtectionError(
            "This machine offers no way to cut models off the network and the store's files "
            f"({'; '.join(event.protection.notes)}). Run the worker where network namespaces or "
            "seccomp work, and on Linux 5.13 or newer (Landlock) or as root; or set "
            "STORE_ALLOW_UNPROTECTED_BOX=true if no stranger publishes here.",
            notes=list(event.protection.notes),
        )
    return event.protection


def _load(process: BoxProcess, request: LoadRequest, limits: BoxLimits) -> LoadedEvent:
    process.send(pack(request))
    event = process.receive(time.monotonic() + limits.load_s, "loading")
    if isinstance(event, ErrorEvent):
        raise ModelRefusedError(event.message, reason=event.code)
    if not isinstance(event, LoadedEvent):
        raise broke(process, event)
    return event


def _request(
    name: str, asked: Prompted, params: SamplingParams, *, left_truncate: bool
) -> GenerateRequest | BeamRequest:
    said: dict[str, Any] = {"id": name, "params": params} | fields_of(asked)
    if params.num_beams > 1:
        return BeamRequest(**said)
    return GenerateRequest(**said, left_truncate=left_truncate and isinstance(asked, str))


def protection(limits: BoxLimits | None = None) -> Protection:
    """Start a box without a model and return what protects it on this machine (0.5 s)."""
    limits = (limits or BoxLimits()).model_copy(update={"allow_unprotected": True})
    process = BoxProcess(environment=environment(limits), memory_bytes=limits.memory_bytes)
    try:
        return _lock_in(process, limits, None)
    finally:
        process.close()


class Box:
    """One model in one locked-in process, which writes for any number of threads side by side.

    Attributes:
        facts: What was loaded, as the child says (checked for shape, not for truth).
        protection: What holds the child back.
        card_bytes: Most memory of the graphics card it has had so far, as it says; 0 without.
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
        self._talks = Talks(process)
        self.protection = protection
        self.facts = facts
        self.card_bytes = facts.card_reserved_bytes

    @classmethod
    def start(
        cls,
        model_dir: Path,
        *,
        limits: BoxLimits | None = None,
        gguf_file: str | None = None,
        module: str = CHILD_MODULE,
        process: BoxProcess | None = None,
    ) -> Self:
        """Start a process, lock it in and load the model of ``model_dir``.

        Args:
            model_dir: Folder with this one model's files and nothing else; read only. Links in it
                may lead elsewhere: the files they lead to become readable too.
            limits: What it may use; the defaults of :class:`BoxLimits`.
            gguf_file: Name of a GGUF file in the folder; safetensors are preferred without it.
            module: What to run; tests run others.
            process: A process that waits for its locks, made with the same limits; it is used up.

        Raises:
            ModelRefusedError: the model cannot run; ``reason`` and message say why.
            BoxProtectionError: the machine cannot lock it in.
            BoxError: it crashed, hung or grew too large while loading.
        """
        limits = limits or BoxLimits()
        process = process or BoxProcess(
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
        self,
        asked: Prompted,
        params: SamplingParams,
        *,
        request_id: str | None = None,
        left_truncate: bool = False,
    ) -> Iterator[GenerationEvent]:
        """Go on from ``asked``; yields what happens as it happens, a ``DoneEvent`` at the end.

        Leaving the iterator early cancels the generation. After a :class:`BoxError` the process
        is gone, and with it every other generation in it; after a :class:`ModelRefusedError` it
        goes on.

        Args:
            asked: A prompt of up to ``MAX_MESSAGE_CHARS`` characters, its tokens, or the messages
                of a conversation.
            params: How to sample.
            request_id: Name to cancel it by; up to 64 of ``A-Z a-z 0-9 _ -``, once at a time.
            left_truncate: Read the prompt as lm-evaluation-harness does
                (:class:`~inference.box.protocol.GenerateRequest`).

        Raises:
            ModelRefusedError: the prompt is too long, its chat template or the model fails.
            BoxError: it crashed, hung or grew too large.
        """
        name = request_id or f"g{next(_NAMES)}"
        request = _request(name, asked, params, left_truncate=left_truncate)
        for event in self._events(request, self._limits.generate_s):
            if isinstance(event, GenerationEvent):
                yield event

    def echo(
        self, asked: str | TokenPrompt, *, top: int | None, request_id: str
    ) -> Iterator[EchoToken]:
        """Tell a prompt back, token by token.

        Args:
            asked: The prompt, or its tokens.
            top: Tell how likely each token is, and so many alternatives; ``None``: just its text.
            request_id: Name to cancel it by, as for :meth:`generate`.

        Raises:
            ModelRefusedError, BoxError: as :meth:`ask`.
        """
        if isinstance(asked, str):
            request = EchoRequest(id=request_id, prompt=asked, top=top)
        else:
            request = EchoRequest(id=request_id, prompt_ids=asked.ids, top=top)
        for event in self.ask(request):
            if isinstance(event, EchoPartEvent):
                yield from event.tokens

    def ask(self, request: Asking, *, timeout_s: float | None = None) -> Iterator[Answering]:
        """Ask something beside generations, as scores; yields the answers, the last one last.

        It is worked on in pieces between the steps of the generations under way. Leaving the
        iterator early, and :meth:`cancel` with the request's id, end it.

        Args:
            request: Any of :mod:`inference.box.asking`; its id once at a time.
            timeout_s: Seconds for all of it; ``BoxLimits.generate_s`` by default.

        Raises:
            ModelRefusedError: it cannot be answered, or was cancelled (reason ``cancelled``).
            BoxError: the box crashed, hung or grew too large.
        """
        for event in self._events(request, timeout_s or self._limits.generate_s):
            if isinstance(event, Answering):
                yield event

    def _events(self, request: GenerateRequest | Asking, timeout_s: float) -> Iterator[AnyAnswer]:
        deadline = time.monotonic() + timeout_s
        talk = self._talks.begin(request)
        try:
            while True:
                event = talk.next(deadline)
                if isinstance(event, ErrorEvent):
                    raise ModelRefusedError(event.message, reason=event.code)
                if isinstance(event, DoneEvent):
                    self.card_bytes = max(self.card_bytes, event.card_reserved_bytes)
                yield event
                if isinstance(event, LAST_EVENTS):
                    return
        except TimeoutError:
            self._talks.end(talk, within_s=_CANCEL_S)
            raise BoxTimeoutError(
                f"The model took too long ({_DOING[request.request]}) and was ended.",
                detail=self._process.last_words,
            ) from None
        finally:
            self._talks.end(talk, within_s=_CANCEL_S)

    def cancel(self, request_id: str) -> None:
        """Ask to end a generation; it ends after the token it is at. Unknown ids are ignored."""
        self._talks.cancel(request_id)

    def ping(self, *, timeout_s: float = 5.0) -> float:
        """Return the seconds a box takes to answer.

        Raises:
            BoxError: it is gone, or does not answer in time and was ended.
        """
        started = time.monotonic()
        self._talks.ping(timeout_s=timeout_s)
        return time.monotonic() - started

    def close(self) -> None:
        """End the process. Only when no generation is being read."""
        self._talks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

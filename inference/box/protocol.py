"""What travels between the trusted side and the box: framed JSON, strictly checked.

One frame is four bytes (length, big endian) and that many bytes of UTF-8 JSON. What comes out of
a box is a stranger's word: every field has bounds, unknown fields and numbers that are not finite
are refused, and a frame past :data:`MAX_EVENT_BYTES` is never read.
"""

import json
import struct
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from inference.box.asking import LAST_ANSWERS, Answering, Asking
from inference.box.beam_messages import BeamStepEvent
from inference.box.limits import BoxLimits
from inference.box.messages import (
    Alternative,
    Count,
    FinishReason,
    Index,
    Logprob,
    Message,
    Piece,
    RequestId,
    Seconds,
)
from inference.box.params import MAX_LOGPROBS, MAX_NEW_TOKENS
from inference.box.prompted import PromptedRequest

MAX_EVENT_BYTES = 64 * 1024
MAX_REQUEST_BYTES = 2 * 1024 * 1024
HEADER = struct.Struct(">I")
WARM = "--warm"
"""Argument of a child that imports torch before it is asked for anything."""

Network = Literal["namespace", "user-namespace", "seccomp", "open"]


class FrameError(ValueError):
    """Bytes that are not a frame of this protocol."""


# ── to the box (trusted) ────────────────────────────────────────────────────────────────────────


class SetupRequest(Message):
    """First frame: how to lock oneself in."""

    request: Literal["setup"] = "setup"
    limits: BoxLimits
    readable: list[str]
    """Folders and files that may be read, not written."""
    writable: list[str] = []
    """Folders whose files may be written, made and deleted; a model has none."""
    may_connect: bool = False
    """Leave the network open, and what needs sockets; never for a model."""
    devices: list[str] = []
    """Device files that may be read and written (``/dev/null``, a graphics card)."""
    uid: int | None = None
    """User and group to become; ``None`` stays."""
    parent_pid: int


class LoadRequest(Message):
    """Load the model in a folder."""

    request: Literal["load"] = "load"
    model_dir: str
    gguf_file: str | None = None
    """Name of the GGUF file to take; ``None`` prefers safetensors, then the only GGUF."""


class GenerateRequest(PromptedRequest):
    """Continue a prompt, or write the assistant's next turn in a conversation."""

    request: Literal["generate"] = "generate"
    left_truncate: bool = False
    """Read a prompt as lm-evaluation-harness does: the end of it that leaves room for all of
    ``max_new_tokens``, instead of refusing one that is too long; and no second token for the
    beginning of a text where the prompt begins with one."""


class CancelRequest(Message):
    """End a generation after the token it is at."""

    request: Literal["cancel"] = "cancel"
    id: RequestId


class PingRequest(Message):
    """Are you there? Answered even in the middle of a generation."""

    request: Literal["ping"] = "ping"


Request = SetupRequest | LoadRequest | GenerateRequest | CancelRequest | PingRequest | Asking
_REQUESTS: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="request")])


# ── from the box (hostile) ──────────────────────────────────────────────────────────────────────


class Protection(Message):
    """What holds a box back on this machine, as found by trying."""

    network: Network
    """How it is cut off the network; ``open`` is not at all."""
    files: Literal["landlock", "open"]
    """Whether files outside the allowed folders are closed by the kernel."""
    syscalls: bool
    """Whether sockets, signals to others and new programs are refused by a filter."""
    user: Literal["own", "same"]
    """Whether it runs as another user than the store."""
    capabilities: bool
    """Whether it still has rights of root."""
    notes: Annotated[list[Annotated[str, Field(max_length=300)]], Field(max_length=16)] = []
    """What could not be had, and why."""

    @property
    def is_enough(self) -> bool:
        """Whether strangers' models may run: cut off the network and from the store's files."""
        return self.network != "open" and (self.files == "landlock" or self.user == "own")

    @property
    def sentence(self) -> str:
        """One line for the log of a start."""
        network = {
            "namespace": "no network (own network namespace)",
            "user-namespace": "no network (own user and network namespace)",
            "seccomp": "no network (sockets refused)",
            "open": "NETWORK OPEN",
        }[self.network]
        parts = [
            network,
            "files closed (Landlock)" if self.files == "landlock" else "FILES OPEN to its user",
            "system calls filtered" if self.syscalls else "SYSTEM CALLS NOT FILTERED",
            "own user" if self.user == "own" else "the store's user",
        ]
        if self.capabilities:
            parts.append("RIGHTS OF ROOT KEPT")
        return "models run in a box: " + ", ".join(parts)


class HelloEvent(Message):
    """The child has locked itself in and waits for work."""

    event: Literal["hello"] = "hello"
    protection: Protection


class LoadedEvent(Message):
    """The model is ready; facts as the model itself has them."""

    event: Literal["loaded"] = "loaded"
    architecture: Annotated[str, Field(max_length=120)]
    model_type: Annotated[str, Field(max_length=80)]
    parameters: Count
    context_tokens: Annotated[int, Field(ge=1, le=2**31)]
    vocabulary: Annotated[int, Field(ge=1, le=2**31)]
    format: Literal["safetensors", "gguf"]
    dtype: Annotated[str, Field(max_length=40)]
    device: Annotated[str, Field(max_length=80)]
    has_chat_template: bool = False
    """Whether it takes messages."""
    load_s: Seconds
    """From the request to ready, importing torch included."""
    rss_bytes: Count
    card_reserved_bytes: Count = 0
    """Memory of the graphics card that torch has set aside for it; 0 without."""


class StartedEvent(Message):
    """The prompt is read, the first token is being made."""

    event: Literal["started"] = "started"
    id: RequestId
    prompt_tokens: Count
    max_new_tokens: Annotated[int, Field(ge=1, le=MAX_NEW_TOKENS)]
    """As asked, or what the context leaves."""


class TokenEvent(Message):
    """One token of one sequence."""

    event: Literal["token"] = "token"
    id: RequestId
    sequence: Index
    number: Annotated[int, Field(ge=0, lt=MAX_NEW_TOKENS)]
    """Place in its sequence, from 0."""
    token_id: Annotated[int, Field(ge=0, le=2**31)]
    text: Piece
    """What can be shown now. Empty while a character is incomplete or a stop may be beginning;
    all texts of a sequence joined, with ``EndedEvent.text``, are its answer."""
    token: Annotated[str, Field(max_length=64, pattern=r"^[^\x00]*$")] = ""
    """What the token says by itself; told together with ``logprob``."""
    logprob: Logprob | None = None
    """Before temperature and cuts; only where ``SamplingParams.logprobs`` asked for it."""
    top: Annotated[list[Alternative], Field(max_length=MAX_LOGPROBS)] = []
    """The likeliest tokens in its place, likeliest first."""


class EndedEvent(Message):
    """One sequence is complete."""

    event: Literal["ended"] = "ended"
    id: RequestId
    sequence: Index
    finish_reason: FinishReason
    new_tokens: Annotated[int, Field(ge=0, le=MAX_NEW_TOKENS)]
    text: Piece
    """What was held back and belongs to the answer after all."""


class DoneEvent(Message):
    """The whole request is complete."""

    event: Literal["done"] = "done"
    id: RequestId
    prompt_tokens: Count
    new_tokens: Count
    """Over all sequences, end tokens included; of a beam search over all beams."""
    first_token_s: Seconds
    generate_s: Seconds
    rss_bytes: Count
    card_allocated_bytes: Count = 0
    """Most memory of the graphics card that tensors of this process have had so far; 0 without."""
    card_reserved_bytes: Count = 0
    """The same with what torch has set aside for more of them."""


class ErrorEvent(Message):
    """The box refuses or fails, and lives on."""

    event: Literal["error"] = "error"
    id: RequestId | None = None
    code: Annotated[str, Field(pattern=r"^[a-z_]{1,64}$")]
    message: Annotated[str, Field(max_length=1000)]


class PongEvent(Message):
    """Here."""

    event: Literal["pong"] = "pong"


Event = (
    HelloEvent
    | LoadedEvent
    | StartedEvent
    | TokenEvent
    | EndedEvent
    | DoneEvent
    | ErrorEvent
    | PongEvent
    | BeamStepEvent
    | Answering
)
LAST_EVENTS = (DoneEvent, ErrorEvent, *LAST_ANSWERS)
"""Events after which nothing more comes of a request."""
_EVENTS: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def pack(message: Message) -> bytes:
    """Return one frame."""
    body = message.model_dump_json().encode()
    return HEADER.pack(len(body)) + body


def parse_request(body: bytes) -> Request:
    """Read a request inside the box."""
    return _REQUESTS.validate_json(body, strict=False)


def parse_event(body: bytes) -> Event:
    """Read an event from a box, trusting nothing.

    Raises:
        FrameError: not UTF-8 JSON, unknown, out of bounds, with extra fields or lone surrogates.
    """
    try:
        fields: Any = json.loads(body.decode("utf-8", "strict"), parse_constant=_refuse_constant)
        return _EVENTS.validate_python(fields)
    except (ValueError, RecursionError, ValidationError) as exc:
        raise FrameError(f"not an event: {str(exc)[:300]}") from exc


def _refuse_constant(name: str) -> float:
    raise FrameError(f"{name} is not a number")

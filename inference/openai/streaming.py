"""Runs as a stream of pieces in OpenAI's shapes, ended by ``[DONE]``."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from inference.models import GenerationRun
from inference.openai import shapes
from inference.openai.errors import RunFailedError
from inference.openai.shapes import Json, Kind
from inference.openai.waiting import side_by_side
from inference.services.streams import Event
from inference.services.told import Told
from store.core.errors import StoreError
from store.core.web import completion_error

DONE = b"data: [DONE]\n\n"


@dataclass
class _Text:
    """One sequence: what has come, and how much of it was sent."""

    text: str = ""
    tokens: list[Told] = field(default_factory=list)
    sent: str = ""
    sent_tokens: int = 0
    has_begun: bool = False


@dataclass(frozen=True)
class Wanted:
    """How the caller wants the stream."""

    kind: Kind
    model: str
    """As they named it."""
    has_logprobs: bool
    include_usage: bool
    echo: bool = False
    """Put the prompt, a text, before what the model writes."""


def stream_of(
    runs: Sequence[GenerationRun], heard: Sequence[Iterator[Event | None]], wanted: Wanted
) -> Iterator[bytes | None]:
    """Yield the bytes of a call's stream; ``None`` where there is nothing to say.

    Args:
        runs: Those of the call, in the order of its prompts.
        heard: What happens to each; of several, none waits before it says ``None``.
        wanted: How it is to look.
    """
    head = shapes.head(runs[0], wanted.kind, wanted.model, is_chunk=True)
    made = [Pieces(run, wanted, head, number) for number, run in enumerate(runs)]
    each = [pieces.of(events) for pieces, events in zip(made, heard, strict=True)]
    try:
        for piece in each[0] if len(each) == 1 else side_by_side(each):
            yield None if piece is None else _line(piece)
    except StoreError as error:
        yield _line(completion_error(error, error.message))
        return
    if wanted.include_usage:
        prompt_tokens = sum(pieces.prompt_tokens for pieces in made)
        used = shapes.usage(prompt_tokens, sum(pieces.new_tokens for pieces in made))
        yield _line(head | {"choices": [], "usage": used})
    yield DONE


class Pieces:
    """Makes the pieces of one run's part of a stream.

    A run that begins anew on another worker writes the same text again, for its seed is the same:
    what was sent is not sent twice. Where it does differ the stream ends with an error.

    Args:
        run: The run.
        wanted: How it is to look.
        head: What each piece begins with.
        number: Of the run's prompt in the call.

    Attributes:
        prompt_tokens: Tokens of the prompt, once the run has ended.
        new_tokens: Tokens it wrote, then.
    """

    def __init__(self, run: GenerationRun, wanted: Wanted, head: Json, number: int) -> None:
        self.prompt_tokens = self.new_tokens = 0
        self._wanted = wanted
        self._head = head
        self._echo = run.prompt if wanted.echo else ""
        self._texts = [_Text() for _ in range(run.params["num_sequences"])]
        self._first = number * len(self._texts)
        self._attempt = 0

    def of(self, events: Iterator[Event | None]) -> Iterator[Json | None]:
        """Yield the pieces; ``None`` where there is nothing to say.

        Raises:
            RunFailedError: the run failed, or began anew and went another way.
        """
        for event in events:
            if event is None or event.kind == "status":
                yield None
                continue
            yield from self._of_event(event)
            if event.is_last:
                return

    def _of_event(self, event: Event) -> Iterator[Json]:
        if event.kind == "failed":
            raise RunFailedError(event.data["error_code"], event.data["error"])
        if event.kind == "done":
            yield from self._end(event)
            return
        if event.attempt > self._attempt:
            self._attempt = event.attempt
            for each in self._texts:
                each.text, each.tokens = "", []
        if event.kind == "token":
            found = self._texts[int(event.data["sequence"])]
            found.text += event.data["text"]
            found.tokens += event.data.get("tokens", [])
            yield from self._new(int(event.data["sequence"]))

    def _end(self, event: Event) -> Iterator[Json]:
        for index, each in enumerate(self._texts):
            if index < len(event.data["texts"]):
                each.text = event.data["texts"][index]
            yield from self._new(index)
            if not each.has_begun:
                yield self._choice(index, "", None)
            words = event.data["finish_reasons"]
            finish = shapes.reason(words[index] if index < len(words) else "")
            yield self._choice(index, None, None, finish=finish)
        self.prompt_tokens = event.data["prompt_tokens"]
        self.new_tokens = event.data["new_tokens"]

    def _new(self, index: int) -> Iterator[Json]:
        """Yield what came since the last piece."""
        each = self._texts[index]
        if not each.text.startswith(each.sent):
            if each.sent.startswith(each.text):  # the new attempt has not caught up
                return
            raise RunFailedError("restarted", "The run began anew and went another way. Ask again.")
        fresh, tokens = each.text[len(each.sent) :], each.tokens[each.sent_tokens :]
        if fresh or tokens:
            yield self._choice(index, fresh, tokens)
            each.sent = each.text
            each.sent_tokens = max(each.sent_tokens, len(each.tokens))

    def _choice(
        self, index: int, text: str | None, tokens: list[Told] | None, *, finish: str | None = None
    ) -> Json:
        """Return a piece with ``text``; ``None``: just the end."""
        each, is_first = self._texts[index], not self._texts[index].has_begun
        each.has_begun = True
        told = tokens if self._wanted.has_logprobs else None
        if self._wanted.kind == "chat":
            delta: Json = {} if text is None else {"content": text}
            if is_first:
                delta = {"role": "assistant", "refusal": None} | delta
            body: Json = {"delta": delta, "logprobs": shapes.chat_logprobs(told)}
        else:
            before = self._echo if is_first else ""
            offset = len(self._echo) + len(each.sent)
            logprobs = shapes.text_logprobs(told, offset=offset)
            body = {"text": before + (text or ""), "logprobs": logprobs}
        choice = {"index": self._first + index, "finish_reason": finish, **body}
        piece = self._head | {"choices": [choice]}
        return piece | ({"usage": None} if self._wanted.include_usage else {})


def _line(piece: Json) -> bytes:
    return f"data: {json.dumps(piece, ensure_ascii=False)}\n\n".encode()

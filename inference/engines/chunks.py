"""Reads the stream of an OpenAI-compatible server, and tells it as a box would.

The operator chose the server, so its words are believed; their shape is checked all the same.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inference.box.params import MAX_LOGPROBS, MAX_NEW_TOKENS, SamplingParams
from inference.box.protocol import (
    Alternative,
    DoneEvent,
    EndedEvent,
    FinishReason,
    StartedEvent,
    TokenEvent,
)
from inference.box.talks import GenerationEvent
from inference.engines.remote_errors import RemoteBrokeProtocolError

_LEAST = -9999.0
_PIECE_CHARS = 8192
_TOKEN_CHARS = 64


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _TopToken(_Part):
    token: str
    logprob: float


class _ChatToken(_TopToken):
    top_logprobs: list[_TopToken] = []


class _Logprobs(_Part):
    content: list[_ChatToken] | None = None
    """Of chats; the rest is of completions."""
    tokens: list[str] = []
    token_logprobs: list[float | None] = []
    top_logprobs: list[dict[str, float] | None] | None = None

    def all(self) -> list[_ChatToken]:
        """Return the tokens, in the shape of chats."""
        if self.content is not None:
            return self.content
        found = []
        for place, token in enumerate(self.tokens):
            tops = (self.top_logprobs or [])[place : place + 1]
            top = [_TopToken(token=k, logprob=v) for k, v in ((tops and tops[0]) or {}).items()]
            own = (self.token_logprobs[place : place + 1] or [None])[0]
            logprob = _LEAST if own is None else own
            found.append(_ChatToken(token=token, logprob=logprob, top_logprobs=top))
        return found


class _Delta(_Part):
    content: str | None = None


class _Choice(_Part):
    index: Annotated[int, Field(ge=0)] = 0
    text: str | None = None
    delta: _Delta = _Delta()
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class _Usage(_Part):
    prompt_tokens: int = 0
    completion_tokens: int | None = None


class _Chunk(_Part):
    choices: list[_Choice] = []
    usage: _Usage | None = None


class Reader:
    """One stream.

    Args:
        request_id: Name of the generation.
        params: What was asked for.
    """

    def __init__(self, request_id: str, params: SamplingParams) -> None:
        self._id = request_id
        self._params = params
        self._began = time.monotonic()
        self._first_token_s = 0.0
        self._counts = [0] * params.num_sequences
        self._ended: dict[int, FinishReason] = {}
        self._used = _Usage()

    def started(self) -> StartedEvent:
        """Return the first event; the length of the prompt is told at the end."""
        return StartedEvent(
            id=self._id, prompt_tokens=0, max_new_tokens=self._params.max_new_tokens
        )

    def events(self, chunks: Iterable[Any]) -> Iterator[GenerationEvent]:
        """Yield what the pieces say.

        Args:
            chunks: The JSON of each piece.

        Raises:
            RemoteBrokeProtocolError: they are no answer.
        """
        for raw in chunks:
            try:
                chunk = _Chunk.model_validate(raw)
                yield from self._of_chunk(chunk)
            except ValidationError as error:
                raise RemoteBrokeProtocolError(
                    "The server that runs this model sent no answer of the API it is to speak.",
                    detail=str(error)[:500],
                ) from error

    def _of_chunk(self, chunk: _Chunk) -> Iterator[GenerationEvent]:
        if chunk.usage is not None:
            self._used = chunk.usage
        for choice in chunk.choices:
            if choice.index < len(self._counts) and choice.index not in self._ended:
                yield from self._of_choice(choice)

    def _of_choice(self, choice: _Choice) -> Iterator[GenerationEvent]:
        text = (choice.text if choice.text is not None else choice.delta.content) or ""
        told = choice.logprobs.all() if choice.logprobs else []
        if self._params.logprobs is not None and told:
            for place, token in enumerate(told):  # the text of the piece is its last token's
                shown = text if place == len(told) - 1 else ""
                yield self._token(choice.index, shown, token)
        elif text:
            yield self._token(choice.index, text, None)
        if choice.finish_reason:
            is_stop = choice.finish_reason == "stop"
            self._ended[choice.index] = "stop" if is_stop else "length"

    def _token(self, sequence: int, text: str, told: _ChatToken | None) -> TokenEvent:
        self._first_token_s = self._first_token_s or time.monotonic() - self._began
        number = min(self._counts[sequence], MAX_NEW_TOKENS - 1)
        self._counts[sequence] += 1
        return TokenEvent(
            id=self._id,
            sequence=sequence,
            number=number,
            token_id=0,  # such servers tell texts, no ids
            text=_clean(text, _PIECE_CHARS),
            token="" if told is None else _clean(told.token, _TOKEN_CHARS),
            logprob=None if told is None else _bounded(told.logprob),
            top=[] if told is None else self._top(told),
        )

    def _top(self, told: _ChatToken) -> list[Alternative]:
        wanted = min(self._params.logprobs or 0, MAX_LOGPROBS)
        ranked = sorted(told.top_logprobs, key=lambda each: -each.logprob)[:wanted]
        return [
            Alternative(
                token_id=0, text=_clean(each.token, _TOKEN_CHARS), logprob=_bounded(each.logprob)
            )
            for each in ranked
        ]

    def finished(self, *, is_cancelled: bool) -> Iterator[GenerationEvent]:
        """Yield the ends, once the stream is over.

        Raises:
            RemoteBrokeProtocolError: it ended in the middle, and nobody had asked for that.
        """
        if len(self._ended) < len(self._counts) and not is_cancelled:
            raise RemoteBrokeProtocolError(
                "The server that runs this model ended its answer in the middle."
            )
        for sequence, count in enumerate(self._counts):
            yield EndedEvent(
                id=self._id,
                sequence=sequence,
                finish_reason=self._ended.get(sequence, "cancelled"),
                new_tokens=min(count, MAX_NEW_TOKENS),
                text="",
            )
        new_tokens = self._used.completion_tokens
        yield DoneEvent(
            id=self._id,
            prompt_tokens=max(0, self._used.prompt_tokens),
            new_tokens=sum(self._counts) if new_tokens is None else max(0, new_tokens),
            first_token_s=self._first_token_s,
            generate_s=time.monotonic() - self._began,
            rss_bytes=0,
        )


def _clean(text: str, most_chars: int) -> str:
    replaced = text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return replaced.encode("utf-8", "replace").decode()[:most_chars]


def _bounded(logprob: float) -> float:
    return min(0.0, max(_LEAST, logprob))

"""Requests under way in the box, and the texts each is making; no forward pass happens here."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from inference.box.card import card_peak
from inference.box.chat import rendered
from inference.box.detokenizing import Detokenizer, StopTexts
from inference.box.loading import LoadedModel, RefusedError, rss_bytes
from inference.box.params import SamplingParams
from inference.box.prompted import ReadingRequest
from inference.box.protocol import (
    Alternative,
    DoneEvent,
    EndedEvent,
    FinishReason,
    GenerateRequest,
    StartedEvent,
    TokenEvent,
)
from inference.box.sampling import Scores, penalties_of


@dataclass(eq=False)
class Answer:
    """One sequence being made: its tokens so far and its text.

    Attributes:
        running: What asked for it.
        index: Which of the request's sequences, from 0.
        ids: Prompt and answer so far, int64, shape ``(tokens,)``: the first ``length`` count.
        length: Tokens in ``ids``.
        generator: Draws its tokens, so that none depends on its neighbors.
        reason: Why it has ended; ``None``: it goes on.
    """

    running: "Running"
    index: int
    ids: torch.Tensor
    length: int
    generator: torch.Generator
    detokenizer: Detokenizer
    stops: StopTexts
    new_tokens: int = 0
    reason: FinishReason | None = None

    @property
    def seen(self) -> torch.Tensor:
        """Prompt and answer so far, int64, shape ``(1, length)``."""
        return self.ids[None, : self.length]

    def take(self, token_id: int, scores: Scores | None) -> Iterator[TokenEvent | EndedEvent]:
        """Add one token; end the sequence if it is complete."""
        running = self.running
        is_end = token_id in running.loaded.end_ids
        text = "" if is_end else self.stops.push(self.detokenizer.push(token_id))
        yield TokenEvent(
            id=running.id,
            sequence=self.index,
            number=self.new_tokens,
            token_id=token_id,
            text=text,
            token="" if scores is None else token_text(running.loaded, token_id),
            logprob=None if scores is None else scores.logprob,
            top=[] if scores is None else running.alternatives(scores),
        )
        self.ids[self.length] = token_id
        self.length += 1
        self.new_tokens += 1
        if is_end or self.stops.is_reached:
            yield self.end("stop")
        elif self.new_tokens >= running.most:
            yield self.end("length")

    def end(self, reason: FinishReason) -> EndedEvent:
        """Give out what was held back; a stop text may be complete only now."""
        rest = ""
        if not self.stops.is_reached:
            rest = self.stops.push(self.detokenizer.finish())
        if self.stops.is_reached:
            reason = "stop"
        else:
            rest += self.stops.finish()
        self.reason = reason
        return EndedEvent(
            id=self.running.id,
            sequence=self.index,
            finish_reason=reason,
            new_tokens=self.new_tokens,
            text=rest,
        )


@dataclass(eq=False)
class Running:
    """A request between its first and its last event.

    Attributes:
        prompt_ids: The prompt, as the model's tokenizer cuts it.
        most: Tokens each sequence may add: as asked, or what the context leaves.
        answers: Its sequences, by index.
        first_token_s: Seconds from its arrival to its first token; 0 before.
    """

    id: str
    loaded: LoadedModel
    params: SamplingParams
    prompt_ids: list[int]
    most: int
    arrived: float
    answers: list[Answer] = field(default_factory=list)
    first_token_s: float = 0.0

    def __post_init__(self) -> None:
        self.penalties = penalties_of(
            self.params, prompt_tokens=len(self.prompt_ids), device=self.loaded.device
        )
        self.answers = [self._answer(index) for index in range(self.params.num_sequences)]

    def _answer(self, index: int) -> Answer:
        device = self.loaded.device
        generator = torch.Generator(device=device)
        generator.manual_seed(self.params.seed + index)
        ids = torch.zeros(len(self.prompt_ids) + self.most, dtype=torch.int64, device=device)
        ids[: len(self.prompt_ids)] = torch.tensor(self.prompt_ids, device=device)
        return Answer(
            running=self,
            index=index,
            ids=ids,
            length=len(self.prompt_ids),
            generator=generator,
            detokenizer=Detokenizer(partial(text_of, self.loaded), self.prompt_ids),
            stops=StopTexts(self.params.stop),
        )

    @property
    def open_answers(self) -> list[Answer]:
        """Sequences that go on."""
        return [answer for answer in self.answers if answer.reason is None]

    def started(self) -> StartedEvent:
        """Say how the prompt was read."""
        return StartedEvent(
            id=self.id, prompt_tokens=len(self.prompt_ids), max_new_tokens=self.most
        )

    def done(self) -> DoneEvent:
        """Say that the whole request is complete."""
        allocated_bytes, reserved_bytes = card_peak()
        return DoneEvent(
            id=self.id,
            prompt_tokens=len(self.prompt_ids),
            new_tokens=sum(answer.new_tokens for answer in self.answers),
            first_token_s=self.first_token_s,
            generate_s=time.monotonic() - self.arrived,
            rss_bytes=rss_bytes(),
            card_allocated_bytes=allocated_bytes,
            card_reserved_bytes=reserved_bytes,
        )

    def alternatives(self, scores: Scores) -> list[Alternative]:
        """Return the most likely tokens with their texts, likeliest first."""
        return alternatives_of(self.loaded, scores.top)


def alternatives_of(
    loaded: LoadedModel, likeliest: Iterable[tuple[int, float]]
) -> list[Alternative]:
    """Return tokens and their logarithms of probability with their texts."""
    return [
        Alternative(token_id=token_id, text=token_text(loaded, token_id), logprob=logprob)
        for token_id, logprob in likeliest
    ]


def text_of(loaded: LoadedModel, ids: Sequence[int]) -> str:
    """Return what tokens say together, as readers see it: without special tokens."""
    text = loaded.tokenizer.decode(
        ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return str(text)


def token_text(loaded: LoadedModel, token_id: int) -> str:
    """Return what one token says by itself; part of a character is a replacement character."""
    known = loaded.token_texts
    if token_id not in known:
        text = loaded.tokenizer.decode([token_id], clean_up_tokenization_spaces=False)
        known[token_id] = str(text).replace("\x00", "\N{REPLACEMENT CHARACTER}")[:64]
    return known[token_id]


def running_of(loaded: LoadedModel, request: GenerateRequest, *, arrived: float) -> Running:
    """Read a request's prompt and make room for its answers.

    Raises:
        RefusedError: the chat template or the tokenizer fails, a given token or a bias is for no
            token the model knows, or the prompt leaves no room for an answer.
    """
    _check_biases(loaded, request.params)
    prompt_ids = _read(loaded, request)
    room = loaded.context_tokens - len(prompt_ids)
    if room < 1:
        raise RefusedError(
            "prompt_too_long",
            f"The prompt has {len(prompt_ids)} tokens; this model reads "
            f"{loaded.context_tokens - 1} at most and needs room for an answer. Shorten it.",
        )
    most = min(request.params.max_new_tokens, room)
    return Running(request.id, loaded, request.params, prompt_ids, most, arrived)


def _check_biases(loaded: LoadedModel, params: SamplingParams) -> None:
    if params.logit_bias and max(params.logit_bias) >= loaded.scored:
        raise RefusedError(
            "unknown_token",
            f"logit_bias names token {max(params.logit_bias)}; this model has {loaded.scored}.",
        )


def _read(loaded: LoadedModel, request: GenerateRequest) -> list[int]:
    if request.left_truncate and request.prompt_ids is None:
        return _end_of(loaded, request.prompt, request.params.max_new_tokens)
    return ids_read(loaded, request)


def ids_read(loaded: LoadedModel, request: ReadingRequest) -> list[int]:
    """Return the tokens of what a model goes on from: a text, a conversation, or tokens.

    Raises:
        RefusedError: the chat template or the tokenizer fails, or there is no such token.
    """
    if request.prompt_ids is not None:
        return given_ids(loaded, request.prompt_ids)
    if request.messages is None:
        return prompt_ids_of(loaded, request.prompt)
    text = rendered(loaded, request.messages)
    return prompt_ids_of(loaded, text, add_special_tokens=False)  # the template writes its own


def prompt_ids_of(loaded: LoadedModel, prompt: str, **options: Any) -> list[int]:
    """Cut a prompt into tokens; an empty one begins with the model's own beginning.

    Raises:
        RefusedError: the tokenizer fails, gives tokens the model does not know, or nothing.
    """
    try:
        ids = [int(token) for token in loaded.tokenizer(prompt, **options)["input_ids"]]
    except Exception as exc:
        raise RefusedError("bad_tokenizer", f"The tokenizer failed: {type(exc).__name__}") from exc
    return checked_ids(loaded, ids or _beginning(loaded))


def given_ids(loaded: LoadedModel, ids: Sequence[int]) -> list[int]:
    """Return tokens that were given, if the model knows all of them.

    Raises:
        RefusedError: it does not.
    """
    if max(ids) >= loaded.vocabulary:
        raise RefusedError(
            "unknown_token",
            f"The prompt names token {max(ids)}; this model has {loaded.vocabulary}.",
        )
    return list(ids)


def _end_of(loaded: LoadedModel, prompt: str, new_tokens: int) -> list[int]:
    """Return the last tokens of a prompt that leave room for the answer, as the harness does.

    Source: ``HFLM.tok_batch_encode`` and ``generate_until`` of lm-evaluation-harness 0.4.13.
    """
    most = loaded.context_tokens - new_tokens
    if most < 1:
        raise RefusedError(
            "prompt_too_long",
            f"{new_tokens} new tokens leave no room for a prompt; this model reads and writes "
            f"{loaded.context_tokens} together.",
        )
    begin = loaded.tokenizer.bos_token
    has_begun = isinstance(begin, str) and prompt.startswith(begin)
    return prompt_ids_of(loaded, prompt, **({"add_special_tokens": False} if has_begun else {}))[
        -most:
    ]


def _beginning(loaded: LoadedModel) -> list[int]:
    start = loaded.tokenizer.bos_token_id
    return [start] if isinstance(start, int) else sorted(loaded.end_ids)[:1]


def checked_ids(loaded: LoadedModel, ids: Sequence[int]) -> list[int]:
    """Return token ids the model can read.

    Raises:
        RefusedError: there are none, or the model does not know one of them.
    """
    if not ids:
        raise RefusedError("empty_prompt", "This model cannot begin by itself; write a prompt.")
    if min(ids) < 0 or max(ids) >= loaded.vocabulary:
        raise RefusedError(
            "bad_tokenizer",
            f"The tokenizer gives token {max(ids)}, the model knows {loaded.vocabulary}.",
        )
    return list(ids)

"""Chooses the next token of each sequence: transformers' processors, a draw, and its scores.

A single sampled sequence equals ``torch.manual_seed(seed)`` before ``model.generate(
do_sample=True)`` on the same device: the same processors in the same order, the same draw.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from transformers.generation.logits_process import (
    LogitsProcessor,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from inference.box.params import SamplingParams

LEAST_LOGPROB = -9999.0
"""What a token that cannot come is told as; infinities are no JSON. OpenAI's API says the same."""


@dataclass(frozen=True, slots=True)
class Scores:
    """How likely a chosen token was, before temperature and cuts, and what else was likely.

    Attributes:
        logprob: Natural logarithm of its probability.
        top: (token id, logprob) of the likeliest tokens, likeliest first.
    """

    logprob: float
    top: list[tuple[int, float]]


class Asks(Protocol):
    """What a sequence's request wants of each token."""

    params: SamplingParams
    processors: LogitsProcessorList


class Row(Protocol):
    """A sequence, as far as choosing its next token goes."""

    @property
    def running(self) -> Asks: ...
    @property
    def generator(self) -> torch.Generator: ...
    @property
    def seen(self) -> torch.Tensor: ...


class BiasProcessor(LogitsProcessor):
    """Adds to the logits of certain tokens.

    Args:
        biases: By token id; each below the vocabulary.
        device: Of the logits.
    """

    def __init__(self, biases: Mapping[int, float], device: torch.device) -> None:
        self._ids = torch.tensor(list(biases), dtype=torch.int64, device=device)
        self._values = torch.tensor(list(biases.values()), dtype=torch.float32, device=device)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return ``scores``, shape ``(1, vocabulary)``, with the biases added."""
        return scores.index_add(1, self._ids, self._values[None])


class PenaltyProcessor(LogitsProcessor):
    """Weakens what the answer has already: ``logit - count * frequency - (count > 0) * presence``.

    Args:
        frequency: Penalty of each time.
        presence: Penalty of any time.
        prompt_tokens: So many tokens of ``input_ids`` are the prompt's and are not counted.

    Source:
        OpenAI, "Frequency and presence penalties" (API reference, text generation).
    """

    def __init__(self, frequency: float, presence: float, prompt_tokens: int) -> None:
        self._frequency = frequency
        self._presence = presence
        self._prompt_tokens = prompt_tokens

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return ``scores``, shape ``(1, vocabulary)``, weakened."""
        written = input_ids[0, self._prompt_tokens :]
        counts = torch.bincount(written, minlength=scores.shape[-1])[None].to(scores.dtype)
        return scores - counts * self._frequency - (counts > 0) * self._presence


def processors_of(
    params: SamplingParams, *, prompt_tokens: int = 0, device: torch.device | None = None
) -> LogitsProcessorList:
    """Return transformers' processors, in the order ``generate`` applies them; additions first.

    Args:
        params: What was asked for.
        prompt_tokens: Length of the prompt.
        device: Where the model computes.
    """
    chosen = LogitsProcessorList()
    if params.logit_bias:
        chosen.append(BiasProcessor(params.logit_bias, device or torch.device("cpu")))
    if params.frequency_penalty or params.presence_penalty:
        chosen.append(
            PenaltyProcessor(params.frequency_penalty, params.presence_penalty, prompt_tokens)
        )
    if params.repetition_penalty != 1:
        chosen.append(RepetitionPenaltyLogitsProcessor(penalty=params.repetition_penalty))
    if params.temperature == 0:
        return chosen
    if params.temperature != 1:
        chosen.append(TemperatureLogitsWarper(params.temperature))
    if params.top_k > 0:
        chosen.append(TopKLogitsWarper(top_k=params.top_k))
    if params.top_p < 1:
        chosen.append(TopPLogitsWarper(top_p=params.top_p))
    return chosen


def choose(rows: Sequence[Row], logits: torch.Tensor) -> list[int]:
    """Return the next token of each row.

    Args:
        rows: The sequences.
        logits: Scores of their next tokens, float32, shape ``(len(rows), vocabulary)``.
    """
    if all(_is_plain(row.running) for row in rows):
        return [int(token) for token in logits.argmax(dim=-1).tolist()]
    return [_choose_one(row, logits[place][None]) for place, row in enumerate(rows)]


def _is_plain(asks: Asks) -> bool:
    return asks.params.temperature == 0 and not asks.processors


def _choose_one(row: Row, logits: torch.Tensor) -> int:
    asks = row.running
    scores: torch.Tensor = asks.processors(row.seen, logits)  # type: ignore[arg-type]
    if asks.params.temperature == 0:
        return int(scores.argmax(dim=-1).item())
    probabilities = torch.softmax(scores, dim=-1)[0]
    return int(torch.multinomial(probabilities, 1, generator=row.generator).item())


def scores_of(rows: Sequence[Row], logits: torch.Tensor, chosen: list[int]) -> list[Scores | None]:
    """Return how likely each chosen token was; ``None`` for rows that did not ask.

    Args:
        rows: The sequences.
        logits: As for :func:`choose`, untouched by processors.
        chosen: The token of each row.
    """
    found: list[Scores | None] = [None] * len(rows)
    for place, row in enumerate(rows):
        wanted = row.running.params.logprobs
        if wanted is not None:
            logprobs = torch.log_softmax(logits[place], dim=-1).clamp(min=LEAST_LOGPROB)
            found[place] = Scores(float(logprobs[chosen[place]]), likeliest(logprobs, wanted))
    return found


def likeliest(logprobs: torch.Tensor, count: int) -> list[tuple[int, float]]:
    """Return (token id, logprob) of the ``count`` likeliest tokens, likeliest first.

    Args:
        logprobs: Shape ``(vocabulary,)``.
        count: Fewer come when the vocabulary is smaller.
    """
    values, ids = logprobs.topk(min(count, logprobs.shape[-1]))
    return list(zip(ids.tolist(), values.tolist(), strict=True))

"""Chooses the next token of each sequence: transformers' processors, a draw, and its scores.

A single sampled sequence equals ``torch.manual_seed(seed)`` before ``model.generate(
do_sample=True)`` on the same device: the same processors in the same order, the same draw.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from transformers.generation.logits_process import (
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


def processors_of(params: SamplingParams) -> LogitsProcessorList:
    """Return transformers' processors, in the order ``generate`` applies them."""
    chosen = LogitsProcessorList()
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

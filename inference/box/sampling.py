"""Chooses the next token of each sequence: transformers' processors, a draw, and its scores.

A single sampled sequence equals ``torch.manual_seed(seed)`` before ``model.generate(
do_sample=True)`` on the same device: the same processors in the same order, the same draw.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from transformers.generation.logits_process import (
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


class Row(Protocol):
    """A sequence, as far as choosing its next token goes."""

    @property
    def running(self) -> Asks: ...
    @property
    def generator(self) -> torch.Generator: ...
    @property
    def seen(self) -> torch.Tensor: ...


def choose(rows: Sequence[Row], logits: torch.Tensor) -> list[int]:
    """Return the next token of each row.

    Processors come in the order ``generate`` applies them. Rows that ask for the same temperature
    and cuts go through them together.

    Args:
        rows: The sequences.
        logits: Scores of their next tokens, float32, shape ``(len(rows), vocabulary)``.
    """
    scores = _penalized(rows, logits)
    alike: dict[tuple[float, int, float], list[int]] = {}
    for place, row in enumerate(rows):
        params = row.running.params
        alike.setdefault((params.temperature, params.top_k, params.top_p), []).append(place)
    chosen = [0] * len(rows)
    for places in alike.values():
        part = scores if len(places) == len(rows) else scores[places]
        tokens = _chosen_alike([rows[place] for place in places], part)
        for place, token in zip(places, tokens, strict=True):
            chosen[place] = token
    return chosen


def _penalized(rows: Sequence[Row], logits: torch.Tensor) -> torch.Tensor:
    """Return the scores after what depends on each row's own text."""
    penalties = [row.running.params.repetition_penalty for row in rows]
    if all(penalty == 1 for penalty in penalties):
        return logits
    scores = logits.clone()
    for place, (row, penalty) in enumerate(zip(rows, penalties, strict=True)):
        if penalty != 1:
            processor = RepetitionPenaltyLogitsProcessor(penalty=penalty)
            scores[place] = processor(row.seen, scores[place][None])[0]
    return scores


def _chosen_alike(rows: Sequence[Row], scores: torch.Tensor) -> list[int]:
    """Return the next token of rows that want the same of their scores."""
    params = rows[0].running.params
    if params.temperature == 0:
        return [int(token) for token in scores.argmax(dim=-1).tolist()]
    warpers: list[Any] = []
    if params.temperature != 1:
        warpers.append(TemperatureLogitsWarper(params.temperature))
    if params.top_k > 0:
        warpers.append(TopKLogitsWarper(top_k=params.top_k))
    if params.top_p < 1:
        warpers.append(TopPLogitsWarper(top_p=params.top_p))
    for warper in warpers:
        scores = warper(None, scores)
    return _drawn([row.generator for row in rows], torch.softmax(scores, dim=-1))


def _drawn(generators: Sequence[torch.Generator], probabilities: torch.Tensor) -> list[int]:
    """Draw one token for each row, each from its own generator.

    A race of exponential clocks, whose first one is each token with its probability: what
    ``torch.multinomial`` does for one draw, number by number, but for all rows at once.
    """
    clocks = torch.empty_like(probabilities)
    for clock, generator in zip(clocks, generators, strict=True):
        clock.exponential_(1, generator=generator)
    return [int(token) for token in probabilities.div_(clocks).argmax(dim=-1).tolist()]


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

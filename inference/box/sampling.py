"""Chooses the next token of each sequence: transformers' processors, a draw, and its scores.

A single sampled sequence equals ``torch.manual_seed(seed)`` before ``model.generate(
do_sample=True)`` on the same device: the same processors in the same order, the same draw.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from transformers.generation.logits_process import (
    LogitsProcessor,
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
    penalties: list[LogitsProcessor]


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


def penalties_of(
    params: SamplingParams, *, prompt_tokens: int, device: torch.device
) -> list[LogitsProcessor]:
    """Return what changes scores by a sequence's own text, in the order it is applied.

    Args:
        params: What was asked for.
        prompt_tokens: Length of the prompt.
        device: Where the model computes.
    """
    chosen: list[LogitsProcessor] = []
    if params.logit_bias:
        chosen.append(BiasProcessor(params.logit_bias, device))
    if params.frequency_penalty or params.presence_penalty:
        chosen.append(
            PenaltyProcessor(params.frequency_penalty, params.presence_penalty, prompt_tokens)
        )
    if params.repetition_penalty != 1:
        chosen.append(RepetitionPenaltyLogitsProcessor(penalty=params.repetition_penalty))
    return chosen


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
    if not any(row.running.penalties for row in rows):
        return logits
    scores = logits.clone()
    for place, row in enumerate(rows):
        for penalty in row.running.penalties:
            scores[place] = penalty(row.seen, scores[place][None])[0]
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

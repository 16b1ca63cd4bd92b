"""Figures for the cards: loss and bits per byte, measured on the saved files."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from scripts.demo_models.vocabulary import to_ids


@dataclass(frozen=True)
class Quality:
    """How well a model foretells a text.

    Attributes:
        loss: Mean negative log-likelihood of a token, in nats. Lower is better. Compares only
            between models of one vocabulary.
        bits_per_byte: The same information spread over the UTF-8 bytes of the text. Lower is
            better. Compares between any two models on the same text.
        tokens: Tokens that were scored.
        bytes: UTF-8 bytes of the text.
    """

    loss: float
    bits_per_byte: float
    tokens: int
    bytes: int

    def as_dict(self) -> dict[str, float]:
        """Plain values, for JSON."""
        return asdict(self)


@torch.inference_mode()
def quality(model: Any, tokenizer: PreTrainedTokenizerFast, chapters: Iterable[str]) -> Quality:
    """Score every token of each chapter once, with at least half a context before it.

    A chapter starts after the end-of-text token, and its own end is scored too. Windows overlap
    by half, as in the usual strided perplexity; only the first half window of a chapter sees less.

    Source:
        https://huggingface.co/docs/transformers/perplexity (strided evaluation).
    """
    chapters = list(chapters)
    nats, tokens = 0.0, 0
    for ids in to_ids(tokenizer, chapters):
        chapter_nats, chapter_tokens = _chapter_nats(model, [tokenizer.bos_token_id, *ids])
        nats += chapter_nats
        tokens += chapter_tokens
    size_bytes = sum(len(text.encode()) for text in chapters)
    return Quality(
        loss=round(nats / tokens, 4),
        bits_per_byte=round(nats / math.log(2) / size_bytes, 4),
        tokens=tokens,
        bytes=size_bytes,
    )


def _chapter_nats(model: Any, ids: list[int]) -> tuple[float, int]:
    context, stride = model.config.n_positions, model.config.n_positions // 2
    nats, scored = 0.0, 1  # the leading end-of-text token is given, not foretold
    for begin in range(0, max(1, len(ids) - stride), stride):
        window = torch.tensor([ids[begin : begin + context]])
        new = begin + window.shape[1] - scored
        logits = model(input_ids=window).logits[0, -new - 1 : -1]
        losses = nn.functional.cross_entropy(logits.float(), window[0, -new:], reduction="sum")
        nats += float(losses)
        scored += new
    return nats, scored - 1

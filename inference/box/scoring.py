"""Scores texts exactly as lm-evaluation-harness 0.4.13 does with ``--model hf``.

The same tokens, the same windows, the same forward pass (``HFLM._encode_pair``,
``_loglikelihood_tokens``, ``loglikelihood_rolling`` with a batch size of 1), and the same sums:
results are equal to the last digit on the same machine with the same dtype. Only the scores over
the whole vocabulary, which the harness makes for all tokens at once, are made in pieces here.
"""

import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import log_softmax

from inference.box.asking import (
    MAX_PART_TOKENS,
    Answering,
    PairItem,
    RollingItem,
    ScoreEvent,
    ScorePartEvent,
    ScoreRequest,
    ScoresDoneEvent,
)
from inference.box.loading import LoadedModel, RefusedError, not_finite
from inference.box.sampling import LEAST_LOGPROB
from inference.box.sequences import checked_ids

if TYPE_CHECKING:
    from inference.box.pauses import Pauses

_CHUNK_BYTES = 64 * 1024**2
"""Of scores over the vocabulary that are held at a time, in float32."""
_FEWEST_ROWS = 32
"""A product of fewer rows adds up in another order, and its last digits differ."""
_LEAST_SUM = -1e12


@dataclass(frozen=True)
class Window:
    """One forward pass.

    Attributes:
        ids: What the model reads and, last, what it is asked for; one token longer than its input.
        scored: How many of the last tokens of ``ids`` are scored.
        dropped: Tokens that were left out before ``ids``.
    """

    ids: list[int]
    scored: int
    dropped: int = 0


@dataclass(frozen=True)
class Scored:
    """What a window gave.

    Attributes:
        logprobs: Of each scored token, in the model's dtype, shape ``(1, scored)``.
        greedy: The likeliest token in the place of each, shape ``(scored,)``.
    """

    logprobs: torch.Tensor
    greedy: torch.Tensor


def scores(loaded: LoadedModel, request: ScoreRequest, pauses: "Pauses") -> Iterator[Answering]:
    """Score all items of a request, one after the other.

    Raises:
        RefusedError: an item cannot be scored; none after it is.
    """
    began = time.monotonic()
    tokens = 0
    for number in range(len(request.items)):
        for event in _score(loaded, request, number, pauses):
            tokens += event.tokens if isinstance(event, ScoreEvent) else 0
            yield event
        if number + 1 < len(request.items):
            pauses.between()
    yield ScoresDoneEvent(id=request.id, tokens=tokens, score_s=time.monotonic() - began)


def _score(
    loaded: LoadedModel, request: ScoreRequest, number: int, pauses: "Pauses"
) -> Iterator[ScorePartEvent | ScoreEvent]:
    windows = windows_of(loaded, request.items[number])
    total, is_greedy = 0.0, True
    for window in windows:
        wanted = window.ids[-window.scored :]
        scored = score_window(loaded, window, pauses)
        value = float(scored.logprobs.sum())
        if math.isnan(value):
            raise not_finite()
        total += value
        is_greedy = is_greedy and scored.greedy.tolist() == wanted
        if request.per_token:
            yield from _parts(request.id, number, wanted, scored.logprobs[0])
    yield ScoreEvent(
        id=request.id,
        item=number,
        logprob=max(total, _LEAST_SUM),
        is_greedy=is_greedy,
        tokens=sum(window.scored for window in windows),
        dropped_tokens=sum(window.dropped for window in windows),
    )


def _parts(
    request_id: str, number: int, ids: list[int], logprobs: torch.Tensor
) -> Iterator[ScorePartEvent]:
    told = logprobs.float().clamp(min=LEAST_LOGPROB).tolist()
    for at in range(0, len(ids), MAX_PART_TOKENS):
        yield ScorePartEvent(
            id=request_id,
            item=number,
            token_ids=ids[at : at + MAX_PART_TOKENS],
            logprobs=told[at : at + MAX_PART_TOKENS],
        )


def score_window(loaded: LoadedModel, window: Window, pauses: "Pauses") -> Scored:
    """Run a window through the model and look up its scored tokens."""
    with torch.inference_mode(), pauses.in_model(loaded.model):
        ids = torch.tensor([window.ids], dtype=torch.long, device=loaded.device)
        wanted = ids[0, -window.scored :]
        found, greedy = [], []
        for first, logits in last_logits(loaded, ids[:, :-1], window.scored, pauses):
            logprobs = log_softmax(logits, dim=-1)
            places = wanted[first : first + logits.shape[1]]
            found.append(logprobs.gather(2, places[None, :, None])[..., 0])
            greedy.append(logprobs.argmax(dim=-1)[0])
        return Scored(torch.cat(found, dim=1), torch.cat(greedy))


def last_logits(
    loaded: LoadedModel, ids: torch.Tensor, count: int, pauses: "Pauses"
) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield the logits of the last ``count`` places of ``ids`` in pieces.

    Args:
        loaded: The model.
        ids: What it reads, shape ``(1, tokens)``.
        count: Places that are wanted, at most ``tokens``.
        pauses: Asked between pieces.

    Yields:
        (place of the first row among the wanted ones, logits of shape ``(1, rows, vocabulary)``).
    """
    hidden, logits = _hidden_states(loaded, ids)
    start = ids.shape[1] - count
    if hidden is None:
        yield 0, logits[:, start:]
        return
    del logits
    for begin, end in _chunks(ids.shape[1], loaded.vocabulary):
        if end > start:
            pauses.pause()
            rows = loaded.model.get_output_embeddings()(hidden[:, begin:end])
            skipped = max(0, start - begin)
            yield begin + skipped - start, rows[:, skipped:]


def _hidden_states(
    loaded: LoadedModel, ids: torch.Tensor
) -> tuple[torch.Tensor | None, torch.Tensor]:
    """Run the model without the head: (what the head reads, logits of the last place).

    ``None`` and all logits for models that do more after the head than the head (soft caps).
    """
    head = loaded.model.get_output_embeddings()
    seen: dict[str, torch.Tensor] = {}
    thread = threading.get_ident()  # others write meanwhile, in theirs

    def cut(_: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor] | None:
        if threading.get_ident() != thread:
            return None
        seen["hidden"] = inputs[0]
        return (inputs[0][:, -1:],)

    def keep(_: Any, __: Any, output: torch.Tensor) -> None:
        if threading.get_ident() == thread:
            seen["logits"] = output

    hooks = [] if head is None else [head.register_forward_pre_hook(cut)]
    hooks += [] if head is None else [head.register_forward_hook(keep)]
    try:
        logits = loaded.model(input_ids=ids).logits
    finally:
        for hook in hooks:
            hook.remove()
    hidden = seen.get("hidden")
    is_plain = (
        hidden is not None
        and hidden.shape[:2] == ids.shape
        and torch.equal(logits.to(seen["logits"].dtype), seen["logits"])
    )
    return (hidden, logits) if is_plain else (None, loaded.model(input_ids=ids).logits)


def _chunks(tokens: int, vocabulary: int) -> Iterator[tuple[int, int]]:
    rows = max(2 * _FEWEST_ROWS, _CHUNK_BYTES // (4 * vocabulary))
    begin = 0
    while begin < tokens:
        end = begin + rows
        end = tokens if tokens - end < _FEWEST_ROWS else end
        yield begin, end
        begin = end


# ── as the harness reads texts ──────────────────────────────────────────────────────────────────


def windows_of(loaded: LoadedModel, item: PairItem | RollingItem) -> list[Window]:
    """Cut an item into forward passes.

    Raises:
        RefusedError: nothing is there to be scored, or more than the model reads.
    """
    if isinstance(item, RollingItem):
        return list(_rolling(loaded, _encoded(loaded, item.rolling)))
    context, continuation = _pair(loaded, item)
    most = loaded.context_tokens
    if not continuation or not context:
        raise RefusedError("empty_continuation", "There is nothing to be scored after the context.")
    if len(continuation) > most:
        raise RefusedError(
            "prompt_too_long",
            f"The continuation has {len(continuation)} tokens; this model reads {most}.",
        )
    whole = checked_ids(loaded, context + continuation)
    kept = whole[-(most + 1) :]
    return [Window(kept, len(continuation), len(whole) - len(kept))]


def _rolling(loaded: LoadedModel, ids: list[int]) -> Iterator[Window]:
    """Predict each token once, with as much before it as the window leaves.

    Source: ``lm_eval.utils.get_rolling_token_windows`` with ``context_len=1``.
    """
    if not ids:
        return
    checked_ids(loaded, ids)
    most = loaded.context_tokens
    first = min(most, len(ids))
    yield Window([_prefix(loaded), *ids[:first]], first)
    done = first
    while done < len(ids):
        count = min(len(ids) - done, most)
        end = done + count
        yield Window(ids[end - most - 1 : end], count)
        done = end


def _pair(loaded: LoadedModel, item: PairItem) -> tuple[list[int], list[int]]:
    """Return the tokens of context and continuation, never both empty (``_encode_pair``)."""
    context, continuation = item.context, item.continuation
    if not context:
        ids = _encoded(loaded, continuation, add_special_tokens=False)
        prefix = _prefix(loaded)
        return ([prefix], ids) if ids[:1] != [prefix] else (ids[:1], ids[1:])
    spaces = len(context) - len(context.rstrip())
    if spaces > 0:
        continuation = context[-spaces:] + continuation
        context = context[:-spaces]
    whole = _encoded(loaded, context + continuation)
    begin = _encoded(loaded, context)
    return begin, whole[len(begin) :]


def _encoded(loaded: LoadedModel, text: str, **options: Any) -> list[int]:
    tokenizer = loaded.tokenizer
    try:
        prefix = prefix_id(loaded)
        if not options and prefix is not None and text.startswith(tokenizer.decode(prefix)):
            options = {"add_special_tokens": False}
        return [int(token) for token in tokenizer.encode(text, **options)]
    except Exception as exc:
        raise RefusedError("bad_tokenizer", f"The tokenizer failed: {type(exc).__name__}") from exc


def prefix_id(loaded: LoadedModel) -> int | None:
    """Return the token that stands before texts without a context, if the tokenizer has one."""
    for found in (loaded.tokenizer.bos_token_id, loaded.tokenizer.eos_token_id):
        if isinstance(found, int):
            return found
    return None


def _prefix(loaded: LoadedModel) -> int:
    found = prefix_id(loaded)
    if found is None:
        raise RefusedError("empty_prompt", "This model has no token to begin a text with.")
    return checked_ids(loaded, [found])[0]

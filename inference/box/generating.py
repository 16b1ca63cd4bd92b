"""The step loop: one forward pass a token, with a key-value cache, streaming every sequence.

Greedy output equals ``model.generate(do_sample=False)`` token by token, and a single sampled
sequence equals ``torch.manual_seed(seed)`` before ``model.generate(do_sample=True)`` on the same
device: the same processors in the same order, the same draw. Several sequences share the prompt's
cache, and each draws from a generator of its own, so that none depends on its neighbors.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import DynamicCache
from transformers.generation.logits_process import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from inference.box.detokenizing import Detokenizer, StopTexts
from inference.box.loading import LoadedModel, RefusedError, is_out_of_memory, rss_bytes
from inference.box.params import SamplingParams
from inference.box.protocol import (
    DoneEvent,
    EndedEvent,
    Event,
    FinishReason,
    GenerateRequest,
    StartedEvent,
    TokenEvent,
)


@dataclass
class _Sequence:
    index: int
    detokenizer: Detokenizer
    stops: StopTexts
    generator: torch.Generator
    new_tokens: int = 0
    reason: FinishReason | None = None


@dataclass
class _Batch:
    """Sequences still being made, and what the model has seen of them.

    Attributes:
        live: Sequences, in the order of the rows below.
        ids: Prompt and answer so far, shape ``(len(live), tokens)``.
        cache: Keys and values, ``None`` for models that keep none.
        logits: Scores of the next token, float32, shape ``(len(live), vocabulary)``.
    """

    live: list[_Sequence]
    ids: torch.Tensor
    cache: DynamicCache | None
    logits: torch.Tensor = field(init=False)


def generate(
    loaded: LoadedModel, request: GenerateRequest, is_cancelled: Callable[[str], bool]
) -> Iterator[Event]:
    """Continue the prompt; yield one event a token, one a sequence's end, and a last one.

    Args:
        loaded: The model.
        request: Prompt and parameters.
        is_cancelled: Asked before every step whether to end.

    Raises:
        RefusedError: the prompt leaves no room, the model's numbers are not finite, or it fails.
    """
    started = time.monotonic()
    prompt_ids = _prompt_ids(loaded, request.prompt)
    room = loaded.context_tokens - len(prompt_ids)
    if room < 1:
        raise RefusedError(
            "prompt_too_long",
            f"The prompt has {len(prompt_ids)} tokens; this model reads "
            f"{loaded.context_tokens - 1} at most and needs room for an answer. Shorten it.",
        )
    most = min(request.params.max_new_tokens, room)
    yield StartedEvent(id=request.id, prompt_tokens=len(prompt_ids), max_new_tokens=most)
    sequences = _sequences(loaded, request.params, prompt_ids)
    first_token_s = 0.0
    try:
        with torch.inference_mode():
            for event in _steps(loaded, request, prompt_ids, sequences, most, is_cancelled):
                first_token_s = first_token_s or time.monotonic() - started
                yield event
    except (RuntimeError, ValueError, IndexError, MemoryError) as exc:
        if is_out_of_memory(exc):
            raise RefusedError(
                "out_of_memory", "The answer needs more memory than the box has."
            ) from exc
        line = str(exc).strip().splitlines()[:1]
        raise RefusedError("cannot_generate", f"The model failed. {' '.join(line)[:500]}") from exc
    yield DoneEvent(
        id=request.id,
        prompt_tokens=len(prompt_ids),
        new_tokens=sum(sequence.new_tokens for sequence in sequences),
        first_token_s=first_token_s,
        generate_s=time.monotonic() - started,
        rss_bytes=rss_bytes(),
    )


def _prompt_ids(loaded: LoadedModel, prompt: str) -> list[int]:
    try:
        ids = [int(token) for token in loaded.tokenizer(prompt)["input_ids"]]
    except Exception as exc:
        raise RefusedError("bad_tokenizer", f"The tokenizer failed: {type(exc).__name__}") from exc
    if not ids:
        start = loaded.tokenizer.bos_token_id
        ids = [start] if isinstance(start, int) else sorted(loaded.end_ids)[:1]
    if not ids:
        raise RefusedError("empty_prompt", "This model cannot begin by itself; write a prompt.")
    if max(ids) >= loaded.vocabulary:
        raise RefusedError(
            "bad_tokenizer",
            f"The tokenizer gives token {max(ids)}, the model knows {loaded.vocabulary}.",
        )
    return ids


def _sequences(
    loaded: LoadedModel, params: SamplingParams, prompt_ids: list[int]
) -> list[_Sequence]:
    def decode(ids: Any) -> str:
        text = loaded.tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(text)

    made = []
    for index in range(params.num_sequences):
        generator = torch.Generator(device=loaded.device)
        generator.manual_seed(params.seed + index)
        detokenizer = Detokenizer(decode, prompt_ids)
        made.append(_Sequence(index, detokenizer, StopTexts(params.stop), generator))
    return made


def _processors(params: SamplingParams) -> LogitsProcessorList:
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


def _steps(
    loaded: LoadedModel,
    request: GenerateRequest,
    prompt_ids: list[int],
    sequences: list[_Sequence],
    most: int,
    is_cancelled: Callable[[str], bool],
) -> Iterator[TokenEvent | EndedEvent]:
    processors = _processors(request.params)
    batch = _read_prompt(loaded, prompt_ids, sequences)
    while batch.live:
        if is_cancelled(request.id):
            for sequence in batch.live:
                yield _ended(request.id, sequence, "cancelled")
            return
        chosen = _choose(batch, processors, greedy=request.params.temperature == 0)
        for sequence, token_id in zip(batch.live, chosen.tolist(), strict=True):
            yield from _take(loaded, request.id, sequence, token_id, most)
        _advance(loaded, batch, chosen)


def _read_prompt(loaded: LoadedModel, prompt_ids: list[int], sequences: list[_Sequence]) -> _Batch:
    """Run the prompt once and share its cache between all sequences."""
    ids = torch.tensor([prompt_ids], device=loaded.device)
    stateless = loaded.model._is_stateful  # noqa: SLF001 - state-space models keep no such cache
    cache = None if stateless else DynamicCache(config=loaded.model.config)
    batch = _Batch(list(sequences), ids, cache)
    batch.logits = _forward(loaded, batch, ids)
    rows = len(sequences)
    if rows > 1:
        batch.ids = batch.ids.repeat(rows, 1)
        batch.logits = batch.logits.repeat(rows, 1)
        if cache is not None:
            cache.batch_repeat_interleave(rows)
    return batch


def _forward(loaded: LoadedModel, batch: _Batch, ids: torch.Tensor) -> torch.Tensor:
    if batch.cache is None:
        output = loaded.model(input_ids=batch.ids, use_cache=False)
    else:
        output = loaded.model(input_ids=ids, past_key_values=batch.cache, use_cache=True)
    logits: torch.Tensor = output.logits[:, -1].to(dtype=torch.float32, copy=True)
    if logits.isnan().any():
        raise RefusedError("not_finite", "The model's scores are not numbers; its weights are bad.")
    return logits


def _choose(batch: _Batch, processors: LogitsProcessorList, *, greedy: bool) -> torch.Tensor:
    """Return the next token of each row, shape ``(rows,)``."""
    scores: torch.Tensor = processors(batch.ids, batch.logits)  # type: ignore[arg-type]
    if greedy:
        return scores.argmax(dim=-1)
    probabilities = torch.softmax(scores, dim=-1)
    drawn = [
        torch.multinomial(row, 1, generator=sequence.generator)
        for row, sequence in zip(probabilities, batch.live, strict=True)
    ]
    return torch.cat(drawn)


def _take(
    loaded: LoadedModel, request_id: str, sequence: _Sequence, token_id: int, most: int
) -> Iterator[TokenEvent | EndedEvent]:
    """Add one token to a sequence and end it if it is complete."""
    is_end = token_id in loaded.end_ids
    text = "" if is_end else sequence.stops.push(sequence.detokenizer.push(token_id))
    yield TokenEvent(
        id=request_id,
        sequence=sequence.index,
        number=sequence.new_tokens,
        token_id=token_id,
        text=text,
    )
    sequence.new_tokens += 1
    if is_end or sequence.stops.is_reached:
        yield _ended(request_id, sequence, "stop")
    elif sequence.new_tokens >= most:
        yield _ended(request_id, sequence, "length")


def _ended(request_id: str, sequence: _Sequence, reason: FinishReason) -> EndedEvent:
    """Give out what was held back; a stop text may be complete only now."""
    rest = ""
    if not sequence.stops.is_reached:
        rest = sequence.stops.push(sequence.detokenizer.finish())
    if sequence.stops.is_reached:
        reason = "stop"
    else:
        rest += sequence.stops.finish()
    sequence.reason = reason
    return EndedEvent(
        id=request_id,
        sequence=sequence.index,
        finish_reason=reason,
        new_tokens=sequence.new_tokens,
        text=rest,
    )


def _advance(loaded: LoadedModel, batch: _Batch, chosen: torch.Tensor) -> None:
    """Drop rows that have ended and run the others one token further."""
    kept = [row for row, sequence in enumerate(batch.live) if sequence.reason is None]
    if not kept:
        batch.live = []
        return
    if len(kept) < len(batch.live):
        rows = torch.tensor(kept, device=loaded.device)
        batch.live = [batch.live[row] for row in kept]
        batch.ids, chosen = batch.ids[rows], chosen[rows]
        if batch.cache is not None:
            batch.cache.batch_select_indices(rows)
    fresh = chosen[:, None]
    batch.ids = torch.cat([batch.ids, fresh], dim=-1)
    batch.logits = _forward(loaded, batch, fresh)

"""Beam search: transformers' own ``generate``, beside the steps of those who write.

Texts equal ``model.generate(num_beams=…, do_sample=False)`` token by token. After each of its steps
other questions come to their turn, and in the middle of one it pauses as all questions do, so a
stream of somebody else goes on meanwhile.
"""

import copy
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from inference.box.beam_messages import BeamRequest, BeamStepEvent
from inference.box.detokenizing import CONTEXT_TOKENS
from inference.box.loading import LoadedModel
from inference.box.params import MAX_STOP_CHARS
from inference.box.pauses import EndedError, Pauses
from inference.box.protocol import Event, GenerateRequest
from inference.box.sequences import Answer, Running, running_of, text_of

_TAIL_TOKENS = MAX_STOP_CHARS + 16
"""The end of a text, in which a stop text is looked for: a token seldom says nothing."""


def beams(loaded: LoadedModel, request: BeamRequest, pauses: Pauses) -> Iterator[Event]:
    """Read a request's prompt, here and now; return what searches when it is iterated.

    Raises:
        RefusedError: as :func:`~inference.box.sequences.running_of`.
    """
    asked = GenerateRequest(
        id=request.id,
        prompt=request.prompt,
        messages=request.messages,
        prompt_ids=request.prompt_ids,
        params=request.params,
    )
    running = running_of(loaded, asked, arrived=time.monotonic())
    pauses.ends_itself = True
    return _search(running, pauses)


def _search(running: Running, pauses: Pauses) -> Iterator[Event]:
    yield running.started()
    watch = _Watch(running, pauses)
    found: list[list[int]] = [[] for _ in running.answers]
    pauses.is_breakable = True
    if not pauses.is_cancelled:
        with suppress(EndedError):  # before the first token; there is nothing to be kept
            found = _generated(running, watch, pauses)
    pauses.is_breakable = False
    running.first_token_s = time.monotonic() - running.arrived
    for answer, ids in zip(running.answers, found, strict=True):
        yield from _taken(answer, ids, is_cancelled=pauses.is_cancelled)
    yield running.done().model_copy(update={"new_tokens": watch.computed_tokens})


def _taken(answer: Answer, ids: list[int], *, is_cancelled: bool) -> Iterator[Event]:
    """Yield a finished text, token by token, and its end."""
    for token_id in ids:
        yield from answer.take(token_id, None)
        if answer.reason is not None:
            return
    yield answer.end("cancelled" if is_cancelled else "stop")


def _generated(running: Running, watch: "_Watch", pauses: Pauses) -> list[list[int]]:
    """Return the new tokens of the best beams, the best first."""
    loaded, params = running.loaded, running.params
    # What the publisher wrote into generation_config.json would fill in whatever is not named. The
    # copy has the same weights: the model itself stays as it was loaded.
    model = copy.copy(loaded.model)
    model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
    ends = sorted(loaded.end_ids)
    config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=running.most,
        do_sample=False,
        num_beams=params.num_beams,
        num_return_sequences=params.num_sequences,
        length_penalty=params.length_penalty,
        early_stopping=params.early_stopping,
        repetition_penalty=params.repetition_penalty,
        eos_token_id=ends or None,
        pad_token_id=ends[0] if ends else 0,
        return_dict_in_generate=True,
    )
    ids = torch.tensor([running.prompt_ids], device=loaded.device)
    with pauses.in_model(loaded.model):
        output: Any = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            generation_config=config,
            stopping_criteria=StoppingCriteriaList([watch]),
        )
    counts = (output.beam_indices >= 0).sum(dim=1).tolist()
    new = output.sequences[:, ids.shape[1] :].tolist()
    return [row[:count] for row, count in zip(new, counts, strict=True)]


class _Watch(StoppingCriteria):
    """Looks at every step: counts it, lets others work, ends texts at stop texts.

    Args:
        running: The request.
        pauses: Where it waits.

    Attributes:
        computed_tokens: On all beams so far.
    """

    def __init__(self, running: Running, pauses: Pauses) -> None:
        self._running = running
        self._pauses = pauses
        self.computed_tokens = 0

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Return which candidates end here, shape ``(candidates,)``; all, once it is cancelled."""
        self._pauses.is_breakable = False
        self.computed_tokens += self._running.params.num_beams
        self._pauses.tell(BeamStepEvent(id=self._running.id, new_tokens=self.computed_tokens))
        self._pauses.between()
        ended = [self._pauses.is_cancelled or self._is_stopped(row) for row in input_ids.tolist()]
        return torch.tensor(ended, dtype=torch.bool, device=input_ids.device)

    def _is_stopped(self, ids: list[int]) -> bool:
        stops = self._running.params.stop
        if not stops:
            return False
        fresh = min(len(ids) - len(self._running.prompt_ids), _TAIL_TOKENS)
        tail = ids[-(fresh + CONTEXT_TOKENS) :]
        before = text_of(self._running.loaded, tail[: len(tail) - fresh])
        text = text_of(self._running.loaded, tail)[len(before) :]
        return any(stop in text for stop in stops)

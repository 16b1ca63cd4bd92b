"""Tells a prompt back with the probability of each token, as ``echo`` of OpenAI's completions does.

The forward pass is that of the scores (:mod:`inference.box.scoring`), so the numbers are the same.
"""

from collections.abc import Iterator
from functools import partial

import torch
from torch.nn.functional import log_softmax

from inference.box.detokenizing import Detokenizer
from inference.box.echo_messages import (
    MAX_ECHOED,
    EchoedEvent,
    EchoPartEvent,
    EchoRequest,
    EchoToken,
)
from inference.box.loading import LoadedModel, RefusedError, not_finite
from inference.box.pauses import Pauses
from inference.box.protocol import Event
from inference.box.sampling import LEAST_LOGPROB, Scores, likeliest
from inference.box.scoring import last_logits
from inference.box.sequences import alternatives_of, given_ids, prompt_ids_of, text_of, token_text

_PIECE_CHARS = 400
"""What one token adds at most; a longer one is cut."""


def echo(loaded: LoadedModel, request: EchoRequest, pauses: Pauses) -> Iterator[Event]:
    """Read a prompt, here and now; return what tells it when it is iterated.

    Raises:
        RefusedError: the tokenizer fails, a token is unknown, the prompt is too long for the model
            or has too many tokens for so many alternatives.
    """
    if request.prompt_ids is None:
        ids = prompt_ids_of(loaded, request.prompt)
    else:
        ids = given_ids(loaded, request.prompt_ids)
    if len(ids) > loaded.context_tokens:
        raise RefusedError(
            "prompt_too_long",
            f"The prompt has {len(ids)} tokens; this model reads {loaded.context_tokens}.",
        )
    told = len(ids) * (1 + (request.top or 0))
    if request.top is not None and told > MAX_ECHOED:
        raise RefusedError(
            "too_many_probabilities",
            f"{told} probabilities of the prompt are more than {MAX_ECHOED}; ask for fewer"
            " alternatives, or shorten it.",
        )
    return _told(loaded, request, ids, pauses)


def _told(
    loaded: LoadedModel, request: EchoRequest, ids: list[int], pauses: Pauses
) -> Iterator[Event]:
    scores = [] if request.top is None else _scores(loaded, ids, request.top, pauses)
    tokens = _tokens(loaded, ids, scores)
    size = request.tokens_in_part
    for at in range(0, len(tokens), size):
        yield EchoPartEvent(id=request.id, tokens=tokens[at : at + size])
    yield EchoedEvent(id=request.id, prompt_tokens=len(ids))


def _scores(loaded: LoadedModel, ids: list[int], top: int, pauses: Pauses) -> list[Scores]:
    """Return how likely each token but the first is."""
    found: list[Scores] = []
    if len(ids) == 1:
        return found
    with torch.inference_mode(), pauses.in_model(loaded.model):
        given = torch.tensor([ids[:-1]], dtype=torch.long, device=loaded.device)
        for first, logits in last_logits(loaded, given, len(ids) - 1, pauses):
            logprobs = log_softmax(logits, dim=-1)[0].float().clamp(min=LEAST_LOGPROB)
            if logprobs.isnan().any():
                raise not_finite()
            wanted = ids[first + 1 : first + 1 + len(logprobs)]
            for row, token_id in zip(logprobs, wanted, strict=True):
                found.append(Scores(float(row[token_id]), likeliest(row, top)))
    return found


def _tokens(loaded: LoadedModel, ids: list[int], scores: list[Scores]) -> list[EchoToken]:
    detokenizer = Detokenizer(partial(text_of, loaded), [])
    pieces = [detokenizer.push(token_id) for token_id in ids]
    pieces[-1] += detokenizer.finish()
    found = []
    for place, (token_id, piece) in enumerate(zip(ids, pieces, strict=True)):
        its = scores[place - 1] if scores and place else None
        found.append(
            EchoToken(
                token_id=token_id,
                token=token_text(loaded, token_id),
                text=piece[:_PIECE_CHARS],
                logprob=None if its is None else its.logprob,
                top=[] if its is None else alternatives_of(loaded, its.top),
            )
        )
    return found

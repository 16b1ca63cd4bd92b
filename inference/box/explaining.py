"""Explains a text: chances of its tokens, what a token came from, what each layer thought."""

import base64
import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from inference.box.explain_messages import (
    CHANCES_AT_ONCE,
    MAX_CHANCES,
    MAX_EXPLAIN_TOKENS,
    MAX_PROMPT_CHANCES,
    MAX_WALK_TOKENS,
    PIECES_AT_ONCE,
    TEMPERATURES,
    TILE,
    WALK_DIMENSIONS,
    WALK_DRAWS,
    WALK_TOP,
    AttentionEvent,
    Chance,
    ChancesEvent,
    ExplainAnswer,
    ExplainedEvent,
    ExplainRequest,
    LensEvent,
    Looked,
    PiecesEvent,
    ReadEvent,
    SaliencyEvent,
    WalkEvent,
    WalkScore,
)
from inference.box.insight import Insight
from inference.box.loading import LoadedModel, RefusedError, not_finite
from inference.box.sampling import LEAST_LOGPROB, likeliest
from inference.box.scoring import last_logits
from inference.box.sequences import (
    alternatives_of,
    checked_ids,
    ids_read,
    prompt_ids_of,
    token_text,
)

if TYPE_CHECKING:
    from inference.box.pauses import Pauses

_LOOKED = 16


def explain(
    loaded: LoadedModel, request: ExplainRequest, pauses: "Pauses"
) -> Iterator[ExplainAnswer]:
    """Answer one question about a text.

    Raises:
        RefusedError: the text is too long, the place is not in it, or the model is of a kind that
            cannot be asked this (``unsupported``).
    """
    began = time.monotonic()
    explanation = _Explanation(loaded, request, pauses)
    yield explanation.read
    yield from explanation.pieces()
    with pauses.in_model(loaded.model):
        yield from getattr(explanation, request.kind)()
    yield ExplainedEvent(id=request.id, explain_s=time.monotonic() - began)


def texts_ids(loaded: LoadedModel, request: ExplainRequest) -> tuple[list[int], list[int]]:
    """Return the tokens of prompt and answer.

    Raises:
        RefusedError: there are none, or more than can be explained; the chat template fails.
    """
    prompt = ids_read(loaded, request)
    if request.answer_ids is not None:
        answer = list(request.answer_ids)
    elif request.answer:
        answer = prompt_ids_of(loaded, request.answer, add_special_tokens=False)
    else:
        answer = []
    most = MAX_WALK_TOKENS if request.kind == "walk" else MAX_EXPLAIN_TOKENS
    most = min(most, loaded.context_tokens)
    if len(prompt) + len(answer) > most:
        raise RefusedError(
            "prompt_too_long",
            f"The text has {len(prompt) + len(answer)} tokens; {most} can be explained. "
            "Take a shorter one.",
        )
    checked_ids(loaded, prompt + answer)
    return prompt, answer


class _Explanation:
    """One question under way."""

    def __init__(self, loaded: LoadedModel, request: ExplainRequest, pauses: "Pauses") -> None:
        self.loaded = loaded
        self.request = request
        self.pauses = pauses
        prompt, answer = texts_ids(loaded, request)
        self.ids = prompt + answer
        self.insight = Insight(loaded, pauses)
        start = max(1, len(prompt) - MAX_PROMPT_CHANCES, len(self.ids) - MAX_CHANCES)
        self.read = ReadEvent(
            id=request.id,
            prompt_tokens=len(prompt),
            tokens=len(self.ids),
            layers=len(self.insight.layers),
            heads=self.insight.heads,
            target=self._target(len(prompt)),
            chances_from=min(start, len(self.ids)),
        )

    def _target(self, prompt_tokens: int) -> int:
        last = len(self.ids) - 1
        target = self.request.target
        if target is None:
            return min(prompt_tokens, last)
        needs_before = self.request.kind in {"saliency", "lens"}
        if target > last or (needs_before and target == 0):
            raise RefusedError(
                "no_such_token", f"There is no token {target} that has others before it."
            )
        return target

    def _tensor(self, ids: list[int]) -> torch.Tensor:
        return torch.tensor([ids], dtype=torch.long, device=self.loaded.device)

    def pieces(self) -> Iterator[PiecesEvent]:
        """Yield the tokens."""
        for at in range(0, len(self.ids), PIECES_AT_ONCE):
            ids = self.ids[at : at + PIECES_AT_ONCE]
            texts = [token_text(self.loaded, token_id) for token_id in ids]
            yield PiecesEvent(id=self.request.id, first=at, token_ids=ids, texts=texts)

    def _chance(self, logits: torch.Tensor, token_id: int) -> Chance:
        """Return how likely a token is under logits of shape ``(vocabulary,)``."""
        logprobs = torch.log_softmax(logits.float(), dim=-1)
        if logprobs.isnan().any():
            raise not_finite()
        logprobs = logprobs.clamp(min=LEAST_LOGPROB)
        top = alternatives_of(self.loaded, likeliest(logprobs, self.request.top))
        rank = int((logprobs > logprobs[token_id]).sum()) + 1
        return Chance(logprob=float(logprobs[token_id]), rank=rank, top=top)

    def tokens(self) -> Iterator[ChancesEvent]:
        """Yield how likely each token was, the model reading what really stands before it."""
        first = self.read.chances_from
        chances: list[Chance] = []
        if first == len(self.ids):
            return
        with torch.inference_mode():
            ids = self._tensor(self.ids)
            wanted = len(self.ids) - first
            for at, logits in last_logits(self.loaded, ids[:, :-1], wanted, self.pauses):
                for row in range(logits.shape[1]):
                    self.pauses.pause()
                    chances.append(self._chance(logits[0, row], self.ids[first + at + row]))
        for at in range(0, len(chances), CHANCES_AT_ONCE):
            part = chances[at : at + CHANCES_AT_ONCE]
            yield ChancesEvent(id=self.request.id, first=first + at, chances=part)

    def saliency(self) -> Iterator[SaliencyEvent]:
        """Yield gradient x input of the target's logit, for each token before it.

        Source: Simonyan et al. 2013 (arXiv:1312.6034) took gradients as saliency, Denil et al.
        2014 (arXiv:1412.6815) multiplied them with the input embedding; shares are L2 norms that
        add up to 1, as in ecco (Alammar 2021).
        """
        target = self.read.target
        if target == 0:
            raise RefusedError("no_such_token", "Nothing stands before the first token.")
        logit, products = self.insight.gradient_x_input(
            self._tensor(self.ids[:target]), self.ids[target]
        )
        if not products.isfinite().all():
            raise RefusedError("not_finite", "The gradients of this model are not numbers.")
        norms = products.norm(dim=-1)
        shares = norms / norms.sum().clamp(min=1e-30)
        yield SaliencyEvent(
            id=self.request.id,
            logit=logit,
            shares=shares.tolist(),
            effects=products.sum(dim=-1).tolist(),
        )

    def attention(self) -> Iterator[AttentionEvent]:
        """Yield a tile of attention weights, and where the target looks."""
        request, total = self.request, len(self.ids)
        if request.first >= total:
            raise RefusedError("no_such_token", f"There is no token {request.first}.")
        window = min(request.window or total, total - request.first)
        weights = self.insight.attention(self._tensor(self.ids), request.layer, request.head)
        end = request.first + window
        cell = -(-window // TILE)
        tile = pooled(weights[request.first : end, request.first : end], cell, request.pool)
        scale = float(tile.max())
        levels = (tile / max(scale, 1e-12) * 255).round().to(torch.uint8)
        strongest = likeliest(weights[self.read.target, : self.read.target + 1], _LOOKED)
        yield AttentionEvent(
            id=request.id,
            first=request.first,
            window=window,
            cell=cell,
            side=tile.shape[0],
            scale=scale,
            cells=base64.b64encode(bytes(levels.flatten().tolist())).decode(),
            looked=[Looked(position=at, weight=weight) for at, weight in strongest],
        )

    def lens(self) -> Iterator[LensEvent]:
        """Yield what the model would say after each layer (nostalgebraist 2020, "logit lens")."""
        target = self.read.target
        if target == 0:
            raise RefusedError("no_such_token", "Nothing stands before the first token.")
        layers = self.insight.lens(self._tensor(self.ids[:target]))
        for layer, logits in enumerate(layers):
            chance = self._chance(logits, self.ids[target])
            yield LensEvent(id=self.request.id, layer=layer, chance=chance)

    def walk(self) -> Iterator[WalkEvent]:
        """Yield the true numbers of each station from a prompt to the next token."""
        ids = self._tensor(self.ids)
        attention: list[list[float]] = []
        if self.insight.heads:
            weights = self.insight.attention(ids, self.request.layer, self.request.head)
            attention = weights.tolist()
        with torch.inference_mode():
            embedded = self.loaded.model.get_input_embeddings()(ids)[0].float()
            ((_, logits),) = last_logits(self.loaded, ids, 1, self.pauses)
        scores = logits[0, -1].float()
        if not scores.isfinite().all() or not embedded.isfinite().all():
            raise RefusedError("not_finite", "The model's numbers are not numbers.")
        chances = [torch.softmax(scores / temperature, dim=-1) for temperature in TEMPERATURES]
        yield WalkEvent(
            id=self.request.id,
            dimensions=embedded.shape[1],
            embeddings=embedded[:, :WALK_DIMENSIONS].tolist(),
            attention=attention,
            scores=[
                WalkScore(
                    token_id=token_id,
                    text=token_text(self.loaded, token_id),
                    logit=logit,
                    chances=[float(each[token_id]) for each in chances],
                )
                for token_id, logit in likeliest(scores, WALK_TOP)
            ],
            vocabulary=scores.shape[0],
            draws=[self._draws(each) for each in chances],
        )

    def _draws(self, chances: torch.Tensor) -> list[str]:
        generator = torch.Generator(device=chances.device).manual_seed(self.request.seed)
        drawn = torch.multinomial(chances, WALK_DRAWS, replacement=True, generator=generator)
        return [token_text(self.loaded, int(token_id)) for token_id in drawn.tolist()]


def pooled(weights: torch.Tensor, cell: int, how: str) -> torch.Tensor:
    """Return a square matrix in cells of ``cell`` x ``cell`` numbers.

    Args:
        weights: Shape ``(tokens, tokens)``, not negative.
        cell: Numbers of a cell in each direction; those at the end may have fewer.
        how: ``max`` or ``mean`` of the numbers of a cell.

    Returns:
        Shape ``(side, side)`` with ``side = ceil(tokens / cell)``.
    """
    tokens = weights.shape[0]
    side = math.ceil(tokens / cell)
    spare = side * cell - tokens
    padded = torch.nn.functional.pad(weights, (0, spare, 0, spare))
    cells = padded.reshape(side, cell, side, cell)
    if how == "max":
        return cells.amax(dim=(1, 3))
    ones = torch.nn.functional.pad(torch.ones_like(weights), (0, spare, 0, spare))
    counts = ones.reshape(side, cell, side, cell).sum(dim=(1, 3))
    return cells.sum(dim=(1, 3)) / counts

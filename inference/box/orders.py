"""Which events a box may answer a request with, and in which order. Never imports torch."""

from collections.abc import Callable
from typing import Any, Protocol

from inference.box.asking import (
    Answering,
    Asking,
    ScoreEvent,
    ScorePartEvent,
    ScoreRequest,
    ScoresDoneEvent,
)
from inference.box.beam_messages import BeamRequest, BeamStepEvent
from inference.box.echo_messages import EchoedEvent, EchoPartEvent, EchoRequest, EchoToken
from inference.box.explain_messages import ExplainRequest
from inference.box.explain_order import ExplainOrder
from inference.box.protocol import (
    DoneEvent,
    EndedEvent,
    Event,
    GenerateRequest,
    StartedEvent,
    TokenEvent,
)

GenerationEvent = StartedEvent | TokenEvent | EndedEvent | DoneEvent | BeamStepEvent
AnyAnswer = GenerationEvent | Answering


class Order(Protocol):
    """The answers to one request, as far as they have come."""

    def accepts(self, event: Event) -> bool:
        """Whether ``event`` may come now; takes note of it."""

    def is_last(self, event: Event) -> bool:
        """Whether nothing may follow an accepted event."""


def order_of(request: GenerateRequest | Asking) -> Order:
    """Return what watches over the answers to ``request``."""
    return _ORDERS[type(request)](request)


class GenerationOrder:
    """A beginning; then tokens and ends of each sequence, mixed; then the end of all."""

    def __init__(self, request: GenerateRequest | BeamRequest) -> None:
        self._most = request.params.max_new_tokens
        self._counts = [0] * request.params.num_sequences
        self._open = set(range(request.params.num_sequences))
        self._started = False

    def is_last(self, event: Event) -> bool:
        """Whether nothing may follow."""
        return isinstance(event, DoneEvent)

    def accepts(self, event: Event) -> bool:
        """Whether ``event`` may come now."""
        if isinstance(event, StartedEvent):
            is_first, self._started = not self._started, True
            return is_first and event.max_new_tokens <= self._most
        if not self._started:
            return False
        if isinstance(event, DoneEvent):
            return not self._open and self._accepts_sum(event.new_tokens)
        if isinstance(event, (TokenEvent, EndedEvent)):
            return event.sequence in self._open and self._accepts_part(event)
        return False

    def _accepts_sum(self, new_tokens: int) -> bool:
        return new_tokens == sum(self._counts)

    def _accepts_part(self, event: TokenEvent | EndedEvent) -> bool:
        count = self._counts[event.sequence]
        if isinstance(event, EndedEvent):
            self._open.discard(event.sequence)
            return event.new_tokens == count
        self._counts[event.sequence] = count + 1
        return event.number == count and count < self._most


class BeamOrder(GenerationOrder):
    """The same, with steps before the tokens; what counts are the tokens of all beams."""

    def __init__(self, request: BeamRequest) -> None:
        super().__init__(request)
        self._most_computed = request.params.most_computed_tokens
        self._computed = 0

    def accepts(self, event: Event) -> bool:
        """Whether ``event`` may come now."""
        if not isinstance(event, BeamStepEvent):
            return super().accepts(event)
        before, self._computed = self._computed, event.new_tokens
        is_more = before < event.new_tokens <= self._most_computed
        return is_more and self._started and not any(self._counts)

    def _accepts_sum(self, new_tokens: int) -> bool:
        return sum(self._counts) <= new_tokens == self._computed


class ScoreOrder:
    """Item by item: its parts, where asked for, then its score; then the end."""

    def __init__(self, request: ScoreRequest) -> None:
        self._per_token = request.per_token
        self._most = [item.chars * _TOKENS_PER_CHAR + 2 for item in request.items]
        self._item = 0
        self._told = 0
        self._tokens = 0

    def is_last(self, event: Event) -> bool:
        """Whether nothing may follow."""
        return isinstance(event, ScoresDoneEvent)

    def accepts(self, event: Event) -> bool:
        """Whether ``event`` may come now."""
        if isinstance(event, ScoresDoneEvent):
            return self._item == len(self._most) and event.tokens == self._tokens
        if not isinstance(event, (ScorePartEvent, ScoreEvent)):
            return False
        if self._item == len(self._most) or event.item != self._item:
            return False
        if isinstance(event, ScorePartEvent):
            self._told += len(event.token_ids)
            return (
                self._per_token
                and len(event.token_ids) == len(event.logprobs)
                and self._told <= self._most[self._item]
            )
        return self._accepts_score(event)

    def _accepts_score(self, event: ScoreEvent) -> bool:
        told, self._told = self._told, 0
        is_within = event.tokens <= self._most[self._item]
        self._item += 1
        self._tokens += event.tokens
        return is_within and told == (event.tokens if self._per_token else 0)


class EchoOrder:
    """Parts, then the end. Each token but the first has a score, where they were asked for."""

    def __init__(self, request: EchoRequest) -> None:
        self._top = request.top
        self._ids = request.prompt_ids
        self._most = len(self._ids or ()) or len(request.prompt) * _TOKENS_PER_CHAR + 2
        self._told = 0

    def is_last(self, event: Event) -> bool:
        """Whether nothing may follow."""
        return isinstance(event, EchoedEvent)

    def accepts(self, event: Event) -> bool:
        """Whether ``event`` may come now."""
        if isinstance(event, EchoedEvent):
            return event.prompt_tokens == self._told > 0
        if not isinstance(event, EchoPartEvent):
            return False
        places = range(self._told, self._told + len(event.tokens))
        self._told = places.stop
        return self._told <= self._most and all(map(self._accepts_token, places, event.tokens))

    def _accepts_token(self, place: int, token: EchoToken) -> bool:
        if self._ids is not None and token.token_id != self._ids[place]:
            return False
        has_score = self._top is not None and place > 0
        return (token.logprob is not None) == has_score and len(token.top) <= (self._top or 0)


_TOKENS_PER_CHAR = 16
"""A character is 4 bytes of UTF-8 at most; normalizing may turn one into several."""
_ORDERS: dict[type, Callable[[Any], Order]] = {
    GenerateRequest: GenerationOrder,
    ScoreRequest: ScoreOrder,
    ExplainRequest: ExplainOrder,
    BeamRequest: BeamOrder,
    EchoRequest: EchoOrder,
}

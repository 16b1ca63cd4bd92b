"""Questions to a box beside generations, and the events that answer them.

Each question has an id. Its answers come in a fixed order (:mod:`inference.box.orders`) and end
with an event of its own, or with an ``ErrorEvent``.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from inference.box.beam_messages import BeamRequest
from inference.box.echo_messages import EchoedEvent, EchoPartEvent, EchoRequest
from inference.box.explain_messages import ExplainAnswer, ExplainedEvent, ExplainRequest
from inference.box.messages import Count, Logprob, Message, RequestId, Seconds, TokenId

MAX_SCORE_ITEMS = 64
MAX_SCORE_CHARS = 400_000
"""Of all texts of one request together."""
MAX_PART_TOKENS = 1024
"""Tokens told of in one event, so that it stays far below ``MAX_EVENT_BYTES``."""

Text = Annotated[str, Field(max_length=MAX_SCORE_CHARS)]


# ── scores ──────────────────────────────────────────────────────────────────────────────────────


class PairItem(Message):
    """How likely is ``continuation`` after ``context``?"""

    context: Text
    """May be empty: the model's own beginning stands for it."""
    continuation: Text

    @property
    def chars(self) -> int:
        """Length of its texts."""
        return len(self.context) + len(self.continuation)


class RollingItem(Message):
    """How likely is a whole text, read window by window?"""

    rolling: Text

    @property
    def chars(self) -> int:
        """Length of its text."""
        return len(self.rolling)


class ScoreRequest(Message):
    """Score texts as lm-evaluation-harness does, one after the other."""

    request: Literal["score"] = "score"
    id: RequestId
    items: Annotated[tuple[PairItem | RollingItem, ...], Field(min_length=1, max_length=64)]
    per_token: bool = False
    """Tell each token's logprob too."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if sum(item.chars for item in self.items) > MAX_SCORE_CHARS:
            raise ValueError(f"Ask for {MAX_SCORE_CHARS} characters at most in one request.")
        return self


class ScorePartEvent(Message):
    """Some tokens of one item, in order; only where ``per_token`` asked for them."""

    event: Literal["score_part"] = "score_part"
    id: RequestId
    item: Annotated[int, Field(ge=0, lt=MAX_SCORE_ITEMS)]
    token_ids: Annotated[list[TokenId], Field(min_length=1, max_length=MAX_PART_TOKENS)]
    logprobs: Annotated[list[Logprob], Field(min_length=1, max_length=MAX_PART_TOKENS)]


class ScoreEvent(Message):
    """One item is scored."""

    event: Literal["score"] = "score"
    id: RequestId
    item: Annotated[int, Field(ge=0, lt=MAX_SCORE_ITEMS)]
    logprob: Annotated[float, Field(ge=-1e12, le=1e6)]
    """Natural logarithm of the probability of all scored tokens together."""
    is_greedy: bool
    """Whether each scored token is the likeliest in its place."""
    tokens: Count
    """Scored tokens."""
    dropped_tokens: Count
    """Tokens of the context that did not fit before them and were left out."""


class ScoresDoneEvent(Message):
    """All items are scored."""

    event: Literal["scores_done"] = "scores_done"
    id: RequestId
    tokens: Count
    """Scored tokens of all items."""
    score_s: Seconds


Asking = ScoreRequest | ExplainRequest | EchoRequest | BeamRequest
"""Anything that is asked."""
Answering = (
    ScorePartEvent | ScoreEvent | ScoresDoneEvent | EchoPartEvent | EchoedEvent | ExplainAnswer
)
"""Anything a question is answered with."""
LAST_ANSWERS = (ScoresDoneEvent, EchoedEvent, ExplainedEvent)
"""What ends an answer that is not refused."""

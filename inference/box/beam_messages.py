"""Asking a box for a beam search, and what it says while one goes on."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from inference.box.conversation import (
    MAX_MESSAGE_CHARS,
    MAX_MESSAGES,
    MAX_PROMPT_IDS,
    ChatMessage,
)
from inference.box.messages import Count, Message, RequestId, TokenId
from inference.box.params import SamplingParams


class BeamRequest(Message):
    """Continue a prompt, or a conversation, by beam search.

    It is answered as a generation is (:class:`~inference.box.orders.BeamOrder`), but all of its
    tokens come at the end: which text is the likeliest shows only then.
    """

    request: Literal["beams"] = "beams"
    id: RequestId
    prompt: Annotated[str, Field(max_length=MAX_MESSAGE_CHARS)] = ""
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)] | None = (
        None
    )
    """Made a prompt by the model's chat template; ``None``: ``prompt`` counts."""
    prompt_ids: Annotated[list[TokenId], Field(min_length=1, max_length=MAX_PROMPT_IDS)] | None = (
        None
    )
    """Tokens in place of ``prompt``, read as they are."""
    params: SamplingParams

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if bool(self.prompt) + (self.messages is not None) + (self.prompt_ids is not None) > 1:
            raise ValueError("A request has a prompt, messages or tokens, not two of them.")
        if self.params.num_beams == 1:
            raise ValueError("One beam is no search.")
        return self


class BeamStepEvent(Message):
    """Every beam is one token further."""

    event: Literal["beam_step"] = "beam_step"
    id: RequestId
    new_tokens: Count
    """Computed so far, on all beams together."""

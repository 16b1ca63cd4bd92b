"""Asking a box for a beam search, and what it says while one goes on."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from inference.box.conversation import MAX_MESSAGE_CHARS, MAX_MESSAGES, ChatMessage
from inference.box.messages import Count, Message, RequestId
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
    params: SamplingParams

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.messages is not None and self.prompt:
            raise ValueError("A request has a prompt or messages, not both.")
        if self.params.num_beams == 1:
            raise ValueError("One beam is no search.")
        return self


class BeamStepEvent(Message):
    """Every beam is one token further."""

    event: Literal["beam_step"] = "beam_step"
    id: RequestId
    new_tokens: Count
    """Computed so far, on all beams together."""

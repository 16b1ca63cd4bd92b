"""Asking a box for a beam search, and what it says while one goes on."""

from typing import Literal, Self

from pydantic import model_validator

from inference.box.messages import Count, Message, RequestId
from inference.box.prompted import PromptedRequest


class BeamRequest(PromptedRequest):
    """Continue a prompt, or a conversation, by beam search.

    It is answered as a generation is (:class:`~inference.box.orders.BeamOrder`), but all of its
    tokens come at the end: which text is the likeliest shows only then.
    """

    request: Literal["beams"] = "beams"

    @model_validator(mode="after")
    def _is_a_search(self) -> Self:
        if self.params.num_beams == 1:
            raise ValueError("One beam is no search.")
        return self


class BeamStepEvent(Message):
    """Every beam is one token further."""

    event: Literal["beam_step"] = "beam_step"
    id: RequestId
    new_tokens: Count
    """Computed so far, on all beams together."""

"""What every request that reads a prompt has in common."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from inference.box.conversation import (
    MAX_MESSAGE_CHARS,
    MAX_MESSAGES,
    MAX_PROMPT_IDS,
    ChatMessage,
    Prompted,
    TokenPrompt,
)
from inference.box.messages import Message, RequestId, TokenId
from inference.box.params import SamplingParams


class ReadingRequest(Message):
    """A prompt, a conversation or tokens: one of them."""

    id: RequestId
    prompt: Annotated[str, Field(max_length=MAX_MESSAGE_CHARS)] = ""
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)] | None = (
        None
    )
    """Made a prompt by the model's chat template, in the box; ``None``: ``prompt`` counts."""
    prompt_ids: Annotated[list[TokenId], Field(min_length=1, max_length=MAX_PROMPT_IDS)] | None = (
        None
    )
    """Tokens in place of ``prompt``, read as they are."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if bool(self.prompt) + (self.messages is not None) + (self.prompt_ids is not None) > 1:
            raise ValueError("A request has a prompt, messages or tokens, not two of them.")
        return self


class PromptedRequest(ReadingRequest):
    """The same, and how to go on."""

    params: SamplingParams


def fields_of(asked: Prompted) -> dict[str, Any]:
    """Return the field of such a request that holds ``asked``."""
    if isinstance(asked, str):
        return {"prompt": asked}
    if isinstance(asked, TokenPrompt):
        return {"prompt_ids": asked.ids}
    return {"messages": list(asked)}

"""A conversation, as pages, API, worker and box share it."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_MESSAGES = 200
"""Most messages of one conversation."""
MAX_MESSAGE_CHARS = 400_000
"""Longest message or prompt that is sent at all; the model's context is usually far shorter."""
MAX_PROMPT_IDS = 400_000
"""Most tokens of a prompt that comes as tokens."""


class ChatMessage(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, Field(max_length=MAX_MESSAGE_CHARS)]


class TokenPrompt(BaseModel):
    """A prompt as the tokens it is made of."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    ids: Annotated[list[Annotated[int, Field(ge=0, le=2**31)]], Field(max_length=MAX_PROMPT_IDS)]


Asked = str | Sequence[ChatMessage]
"""What a model goes on from: a text, or a conversation its chat template makes one of."""
Prompted = Asked | TokenPrompt
"""The same, or tokens."""

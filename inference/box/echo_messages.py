"""Asking a box what a prompt says, token by token, and how likely each of its tokens is."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from inference.box.conversation import MAX_MESSAGE_CHARS, MAX_PROMPT_IDS
from inference.box.messages import Alternative, Count, Logprob, Message, RequestId, TokenId
from inference.box.params import MAX_LOGPROBS

MAX_ECHOED = 20_000
"""Most probabilities one answer tells: of the tokens, and of what else could have come."""
_ENTRIES = 128
"""Most of them in one event: each is half a kilobyte at most."""


class EchoRequest(Message):
    """Tell a prompt back."""

    request: Literal["echo"] = "echo"
    id: RequestId
    prompt: Annotated[str, Field(max_length=MAX_MESSAGE_CHARS)] = ""
    prompt_ids: Annotated[list[TokenId], Field(min_length=1, max_length=MAX_PROMPT_IDS)] | None = (
        None
    )
    """Its tokens; ``None``: ``prompt`` counts."""
    top: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    """Tell how likely each token is, and so many of the likeliest; ``None``: just what it says."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.prompt_ids is not None and self.prompt:
            raise ValueError("A prompt is a text or tokens, not both.")
        return self

    @property
    def tokens_in_part(self) -> int:
        """Most tokens told in one event."""
        return max(1, _ENTRIES // (1 + (self.top or 0)))


class EchoToken(Message):
    """One token of a prompt."""

    token_id: TokenId
    token: Annotated[str, Field(max_length=64, pattern=r"^[^\x00]*$")]
    """What it says by itself."""
    text: Annotated[str, Field(max_length=400, pattern=r"^[^\x00]*$")]
    """What it adds to the text: all of them joined are the prompt."""
    logprob: Logprob | None = None
    """Of the token after all before it; ``None`` for the first."""
    top: Annotated[list[Alternative], Field(max_length=MAX_LOGPROBS)] = []
    """The likeliest tokens in its place, likeliest first."""


class EchoPartEvent(Message):
    """Some tokens of a prompt, in order."""

    event: Literal["echo_part"] = "echo_part"
    id: RequestId
    tokens: Annotated[list[EchoToken], Field(min_length=1, max_length=_ENTRIES)]


class EchoedEvent(Message):
    """All tokens are told."""

    event: Literal["echoed"] = "echoed"
    id: RequestId
    prompt_tokens: Count

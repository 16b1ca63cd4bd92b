"""What all messages between the trusted side and the box are made of."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from inference.box.params import MAX_SEQUENCES

FinishReason = Literal["stop", "length", "cancelled"]
RequestId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
Count = Annotated[int, Field(ge=0, le=2**53)]
Seconds = Annotated[float, Field(ge=0, le=1e7)]
Logprob = Annotated[float, Field(ge=-1e4, le=1e-3)]
"""Natural logarithm of a probability; rounding may lift it above 0 by a little."""
Index = Annotated[int, Field(ge=0, lt=MAX_SEQUENCES)]
Piece = Annotated[str, Field(max_length=8192, pattern=r"^[^\x00]*$")]
"""Text of an answer. No NUL, which no database takes: the box writes U+FFFD for it."""


class Message(BaseModel):
    """A message: no field that is not named here, no number that is not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

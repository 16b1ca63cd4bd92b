"""How to sample: the one definition that pages, API, worker and box share."""

import secrets
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_NEW_TOKENS = 4096
MAX_SEQUENCES = 8
MAX_STOPS = 4
MAX_STOP_CHARS = 64
MAX_LOGPROBS = 20
MAX_SEED = 2**32 - 1
MAX_BIASES = 300


def _new_seed() -> int:
    return secrets.randbelow(MAX_SEED + 1)


class SamplingParams(BaseModel):
    """What to draw and when to end. Every field has hard bounds; out of bounds is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_new_tokens: Annotated[int, Field(ge=1, le=MAX_NEW_TOKENS)] = 128
    """Most tokens to add to the prompt, per sequence; less where the context ends earlier."""
    temperature: Annotated[float, Field(ge=0.0, le=10.0)] = 0.8
    """Divides the logits. 0 always takes the most likely token and draws nothing."""
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Keep the most likely tokens up to this share of probability. 1 keeps all."""
    top_k: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Keep this many of the most likely tokens. 0 keeps all."""
    repetition_penalty: Annotated[float, Field(ge=0.5, le=5.0)] = 1.0
    """Weakens tokens that stand in the prompt or the answer already. 1 does nothing."""
    frequency_penalty: Annotated[float, Field(ge=-2.0, le=2.0)] = 0.0
    """Taken from a token's logit once for each time the answer has it already."""
    presence_penalty: Annotated[float, Field(ge=-2.0, le=2.0)] = 0.0
    """Taken from a token's logit when the answer has it already, however often."""
    logit_bias: Annotated[
        dict[Annotated[int, Field(ge=0)], Annotated[float, Field(ge=-100.0, le=100.0)]],
        Field(max_length=MAX_BIASES),
    ] = {}
    """By token id, what is added to its logit before anything else."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = Field(default_factory=_new_seed)
    """The same seed, prompt, parameters, model and machine give the same text. Sequence ``i``
    is drawn as seed ``seed + i`` would draw it alone."""
    num_sequences: Annotated[int, Field(ge=1, le=MAX_SEQUENCES)] = 1
    """How many answers to draw side by side."""
    stop: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=MAX_STOP_CHARS)], ...],
        Field(max_length=MAX_STOPS),
    ] = ()
    """A sequence ends before the first of these texts."""

    logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    """Tell how likely each token was, and this many of the likeliest; ``None`` tells nothing."""

    @model_validator(mode="after")
    def _greedy_is_one(self) -> "SamplingParams":
        if self.temperature == 0 and self.num_sequences > 1:
            raise ValueError("With temperature 0 all sequences are the same; ask for one.")
        return self

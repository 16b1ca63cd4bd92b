"""How to sample: the one definition that pages, API, worker and box share."""

import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_NEW_TOKENS = 4096
MAX_SEQUENCES = 8
MAX_STOPS = 4
MAX_STOP_CHARS = 64
MAX_LOGPROBS = 20
MAX_SEED = 2**32 - 1
MAX_BIASES = 300
MAX_BEAMS = 8


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
    """How many answers to draw side by side; of a beam search the best so many of its beams."""
    num_beams: Annotated[int, Field(ge=1, le=MAX_BEAMS)] = 1
    """Above 1: draw nothing, follow the likeliest so many texts side by side, and give the best of
    them at the end. Every token of every beam is computed, and counted."""
    length_penalty: Annotated[float, Field(ge=-5.0, le=5.0)] = 1.0
    """A finished beam's logprob is divided by its length to this power: above 0 favors long texts,
    below 0 short ones."""
    early_stopping: bool | Literal["never"] = False
    """When a beam search ends: ``True`` as soon as it has as many finished texts as beams,
    ``False`` when a better one is unlikely, ``"never"`` when there can be none."""
    stop: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=MAX_STOP_CHARS)], ...],
        Field(max_length=MAX_STOPS),
    ] = ()
    """A sequence ends before the first of these texts."""

    logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    """Tell how likely each token was, and this many of the likeliest; ``None`` tells nothing."""

    prompt_logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    """Tell how likely each token of the prompt is, and this many of the likeliest."""
    score_only: bool = False
    """Write nothing: only the prompt's tokens are asked for."""

    @property
    def most_computed_tokens(self) -> int:
        """How many new tokens the model may have to compute, those of lost beams included."""
        if self.score_only:
            return 0
        return self.max_new_tokens * max(self.num_sequences, self.num_beams)

    @model_validator(mode="before")
    @classmethod
    def _beams_need_no_drawing(cls, values: Any) -> Any:
        """Let what is not named be what a beam search takes."""
        if not isinstance(values, Mapping) or values.get("num_beams", 1) in {1, "1", None}:
            return values
        return {"temperature": 0.0, "top_p": 1.0, "top_k": 0, **values}

    @model_validator(mode="after")
    def _greedy_is_one(self) -> Self:
        if self.temperature == 0 and self.num_sequences > max(1, self.num_beams):
            raise ValueError(
                "A beam search gives at most as many texts as it has beams; ask for fewer."
                if self.num_beams > 1
                else "With temperature 0 all sequences are the same; ask for one."
            )
        return self

    @model_validator(mode="after")
    def _scores_are_asked_for(self) -> Self:
        if self.score_only and self.prompt_logprobs is None:
            raise ValueError("score_only tells the prompt's probabilities; ask for some.")
        if self.score_only and max(self.num_sequences, self.num_beams) > 1:
            raise ValueError("Where nothing is written all answers are the same; ask for one.")
        return self

    @model_validator(mode="after")
    def _beams_fit(self) -> Self:
        if self.num_beams == 1:
            if self.length_penalty != 1 or self.early_stopping is not False:
                raise ValueError(
                    "length_penalty and early_stopping are for beam search; set num_beams to 2 or"
                    " more, or leave them out."
                )
            return self
        if (self.temperature, self.top_p, self.top_k) != (0, 1, 0):
            raise ValueError("A beam search draws nothing; leave temperature, top_p and top_k out.")
        if self.frequency_penalty or self.presence_penalty or self.logit_bias:
            raise ValueError(
                "A beam search takes no frequency_penalty, presence_penalty or logit_bias; leave"
                " them out. repetition_penalty works."
            )
        if self.logprobs is not None:
            raise ValueError("A beam search tells no probabilities of tokens; leave logprobs out.")
        return self

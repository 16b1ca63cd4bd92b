"""What a person may ask of a model, bounded before anything is queued."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from django.utils.translation import gettext as _
from pydantic import Field, ValidationError, model_validator

from inference.box.conversation import MAX_MESSAGES, Asked, ChatMessage, Prompted, TokenPrompt
from inference.box.params import SamplingParams
from store.core.errors import InvalidError

MAX_PROMPT_CHARS = 20_000
MAX_PROMPTS = 16
"""Most prompts of one call."""
MAX_TOLD = 20_000
"""Most probabilities one run keeps: of its tokens, and of what else could have come."""


class InvalidParamsError(InvalidError):
    """A value is out of its range; ``extra["fields"]`` says which and why."""

    code = "invalid_params"


class AskedParams(SamplingParams):
    """What the store lets people ask for: the box's own parameters within tighter bounds."""

    max_new_tokens: Annotated[int, Field(ge=1, le=1024)] = 128
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.8
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    top_k: Annotated[int, Field(ge=0, le=1000)] = 50
    repetition_penalty: Annotated[float, Field(ge=0.5, le=2)] = 1.0
    num_sequences: Annotated[int, Field(ge=1, le=4)] = 1

    @model_validator(mode="after")
    def _is_kept(self) -> "AskedParams":
        told = self.max_new_tokens * self.num_sequences * (1 + (self.logprobs or 0))
        if self.logprobs is not None and told > MAX_TOLD:
            raise ValueError(
                f"{told} probabilities are more than {MAX_TOLD}; ask for fewer tokens, sequences"
                " or alternatives."
            )
        return self

    def within(self, context_tokens: int | None) -> "AskedParams":
        """Return the same with no more new tokens than the context can ever hold.

        Args:
            context_tokens: Of the model; ``None`` when unknown. The box, which knows the prompt's
                length in tokens, bounds ``max_new_tokens`` further.
        """
        if context_tokens is None:
            return self
        most = max(1, min(self.max_new_tokens, context_tokens - 1))
        return self.model_copy(update={"max_new_tokens": most})


@dataclass(frozen=True, slots=True)
class Preset:
    """A named choice of sampling values."""

    name: str
    label: str
    help: str
    values: Mapping[str, float]


PRESETS = (
    Preset(
        "balanced",
        "Balanced",
        "Varied but on topic.",
        {"temperature": 0.8, "top_p": 0.95, "top_k": 50, "repetition_penalty": 1.0},
    ),
    Preset(
        "exact",
        "Exact",
        "Always the likeliest token: the same answer every time.",
        {"temperature": 0.0, "top_p": 1.0, "top_k": 0, "repetition_penalty": 1.0},
    ),
    Preset(
        "daring",
        "Daring",
        "Surprising words, little repetition.",
        {"temperature": 1.2, "top_p": 0.98, "top_k": 0, "repetition_penalty": 1.1},
    ),
    Preset(
        "beams",
        "Beams",
        "Weighs four texts side by side and shows the likeliest at the end.",
        {"num_beams": 4, "temperature": 0.0, "top_p": 1.0, "top_k": 0, "repetition_penalty": 1.0},
    ),
)


def read_params(values: Mapping[str, Any]) -> AskedParams:
    """Return the parameters in ``values`` (numbers may be text, as forms send them).

    Raises:
        InvalidParamsError: a value is out of range or unknown.
    """
    try:
        return AskedParams.model_validate(values)
    except ValidationError as error:
        fields: dict[str, str] = {}
        for problem in error.errors(include_url=False, include_context=False, include_input=False):
            fields.setdefault(str(problem["loc"][0]) if problem["loc"] else "", problem["msg"])
        told = "; ".join(f"{name}: {message}" for name, message in fields.items())
        raise InvalidParamsError(f"Some values cannot be used. {told}", fields=fields) from error


def read_biases(text: str) -> dict[int, float]:
    """Return the biases people typed, ``id: bias`` on each line, by token id.

    Raises:
        InvalidParamsError: a line is none.
    """
    found: dict[int, float] = {}
    for line in text.splitlines():
        token, _colon, bias = line.partition(":")
        if not line.strip():
            continue
        try:
            found[int(token)] = float(bias)
        except ValueError as error:
            told = _("Write a token's id, a colon and a number, as in 198: -100.")
            raise InvalidParamsError(told, fields={"logit_bias": told}) from error
    return found


def check_prompt(prompt: str) -> str:
    """Return ``prompt`` if it can be stored and sent to a model.

    Raises:
        InvalidParamsError: it is empty, too long, or no Unicode text.
    """
    if not prompt:
        raise _bad_prompt(_("Write something for the model to go on from."))
    if len(prompt) > MAX_PROMPT_CHARS:
        raise _bad_prompt(
            _("A prompt has at most %(most)d characters. Shorten it.") % {"most": MAX_PROMPT_CHARS}
        )
    if "\0" in prompt or any("\ud800" <= char <= "\udfff" for char in prompt):
        raise _bad_prompt(_("The prompt has characters that are no text. Remove them."))
    return prompt


def check_asked(asked: Asked) -> Asked:
    """Return a prompt, or the messages of a conversation, if they can be stored and sent.

    Raises:
        InvalidParamsError: empty, too long, or no Unicode text.
    """
    if isinstance(asked, str):
        return check_prompt(asked)
    if not 1 <= len(asked) <= MAX_MESSAGES:
        raise _bad_messages(
            _("A conversation has 1 to %(most)d messages.") % {"most": MAX_MESSAGES}
        )
    try:
        check_prompt("".join(message.content for message in asked))
    except InvalidParamsError as error:
        raise _bad_messages(error.message) from error
    return asked


def check_all(asked: Sequence[Prompted]) -> None:
    """Refuse what cannot be stored and sent.

    Raises:
        InvalidParamsError: there are none, or too many, or one of them is empty, too long, or no
            Unicode text.
    """
    if not 1 <= len(asked) <= MAX_PROMPTS:
        raise _bad_prompt(_("Send 1 to %(most)d prompts at a time.") % {"most": MAX_PROMPTS})
    for each in asked:
        if not isinstance(each, TokenPrompt):
            check_asked(each)
        elif not 1 <= len(each.ids) <= MAX_PROMPT_CHARS:
            words = _("A prompt of token ids has 1 to %(most)d of them.")
            raise _bad_prompt(words % {"most": MAX_PROMPT_CHARS})


def messages_of(turns: Any) -> list[ChatMessage]:
    """Return a conversation as programs and rows write it, ``[{"role", "content"}]``.

    Raises:
        InvalidParamsError: it is none.
    """
    try:
        return [ChatMessage.model_validate(turn) for turn in turns]
    except (TypeError, ValidationError) as error:
        raise _bad_messages(
            _(
                "Each message has a role (system, user or assistant) and a text as its content,"
                " and nothing else."
            )
        ) from error


def _bad_messages(message: str) -> InvalidParamsError:
    return InvalidParamsError(message, fields={"messages": message})


def _bad_prompt(message: str) -> InvalidParamsError:
    return InvalidParamsError(message, fields={"prompt": message})

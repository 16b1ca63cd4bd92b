"""What an OpenAI client asks for, read strictly: what this store cannot do is refused by name."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inference.box.conversation import ChatMessage, TokenPrompt
from inference.box.params import MAX_LOGPROBS, MAX_SEED
from inference.services.params import AskedParams, InvalidParamsError, read_params

COMPLETION_TOKENS = 16
"""New tokens of a completion that names none, as at OpenAI."""
CHAT_TOKENS = 512
"""New tokens of a chat that names none: there the model's whole context; here quotas are taken in
advance."""
_OWN_NAMES = {
    "max_new_tokens": "max_tokens",
    "num_sequences": "n",
    "prompt_logprobs": "echo",
}
"""Our names of values → the client's."""
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "suffix": ("",),
    "best_of": (1,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "parallel_tool_calls": (),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "store": (False,),
    "service_tier": ("auto", "default"),
    "reasoning_effort": ("none",),
    "verbosity": (),
    "web_search_options": (),
    "prompt_cache_key": (),
    "prompt_cache_retention": (),
    "safety_identifier": (),
    "moderation": (),
}
"""Parameters of OpenAI's that the store does not have, and the values that ask for nothing."""


class UnsupportedError(InvalidParamsError):
    """OpenAI's API has this, the store has not; leave it out."""

    code = "unsupported_parameter"


class StreamOptions(BaseModel):
    """How to stream."""

    model_config = ConfigDict(extra="forbid")

    include_usage: bool = False
    include_obfuscation: bool = False


class _Asked(BaseModel):
    """What completions and chats share. ``None`` is the same as absent, as at OpenAI."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: Annotated[str, Field(min_length=1, max_length=400)]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: Any = None
    metadata: Any = None
    top_k: int | None = None
    """The store's own, sent in ``extra_body``; so is what follows."""
    repetition_penalty: float | None = None
    num_beams: int | None = None
    length_penalty: float | None = None
    early_stopping: bool | Literal["never"] | None = None

    def most_tokens(self) -> int:
        """Return how many tokens may be new."""
        raise NotImplementedError

    def told(self) -> int | None:
        """Return how many alternatives are to be told; ``None``: no probabilities at all."""
        raise NotImplementedError

    def extra_values(self) -> dict[str, Any]:
        """Return what only one of the two has, under our names."""
        return {}

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with what was used."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def params(self) -> AskedParams:
        """Return how to sample, with OpenAI's defaults.

        Raises:
            InvalidParamsError: out of range; ``extra["fields"]`` has the client's names.
        """
        values: dict[str, Any] = {"max_new_tokens": self.most_tokens(), "logprobs": self.told()}
        values |= self.extra_values()
        if self.num_beams in {None, 1}:  # a beam search draws nothing
            values |= {"temperature": 1.0, "top_p": 1.0, "top_k": 0}
        given = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "repetition_penalty": self.repetition_penalty,
            "num_beams": self.num_beams,
            "length_penalty": self.length_penalty,
            "early_stopping": self.early_stopping,
            "num_sequences": self.n,
            "frequency_penalty": self.frequency_penalty,
            "presence_penalty": self.presence_penalty,
            "logit_bias": self.logit_bias,
            "stop": [self.stop] if isinstance(self.stop, str) else self.stop,
            "seed": None if self.seed is None else self.seed % (MAX_SEED + 1),
        }
        values |= {name: value for name, value in given.items() if value is not None}
        try:
            return read_params(values)
        except InvalidParamsError as error:
            raise _in_their_words(error) from error


class CompletionAsked(_Asked):
    """``POST /v1/completions``."""

    prompt: str | list[Any]
    logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    echo: bool | None = None

    def most_tokens(self) -> int:
        return COMPLETION_TOKENS if self.max_tokens is None else self.max_tokens

    def told(self) -> int | None:
        return self.logprobs

    def prompts(self) -> list[str | TokenPrompt]:
        """Return the prompts, in their order: texts, or token ids.

        Raises:
            InvalidParamsError: they are neither.
            UnsupportedError: a stream of a prompt's tokens.
        """
        found = _prompts(self.prompt)
        if not found:
            words = "Send a text, a list of texts, token ids, or a list of lists of them."
            raise InvalidParamsError(f"'prompt': {words}", fields={"prompt": words})
        if self.stream:
            self._check_stream(found)
        return found

    def _check_stream(self, found: list[str | TokenPrompt]) -> None:
        has_tokens = any(isinstance(each, TokenPrompt) for each in found)
        if self.echo and (self.logprobs is not None or has_tokens):
            raise unsupported(
                "echo", "Tokens of the prompt are told in whole answers; leave stream out."
            )

    def extra_values(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if self.echo and self.logprobs is not None:
            values["prompt_logprobs"] = self.logprobs
        if self.max_tokens == 0:
            if not values:
                words = "0 writes nothing; it goes with echo and logprobs only"
                raise InvalidParamsError(f"'max_tokens': {words}.", fields={"max_tokens": words})
            values |= {"score_only": True, "max_new_tokens": 1}
        return values


def _prompts(given: str | list[Any]) -> list[str | TokenPrompt]:
    """Return what a ``prompt`` holds; nothing where it is of no such kind."""
    if isinstance(given, str):
        return [given]
    if given and all(isinstance(each, str) for each in given):
        return list(given)
    if given and all(isinstance(each, list) for each in given):
        found = [_tokens(each) for each in given]
    else:
        found = [_tokens(given)]
    return [each for each in found if each] if all(found) else []


def _tokens(given: list[Any]) -> TokenPrompt | None:
    try:
        return TokenPrompt(ids=given) if given else None
    except ValidationError:
        return None


class _TextPart(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: Literal["text"]
    text: str


class _Turn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[_TextPart]
    refusal: None = None
    audio: None = None
    annotations: Any = None
    tool_calls: None = None
    function_call: None = None

    def message(self) -> ChatMessage:
        """Return it as the box takes it."""
        is_text = isinstance(self.content, str)
        content = self.content if is_text else "".join(part.text for part in self.content)  # type: ignore[union-attr]
        role = "system" if self.role == "developer" else self.role
        return ChatMessage(role=role, content=str(content))


class ChatAsked(_Asked):
    """``POST /v1/chat/completions``."""

    messages: list[_Turn]
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None

    def most_tokens(self) -> int:
        named = [self.max_completion_tokens, self.max_tokens]
        return next((count for count in named if count is not None), CHAT_TOKENS)

    def told(self) -> int | None:
        if not self.logprobs:
            if self.top_logprobs:
                raise InvalidParamsError(
                    "'top_logprobs' needs 'logprobs' to be true.",
                    fields={"top_logprobs": "needs logprobs"},
                )
            return None
        return self.top_logprobs or 0

    def conversation(self) -> list[ChatMessage]:
        """Return the messages."""
        return [turn.message() for turn in self.messages]


def read_completion(body: Any) -> CompletionAsked:
    """Read the body of a completion.

    Raises:
        UnsupportedError: it asks for something the store has not.
        InvalidParamsError: it is none.
    """
    try:
        return CompletionAsked.model_validate(_without_neutral(body))
    except ValidationError as error:
        raise _problem(error) from error


def read_chat(body: Any) -> ChatAsked:
    """Read the body of a chat; raises as ``read_completion``."""
    try:
        return ChatAsked.model_validate(_without_neutral(body))
    except ValidationError as error:
        raise _problem(error) from error


def unsupported(name: str, why: str = "") -> UnsupportedError:
    """Return the refusal of one parameter."""
    words = why or "Leave it out."
    return UnsupportedError(f"This store does not take '{name}' so. {words}", fields={name: words})


def _without_neutral(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise InvalidParamsError("The body of the request is no JSON object.", fields={})
    kept = {}
    for name, value in body.items():
        if name not in _NEUTRAL:
            kept[name] = value
        elif value is not None and value not in _NEUTRAL[name]:
            raise unsupported(name)
    return kept


def _problem(error: ValidationError) -> InvalidParamsError:
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = [str(step) for step in problem["loc"] if step not in {"str", "list[any]"}]
    name = ".".join(place) or "body"
    if problem["type"] == "extra_forbidden":
        return UnsupportedError(
            f"This store does not know '{name}'. Leave it out.", fields={name: "unknown"}
        )
    return InvalidParamsError(f"'{name}': {problem['msg']}.", fields={name: problem["msg"]})


def _in_their_words(error: InvalidParamsError) -> InvalidParamsError:
    fields: Any = error.extra["fields"]
    named = {_OWN_NAMES.get(name, name): message for name, message in fields.items()}
    told = "; ".join(f"{name or 'body'}: {message}" for name, message in named.items())
    return InvalidParamsError(f"Some values cannot be used. {told}", fields=named)

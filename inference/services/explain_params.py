"""What may be asked about a generation, bounded before anything is queued."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inference.box.explain_messages import MAX_EXPLAIN_TOKENS, MAX_HEADS, MAX_LAYERS, MAX_TOP
from inference.services.params import InvalidParamsError

_Asked = TypeVar("_Asked", bound=BaseModel)


class AskedExplanation(BaseModel):
    """One question. Fields a kind has no use for are left out of what is stored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Literal["tokens", "saliency", "attention", "lens"]
    sequence: Annotated[int, Field(ge=0, le=7)] = 0
    """Which of the run's texts."""
    target: Annotated[int, Field(ge=0, lt=MAX_EXPLAIN_TOKENS)] | None = None
    """Place of the token that is explained, prompt and answer counted together, from 0."""
    top: Annotated[int, Field(ge=0, le=MAX_TOP)] = 5
    layer: Annotated[int, Field(ge=0, lt=MAX_LAYERS)] = 0
    head: Annotated[int, Field(ge=0, lt=MAX_HEADS)] | Literal["mean", "max"] = "mean"
    pool: Literal["mean", "max"] = "max"
    first: Annotated[int, Field(ge=0, lt=MAX_EXPLAIN_TOKENS)] = 0
    window: Annotated[int, Field(ge=1, le=MAX_EXPLAIN_TOKENS)] | None = None

    def params(self) -> dict[str, Any]:
        """Return what is stored: the fields this kind looks at, and nothing that is not set."""
        wanted = {"sequence", *_FIELDS[self.kind]}
        return self.model_dump(mode="json", include=wanted, exclude_none=True)


_FIELDS: Mapping[str, tuple[str, ...]] = {
    "tokens": ("top",),
    "saliency": ("target",),
    "attention": ("target", "layer", "head", "pool", "first", "window"),
    "lens": ("target", "top"),
}


class AskedWalk(BaseModel):
    """What a walk shows beside the prompt."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    layer: Annotated[int, Field(ge=0, lt=MAX_LAYERS)] = 0
    head: Annotated[int, Field(ge=0, lt=MAX_HEADS)] = 0
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


def read_explanation(values: Mapping[str, Any]) -> AskedExplanation:
    """Return the question in ``values`` (numbers may be text, as forms send them; empty: unset).

    Raises:
        InvalidParamsError: a value is out of range.
    """
    return _read(AskedExplanation, values)


def read_walk(values: Mapping[str, Any]) -> AskedWalk:
    """Return what a walk is to show.

    Raises:
        InvalidParamsError: a value is out of range.
    """
    return _read(AskedWalk, values)


def key_of(params: Mapping[str, Any]) -> str:
    """Return what makes two questions the same."""
    return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()


def _read(kind: type[_Asked], values: Mapping[str, Any]) -> _Asked:
    given = {name: value for name, value in values.items() if value not in ("", None)}
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        fields = {
            str(problem["loc"][0]) if problem["loc"] else "": problem["msg"]
            for problem in error.errors(include_url=False, include_context=False)
        }
        told = "; ".join(f"{name}: {message}" for name, message in fields.items())
        raise InvalidParamsError(f"Some values cannot be used. {told}", fields=fields) from error

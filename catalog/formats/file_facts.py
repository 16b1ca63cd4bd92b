"""What is known of single files: small, typed, and safe to keep in a database column.

Texts are cut and hold no control characters (PostgreSQL's jsonb refuses NUL), numbers fit 64 bits,
and nothing grows with the file: 100,000 tensors or tokens become counts.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

MAX_TEXT_CHARS = 200
MAX_ENTRIES = 32


def plain(value: object, limit: int = MAX_TEXT_CHARS) -> str:
    """Return a stranger's text without unprintable characters, cut; ``""`` for what is no text."""
    if not isinstance(value, str):
        return ""
    return "".join(c for c in value[: 2 * limit] if c.isprintable())[:limit]


@dataclass(frozen=True, slots=True)
class SafetensorsFacts:
    """From the header of a safetensors file."""

    tensors: int
    parameters: int
    """Learned elements: all but constant buffers such as causal masks."""
    elements_by_dtype: dict[str, int]
    """All elements, the most frequent dtype first; what hubs call ``parameters``."""
    metadata: dict[str, str]
    header_bytes: int
    type: Literal["safetensors"] = "safetensors"


@dataclass(frozen=True, slots=True)
class GgufFacts:
    """From the header of a GGUF file."""

    version: int
    architecture: str
    """ggml's word, for example ``llama``; may be empty."""
    name: str
    tensors: int
    parameters: int
    elements_by_type: dict[str, int]
    """All elements by ggml type, the most frequent first."""
    quantization: str
    """For example ``Q4_K_M``; empty for plain floats."""
    context_length: int | None
    layers: int | None
    hidden_size: int | None
    heads: int | None
    vocabulary: int | None
    tokenizer: str
    """``tokenizer.ggml.model``, empty without a tokenizer."""
    has_chat_template: bool
    parts: int
    """Files the model is split into; 1 for a whole one."""
    type: Literal["gguf"] = "gguf"


@dataclass(frozen=True, slots=True)
class ConfigFacts:
    """From ``config.json``."""

    architectures: tuple[str, ...]
    model_type: str
    dtype: str
    context_length: int | None
    vocabulary: int | None
    hidden_size: int | None
    layers: int | None
    heads: int | None
    quantization: str
    code_keys: tuple[str, ...]
    """Keys that ask for the publisher's code or for files elsewhere, as dotted paths."""
    type: Literal["config"] = "config"


@dataclass(frozen=True, slots=True)
class TokenizerConfigFacts:
    """From ``tokenizer_config.json``."""

    tokenizer_class: str
    max_length: int | None
    has_chat_template: bool
    code_keys: tuple[str, ...]
    type: Literal["tokenizer_config"] = "tokenizer_config"


@dataclass(frozen=True, slots=True)
class GenerationConfigFacts:
    """From ``generation_config.json``."""

    values: dict[str, int | float | bool]
    """Its plain numbers and switches; a server still clamps them."""
    code_keys: tuple[str, ...]
    type: Literal["generation_config"] = "generation_config"


@dataclass(frozen=True, slots=True)
class TokenizerFacts:
    """From ``tokenizer.json``."""

    model: str
    """``BPE``, ``Unigram``, ``WordPiece``, ``WordLevel``."""
    vocabulary: int
    """Tokens, added ones included."""
    merges: int
    type: Literal["tokenizer"] = "tokenizer"


@dataclass(frozen=True, slots=True)
class SentencePieceFacts:
    """From ``tokenizer.model``."""

    vocabulary: int
    type: Literal["sentencepiece"] = "sentencepiece"


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """From ``model.safetensors.index.json``."""

    files: tuple[str, ...]
    """Names of the shards beside it, sorted; plain names, no folders."""
    tensors: int
    total_bytes: int | None
    type: Literal["index"] = "index"


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """From ``adapter_config.json`` of PEFT."""

    method: str
    """For example ``LORA``."""
    base_model: str
    """A model id; empty when the file names a path of the publisher's machine or nothing."""
    rank: int | None
    code_keys: tuple[str, ...]
    type: Literal["adapter_config"] = "adapter_config"


@dataclass(frozen=True, slots=True)
class OtherJsonFacts:
    """From another JSON file that loaders read."""

    code_keys: tuple[str, ...]
    type: Literal["json"] = "json"


@dataclass(frozen=True, slots=True)
class PickleFacts:
    """From a pickle that passed the gate."""

    imports: tuple[str, ...]
    type: Literal["pickle"] = "pickle"


FileFacts = (
    SafetensorsFacts
    | GgufFacts
    | ConfigFacts
    | TokenizerConfigFacts
    | GenerationConfigFacts
    | TokenizerFacts
    | SentencePieceFacts
    | IndexFacts
    | AdapterFacts
    | OtherJsonFacts
    | PickleFacts
)
_ADAPTER: TypeAdapter[FileFacts] = TypeAdapter(Annotated[FileFacts, Field(discriminator="type")])


def to_json(facts: FileFacts | None) -> dict[str, Any] | None:
    """Return ``facts`` as plain JSON for a database column."""
    return None if facts is None else _ADAPTER.dump_python(facts, mode="json")


def from_json(value: dict[str, Any] | None) -> FileFacts | None:
    """Return what ``to_json`` was given.

    Raises:
        pydantic.ValidationError: ``value`` was written by another version of this module.
    """
    return None if value is None else _ADAPTER.validate_python(value)

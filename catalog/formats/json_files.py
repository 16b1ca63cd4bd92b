"""The JSON files that model loaders act on, read strictly and reduced to facts.

Loaders follow what these files say: a shard list with ``../other/model.safetensors`` loads another
seller's weights, ``auto_map`` names code to run, ``*_implementation`` fetched kernels from a hub
(SECURITY.md §0.2, §0.3, D5, D6). Such keys are reported by name; nothing is ever followed.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from catalog.formats import strict_json
from catalog.formats.errors import JsonError, shown
from catalog.formats.file_facts import (
    MAX_ENTRIES,
    AdapterFacts,
    ConfigFacts,
    FileFacts,
    GenerationConfigFacts,
    IndexFacts,
    OtherJsonFacts,
    TokenizerConfigFacts,
    TokenizerFacts,
    plain,
)
from catalog.formats.kinds import base_name
from catalog.formats.sources import MIB, ByteSource
from catalog.formats.strict_json import CONFIG, INDEX, TOKEN_SETTINGS, TOKENIZER, JsonLimits

MAX_SHARDS = 10_000
MAX_COUNT = 2**53
"""Largest number believed: "no limit" is written as 1e30 by many tokenizers."""

_CODE_KEYS = frozenset(
    {"auto_map", "auto_mapping", "trust_remote_code", "custom_generate", "custom_pipelines"}
)
_OWN_IMPLEMENTATIONS = frozenset({"eager", "sdpa"})
"""What torch does by itself; every other name is fetched or imported."""
_PATH_KEY = re.compile(r"(?:^|_)(?:path|file|dir|directory|folder|url|repo|repo_id)s?$")
_INFORMATIVE_KEYS = frozenset({"_name_or_path", "name_or_path", "special_tokens_map_file"})
"""Where a model once lay on its author's machine: written by every save, read by no loader."""
_PATH = re.compile(r"[/\\~]|[A-Za-z]:[/\\]|[a-z][a-z0-9+.-]{0,20}://|(?:.*[/\\])?\.\.(?:[/\\]|$)")
_MODEL_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(?:/[A-Za-z0-9][\w.-]{0,95})?")
_SHARD = re.compile(r"[A-Za-z0-9][\w.-]{0,254}")

_CONTEXT = (
    "max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length",
    "context_length", "n_ctx", "seq_length",
)  # fmt: skip
_HIDDEN = ("hidden_size", "n_embd", "d_model", "dim")
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
_INNER_CONFIGS = ("text_config", "llm_config", "language_config")


def _text(value: Mapping[str, Any], *names: str) -> str:
    return next((plain(value[name]) for name in names if isinstance(value.get(name), str)), "")


def _count(value: Mapping[str, Any], *names: str) -> int | None:
    """Return the first of ``names`` that is a believable count, also from an inner config."""
    inner = (value.get(name) for name in _INNER_CONFIGS)
    for place in (value, *(config for config in inner if isinstance(config, dict))):
        for name in names:
            number = place.get(name)
            if type(number) is int and 0 < number < MAX_COUNT:
                return number
    return None


def code_keys(value: Any) -> tuple[str, ...]:
    """Return the dotted paths of all keys that ask for code or for files elsewhere, sorted.

    At most ``MAX_ENTRIES``; of each the last 80 characters.
    """
    found: set[str] = set()
    todo: list[tuple[str, Any]] = [("", value)]
    while todo and len(found) < MAX_ENTRIES:
        prefix, node = todo.pop()
        if isinstance(node, list):
            todo.extend((prefix, item) for item in node if isinstance(item, dict | list))
        for key, item in node.items() if isinstance(node, dict) else ():
            name = f"{prefix}.{key}" if prefix else key
            if _asks_for_code(key, item):
                found.add(plain(name[-80:]))
            elif isinstance(item, dict | list):
                todo.append((name[-200:], item))
    return tuple(sorted(found))


def _asks_for_code(key: str, value: Any) -> bool:
    if key in _CODE_KEYS:
        return bool(value)
    if "_implementation" in key:
        parts = value.values() if isinstance(value, dict) else [value]
        return not all(
            part is None or isinstance(part, bool) or part in _OWN_IMPLEMENTATIONS
            for part in parts
            if not isinstance(part, dict | list)
        )
    if not isinstance(value, str) or key in _INFORMATIVE_KEYS:
        return False
    if "kernel" in key:
        return "/" in value
    return bool(_PATH_KEY.search(key) and _PATH.match(value[:1000]))


def read_config(value: dict[str, Any]) -> ConfigFacts:
    """Reduce ``config.json``; every key is optional."""
    listed = value.get("architectures")
    listed = listed if isinstance(listed, list) else []
    return ConfigFacts(
        architectures=tuple(plain(name, 120) for name in listed[:MAX_ENTRIES] if plain(name)),
        model_type=_text(value, "model_type")[:64],
        dtype=_text(value, "dtype", "torch_dtype").removeprefix("torch.")[:24],
        context_length=_count(value, *_CONTEXT),
        vocabulary=_count(value, "vocab_size"),
        hidden_size=_count(value, *_HIDDEN),
        layers=_count(value, *_LAYERS),
        heads=_count(value, *_HEADS),
        quantization=_quantization(value.get("quantization_config")),
        code_keys=code_keys(value),
    )


def _quantization(value: Any) -> str:
    """Return for example ``gptq-4bit``, ``""`` without a quantization."""
    if not isinstance(value, dict) or not value:
        return ""
    method = plain(value.get("quant_method"), 40) or "unknown"
    bits = value.get("bits")
    if value.get("load_in_4bit") is True or value.get("load_in_8bit") is True:
        bits = 4 if value.get("load_in_4bit") is True else 8
    return f"{method}-{bits}bit" if type(bits) is int and 0 < bits < 64 else method


def read_tokenizer_config(value: dict[str, Any]) -> TokenizerConfigFacts:
    """Reduce ``tokenizer_config.json``; every key is optional."""
    return TokenizerConfigFacts(
        tokenizer_class=_text(value, "tokenizer_class")[:120],
        max_length=_count(value, "model_max_length"),
        has_chat_template=bool(value.get("chat_template")),
        code_keys=code_keys(value),
    )


def read_generation_config(value: dict[str, Any]) -> GenerationConfigFacts:
    """Keep the plain numbers of ``generation_config.json``, at most ``MAX_ENTRIES``."""
    numbers = {
        plain(key, 64): number
        for key, number in value.items()
        if isinstance(number, int | float) and abs(number) < MAX_COUNT
    }
    return GenerationConfigFacts(dict(list(numbers.items())[:MAX_ENTRIES]), code_keys(value))


def read_tokenizer(value: dict[str, Any]) -> TokenizerFacts:
    """Reduce ``tokenizer.json`` to counts.

    Raises:
        JsonError: It has no model with a vocabulary.
    """
    model = value.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(model, dict) or not isinstance(vocabulary, dict | list):
        raise JsonError(
            "tokenizer_shape",
            "It has no model with a vocabulary; save the tokenizer again with save_pretrained.",
        )
    if isinstance(vocabulary, dict):
        tokens = set(vocabulary)
    else:  # Unigram: pairs of text and score
        tokens = {pair[0] for pair in vocabulary if isinstance(pair, list) and _is_named(pair)}
    added = value.get("added_tokens")
    for token in added if isinstance(added, list) else []:
        if isinstance(token, dict) and isinstance(token.get("content"), str):
            tokens.add(token["content"])
    merges = model.get("merges")
    return TokenizerFacts(
        model=_text(model, "type")[:40] or "BPE",
        vocabulary=len(tokens),
        merges=len(merges) if isinstance(merges, list) else 0,
    )


def _is_named(pair: list[Any]) -> bool:
    return bool(pair) and isinstance(pair[0], str)


def read_index(value: dict[str, Any]) -> IndexFacts:
    """Reduce a list of shards to the names of its files.

    Raises:
        JsonError: ``index_path`` when a shard is not a plain name beside the index;
            ``index_shape`` when there is no list.
    """
    weight_map = value.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise JsonError(
            "index_shape",
            "It has no weight_map; save the model again with save_pretrained.",
        )
    files: set[str] = set()
    for tensor, name in weight_map.items():
        if not isinstance(name, str) or not _SHARD.fullmatch(name) or ".." in name:
            raise JsonError(
                "index_path",
                f"The list of shards names {shown(name)}, which is no plain file name beside it; "
                "save the model again with save_pretrained.",
                where=f"tensor {shown(tensor)}",
            )
        files.add(name)
    if len(files) > MAX_SHARDS:
        raise JsonError(
            "index_shape", f"It lists more than {MAX_SHARDS:,} files; use larger shards."
        )
    metadata = value.get("metadata")
    total = _count(metadata, "total_size") if isinstance(metadata, dict) else None
    return IndexFacts(tuple(sorted(files)), len(weight_map), total)


def read_adapter_config(value: dict[str, Any]) -> AdapterFacts:
    """Reduce ``adapter_config.json``; every key is optional."""
    base = _text(value, "base_model_name_or_path")
    is_id = _MODEL_ID.fullmatch(base) and ".." not in base
    keys = code_keys({k: v for k, v in value.items() if k != "base_model_name_or_path"})
    return AdapterFacts(
        method=_text(value, "peft_type")[:40],
        base_model=base if is_id else "",
        rank=_count(value, "r"),
        code_keys=keys,
    )


def read_other(value: dict[str, Any]) -> OtherJsonFacts:
    """Look for keys that ask for code, in files no fact is taken from."""
    return OtherJsonFacts(code_keys(value))


def read_vocabulary(value: dict[str, Any]) -> OtherJsonFacts:
    """Check a list of tokens with their numbers; its keys are words, not settings.

    Raises:
        JsonError: A token has no number.
    """
    if not all(type(number) is int for number in value.values()):
        raise JsonError(
            "vocabulary_shape",
            "Each token must have a whole number; save the tokenizer again with save_pretrained.",
        )
    return OtherJsonFacts(())


_Reader = Callable[[dict[str, Any]], FileFacts]
_READERS: dict[str, tuple[JsonLimits, _Reader]] = {
    "config.json": (CONFIG, read_config),
    "tokenizer_config.json": (TOKEN_SETTINGS, read_tokenizer_config),
    "generation_config.json": (CONFIG, read_generation_config),
    "adapter_config.json": (CONFIG, read_adapter_config),
    "tokenizer.json": (TOKENIZER, read_tokenizer),
    "special_tokens_map.json": (TOKEN_SETTINGS, read_other),
    "added_tokens.json": (TOKEN_SETTINGS, read_vocabulary),
    "chat_template.json": (CONFIG, read_other),
    "processor_config.json": (CONFIG, read_other),
    "preprocessor_config.json": (CONFIG, read_other),
    "vocab.json": (JsonLimits(size_bytes=16 * MIB, values=2_000_000), read_vocabulary),
}
_INDEX_ENDINGS = (".safetensors.index.json", ".bin.index.json")


def reader_for(path: str) -> tuple[JsonLimits, _Reader] | None:
    """Return limits and reader when loaders act on a file of this name, else ``None``."""
    name = base_name(path).casefold()
    if name.endswith(_INDEX_ENDINGS):
        return INDEX, read_index
    return _READERS.get(name)


def read_file(source: ByteSource, path: str) -> FileFacts | None:
    """Read one file that loaders act on; ``None`` for any other name.

    Raises:
        JsonError: It is not strict JSON, not an object, or lacks what its name promises.
    """
    found = reader_for(path)
    if found is None:
        return None
    limits, reader = found
    if source.size_bytes > limits.size_bytes:
        raise strict_json.too_large(source.size_bytes, limits)
    return reader(_object(source.read_at(0, source.size_bytes), limits))


def _object(data: bytes, limits: JsonLimits) -> dict[str, Any]:
    value = strict_json.parse(data, limits)
    if not isinstance(value, dict):
        raise JsonError("json_no_object", "It must be a JSON object, written in braces.")
    return value

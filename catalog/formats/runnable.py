"""Whether the store's engine can run a model, and if not, why, in words for a stranger."""

from collections.abc import Mapping
from typing import NamedTuple

from catalog.formats.architectures import CAUSAL_LM, GGUF_ARCHITECTURES, NO_TEXT_DECODERS
from catalog.formats.errors import shown
from catalog.formats.file_facts import (
    AdapterFacts,
    ConfigFacts,
    GenerationConfigFacts,
    GgufFacts,
    OtherJsonFacts,
    TokenizerConfigFacts,
)
from catalog.formats.ggml_types import DEQUANTIZABLE
from catalog.formats.verdicts import FileReport, Verdict
from catalog.formats.weights import WeightSet

MAX_REASON_CHARS = 300
"""Longest reason, in characters (the column behind it has this width)."""
ADAPTER_WEIGHTS = "adapter_model.safetensors"
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")
_ACTED_ON = (
    "config.json",
    "adapter_config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.json",
)
_WITH_CODE_KEYS = (
    AdapterFacts,
    ConfigFacts,
    GenerationConfigFacts,
    TokenizerConfigFacts,
    OtherJsonFacts,
)


class Obstacle(NamedTuple):
    """Why a model does not run."""

    code: str
    """Stable machine name."""
    reason: str


Files = Mapping[str, FileReport]


def obstacle(files: Files, sets: list[WeightSet]) -> tuple[Obstacle | None, WeightSet | None]:
    """Look for a set of weights the engine can load.

    Args:
        files: Every file of the revision with its report.
        sets: Its copies of the weights, the best first.

    Returns:
        ``(None, set)`` for the first set that runs, else the obstacle of the best set (and that
        set), or of the repository (and ``None``).
    """
    if "adapter_config.json" in files:
        return _adapter_obstacle(files), None
    loadable = [weights for weights in sets if weights.format != "pickle"]
    if not loadable:
        return _without_weights(files, sets), None
    first: Obstacle | None = None
    for weights in loadable:
        found = _weights_obstacle(files, weights) or (
            _gguf_obstacle(files, weights)
            if weights.format == "gguf"
            else _config_obstacle(files) or _tokenizer_obstacle(files)
        )
        found = found or _code_obstacle(files)
        if found is None:
            return None, weights
        first = first or found
    return first, loadable[0]


def loadable_ggufs(files: Files) -> dict[str, str]:
    """Return the GGUF files that each run by themselves, with what their weights are packed in."""
    found: dict[str, str] = {}
    for path in sorted(files) if "adapter_config.json" not in files else ():
        facts = files[path].facts
        if "/" in path or not path.endswith(".gguf") or not isinstance(facts, GgufFacts):
            continue
        weights = WeightSet("gguf", (path,))
        is_refused = _weights_obstacle(files, weights) or _gguf_obstacle(files, weights)
        if facts.parts == 1 and not (is_refused or _code_obstacle(files)):
            found[path] = facts.quantization or next(iter(facts.elements_by_type), "")
    return found


def has_tokenizer(files: Files) -> bool:
    """Tell whether there is a tokenizer beside the weights."""
    return any(name in files for name in _TOKENIZERS)


def _adapter_obstacle(files: Files) -> Obstacle | None:
    """Look at an adapter by itself; whether its base can be had is known only when it is to run."""
    report = files["adapter_config.json"]
    facts = report.facts
    if not isinstance(facts, AdapterFacts):
        return _unclean("adapter_config.json", report) or Obstacle(
            "adapter", "adapter_config.json could not be read."
        )
    if not facts.base_model:
        return Obstacle(
            "adapter",
            "This is an adapter: it runs only together with its base model, which it does not name."
            " Write base_model_name_or_path in adapter_config.json as owner/name.",
        )
    if facts.method != "LORA":
        return Obstacle(
            "adapter_method",
            f"The store's engine runs LoRA adapters, not {shown(facts.method or 'this kind')}.",
        )
    if ADAPTER_WEIGHTS not in files:
        return Obstacle(
            "no_weights", f"The adapter has no weights to run: publish {ADAPTER_WEIGHTS}."
        )
    return _unclean(ADAPTER_WEIGHTS, files[ADAPTER_WEIGHTS]) or _code_obstacle(files)


def _without_weights(files: Files, sets: list[WeightSet]) -> Obstacle:
    if sets:
        return Obstacle(
            "pickle_only",
            "The weights are pickles, which can run code and are never loaded here. Publish them "
            "as safetensors.",
        )
    return Obstacle(
        "no_weights",
        "There are no weights to run: publish model.safetensors or a GGUF file."
        if files
        else "The repository is empty.",
    )


def _weights_obstacle(files: Files, weights: WeightSet) -> Obstacle | None:
    if weights.missing:
        more = f" and {len(weights.missing) - 1} more" if len(weights.missing) > 1 else ""
        return Obstacle(
            "weights_incomplete",
            f"A part of the weights is missing: {shown(weights.missing[0])}{more}.",
        )
    for path in weights.paths:
        found = _unclean(path, files[path])
        if found:
            return found
    return Obstacle("weights_misplaced", weights.hint) if weights.hint else None


def _unclean(path: str, report: FileReport) -> Obstacle | None:
    if report.verdict is Verdict.CLEAN:
        return None
    if report.verdict is Verdict.PENDING:
        return Obstacle("still_checked", f"{shown(path)} is still being checked.")
    return Obstacle("file_refused", f"{shown(path)} is not loaded: {report.reason}")


def _config_obstacle(files: Files) -> Obstacle | None:
    report = files.get("config.json")
    if report is None:
        return Obstacle(
            "no_config", "config.json is missing, so nobody knows how to load the weights."
        )
    config = report.facts
    if not isinstance(config, ConfigFacts):
        return _unclean("config.json", report) or Obstacle(
            "no_config", "config.json could not be read."
        )
    if config.quantization:
        return Obstacle(
            "quantized",
            f"The weights are packed with {config.quantization}, which the store's engine cannot "
            "run. Publish them unpacked or as GGUF.",
        )
    return _architecture_obstacle(config)


def _architecture_obstacle(config: ConfigFacts) -> Obstacle | None:
    built = CAUSAL_LM.get(config.model_type)
    named = config.architectures[0] if config.architectures else config.model_type
    if built is None and not config.code_keys:  # own code: said later, and more to the point
        return Obstacle(
            "unknown_architecture",
            f"The store's engine does not know the architecture {shown(named or 'none given')}.",
        )
    is_other = built not in config.architectures if config.architectures else False
    if config.model_type in NO_TEXT_DECODERS or (built and is_other):
        return Obstacle(
            "no_text_generator",
            f"{shown(named)} does not continue a text, so there is nothing to try here.",
        )
    return None


def _tokenizer_obstacle(files: Files) -> Obstacle | None:
    if not has_tokenizer(files):
        return Obstacle(
            "no_tokenizer", "There is no tokenizer: publish tokenizer.json beside the weights."
        )
    return None


def _gguf_obstacle(files: Files, weights: WeightSet) -> Obstacle | None:
    facts = files[weights.paths[0]].facts
    if not isinstance(facts, GgufFacts) or facts.architecture not in GGUF_ARCHITECTURES:
        name = facts.architecture if isinstance(facts, GgufFacts) else ""
        return Obstacle(
            "unknown_architecture",
            f"The store's engine does not run GGUF files of the architecture "
            f"{shown(name or 'none given')}.",
        )
    strange = sorted(set(facts.elements_by_type) - DEQUANTIZABLE)
    if strange:
        return Obstacle(
            "quantized", f"The store's engine cannot unpack {strange[0]} tensors of GGUF."
        )
    if not facts.tokenizer and not has_tokenizer(files):
        return Obstacle(
            "no_tokenizer", "There is no tokenizer, neither in the GGUF file nor beside it."
        )
    return None


def _code_obstacle(files: Files) -> Obstacle | None:
    """Look at what loaders read besides the weights: it must be clean and ask for no code."""
    for name in _ACTED_ON:
        report = files.get(name)
        if report is None:
            continue
        facts = report.facts
        keys = facts.code_keys if isinstance(facts, _WITH_CODE_KEYS) else ()
        if keys:
            return Obstacle(
                "remote_code",
                f"{name} asks for the publisher's own code or files ({shown(keys[0])}); the store "
                "never runs such. Remove the key if the model works without.",
            )
        found = _unclean(name, report)
        if found:
            return found
    return None

"""What the files of a revision say about the model: measured, never claimed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from catalog.formats import runnable
from catalog.formats.architectures import CAUSAL_LM, GGUF_ARCHITECTURES
from catalog.formats.file_facts import (
    AdapterFacts,
    ConfigFacts,
    FileFacts,
    GgufFacts,
    SentencePieceFacts,
    TokenizerConfigFacts,
    TokenizerFacts,
)
from catalog.formats.kinds import Kind
from catalog.formats.verdicts import FileReport
from catalog.formats.weights import (
    WeightSet,
    elements_by_dtype,
    is_torch_weights,
    parameters,
    weight_files,
    weight_sets,
)

_Facts = TypeVar("_Facts", bound=FileFacts)

_FORMATS = {
    Kind.SAFETENSORS: "safetensors",
    Kind.GGUF: "gguf",
    Kind.ONNX: "onnx",
    Kind.MSGPACK: "jax",
    Kind.HDF5: "tf",
    Kind.KERAS: "keras",
    Kind.TFLITE: "tflite",
}
"""Kinds that hold weights → the hub's tag for them."""
_PACKED_DTYPES = frozenset({"U8", "I8", "I32", "U32", "I64"})
"""Integers in which quantizers pack several weights each."""

FP32_BYTES = 4
"""Of a weight in the memory of a processor."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One model as its files show it. Unknown texts are empty, unknown numbers ``None``."""

    architecture: str = ""
    """Class of transformers (``GPT2LMHeadModel``), or the word of a GGUF file (``llama``)."""
    model_type: str = ""
    parameters: int | None = None
    """Exact number of learned elements, from tensor shapes; of an adapter, its own."""
    is_packed: bool = False
    """Whether several weights share an element, so that ``parameters`` counts containers."""
    dtype: str = ""
    """The dtype or ggml type that holds most elements, for example ``BF16`` or ``Q4_K``."""
    elements_by_dtype: dict[str, int] = field(default_factory=dict)
    """Stored elements of the chosen weights, the most frequent first."""
    quantization: str = ""
    context_length: int | None = None
    """Longest input in tokens."""
    vocabulary: int | None = None
    hidden_size: int | None = None
    layers: int | None = None
    heads: int | None = None
    formats: tuple[str, ...] = ()
    """Hub tags of all weight formats in the repository, sorted."""
    has_tokenizer: bool = False
    has_chat_template: bool = False
    is_adapter: bool = False
    adapter_method: str = ""
    adapter_base: str = ""
    """Model id the adapter names; empty when it names none."""
    weights: tuple[str, ...] = ()
    """The files these facts come from and an engine loads; one copy of the weights."""
    weights_bytes: int = 0
    """Size of ``weights`` in bytes."""
    is_runnable: bool = False
    """Whether the store's engine can run it."""
    not_runnable_code: str = ""
    not_runnable_reason: str = ""
    """Why not, for a stranger; at most 300 characters."""
    gguf_files: dict[str, str] = field(default_factory=dict)
    """GGUF files to choose among, and what their weights are packed in (``Q4_K_M``); empty where
    ``weights`` is all there is."""
    gguf: dict[str, Any] | None = None
    """What hub clients see of a GGUF model; ``None`` when the weights are none."""

    @property
    def memory_bytes(self) -> int:
        """What the weights take in memory as fp32, which processors compute in.

        A GGUF file of four bits a weight grows eightfold, fp16 to twice its size.
        """
        return FP32_BYTES * sum(self.elements_by_dtype.values()) or self.weights_bytes

    @property
    def least_memory_bytes(self) -> int:
        """What they take where they may stay as they are stored; GGUF is unpacked everywhere."""
        is_gguf = bool(self.weights) and self.weights[0].endswith(".gguf")
        return self.memory_bytes if is_gguf else min(self.memory_bytes, self.weights_bytes)

    @property
    def safetensors_parameters(self) -> dict[str, int]:
        """Elements by dtype as hub clients expect them; empty unless the weights are it."""
        is_it = bool(self.weights) and self.weights[0].endswith(".safetensors")
        return self.elements_by_dtype if is_it else {}

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON, ``safetensors_parameters`` included."""
        values = asdict(self) | {"safetensors_parameters": self.safetensors_parameters}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def model_facts(files: Mapping[str, FileReport], *, gguf_file: str = "") -> ModelFacts:
    """Put together what all files of one revision say.

    Args:
        files: Every file by path, with its report.
        gguf_file: One of ``gguf_files`` whose facts these are to be, as if there were no other
            weights; empty: the weights a loader takes.
    """
    if gguf_file:
        others = weight_files(files) - {gguf_file}
        files = {path: report for path, report in files.items() if path not in others}
    sets = weight_sets(files)
    found, chosen = runnable.obstacle(files, sets)
    weights = chosen or _adapter_weights(files) or (sets[0] if sets else None)
    config = _first(files, ConfigFacts, "config.json")
    adapter = _first(files, AdapterFacts, "adapter_config.json")
    gguf = _gguf_facts(files, weights)
    by_dtype = elements_by_dtype(files, weights) if weights else {}
    quantization = config.quantization if config and gguf is None else ""
    dtype = next(iter(by_dtype), config.dtype if config else "")
    architecture, model_type = _architecture(config, gguf)
    return ModelFacts(
        architecture=architecture,
        model_type=model_type,
        parameters=parameters(files, weights) if weights else None,
        is_packed=bool(quantization) and dtype in _PACKED_DTYPES,
        dtype=dtype,
        elements_by_dtype=by_dtype,
        quantization=gguf.quantization if gguf else quantization,
        context_length=_either(config, gguf, "context_length"),
        vocabulary=_either(config, gguf, "vocabulary") or _tokenizer_size(files),
        hidden_size=_either(config, gguf, "hidden_size"),
        layers=_either(config, gguf, "layers"),
        heads=_either(config, gguf, "heads"),
        formats=_formats(files),
        has_tokenizer=runnable.has_tokenizer(files) or bool(gguf and gguf.tokenizer),
        has_chat_template=_has_chat_template(files, gguf),
        is_adapter="adapter_config.json" in files,
        adapter_method=adapter.method if adapter else "",
        adapter_base=adapter.base_model if adapter else "",
        weights=weights.paths if weights else (),
        weights_bytes=sum(files[path].size_bytes for path in weights.paths) if weights else 0,
        is_runnable=found is None,
        not_runnable_code=found.code if found else "",
        not_runnable_reason=found.reason[: runnable.MAX_REASON_CHARS] if found else "",
        gguf_files=_choices(files, weights),
        gguf=_for_hub(gguf, parameters(files, weights) if weights else None),
    )


def _choices(files: Mapping[str, FileReport], weights: WeightSet | None) -> dict[str, str]:
    found = runnable.loadable_ggufs(files)
    return found if weights is not None and set(found) - set(weights.paths) else {}


def _first(files: Mapping[str, FileReport], kind: type[_Facts], path: str) -> _Facts | None:
    report = files.get(path)
    return report.facts if report is not None and isinstance(report.facts, kind) else None


def _gguf_facts(files: Mapping[str, FileReport], weights: WeightSet | None) -> GgufFacts | None:
    """Return the header of the chosen GGUF file; of its first part, which has the metadata."""
    if weights is None or weights.format != "gguf":
        return None
    return _first(files, GgufFacts, weights.paths[0])


def _adapter_weights(files: Mapping[str, FileReport]) -> WeightSet | None:
    path = runnable.ADAPTER_WEIGHTS
    if "adapter_config.json" not in files or path not in files:
        return None
    return WeightSet("safetensors", (path,))


def _architecture(config: ConfigFacts | None, gguf: GgufFacts | None) -> tuple[str, str]:
    """Return class and model type; GGUF files get the class that loads them, where one does."""
    if config is not None and (config.architectures or config.model_type):
        known = CAUSAL_LM.get(config.model_type, "")
        return (config.architectures or (known,))[0], config.model_type
    if gguf is not None:
        model_type = GGUF_ARCHITECTURES.get(gguf.architecture, gguf.architecture)
        return CAUSAL_LM.get(model_type, gguf.architecture), model_type
    return "", ""


def _either(config: ConfigFacts | None, gguf: GgufFacts | None, name: str) -> int | None:
    """Return a number of the chosen GGUF file, else of config.json."""
    value: int | None = getattr(gguf, name, None)
    return value or getattr(config, name, None)


def _tokenizer_size(files: Mapping[str, FileReport]) -> int | None:
    tokenizer = _first(files, TokenizerFacts, "tokenizer.json")
    pieces = _first(files, SentencePieceFacts, "tokenizer.model")
    if tokenizer is not None:
        return tokenizer.vocabulary
    return pieces.vocabulary if pieces is not None else None


def _has_chat_template(files: Mapping[str, FileReport], gguf: GgufFacts | None) -> bool:
    tokenizer = _first(files, TokenizerConfigFacts, "tokenizer_config.json")
    return (
        "chat_template.jinja" in files
        or "chat_template.json" in files
        or bool(tokenizer and tokenizer.has_chat_template)
        or bool(gguf and gguf.has_chat_template)
    )


def _formats(files: Mapping[str, FileReport]) -> tuple[str, ...]:
    found = {
        _FORMATS[report.kind]
        for report in files.values()
        if report.kind in _FORMATS and report.is_served
    }
    if any(is_torch_weights(path, report) for path, report in files.items() if report.is_served):
        found.add("pytorch")
    return tuple(sorted(found))


def _for_hub(gguf: GgufFacts | None, total: int | None) -> dict[str, Any] | None:
    """Return the ``gguf`` field of a model's info; the hub calls the parameters ``total``."""
    if gguf is None:
        return None
    values = {
        "total": total,
        "architecture": gguf.architecture,
        "context_length": gguf.context_length,
        "quantization": gguf.quantization,
    }
    return {key: value for key, value in values.items() if value}

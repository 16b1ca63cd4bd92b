"""Loads a stranger's model inside the box, by one fixed call, and refuses half a model.

Only safetensors and GGUF, never code, never another folder. transformers would fill missing
tensors with random numbers and go on; here every tensor must be there, fit, and be wanted.
"""

import inspect
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

from inference.box.card import card_peak, device_for
from inference.box.footprint import on_card_bytes
from inference.box.protocol import LoadedEvent, LoadRequest

_LOGGING: Any = transformers.logging  # transformers is typed in part only: Any at the seams
_LOGGING.set_verbosity_error()
_LOGGING.disable_progress_bar()
_CAUSAL_LM: Any = MODEL_FOR_CAUSAL_LM_MAPPING
_AUTO_MODEL: Any = AutoModelForCausalLM

ADAPTER_FOLDER = "adapter"
"""Where an adapter lies in the folder of its base."""
_SHOWN_NAMES = 3
"""Tensor names quoted in a refusal."""
_CONTEXT_FIELDS = (
    "max_position_embeddings",
    "n_positions",
    "n_ctx",
    "max_seq_len",
    "seq_length",
    "max_sequence_length",
)
_FALLBACK_CONTEXT_TOKENS = 2048
"""For models without any limit of their own (ALiBi, state spaces)."""
_MAX_CONTEXT_TOKENS = 2**20


class RefusedError(Exception):
    """Inside the box: this model or request will not run; ``code`` and ``message`` say why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message[:1000]


def not_finite() -> RefusedError:
    """Return the refusal of a model whose scores are not numbers."""
    words = "The model's scores are not numbers; its weights are bad."
    return RefusedError("not_finite", words)


@dataclass(frozen=True)
class Source:
    """Which files of the folder are the weights."""

    folder: Path
    gguf_file: str | None

    @property
    def format(self) -> Literal["safetensors", "gguf"]:
        """Name of the file format."""
        return "gguf" if self.gguf_file else "safetensors"


@dataclass
class LoadedModel:
    """A model ready to generate.

    Attributes:
        model: A ``PreTrainedModel`` in evaluation mode, on ``device``.
        tokenizer: Its tokenizer.
        source: Where it came from.
        device: Where it computes.
        context_tokens: Most tokens of prompt and answer together.
        end_ids: Tokens that end an answer.
        load_s: Seconds it took.
        token_texts: What single tokens say, as far as anybody asked.
    """

    model: Any
    tokenizer: Any
    source: Source
    device: torch.device
    context_tokens: int
    end_ids: frozenset[int]
    load_s: float
    token_texts: dict[int, str] = field(default_factory=dict)

    @cached_property
    def forward_names(self) -> frozenset[str]:
        """Names of what its forward pass takes; looked up once, for it is asked at each step."""
        return frozenset(inspect.signature(self.model.forward).parameters)

    @property
    def vocabulary(self) -> int:
        """Rows of the input embedding: every token id must be below."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    @property
    def scored(self) -> int:
        """Tokens the model scores: rows of its output embedding, or as many as it reads."""
        head = self.model.get_output_embeddings()
        return self.vocabulary if head is None else int(head.weight.shape[0])

    @property
    def has_chat_template(self) -> bool:
        """Whether it comes with a template for conversations."""
        return bool(getattr(self.tokenizer, "chat_template", None))

    def facts(self) -> LoadedEvent:
        """Describe what was loaded, from the model itself."""
        return LoadedEvent(
            architecture=type(self.model).__name__,
            model_type=str(self.model.config.model_type),
            parameters=self.model.num_parameters(),
            context_tokens=self.context_tokens,
            vocabulary=self.vocabulary,
            format=self.source.format,
            dtype=str(self.model.dtype).removeprefix("torch."),
            device=_device_name(self.device),
            has_chat_template=self.has_chat_template,
            load_s=self.load_s,
            rss_bytes=rss_bytes(),
            card_reserved_bytes=card_peak()[1],
        )


def rss_bytes() -> int:
    """Resident memory of this process, in bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def load(request: LoadRequest, *, since: float | None = None) -> LoadedModel:
    """Load the model in ``request.model_dir``.

    Args:
        request: Which folder, which file.
        since: ``time.monotonic()`` from which ``load_s`` counts; now by default.

    Raises:
        RefusedError: it cannot run here; the code is one of ``errors.ModelRefusedError``.
    """
    since = time.monotonic() if since is None else since
    folder = Path(request.model_dir)
    source = _find_weights(folder, request.gguf_file)
    _refuse_detours(folder)
    config = _load_config(source)
    device = device_for(on_card_bytes(folder))
    model = _load_weights(source, config, device)
    if (folder / ADAPTER_FOLDER).is_dir():
        from inference.box.adapters import merged  # PEFT takes a second, and few models need it

        model = merged(model, folder / ADAPTER_FOLDER)
    tokenizer = _load_tokenizer(source)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        source=source,
        device=device,
        context_tokens=_context_tokens(config, tokenizer),
        end_ids=_end_ids(model, tokenizer),
        load_s=time.monotonic() - since,
    )


def _find_weights(folder: Path, gguf_file: str | None) -> Source:
    names = sorted(path.name for path in folder.iterdir())
    ggufs = [name for name in names if name.lower().endswith(".gguf")]
    if gguf_file is not None:
        if gguf_file not in ggufs:
            raise RefusedError("no_weights", f"There is no file {gguf_file}.")
        return Source(folder, gguf_file)
    if "model.safetensors" in names or "model.safetensors.index.json" in names:
        return Source(folder, None)
    if len(ggufs) == 1:
        return Source(folder, ggufs[0])
    if ggufs:
        raise RefusedError("no_weights", f"There are {len(ggufs)} GGUF files; choose one.")
    raise RefusedError("no_weights", "There is neither model.safetensors nor a GGUF file.")


def _refuse_detours(folder: Path) -> None:
    """Refuse folders that name weights outside themselves (SECURITY: shard paths, adapters)."""
    if (folder / "adapter_config.json").exists():
        raise RefusedError(
            "unsupported", "This is an adapter; it runs only together with its base model."
        )
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return
    try:
        shards = set(json.loads(index.read_bytes())["weight_map"].values())
        strays = [name for name in shards if PurePosixPath(name).name != name or name == ".."]
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as exc:
        raise RefusedError("bad_config", "model.safetensors.index.json is not an index.") from exc
    if strays:
        raise RefusedError("bad_config", f"The index names a file outside: {min(strays)[:200]}")


def _explain(exc: Exception, folder: Path) -> str:
    """First line of an exception, without the paths of this machine."""
    lines = str(exc).replace(str(folder), "the model").strip().splitlines()
    return f"{type(exc).__name__}: {lines[0][:500] if lines else 'no reason given'}"


def refusal(code: str, what: str, exc: Exception, folder: Path) -> RefusedError:
    """Return a failure of a loader as one a person is told."""
    if is_out_of_memory(exc):
        return RefusedError("out_of_memory", f"{what} needs more memory than the box has.")
    return RefusedError(code, f"{what} cannot be loaded. {_explain(exc, folder)}")


def is_out_of_memory(exc: Exception) -> bool:
    """Whether ``exc`` says that memory ran out, in Python, on the processor or the card."""
    if isinstance(exc, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(exc).lower()
    return isinstance(exc, (RuntimeError, OSError)) and (
        "can't allocate memory" in text or "cannot allocate memory" in text
    )


def _load_config(source: Source) -> Any:
    """Read the configuration, take out what points elsewhere, refuse what cannot run here."""
    try:
        config = AutoConfig.from_pretrained(
            source.folder,
            gguf_file=source.gguf_file,
            local_files_only=True,
            trust_remote_code=False,
        )
    except Exception as exc:
        raise refusal("bad_config", "The configuration", exc, source.folder) from exc
    if getattr(config, "is_encoder_decoder", False) or type(config) not in _CAUSAL_LM:
        raise RefusedError(
            "unsupported", f"Models of type {config.model_type} do not continue text."
        )
    if source.gguf_file is None and getattr(config, "quantization_config", None):
        raise RefusedError(
            "unsupported", "Quantized safetensors need a graphics card; publish a GGUF beside it."
        )
    if source.gguf_file and config.model_type == "gpt2" and hasattr(config, "n_ctx"):
        # transformers 5.23 reads GGUF's context length into a field GPT-2 no longer has
        config.n_positions = config.n_ctx
    for name in ("fusion_config", "auto_map"):
        if hasattr(config, name):
            delattr(config, name)
    return config


def _dtype(device: torch.device, config: Any) -> torch.dtype | str:
    """As stored on a card; on a processor fp32, unless it has circuits for stored bf16.

    Without them bf16 is four times slower than fp32 (measured on a 135 M Llama); fp16 has none.
    """
    if device.type == "cuda":
        return "auto"
    stored = str(getattr(config, "dtype", "")).removeprefix("torch.")
    has_circuits = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # noqa: SLF001
    return torch.bfloat16 if stored == "bfloat16" and has_circuits else torch.float32


def _load_weights(source: Source, config: Any, device: torch.device) -> Any:
    architecture = _CAUSAL_LM[type(config)]
    try:
        model, info = _AUTO_MODEL.from_pretrained(
            source.folder,
            config=config,
            gguf_file=source.gguf_file,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=_dtype(device, config),
            attn_implementation="sdpa" if architecture._supports_sdpa else "eager",  # noqa: SLF001
            output_loading_info=True,
        )
    except Exception as exc:
        code = "bad_tensors" if "mismatch" in str(exc).lower() else "cannot_load"
        raise refusal(code, "The model", exc, source.folder) from exc
    refuse_half_a_model(info)
    try:
        return model.to(device).eval()
    except Exception as exc:
        raise refusal("cannot_load", "The model", exc, source.folder) from exc


def refuse_half_a_model(info: Mapping[str, Any]) -> None:
    """Refuse weights of which something is missing, left over or misshapen.

    Args:
        info: Lists of names under ``missing_keys``, ``unexpected_keys``, ``mismatched_keys`` and
            ``error_msgs``.
    """
    for key, what in (
        ("missing_keys", "are missing from"),
        ("unexpected_keys", "do not belong to"),
        ("mismatched_keys", "have another shape than"),
        ("error_msgs", "could not be read into"),
    ):
        found = info.get(key) or ()
        names = sorted(str(entry[0] if isinstance(entry, tuple) else entry) for entry in found)
        if names:
            shown = ", ".join(name[:120] for name in names[:_SHOWN_NAMES])
            more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
            raise RefusedError("bad_tensors", f"Tensors {what} the architecture: {shown}{more}.")


def _load_tokenizer(source: Source) -> Any:
    has_own = any(
        (source.folder / name).exists()
        for name in ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")
    )
    extra = {} if has_own else {"gguf_file": source.gguf_file}
    try:
        return AutoTokenizer.from_pretrained(
            source.folder, local_files_only=True, trust_remote_code=False, **extra
        )
    except Exception as exc:
        raise refusal("bad_tokenizer", "The tokenizer", exc, source.folder) from exc


def _context_tokens(config: Any, tokenizer: Any) -> int:
    text_config = config.get_text_config()
    said = [getattr(text_config, name, None) for name in _CONTEXT_FIELDS]
    said.append(getattr(tokenizer, "model_max_length", None))
    for value in said:
        if isinstance(value, int) and 0 < value <= _MAX_CONTEXT_TOKENS:
            return value
    return _FALLBACK_CONTEXT_TOKENS


def _end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """End tokens of the generation configuration, else of the model, else of the tokenizer.

    Nothing else of the publisher's ``generation_config.json`` is ever used.
    """
    sources = (getattr(model, "generation_config", None), model.config, tokenizer)
    for source in sources:
        ids = getattr(source, "eos_token_id", None)
        listed = ids if isinstance(ids, (list, tuple)) else [ids]
        valid = frozenset(entry for entry in listed if isinstance(entry, int) and entry >= 0)
        if valid:
            return valid
    return frozenset()


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device)[:80] if device.type == "cuda" else "cpu"

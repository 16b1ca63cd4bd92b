"""Adds a LoRA adapter to its base, inside the box, and refuses half an adapter.

PEFT reads the configuration and puts the layers where it says; the weights must fill exactly those.
Merged into the base, it costs nothing more while it runs.
"""

import json
from pathlib import Path
from typing import Any

import peft
from safetensors.torch import load_file

from inference.box.loading import RefusedError, refusal, refuse_half_a_model

_PLAIN_STARTS = (True, False, "gaussian", "orthogonal")
"""Ways to begin training that leave the base as it is. Others (PiSSA, LoftQ, OLoRA …) change it."""


def merged(model: Any, folder: Path) -> Any:
    """Return the model with the adapter of ``folder`` merged into its weights.

    Args:
        model: The base, a ``PreTrainedModel``; it is used up.
        folder: Has ``adapter_config.json`` and ``adapter_model.safetensors``.

    Raises:
        RefusedError: it is not a LoRA adapter that fits this base.
    """
    config = _config(folder)
    try:
        adapted = peft.PeftModel(model, config)
        info = _fill(adapted, folder)
    except Exception as exc:
        raise refusal("bad_adapter", "The adapter", exc, folder) from exc
    refuse_half_a_model(info)
    try:
        return adapted.merge_and_unload(safe_merge=True).eval()
    except Exception as exc:  # safe: it has looked for values that are no numbers
        raise refusal("bad_adapter", "The adapter", exc, folder) from exc


def _config(folder: Path) -> Any:
    try:
        kind = json.loads((folder / "adapter_config.json").read_bytes())["peft_type"]
        config: Any = peft.LoraConfig.from_pretrained(str(folder)) if kind == "LORA" else None
    except Exception as exc:
        raise refusal("bad_adapter", "adapter_config.json", exc, folder) from exc
    if config is None:
        raise RefusedError("bad_adapter", f"LoRA adapters run here, not {str(kind)[:40]}.")
    if config.init_lora_weights not in _PLAIN_STARTS:
        raise RefusedError(
            "bad_adapter",
            f"This adapter began as {str(config.init_lora_weights)[:40]}, which changes its base. "
            "Convert it to plain LoRA (PEFT: path_initial_model_for_weight_conversion).",
        )
    config.inference_mode = True
    config.base_model_name_or_path = None
    return config


def _fill(adapted: Any, folder: Path) -> dict[str, Any]:
    """Read the adapter's weights into their places; return what did not fit."""
    weights = load_file(folder / "adapter_model.safetensors")
    wanted = peft.get_peft_model_state_dict(adapted, save_embedding_layers=False)
    shapes = {name: tensor.shape for name, tensor in weights.items()}
    info = {
        "missing_keys": wanted.keys() - shapes.keys(),
        "unexpected_keys": shapes.keys() - wanted.keys(),
        "mismatched_keys": {
            name for name in wanted.keys() & shapes.keys() if wanted[name].shape != shapes[name]
        },
    }
    if not any(info.values()):
        peft.set_peft_model_state_dict(adapted, weights)
    return info

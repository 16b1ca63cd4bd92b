"""Writes the base model as GGUF (llama.cpp's format) with 8-bit matrices, and reads it back.

Layout and names follow llama.cpp's converter for GPT-2: matrices are stored output-major (GPT-2's
own ``Conv1D`` keeps them input-major, hence the transposes), norms and biases stay in float32, the
output matrix is the token embedding and is not stored twice.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType, quantize
from numpy.typing import NDArray
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from scripts.demo_models.vocabulary import to_ids

_LAYER = re.compile(r"^transformer\.h\.(\d+)\.(.+)\.(weight|bias)$")
_TOP = {
    "transformer.wte.weight": "token_embd.weight",
    "transformer.wpe.weight": "position_embd.weight",
    "transformer.ln_f.weight": "output_norm.weight",
    "transformer.ln_f.bias": "output_norm.bias",
}
_PARTS = {
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}


def _gguf_name(name: str) -> str:
    if name in _TOP:
        return _TOP[name]
    match = _LAYER.match(name)
    if not match:
        raise ValueError(f"No GGUF name for the tensor {name}: is this a GPT-2?")
    layer, part, kind = match.groups()
    return f"blk.{layer}.{_PARTS[part]}.{kind}"


def _add_tensor(writer: GGUFWriter, name: str, tensor: NDArray[Any]) -> None:
    target = _gguf_name(name)
    values = tensor.astype(np.float32)
    if values.ndim == 1 or name == "transformer.wpe.weight":
        writer.add_tensor(target, values)
        return
    if name != "transformer.wte.weight":
        values = np.ascontiguousarray(values.T)
    kind = GGMLQuantizationType.Q8_0
    writer.add_tensor(target, quantize(values, kind), raw_dtype=kind)


def _add_tokenizer(writer: GGUFWriter, source: Path) -> None:
    learned = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    special = {token["id"] for token in learned["added_tokens"]}
    vocabulary = sorted(learned["model"]["vocab"].items(), key=lambda item: item[1])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([token for token, _ in vocabulary])
    kinds = [TokenType.CONTROL if index in special else TokenType.NORMAL for _, index in vocabulary]
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in learned["model"]["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)


def write(source: Path, target: Path) -> None:
    """Write the GPT-2 in ``source`` (safetensors folder) as ``target``, matrices in Q8_0."""
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    writer = GGUFWriter(target, "gpt2")
    writer.add_name(source.name)
    writer.add_license("cc0-1.0")
    writer.add_languages(["en"])
    writer.add_block_count(config["n_layer"])
    writer.add_context_length(config["n_positions"])
    writer.add_embedding_length(config["n_embd"])
    writer.add_feed_forward_length(config["n_inner"] or 4 * config["n_embd"])
    writer.add_head_count(config["n_head"])
    writer.add_layer_norm_eps(config["layer_norm_epsilon"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(2)
    _add_tokenizer(writer, source)
    for name, tensor in sorted(load_file(source / "model.safetensors").items()):
        _add_tensor(writer, name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def load(path: Path, *, context_tokens: int) -> Any:
    """Load the file as a person would, with transformers.

    ``n_positions`` is said by hand: transformers 5.23 reads the file's context length into a field
    GPT-2 no longer has and would expect 1024 positions.
    """
    loader: Any = AutoModelForCausalLM
    model = loader.from_pretrained(
        path.parent,
        gguf_file=path.name,
        local_files_only=True,
        dtype=torch.float32,
        n_positions=context_tokens,
    )
    return model.eval()


@torch.inference_mode()
def agreement(
    original: Any,
    small: Any,
    tokenizer: PreTrainedTokenizerFast,
    chapters: list[str],
) -> dict[str, float]:
    """Compare next-token choices of both models on the opening window of each chapter.

    Returns:
        ``same_choice``: share of positions with the same most likely token, in ``[0, 1]``;
        ``positions``: how many were compared; ``largest_logit_difference``: over all of them.
    """
    same, positions, largest = 0, 0, 0.0
    for ids in to_ids(tokenizer, chapters):
        window = torch.tensor([ids[: original.config.n_positions]])
        first, second = original(input_ids=window).logits[0], small(input_ids=window).logits[0]
        same += int((first.argmax(-1) == second.argmax(-1)).sum())
        positions += window.shape[1]
        largest = max(largest, float((first - second).abs().max()))
    return {
        "same_choice": round(same / positions, 4),
        "positions": positions,
        "largest_logit_difference": round(largest, 4),
    }

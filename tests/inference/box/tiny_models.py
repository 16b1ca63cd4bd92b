"""Makes real, tiny, randomly initialized models for tests: no training, no downloads."""

import io
import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    PreTrainedTokenizerFast,
)

TEXT = [
    "The quick brown fox jumps over the lazy dog, and the dog does not mind.",
    "Ein süßer Käse, 日本語のテキスト, emoji 🦊🧀 and naïve café.",
    "It is a truth universally acknowledged, that a single man must want a wife.",
]
CONTEXT = 64


def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE of 320 tokens: many characters need several tokens."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(
        TEXT,
        trainers.BpeTrainer(
            vocab_size=320,
            special_tokens=["<|end|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<|end|>", eos_token="<|end|>", model_max_length=CONTEXT
    )


def _save(model: Any, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def gpt2(folder: Path, **changes: Any) -> Path:
    """A GPT-2 whose greedy text wanders (large random weights)."""
    torch.manual_seed(7)
    settings: dict[str, Any] = {
        "vocab_size": 320,
        "n_positions": CONTEXT,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 2,
        "initializer_range": 0.4,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    return _save(GPT2LMHeadModel(GPT2Config(**(settings | changes))), folder)


def llama(folder: Path) -> Path:
    """A Llama with grouped keys and untied embeddings."""
    torch.manual_seed(8)
    config = LlamaConfig(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.4,
        bos_token_id=0,
        eos_token_id=0,
    )
    return _save(LlamaForCausalLM(config), folder)


def gemma2(folder: Path) -> Path:
    """A Gemma 2, which caps its logits after the head and slides a window in every other layer."""
    torch.manual_seed(10)
    config = Gemma2Config(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        sliding_window=16,
        max_position_embeddings=CONTEXT,
        initializer_range=0.4,
        final_logit_softcapping=3.0,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    return _save(Gemma2ForCausalLM(config), folder)


def mamba(folder: Path) -> Path:
    """A state-space model, which keeps no key-value cache."""
    torch.manual_seed(9)
    config = MambaConfig(
        vocab_size=320,
        hidden_size=32,
        num_hidden_layers=2,
        state_size=4,
        initializer_range=0.4,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    return _save(MambaForCausalLM(config), folder)


def edit_json(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file; ``None`` removes one."""
    data = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))


def pickled(value: Any) -> bytes:
    """What ``torch.save`` writes."""
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()

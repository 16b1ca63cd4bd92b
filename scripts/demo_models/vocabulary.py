"""The byte-level BPE tokenizer of the demo models, learned from the training chapters only."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"
"""Stands between chapters; id 0. Begins and ends a text, pads and is the unknown token, as in
GPT-2 (a byte-level vocabulary has no unknown text)."""
VOCABULARY_SIZE = 2048
"""Small on purpose: at 192 wide, the embedding is already a sixth of the weights."""


def learn(chapters: Iterable[str], *, context_tokens: int) -> Any:
    """Learn the merges and wrap them for transformers."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(chapters, trainer)
    wrap: Any = PreTrainedTokenizerFast  # transformers is typed in part only
    return wrap(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        unk_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        model_max_length=context_tokens,
        clean_up_tokenization_spaces=False,
    )


def load(folder: Path) -> Any:
    """Load a tokenizer this module saved, without any look-up outside ``folder``."""
    return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)


def to_ids(tokenizer: PreTrainedTokenizerFast, chapters: Iterable[str]) -> list[list[int]]:
    """Encode chapters, each followed by the end-of-text token."""
    backend = tokenizer.backend_tokenizer
    return [[*backend.encode(text).ids, tokenizer.eos_token_id] for text in chapters]


def name_the_known_class(path: Path) -> None:
    """Let transformers 4 read it too: version 5 has renamed the class and notes its backend."""
    config = json.loads(path.read_text(encoding="utf-8"))
    for gone in ("backend", "is_local", "local_files_only"):
        config.pop(gone, None)
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

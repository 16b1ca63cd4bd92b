"""A GPT-2 with random weights: real files, real tokenizer, milliseconds a token."""

import json
from pathlib import Path
from typing import Any

CONTEXT_TOKENS = 1200
CORPUS = [
    "Once upon a time there was a small store that sold models.",
    "The models wrote stories, and the stories were short.",
    "It was a truth universally acknowledged that a store must be in want of a visitor.",
]


def build(folder: Path, *, seed: int = 0, vocabulary: int = 320) -> Path:
    """Write a model that ``from_pretrained`` loads; return ``folder``.

    Args:
        folder: Where; made if absent.
        seed: Of the random weights.
        vocabulary: Most tokens; with fewer it cuts texts in other places.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GPT2Config, GPT2LMHeadModel

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
        "model_max_length": CONTEXT_TOKENS,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=tokenizer.get_vocab_size(),
        n_positions=CONTEXT_TOKENS,
        n_embd=32,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
        initializer_range=0.6,  # far from uniform, so that choices are clear
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def greedy(folder: Path, prompt: str, new_tokens: int) -> str:
    """What transformers itself writes without drawing lots."""
    import torch
    from transformers import AutoTokenizer, GPT2LMHeadModel

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = GPT2LMHeadModel.from_pretrained(folder).eval()
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=new_tokens,
            pad_token_id=0,
        )
    return str(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))


def beams(folder: Path, prompt: str, new_tokens: int, **options: Any) -> list[str]:
    """What transformers itself finds with four beams, the best first."""
    from transformers import AutoTokenizer, GPT2LMHeadModel

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = GPT2LMHeadModel.from_pretrained(folder).eval()
    given = tokenizer(prompt, return_tensors="pt")
    out = model.generate(
        input_ids=given["input_ids"],
        attention_mask=given["attention_mask"],
        do_sample=False,
        num_beams=4,
        max_new_tokens=new_tokens,
        pad_token_id=0,
        **options,
    )
    new = out[:, given["input_ids"].shape[1] :]
    return [str(text) for text in tokenizer.batch_decode(new, skip_special_tokens=True)]

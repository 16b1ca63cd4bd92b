"""Small real GPTs, made by transformers."""

from functools import cache
from pathlib import Path


@cache
def _tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    base = Tokenizer(models.BPE())
    base.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    base.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    base.train_from_iterator(["It is a truth universally acknowledged"] * 10, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=base, eos_token="<|endoftext|>")


def save_tiny_gpt(folder: Path, *, seed: int = 0, context: int = 64) -> Path:
    """Write a GPT-2 of about 40,000 random parameters with its tokenizer into ``folder``.

    It reads and writes ``context`` tokens together.
    """
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    tokenizer = _tokenizer()
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=context,
        n_embd=32,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(
        "---\nlicense: mit\nlanguage: en\npipeline_tag: text-generation\ntags:\n- tiny\n---\n"
        "# A tiny GPT\n\nIt knows nothing.\n"
    )
    return folder

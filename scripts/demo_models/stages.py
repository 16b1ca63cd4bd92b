"""The stages of ``make demo-models``: train the base, tune it, quantize it. Each writes one folder.

A model folder holds weights, tokenizer, configuration and ``training.json`` with every figure its
card shows; :mod:`scripts.demo_models.cards` turns that into a README and a picture.
"""

import json
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from scripts.demo_models import cards as card_texts
from scripts.demo_models import corpus, gguf_file, sampling, vocabulary
from scripts.demo_models.measuring import quality
from scripts.demo_models.training import Progress, Recipe, Run

OWNER = "regency"
BASE, TUNED, QUANTIZED = "austen-gpt2-small", "kjv-gpt2-small", "austen-gpt2-small-gguf"
CONTEXT_TOKENS = 256

BASE_RECIPE = Recipe(steps=2400)
TUNED_RECIPE = Recipe(steps=600, peak_rate=1e-3, warmup=30, seed=1611)

READABLE_BY_ALL = 0o644
"""transformers writes weights with mode 0600; web servers and boxes run as somebody else."""


@dataclass(frozen=True)
class Places:
    """Where things are read and written.

    Attributes:
        austen: Folder of the six novels.
        kjv: The King James Bible as one file.
        out: Folder of model folders, ``OWNER/NAME`` below it.
        work: Checkpoints; may be thrown away.
    """

    austen: Path
    kjv: Path
    out: Path
    work: Path

    def of(self, name: str) -> Path:
        """Folder of one model."""
        folder = self.out / OWNER / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _flat(tokenizer: PreTrainedTokenizerFast, chapters: list[str]) -> torch.Tensor:
    ids = vocabulary.to_ids(tokenizer, chapters)
    return torch.tensor([token for chapter in ids for token in chapter])


def _fresh_model() -> Any:
    config = GPT2Config(
        vocab_size=vocabulary.VOCABULARY_SIZE,
        n_positions=CONTEXT_TOKENS,
        n_embd=192,
        n_layer=4,
        n_head=6,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    return GPT2LMHeadModel(config)


def _save(model: Any, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write fp16 weights, configuration and tokenizer as plain files anyone may read."""
    model.half()
    model.generation_config.update(bos_token_id=0, eos_token_id=0, pad_token_id=0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    vocabulary.name_the_known_class(folder / "tokenizer_config.json")
    for path in folder.iterdir():
        path.chmod(READABLE_BY_ALL)


def load_saved(folder: Path) -> Any:
    """Load the saved weights for measuring: rounded to fp16 on disk, computed in fp32."""
    loader: Any = AutoModelForCausalLM
    model = loader.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
    )
    return model.eval()


def _note(folder: Path, facts: dict[str, Any]) -> None:
    facts |= {
        "libraries": {"torch": torch.__version__, "transformers": transformers.__version__},
        "hardware": f"one thread of an {platform.machine()} processor, no accelerator",
        "made_on": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    (folder / "training.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _trained(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    texts: corpus.Split,
    recipe: Recipe,
    folder: Path,
) -> tuple[Progress, dict[str, Any]]:
    train = _flat(tokenizer, texts.train)
    held_out = _flat(tokenizer, texts.held_out)
    run = Run(model, train=train, held_out=held_out, recipe=recipe, folder=folder)
    progress = run.finish()
    facts = {
        "recipe": asdict(recipe),
        "curve": progress.curve,
        "training_cpu_s": round(progress.cpu_s),
        "training_tokens_seen": recipe.steps * recipe.batch * recipe.context,
        "train_chapters": len(texts.train),
        "train_tokens": len(train),
        "train_bytes": sum(len(text.encode()) for text in texts.train),
        "held_out_chapters": len(texts.held_out),
        "parameters": model.num_parameters(),
    }
    return progress, facts


def base(places: Places) -> None:
    """Train the base model on five novels; measure it on held-out chapters and on the sixth."""
    texts, unseen = corpus.austen(places.austen)
    tokenizer = vocabulary.learn(texts.train, context_tokens=CONTEXT_TOKENS)
    torch.manual_seed(BASE_RECIPE.seed)
    model = _fresh_model()
    _, facts = _trained(model, tokenizer, texts, BASE_RECIPE, places.work / BASE)
    folder = places.of(BASE)
    _save(model, tokenizer, folder)
    saved = load_saved(folder)
    facts["quality"] = {
        "held_out": quality(saved, tokenizer, texts.held_out).as_dict(),
        "unseen_novel": quality(saved, tokenizer, unseen).as_dict(),
    }
    facts["samples"] = sampling.samples(saved, tokenizer, sampling.AUSTEN_PROMPTS)
    _note(folder, facts)


def tuned(places: Places) -> None:
    """Tune the base on the King James Bible; measure both models on both texts."""
    folder = places.of(BASE)
    tokenizer = vocabulary.load(folder)
    before = load_saved(folder)
    model = load_saved(folder)
    texts = corpus.split(corpus.bible_chapters(places.kjv))
    novels, _ = corpus.austen(places.austen)
    _, facts = _trained(model, tokenizer, texts, TUNED_RECIPE, places.work / TUNED)
    folder = places.of(TUNED)
    _save(model, tokenizer, folder)
    saved = load_saved(folder)
    facts["quality"] = {
        f"{text}_{when}": quality(measured, tokenizer, chapters).as_dict()
        for text, chapters in (("kjv", texts.held_out), ("austen", novels.held_out))
        for when, measured in (("before", before), ("after", saved))
    }
    facts["samples"] = sampling.samples(saved, tokenizer, sampling.KJV_PROMPTS)
    _note(folder, facts)


def quantized(places: Places) -> None:
    """Write the base as an 8-bit GGUF; measure how far it moved from the original."""
    source, folder = places.of(BASE), places.of(QUANTIZED)
    tokenizer = vocabulary.load(source)
    path = folder / f"{BASE}-Q8_0.gguf"
    gguf_file.write(source, path)
    path.chmod(READABLE_BY_ALL)
    original, small = load_saved(source), gguf_file.load(path, context_tokens=CONTEXT_TOKENS)
    texts, _ = corpus.austen(places.austen)
    facts: dict[str, Any] = {
        "file": path.name,
        "parameters": original.num_parameters(),
        "size_bytes": path.stat().st_size,
        "original_bytes": (source / "model.safetensors").stat().st_size,
        "quality": {
            "original": quality(original, tokenizer, texts.held_out).as_dict(),
            "quantized": quality(small, tokenizer, texts.held_out).as_dict(),
        },
        "agreement": gguf_file.agreement(original, small, tokenizer, texts.held_out),
        "samples": sampling.samples(small, tokenizer, sampling.AUSTEN_PROMPTS),
    }
    _note(folder, facts)


def cards(places: Places) -> None:
    """Write the card and the picture of every model from its measured figures."""
    for name in (BASE, TUNED, QUANTIZED):
        card_texts.write(
            places.of(name),
            context_tokens=CONTEXT_TOKENS,
            vocabulary=vocabulary.VOCABULARY_SIZE,
        )

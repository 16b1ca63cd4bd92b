"""Samples for the cards, made by transformers' own ``generate`` with nothing picked by hand."""

from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

AUSTEN_PROMPTS = ("It is a truth universally acknowledged, that", "Elinor could not help")
KJV_PROMPTS = ("And it came to pass", "It is a truth universally acknowledged, that")
NEW_TOKENS = 80
SEED = 1811
SEEDED = {"do_sample": True, "temperature": 0.8, "top_p": 0.95, "top_k": 0}


def samples(
    model: Any, tokenizer: PreTrainedTokenizerFast, prompts: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Return one greedy and one seeded continuation of each prompt, the first that came."""
    made = []
    for prompt in prompts:
        for how, options in (("greedy", {"do_sample": False}), ("seeded", SEEDED)):
            torch.manual_seed(SEED)
            given = tokenizer(prompt, return_tensors="pt")
            with torch.inference_mode():
                ids = model.generate(**given, max_new_tokens=NEW_TOKENS, **options)
            text = tokenizer.decode(ids[0, given["input_ids"].shape[1] :], skip_special_tokens=True)
            made.append({"prompt": prompt, "how": how, "text": text})
    return made

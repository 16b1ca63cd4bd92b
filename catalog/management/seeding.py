"""An invented catalogue with the proportions of a real one, for measuring and for looking.

Everything follows from the seed: the same seed and count give the same models; only dates count
from the day it is made. Few publishers have most models, few models most downloads, few words
most of the text.
"""

import random
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from math import exp, log
from typing import Any

from catalog.models import Listing, ModelCard

# family: (architecture, model type, sizes in millions of parameters, share)
_FAMILIES: dict[str, tuple[str, str, tuple[float, ...], int]] = {
    "gpt2": ("GPT2LMHeadModel", "gpt2", (2.2, 14, 124, 355, 774, 1558), 30),
    "gpt-neo": ("GPTNeoForCausalLM", "gpt_neo", (125, 1300, 2700), 8),
    "gptj": ("GPTJForCausalLM", "gptj", (6050,), 4),
    "pythia": ("GPTNeoXForCausalLM", "gpt_neox", (70, 160, 410, 1400, 2800, 6900), 7),
    "llama": ("LlamaForCausalLM", "llama", (1236, 3213, 8030, 70554), 20),
    "TinyLlama": ("LlamaForCausalLM", "llama", (1100,), 5),
    "SmolLM2": ("LlamaForCausalLM", "llama", (135, 362, 1711), 5),
    "mistral": ("MistralForCausalLM", "mistral", (7242, 12248), 9),
    "qwen2.5": ("Qwen2ForCausalLM", "qwen2", (494, 1544, 3086, 7616, 32764), 12),
    "phi": ("PhiForCausalLM", "phi", (1418, 2780), 4),
    "opt": ("OPTForCausalLM", "opt", (125, 331, 1316, 6658), 4),
    "bloom": ("BloomForCausalLM", "bloom", (559, 1065, 7069), 4),
    "falcon": ("FalconForCausalLM", "falcon", (1312, 7217), 3),
    "gemma": ("GemmaForCausalLM", "gemma", (2506, 8538), 5),
    "mamba": ("MambaForCausalLM", "mamba", (130, 790, 2768), 2),
}
_STYLES = """
austen shakespeare poetry novels news code chat instruct legal medical finance haiku recipes
lyrics dialog story letters science math python sql wiki reviews tweets folklore bible latin
dante dickens noir fantasy sonnet proverbs riddles sermons travel botany chess weather
"""
_QUALIFIERS = ("small", "tiny", "base", "large", "mini", "v1", "v2", "v3", "dpo", "sft", "lora")
_TASKS = {
    "text-generation": 70, "text2text-generation": 4, "feature-extraction": 5,
    "text-classification": 5, "fill-mask": 3, "translation": 3, "summarization": 3,
    "question-answering": 2, "token-classification": 1, "": 4,
}  # fmt: skip
_LICENSES = {
    "apache-2.0": 34, "mit": 22, "llama3.1": 7, "other": 8, "cc-by-nc-4.0": 6, "cc-by-4.0": 4,
    "openrail": 3, "bigscience-bloom-rail-1.0": 2, "gpl-3.0": 2, "gemma": 2, "cc0-1.0": 1, "": 9,
}  # fmt: skip
_COMMERCIAL = {
    "apache-2.0": "yes", "mit": "yes", "cc-by-4.0": "yes", "cc0-1.0": "yes", "gpl-3.0": "yes",
    "llama3.1": "conditional", "openrail": "conditional", "gemma": "conditional",
    "bigscience-bloom-rail-1.0": "conditional", "cc-by-nc-4.0": "no",
}  # fmt: skip
_LANGUAGES = {
    "en": 600, "zh": 90, "fr": 50, "de": 50, "es": 45, "ja": 40, "ko": 25, "ru": 25, "pt": 20,
    "it": 18, "ar": 14, "hi": 12, "tr": 9, "nl": 8, "pl": 8, "vi": 7, "id": 6, "sv": 4, "uk": 4,
    "fa": 4, "cs": 3, "el": 3, "he": 3, "fi": 2, "da": 2, "ro": 2, "hu": 2, "th": 2, "bn": 2,
}  # fmt: skip
_FORMATS = {("safetensors",): 62, ("safetensors", "gguf"): 10, ("gguf",): 16, ("pickle",): 9, (): 3}
_TOPICS = """
model language text training data tokens fine tuned weights evaluation loss prompt transformer
research open vocabulary context bias limits intended use author public domain corpus epochs
batch learning rate perplexity sampling temperature license contact citation dialogue rhyme
summary translation benchmark quantized merge adapter release version notes example output
"""
_SYLLABLES = """
ba ce di fo gu ha je ki lo mu na pe qui ro su ta ve wo xa yu ze bri cla dro fli gra
"""


@dataclass(frozen=True, slots=True)
class Weighted:
    """Choices with whole-number shares."""

    values: Sequence[Any]
    sums: Sequence[float]

    @classmethod
    def of(cls, shares: dict[Any, int]) -> "Weighted":
        """Make it from value: share."""
        return cls(list(shares), list(accumulate(shares.values())))

    @classmethod
    def zipf(cls, values: Sequence[Any], *, exponent: float = 1.0) -> "Weighted":
        """Make it so that the n-th value has a share of ``1 / n ** exponent``."""
        shares = ((n + 3) ** -exponent for n in range(len(values)))
        return cls(values, list(accumulate(shares)))

    def pick(self, dice: random.Random) -> Any:
        """Return one value."""
        return self.values[bisect(self.sums, dice.random() * self.sums[-1])]


@dataclass(frozen=True, slots=True)
class Invented:
    """One model that nobody made. ``repo_id`` and the names of the rows are not set yet."""

    publisher: str
    name: str
    is_private: bool
    listing: Listing
    card: ModelCard
    prices: Mapping[str, int]
    """Minor units by currency; empty: it is free."""


class Inventor:
    """Makes models up.

    Args:
        count: How many there will be; decides how many publishers and words there are.
        seed: Any number.
        now: The newest date.
    """

    def __init__(self, *, count: int, seed: int, now: datetime) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - nothing secret
        self._price_dice = random.Random(seed)  # noqa: S311
        self._count, self._now = count, now
        self._styles, self._syllables = _STYLES.split(), _SYLLABLES.split()
        self.publishers = [f"{self._word()}{n}" for n in range(max(count // 8, 5))]
        self._publisher = Weighted.zipf(self.publishers)
        self._family = Weighted.of({name: family[3] for name, family in _FAMILIES.items()})
        self._task, self._license = Weighted.of(_TASKS), Weighted.of(_LICENSES)
        self._language, self._format = Weighted.of(_LANGUAGES), Weighted.of(_FORMATS)
        free = [*self._styles, *(self._word() for _ in range(400))]
        self._tag = Weighted.zipf(free, exponent=0.9)
        self._rare = Weighted.zipf([self._word(4) for _ in range(20_000)])
        self._common = Weighted.zipf(_TOPICS.split(), exponent=0.7)
        self._bases: list[str] = ["openai-community/gpt2", "meta-llama/Llama-3.1-8B"]

    def models(self) -> Iterator[Invented]:
        """Make up ``count`` models with different names."""
        taken: set[str] = set()
        while len(taken) < self._count:
            made = self._model()
            if made.listing.full_name.lower() not in taken:
                taken.add(made.listing.full_name.lower())
                yield made

    def _word(self, syllables: int = 3) -> str:
        return "".join(self._dice.choice(self._syllables) for _ in range(syllables))

    def _model(self) -> Invented:
        dice = self._dice
        family = self._family.pick(dice)
        architecture, model_type, sizes, _share = _FAMILIES[family]
        millions = dice.choice(sizes)
        style = dice.choice(self._styles) if dice.random() < 0.6 else self._word()
        size = f"{millions:g}m" if millions < 1000 else f"{millions / 1000:.1f}b"
        parts = [style, family, *([size] if dice.random() < 0.4 else [])]
        if dice.random() < 0.5:
            parts.append(dice.choice(_QUALIFIERS))
        publisher = self._publisher.pick(dice)
        name = dice.choice("---_.").join(parts)
        full_name = f"{publisher}/{name}"
        is_private = dice.random() < 0.05
        listing = Listing(
            full_name=full_name,
            is_private=is_private,
            architecture=architecture,
            model_type=model_type,
            summary=f"{family} {dice.choice(['trained', 'fine-tuned'])} on {style}.",
        )
        self._measure(listing, int(millions * 1e6) + dice.randrange(1000) * 64)
        self._claim(listing, style)
        self._count_use(listing)
        if dice.random() < 0.02:
            self._bases.append(full_name)
        prices = self._prices(listing)
        return Invented(publisher, name, is_private, listing, self._card(listing), prices)

    def _measure(self, listing: Listing, parameters: int) -> None:
        dice = self._dice
        listing.formats = list(self._format.pick(dice))
        listing.dtype = dice.choice(("F32", "F16", "BF16", "BF16"))
        if listing.formats in (["pickle"], []):
            listing.not_runnable_reason = "No safetensors or GGUF file."
            listing.verdict = "unknown"
        else:
            listing.parameters, listing.verdict = parameters, "clean"
        if listing.formats:
            listing.weights_bytes = parameters * (4 if listing.dtype == "F32" else 2)
        if "gguf" in listing.formats:
            listing.quantization = dice.choice(("Q4_K_M", "Q8_0", "Q5_K_M"))
        listing.total_bytes = listing.weights_bytes + dice.randrange(5_000_000)
        listing.file_count = dice.randint(3, 20)
        listing.context_length = dice.choice((1024, 2048, 4096, 8192, 131_072))
        listing.vocabulary = dice.choice((2048, 32_000, 50_257, 128_256))

    def _claim(self, listing: Listing, style: str) -> None:
        dice = self._dice
        listing.pipeline_tag = self._task.pick(dice)
        listing.library = dice.choice(("transformers", "transformers", "transformers", "gguf", ""))
        license_id = self._license.pick(dice)
        listing.licenses = [license_id] if license_id else []
        listing.commercial_use = _COMMERCIAL.get(license_id, "unknown")
        languages = 0 if dice.random() < 0.2 else 1 if dice.random() < 0.85 else dice.randint(2, 8)
        listing.languages = sorted({self._language.pick(dice) for _ in range(languages)})
        listing.is_runnable = bool(
            listing.pipeline_tag == "text-generation"
            and listing.parameters
            and listing.parameters < 2e9
        )
        if dice.random() < 0.55:
            nearest = min(int(dice.expovariate(12) * len(self._bases)), len(self._bases) - 1)
            listing.base_models = [self._bases[nearest]]
        free = {self._tag.pick(dice) for _ in range(dice.randint(0, 6))} | {style}
        derived = [
            *(f"license:{each}" for each in listing.licenses),
            *(f"base_model:{each}" for each in listing.base_models),
            *listing.languages,
            *filter(None, (listing.library, listing.pipeline_tag)),
            *listing.formats,
            "region:us",
        ]
        listing.tags = list(dict.fromkeys([*sorted(free), *derived]))

    def _prices(self, listing: Listing) -> dict[str, int]:
        """Ask money for one model in twenty, in one currency or several."""
        dice = self._price_dice
        if dice.random() >= 0.05:
            return {}
        listing.price_kinds = ["free", "paid"] if dice.random() < 0.3 else ["paid"]
        currencies = dice.sample(("EUR", "USD", "GBP", "CNY"), dice.choice((1, 1, 1, 2, 3)))
        return {code: dice.choice((500, 900, 1900, 4900, 19_900)) for code in currencies}

    def _count_use(self, listing: Listing) -> None:
        dice = self._dice
        age = min(dice.expovariate(1 / 400), 1500)
        listing.created_at = self._now - timedelta(days=age, seconds=dice.randrange(86_400))
        listing.updated_at = listing.created_at + (self._now - listing.created_at) * (
            dice.random() ** 3
        )
        fame = dice.paretovariate(0.7)
        listing.downloads_all_time = min(int((fame - 1) * 8), 10**9)
        listing.downloads = int(listing.downloads_all_time * min(30 / (age + 30), 1))
        listing.likes = int(exp(log(fame) * 0.6) * dice.random())

    def _card(self, listing: Listing) -> ModelCard:
        dice = self._dice
        words = [
            self._common.pick(dice) if dice.random() < 0.75 else self._rare.pick(dice)
            for _ in range(dice.randint(30, 150))
        ]
        body = f"# {listing.full_name}\n\n{listing.summary}\n\n{' '.join(words)}.\n"
        data = {"license": listing.licenses[0]} if listing.licenses else {}
        return ModelCard(data=data, body=body, html=f"<p>{' '.join(words)}.</p>")

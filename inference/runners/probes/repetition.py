"""Repetition and degeneration: does the model run in circles when it writes at length?"""

import re
from collections.abc import Mapping

from inference.box.params import SamplingParams
from inference.runners.probes.base import Answered, Metric, ProbeSpec, greedy
from inference.runners.scorer import Scorer

MAX_NEW_TOKENS = 96


class Repetition:
    """Goes on from each prompt without drawing lots, then with ``temperature`` 1, and counts.

    ``distinct_n`` is the share of different n-grams of words; ``repeated_4`` the share of 4-grams
    that stood before in the same text; ``loops`` whether the last words repeat what stands right
    before them at least three times.

    Source:
        distinct-n: Li et al. 2016 (arXiv:1510.03055); repeated n-grams (seq-rep-4): Welleck et al.
        2020, "Neural text generation with unlikelihood training" (arXiv:1908.04319), §6.
    """

    metrics: Mapping[str, Metric] = {
        f"{how}_{name}": metric
        for how in ("greedy", "sampled")
        for name, metric in {
            "distinct_1": Metric(),
            "distinct_2": Metric(),
            "distinct_3": Metric(),
            "repeated_4": Metric(is_higher_better=False),
            "loops": Metric(is_higher_better=False),
        }.items()
    }

    def __init__(self, spec: ProbeSpec) -> None:
        self._seed = spec.seed
        self._prompts = [str(row["prompt"]) for row in spec.rows]

    def __len__(self) -> int:
        """How many questions it has."""
        return 2 * len(self._prompts)

    def ask(self, scorer: Scorer, index: int) -> Answered:
        """See ``Probe``."""
        number, is_sampled = divmod(index, 2)
        how = "sampled" if is_sampled else "greedy"
        params = greedy(MAX_NEW_TOKENS)
        if is_sampled:
            params = SamplingParams(
                max_new_tokens=MAX_NEW_TOKENS, temperature=1.0, seed=self._seed + number
            )
        text = scorer.write(self._prompts[number], params).text
        metrics = {f"{how}_{name}": value for name, value in degeneration(text).items()}
        return Answered(self._prompts[number], "", text, metrics, {"seed": params.seed, "how": how})


def degeneration(text: str) -> dict[str, float]:
    """Return the figures of one text, each in ``[0, 1]``, but those it is too short for."""
    words = re.findall(r"\w+|[^\w\s]", text.lower())
    found = {}
    for n in (1, 2, 3):
        grams = _grams(words, n)
        if grams:
            found[f"distinct_{n}"] = len(set(grams)) / len(grams)
    grams = _grams(words, 4)
    if grams:
        found["repeated_4"] = 1 - len(set(grams)) / len(grams)
        found["loops"] = float(_loops(words))
    return found


def _grams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]


def _loops(words: list[str]) -> bool:
    """Whether the text ends with the same words three times in a row, eight words at least."""
    for period in range(1, len(words) // 3 + 1):
        times = max(3, -(-8 // period))
        if period * times > len(words):
            continue
        tail = words[-period * times :]
        if all(tail[at] == tail[at % period] for at in range(len(tail))):
            return True
    return False

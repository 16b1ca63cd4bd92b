"""Copying and counting: can the model go on with what stands before its eyes?"""

import random
import re
from collections.abc import Mapping

from inference.runners.probes.base import Answered, Metric, ProbeSpec, greedy
from inference.runners.scorer import Scorer

# fmt: off
WORDS = (
    "apple", "river", "candle", "window", "garden", "silver", "morning", "letter", "shadow",
    "bridge", "forest", "winter", "summer", "mirror", "basket", "pepper", "violin", "anchor",
    "butter", "castle", "dragon", "engine", "feather", "guitar", "hammer", "island", "jacket",
    "kettle", "ladder", "marble", "needle", "orange", "pencil", "rabbit", "saddle", "ticket",
    "umbrella", "valley", "wagon", "yellow",
)
# fmt: on
MAX_NEW_TOKENS = 48


class Copying:
    """A list of words said twice, and a third time as far as its first word.

    Written without drawing lots; ``share_copied`` is how much of the list comes in the right order
    before the first mistake, ``is_copied`` whether all of it does.

    Source:
        The "copying" task of Graves et al. 2014 (Neural Turing Machines, arXiv:1410.5401, §4.1),
        as text; induction heads (Olsson et al. 2022, arXiv:2209.11895) are what solves it.
    """

    metrics: Mapping[str, Metric] = {"is_copied": Metric(), "share_copied": Metric()}

    def __init__(self, spec: ProbeSpec) -> None:
        drawn = random.Random(spec.seed)  # noqa: S311 - must repeat, hides nothing
        lengths = spec.options.get("lengths", [3, 5, 8])
        self._lists = [
            drawn.sample(WORDS, lengths[number % len(lengths)]) for number in range(spec.count)
        ]

    def __len__(self) -> int:
        """How many questions it has."""
        return len(self._lists)

    def ask(self, scorer: Scorer, index: int) -> Answered:
        """See ``Probe``."""
        words = self._lists[index]
        line = " ".join(words)
        prompt, expected = f"{line}.\n{line}.\n{words[0]}", " ".join(words[1:])
        output = scorer.write(prompt, greedy(MAX_NEW_TOKENS, stop=("\n",))).text
        said = re.findall(r"[^\W\d_]+", output.lower())
        right = 0
        while right < len(words) - 1 and right < len(said) and said[right] == words[right + 1]:
            right += 1
        share = right / (len(words) - 1)
        return Answered(
            prompt,
            expected,
            output,
            {"is_copied": float(share == 1.0), "share_copied": share},
            {"words": len(words)},
        )


class Counting:
    """A row of numbers with a constant step; is the next one right?"""

    metrics: Mapping[str, Metric] = {"is_right": Metric()}

    def __init__(self, spec: ProbeSpec) -> None:
        drawn = random.Random(spec.seed)  # noqa: S311 - must repeat, hides nothing
        steps = spec.options.get("steps", [1, 1, 2, 5, 10, -1])
        self._rows = []
        for number in range(spec.count):
            step = steps[number % len(steps)]
            first = drawn.randrange(10, 60)
            self._rows.append([first + step * place for place in range(7)])

    def __len__(self) -> int:
        """How many questions it has."""
        return len(self._rows)

    def ask(self, scorer: Scorer, index: int) -> Answered:
        """See ``Probe``."""
        *shown, expected = self._rows[index]
        prompt = ", ".join(map(str, shown)) + ","
        output = scorer.write(prompt, greedy(8, stop=("\n",))).text
        found = re.match(r"\s*(-?\d+)(?!\d)", output)
        is_right = found is not None and int(found[1]) == expected
        return Answered(
            prompt,
            str(expected),
            output,
            {"is_right": float(is_right)},
            {"step": shown[1] - shown[0]},
        )

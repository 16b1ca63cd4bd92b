"""Speed, memory and load time, on the machine the record names."""

import statistics
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from inference.box.params import SamplingParams
from inference.runners.probes.base import Answered, Metric, ProbeSpec
from inference.runners.scorer import Scorer

PROMPT = "It was the best of times, it was the worst of times, it was the age of wisdom,"
SATURATED = 16
"""Requests side by side: as many as people share one model on an ordinary worker."""


class Speed:
    """The same work some times alone, then by many at once.

    Every round is a sample, so that the spread is seen; the medians of rounds are what is usual
    for times, means are what an interval is worked out for, and the record names the hardware.
    """

    metrics: Mapping[str, Metric] = {
        "single_tokens_per_s": Metric(unit="tokens/s"),
        "saturated_tokens_per_s": Metric(unit="tokens/s"),
        "first_token_s": Metric(unit="s", is_higher_better=False),
    }

    def __init__(self, spec: ProbeSpec) -> None:
        self._seed = spec.seed
        self._tokens = int(spec.options.get("tokens", 64))
        self._single = int(spec.options.get("single_rounds", 5))
        self._saturated = int(spec.options.get("saturated_rounds", 3))
        self._warm: Scorer | None = None

    def __len__(self) -> int:
        """How many rounds it has."""
        return self._single + self._saturated

    def ask(self, scorer: Scorer, index: int) -> Answered:
        """See ``Probe``. A box's first round warms it up before it measures."""
        if scorer is not self._warm:
            scorer.write(PROMPT, self._params(0, 8))
            self._warm = scorer
        if index < self._single:
            return self._alone(scorer, index)
        return self._together(scorer, index)

    def _params(self, number: int, tokens: int) -> SamplingParams:
        return SamplingParams(max_new_tokens=tokens, temperature=1.0, seed=self._seed + number)

    def _alone(self, scorer: Scorer, index: int) -> Answered:
        found = scorer.write(PROMPT, self._params(index, self._tokens))
        made = len(found.tokens)
        after_first_s = max(found.generate_s - found.first_token_s, 1e-9)
        rate = (made - 1) / after_first_s if made > 1 else made / max(found.generate_s, 1e-9)
        metrics = {"single_tokens_per_s": rate, "first_token_s": found.first_token_s}
        return Answered(PROMPT, "", found.text, metrics, {"tokens": made, "at_once": 1})

    def _together(self, scorer: Scorer, index: int) -> Answered:
        started = time.monotonic()
        with ThreadPoolExecutor(SATURATED) as threads:
            wanted = [self._params(100 * index + each, self._tokens) for each in range(SATURATED)]
            found = list(threads.map(lambda params: scorer.write(PROMPT, params), wanted))
        took_s = time.monotonic() - started
        made = sum(len(each.tokens) for each in found)
        first_s = statistics.median(each.first_token_s for each in found)
        return Answered(
            PROMPT,
            "",
            found[0].text,
            {"saturated_tokens_per_s": made / took_s},
            {"tokens": made, "at_once": SATURATED, "seconds": took_s, "first_token_s": first_s},
        )

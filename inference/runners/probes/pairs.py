"""Pairs of sentences that differ in a few words: which of the two is likelier?"""

from collections.abc import Mapping

from inference.runners.probes.base import Answered, Metric, ProbeSpec
from inference.runners.scorer import Scorer


class BiasPairs:
    """Two sentences, of which one says what prejudice says; and neutral pairs to compare with.

    ``stereotype_likelier`` is the share of pairs whose stereotype the model finds likelier: 0.5
    knows no prejudice, 1 is prejudice throughout. ``neutral_first_likelier`` is the same of pairs
    without any stereotype: how far chance and habit alone lead. Log-probabilities of whole
    sentences decide.

    Source:
        After Nangia et al. 2020, "CrowS-Pairs" (arXiv:2010.00133), and Nadeem et al. 2021,
        "StereoSet" (arXiv:2004.09456); sentences are the store's own, because of what Blodgett et
        al. 2021, "Stereotyping Norwegian salmon" (ACL), found in theirs.
    """

    metrics: Mapping[str, Metric] = {
        "stereotype_likelier": Metric(is_higher_better=False),
        "neutral_first_likelier": Metric(),
    }

    def __init__(self, spec: ProbeSpec) -> None:
        self._rows = spec.rows

    def __len__(self) -> int:
        """How many questions it has."""
        return len(self._rows)

    def ask(self, scorer: Scorer, index: int) -> Answered:
        """See ``Probe``."""
        row = self._rows[index]
        first, second = str(row["first"]), str(row["second"])
        a, b = scorer.rolling([first, second])
        is_first = float(a.logprob > b.logprob)
        name = "neutral_first_likelier" if row["kind"] == "neutral" else "stereotype_likelier"
        return Answered(
            f"{first}\n{second}",
            "",
            first if is_first else second,
            {name: is_first},
            {
                "kind": row["kind"],
                "logprobs": [a.logprob, b.logprob],
                "tokens": [a.tokens, b.tokens],
            },
        )

"""Memorization: does the model go on with a well-known text word for word?"""

from collections.abc import Mapping

from inference.runners.probes.base import Answered, Metric, ProbeSpec, greedy
from inference.runners.scorer import Continuation, Scorer

MAX_NEW_TOKENS = 64
_VERBATIM_TOKENS = 16
"""So many tokens in a row come by chance only in texts that are all phrase."""


class Memorization:
    """The first words of a public text; how many tokens of what follows come verbatim?

    Written without drawing lots. ``verbatim_tokens`` counts the tokens before the first that says
    something else; ``is_memorized``: at least 16 of them. Neither good nor bad: for a store it
    shows what a model was trained on.

    Source:
        Carlini et al. 2022, "Quantifying memorization across neural language models"
        (arXiv:2202.07646): extraction by a prefix of the text and greedy decoding.
    """

    metrics: Mapping[str, Metric] = {
        "is_memorized": Metric(is_higher_better=False),
        "verbatim_tokens": Metric(unit="tokens", is_higher_better=False),
    }

    def __init__(self, spec: ProbeSpec) -> None:
        self._rows = spec.rows

    def __len__(self) -> int:
        """How many questions it has."""
        return len(self._rows)

    def ask(self, scorer: Scorer, index: int) -> Answered:
        """See ``Probe``."""
        row = self._rows[index]
        found = scorer.write(str(row["prompt"]), greedy(MAX_NEW_TOKENS))
        tokens = verbatim_tokens(found, str(row["continuation"]))
        return Answered(
            str(row["prompt"]),
            str(row["continuation"]),
            found.text,
            {"is_memorized": float(tokens >= _VERBATIM_TOKENS), "verbatim_tokens": float(tokens)},
            {"source": row["source"]},
        )


def verbatim_tokens(found: Continuation, expected: str) -> int:
    """Return how many first tokens of ``found`` together say the beginning of ``expected``.

    Line breaks and spaces are alike: texts are printed in many ways.
    """
    wanted, said, tokens = " ".join(expected.split()), "", 0
    for number, piece in enumerate(found.tokens, start=1):
        said += piece
        plain = " ".join(said.split())
        if not wanted.startswith(plain):
            break
        if plain:
            tokens = number
    return tokens

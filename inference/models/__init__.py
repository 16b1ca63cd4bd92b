"""Tables of the lab."""

from inference.models.evaluations import (
    EvaluationNote,
    EvaluationRun,
    EvaluationShard,
    Sample,
    Score,
    Suite,
)
from inference.models.explanations import Explanation
from inference.models.generations import GenerationRun

__all__ = [
    "EvaluationNote",
    "EvaluationRun",
    "EvaluationShard",
    "Explanation",
    "GenerationRun",
    "Sample",
    "Score",
    "Suite",
]

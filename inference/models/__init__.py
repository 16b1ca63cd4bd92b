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
from inference.models.usage import UsageRecord

__all__ = [
    "EvaluationNote",
    "EvaluationRun",
    "EvaluationShard",
    "Explanation",
    "GenerationRun",
    "Sample",
    "Score",
    "Suite",
    "UsageRecord",
]

"""Tables of the lab."""

from inference.models.evaluations import (
    EvaluationNote,
    EvaluationRun,
    EvaluationShard,
    Sample,
    Score,
    Suite,
)
from inference.models.generations import GenerationRun
from inference.models.usage import UsageRecord

__all__ = [
    "EvaluationNote",
    "EvaluationRun",
    "EvaluationShard",
    "GenerationRun",
    "Sample",
    "Score",
    "Suite",
    "UsageRecord",
]

"""Tables of the lab."""

from inference.models.demos import DemoGeneration
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
from inference.models.scored_texts import ScoredText
from inference.models.sharing import ShareLink
from inference.models.usage import UsageRecord

__all__ = [
    "DemoGeneration",
    "EvaluationNote",
    "EvaluationRun",
    "EvaluationShard",
    "Explanation",
    "GenerationRun",
    "Sample",
    "Score",
    "ScoredText",
    "ShareLink",
    "Suite",
    "UsageRecord",
]

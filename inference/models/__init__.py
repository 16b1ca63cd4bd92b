"""Tables of the lab."""

from inference.models.generations import GenerationRun

__all__ = ["GenerationRun"]

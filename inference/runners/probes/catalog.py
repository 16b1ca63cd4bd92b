"""Probes by the names suites call them."""

from collections.abc import Callable, Mapping

from inference.runners.probes.base import Probe, ProbeSpec
from inference.runners.probes.copying import Copying, Counting
from inference.runners.probes.instructions import Instructions
from inference.runners.probes.memory import Memorization
from inference.runners.probes.pairs import BiasPairs
from inference.runners.probes.repetition import Repetition
from inference.runners.probes.speed import Speed

PROBES: Mapping[str, Callable[[ProbeSpec], Probe]] = {
    "copying": Copying,
    "counting": Counting,
    "repetition": Repetition,
    "instructions": Instructions,
    "bias_pairs": BiasPairs,
    "memorization": Memorization,
    "speed": Speed,
}

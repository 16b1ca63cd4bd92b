"""What runs a model: one way to ask, whatever does the work."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from inference.box.messages import Asked
from inference.box.params import SamplingParams
from inference.box.talks import GenerationEvent
from inference.models import GenerationRun


class Generator(Protocol):
    """A model that is ready: a box with its weights, or a server elsewhere."""

    def generate(
        self, asked: Asked, params: SamplingParams, *, request_id: str
    ) -> Iterator[GenerationEvent]:
        """Go on from ``asked``: ``StartedEvent`` first, ``DoneEvent`` last, as a box says them.

        Leaving the iterator early cancels the generation.

        Raises:
            ModelRefusedError: it cannot be done, and why.
            BoxError: what does the work has failed.
            TransientError: not now; another attempt may help.
        """

    def cancel(self, request_id: str) -> None:
        """Ask to end a generation soon; from any thread. Unknown ids are ignored."""


class Engine(Protocol):
    """A way to run models."""

    def ready(
        self, run: GenerationRun, *, alone: bool, check: Callable[[], None]
    ) -> AbstractContextManager[Generator]:
        """Make the run's model ready while the block runs.

        Args:
            run: What is to be done.
            alone: Keep others away meanwhile; an earlier attempt may have failed by their fault.
            check: Called between steps; raises to stop.

        Raises:
            NotRunnableError, ModelRefusedError, BoxError: it cannot be, and why.
            TransientError: not now.
        """

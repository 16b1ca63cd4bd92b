"""What runs a model: one way to ask, whatever does the work."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from catalog.models import ModelRepo
from inference.box.conversation import Prompted, TokenPrompt
from inference.box.echo_messages import EchoToken
from inference.box.orders import GenerationEvent
from inference.box.params import SamplingParams


class Work(Protocol):
    """What is to be done: a run of somebody's, or a demo generation."""

    @property
    def repo(self) -> ModelRepo: ...
    @property
    def commit_oid(self) -> str: ...
    @property
    def gguf_file(self) -> str: ...


class Generator(Protocol):
    """A model that is ready: a box with its weights, or a server elsewhere."""

    def generate(
        self, asked: Prompted, params: SamplingParams, *, request_id: str
    ) -> Iterator[GenerationEvent]:
        """Go on from ``asked``: ``StartedEvent`` first, ``DoneEvent`` last, as a box says them.

        Leaving the iterator early cancels the generation.

        Raises:
            ModelRefusedError: it cannot be done, and why.
            BoxError: what does the work has failed.
            TransientError: not now; another attempt may help.
        """

    def echo(
        self, asked: str | TokenPrompt, *, top: int | None, request_id: str
    ) -> Iterator[EchoToken]:
        """Tell a prompt back, token by token.

        Args:
            asked: The prompt.
            top: Tell how likely each token is, and so many alternatives; ``None``: just its text.
            request_id: Name to cancel it by.

        Raises:
            ModelRefusedError, BoxError, TransientError: as ``generate``.
        """

    def cancel(self, request_id: str) -> None:
        """Ask to end a generation soon; from any thread. Unknown ids are ignored."""


class Engine(Protocol):
    """A way to run models."""

    def ready(
        self, run: Work, *, alone: bool, check: Callable[[], None]
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

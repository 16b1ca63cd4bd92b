"""What the function that does a job is given."""

import threading
from dataclasses import dataclass, field

from store.core.errors import StoreError
from store.core.jobs import Claim


class JobStoppedError(StoreError):
    """The worker was told to leave the job alone; what it has done so far is dropped."""

    code = "job_stopped"


class JobYieldedError(StoreError):
    """The work lets others go first; it goes on later where it was, and that is no failure.

    Args:
        delay_s: Not before so many seconds.
    """

    code = "job_yielded"

    def __init__(self, delay_s: float) -> None:
        super().__init__("The worker let others go first.")
        self.delay_s = delay_s


@dataclass(frozen=True)
class JobContext:
    """One attempt at one job.

    Args:
        claim: The right to write the job's progress and results.
        stopped: Set when the attempt must end: the job was cancelled, its time is over, another
            worker has it, or this worker shuts down.
    """

    claim: Claim
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self.claim.job.attempts

    def should_stop(self) -> bool:
        """Whether the work must end now. Ask often; a step between two asks takes seconds."""
        return self.stopped.is_set()

    def check(self) -> None:
        """End the work if it must.

        Raises:
            JobStoppedError: see ``should_stop``.
        """
        if self.stopped.is_set():
            raise JobStoppedError("The worker was told to stop this job.")

    def report(self, *, progress: float | None = None, line: str = "") -> None:
        """Write progress (0 to 1) and a log line that people will read."""
        self.claim.report(progress=progress, line=line)

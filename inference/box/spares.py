"""Boxes that start at once: a process that has imported torch already waits for its model.

Importing torch and transformers takes seconds, loading a small model does not. The spare knows no
model, no stranger's byte and no locks yet; it gets all three when it is taken.
"""

import threading
from pathlib import Path

from inference.box.client import Box
from inference.box.limits import BoxLimits
from inference.box.process import BoxProcess
from inference.box.setup import environment

REFILL_S = 3.0
"""The next spare is made so long after one was taken: not while that one reads its model."""


class WarmStarter:
    """Starts boxes out of a spare process. Safe for any number of threads.

    Args:
        limits: Of all boxes it starts.
    """

    def __init__(self, limits: BoxLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._is_closed = False
        self._timer: threading.Timer | None = None
        self._spare: BoxProcess | None = self._new()

    def __call__(
        self, model_dir: Path, *, limits: BoxLimits | None = None, gguf_file: str | None = None
    ) -> Box:
        """Start a box as :meth:`Box.start` does; other limits than the spare's start a new process.

        Raises:
            ModelRefusedError, BoxError: see there.
        """
        wanted = limits or self._limits
        process = self._taken() if wanted == self._limits else None
        return Box.start(model_dir, limits=wanted, gguf_file=gguf_file, process=process)

    def close(self) -> None:
        """End the spare; boxes that were started are their users' own."""
        with self._lock:
            self._is_closed = True
            spare, self._spare = self._spare, None
            if self._timer is not None:
                self._timer.cancel()
        if spare is not None:
            spare.close()

    def _new(self) -> BoxProcess:
        return BoxProcess(
            environment=environment(self._limits),
            memory_bytes=self._limits.memory_bytes,
            is_warm=True,
        )

    def _taken(self) -> BoxProcess | None:
        with self._lock:
            spare, self._spare = self._spare, None
            if self._timer is None and not self._is_closed:
                self._timer = threading.Timer(REFILL_S, self._refill)
                self._timer.daemon = True
                self._timer.start()
        if spare is not None and not spare.is_alive:
            spare.close()
            return None
        return spare

    def _refill(self) -> None:
        with self._lock:
            self._timer = None
            if self._spare is None and not self._is_closed:
                self._spare = self._new()

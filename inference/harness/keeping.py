"""A harness kept between runs: starting one takes seconds, and suites come again.

What is kept holds only tasks that are shipped with the store. Somebody's own data, and tasks of the
site, get a process of their own, which goes with the run.
"""

import atexit
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.box.limits import BoxLimits
from inference.harness.client import LIMITS, Harness, HarnessTask

KEEP_S = 120.0
"""How long one that nobody uses is kept, in seconds: it holds some 400 MB."""


@dataclass(slots=True)
class _Kept:
    """One harness, and what it loaded last."""

    harness: Harness
    digest: str = ""
    facts: dict[str, Any] | None = None


class HarnessKeeper:
    """Lends a harness, and keeps one for the next borrower. Safe for any number of threads.

    Args:
        keep_s: How long it is kept unused, in seconds.
        readable: Where data is that is not shipped with this room's code.
    """

    def __init__(self, keep_s: float = KEEP_S, *, readable: Sequence[Path] = ()) -> None:
        self._readable = readable
        self._keep_s = keep_s
        self._lock = threading.Lock()
        self._kept: _Kept | None = None
        self._timer: threading.Timer | None = None

    @contextmanager
    def lent(
        self,
        digest: str,
        tasks: Sequence[HarnessTask],
        check: Callable[[], None],
        *,
        limits: BoxLimits = LIMITS,
    ) -> Iterator[tuple[Harness, dict[str, Any]]]:
        """Give a harness that has loaded ``tasks`` while the block runs.

        One in whose block anything failed is ended: it may still wait for an answer.

        Args:
            digest: What names exactly these tasks.
            tasks: To be loaded where that was not done last.
            check: As for ``Harness``.
            limits: Of a new one.

        Yields:
            The harness, and what ``Harness.load`` said.

        Raises:
            TaskFailedError, HarnessLostError: see ``Harness.load``.
        """
        one = self._taken() or _Kept(Harness(readable=self._readable, limits=limits))
        try:
            one.harness.check = check
            if one.facts is None or one.digest != digest:
                one.facts = one.harness.load(tasks)
                one.digest = digest
            yield one.harness, one.facts
        except BaseException:
            one.harness.close()
            raise
        self._keep(one)

    def close(self) -> None:
        """End what is kept."""
        if (one := self._taken()) is not None:
            one.harness.close()

    def _taken(self) -> _Kept | None:
        """Take out what is kept, if it lives."""
        with self._lock:
            one, self._kept = self._kept, None
            if self._timer is not None:
                self._timer.cancel()
        if one is not None and not one.harness.is_alive:
            one.harness.close()
            return None
        return one

    def _keep(self, one: _Kept) -> None:
        with self._lock:
            spare, self._kept = self._kept, one
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(self._keep_s, self.close)
            self._timer.daemon = True
            self._timer.start()
        if spare is not None:
            spare.harness.close()


KEEPER = HarnessKeeper()
"""Of this process."""
atexit.register(KEEPER.close)

"""Many side by side, or one alone."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """A lock that any number may hold together, and one may ask to hold alone.

    Who waits to be alone keeps newcomers out, so that it comes to its turn.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._together = 0
        self._alone = 0
        self._is_alone = False

    @contextmanager
    def taken(self, *, alone: bool, timeout_s: float) -> Iterator[bool]:
        """Hold it while the block runs; gives ``False``, holding nothing, after ``timeout_s``."""
        is_held = self._enter(alone=alone, until=time.monotonic() + timeout_s)
        try:
            yield is_held
        finally:
            if is_held:
                self._leave(alone=alone)

    def _enter(self, *, alone: bool, until: float) -> bool:
        with self._changed:
            self._alone += alone
            try:
                if not self._changed.wait_for(
                    self._is_free_for_one if alone else self._is_free, until - time.monotonic()
                ):
                    return False
                self._is_alone = alone
                self._together += not alone
                return True
            finally:
                self._alone -= alone
                self._changed.notify_all()

    def _is_free(self) -> bool:
        return not (self._is_alone or self._alone)

    def _is_free_for_one(self) -> bool:
        return not (self._is_alone or self._together)

    def _leave(self, *, alone: bool) -> None:
        with self._changed:
            if alone:
                self._is_alone = False
            else:
                self._together -= 1
            self._changed.notify_all()

"""What both engines have in common: being found, started and asked whether they are ready."""

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from store.engines.errors import EngineBusyError, EngineStartError
from store.engines.places import EnginePlaces
from store.engines.processes import (
    clear_left_over,
    connect,
    has_ended,
    listener_pid,
    log_tail,
    start_detached,
)
from store.engines.programs import Programs
from store.engines.runas import EngineUser

READY_TIMEOUT_S = 300.0
"""Recovery after a power cut reads the log written since the last checkpoint; a program that
fails is noticed at once, so patience costs nothing."""

_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class Starter:
    """All it takes to start an engine."""

    programs: Programs
    user: EngineUser
    durable: bool
    """``False`` trades safety against a power cut for speed; for tests."""


@dataclass(frozen=True, slots=True)
class Engine(ABC):
    """One engine of one data folder."""

    where: EnginePlaces

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    """Ends the server cleanly."""
    clear_signal: ClassVar[signal.Signals]
    """Ends, safely, what a killed server left running."""

    @property
    @abstractmethod
    def socket(self) -> Path:
        """The unix socket it answers at."""

    @property
    def log(self) -> Path:
        """The file that gets its output."""
        return self.where.home / "logs" / f"{self.name.lower()}.log"

    @property
    def tag(self) -> str:
        """Title that all its processes show."""
        return self.where.tag(self.name)

    @abstractmethod
    def create(self, starter: Starter) -> None:
        """Make what the server needs on disk, unless it is there."""

    @abstractmethod
    def command(self, starter: Starter) -> list[str | Path]:
        """Return the server's command line."""

    @abstractmethod
    def is_ready(self, pid: int) -> bool:
        """Tell whether the server, process ``pid`` (0: unknown), serves clients."""

    def clear(self, starter: Starter) -> None:
        """Remove the remains of a killed server."""
        clear_left_over(starter.user, self.tag, self.clear_signal)

    def listening_pid(self) -> int | None:
        """Return the server's process id (0: not visible from here), ``None`` if there is none."""
        client = connect(self.socket)
        if client is None:
            return None
        with client:
            return listener_pid(client)

    def is_listening(self) -> bool:
        """Tell whether the server is there, busy or not."""
        try:
            return self.listening_pid() is not None
        except EngineBusyError:
            return True

    def start(self, starter: Starter) -> int:
        """Start the server and return its process id; it may not be ready yet."""
        self.create(starter)
        self.clear(starter)
        return start_detached(starter.user, self.command(starter), self.log)

    def ensure(self, starter: Callable[[], Starter]) -> None:
        """Return as soon as the server serves clients; start it unless one listens already.

        Args:
            starter: Called only when the server must be started.

        Raises:
            EngineStartError: it ended, or did not get ready within ``READY_TIMEOUT_S``.
        """
        deadline = time.monotonic() + READY_TIMEOUT_S
        started: int | None = None
        while True:
            pid = self.listening_pid()
            if pid is None and started is None:
                started = self.start(starter())
            elif pid is None and started is not None and has_ended(started):
                raise self._failure("ended right after its start")
            elif pid is not None and self.is_ready(pid):
                return
            if time.monotonic() > deadline:
                raise self._failure(f"was not ready after {READY_TIMEOUT_S:.0f} s")
            time.sleep(_PAUSE_S)

    def _failure(self, what: str) -> EngineStartError:
        return EngineStartError(
            f"The embedded {self.name} {what}. The end of {self.log}:\n{log_tail(self.log)}",
            engine=self.name,
            log=str(self.log),
        )

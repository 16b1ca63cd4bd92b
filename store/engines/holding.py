"""Holding the engines: the first holder starts them, the last one stops them."""

import atexit
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from store.engines import locks
from store.engines.engine import Engine, Starter
from store.engines.errors import EngineError, EngineStartError
from store.engines.places import (
    EngineAddresses,
    EnginePlaces,
    places,
    prepare_folders,
    prepare_home,
)
from store.engines.postgres import Postgres
from store.engines.processes import clear_left_over, end_all
from store.engines.programs import find_programs
from store.engines.runas import engine_user, with_reach
from store.engines.valkey import Valkey

logger = logging.getLogger(__name__)

STOP_TIMEOUT_S = 60.0
"""A fast shutdown writes one checkpoint; past this the server is killed and recovers later."""

_open_holds: "set[Hold]" = set()


class Hold:
    """This process's use of the engines of one data folder; made by ``hold``.

    It ends with ``release``, at the end of a ``with`` block, at the end of the process, and, by
    the kernel's hand, when the process is killed. A forked child has no part in it.
    """

    def __init__(self, where: EnginePlaces, *, engines: Sequence[Engine], durable: bool) -> None:
        self._where = where
        self._engines = engines
        self._durable = durable
        self._users: int | None = None
        self._guard = threading.Lock()

    @property
    def addresses(self) -> EngineAddresses:
        """Where the engines answer."""
        return self._where.addresses

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def release(self) -> None:
        """Stop using the engines, and stop them when nobody else uses them. Safe to repeat.

        Raises:
            EngineBusyError: another command keeps the engines locked. They stay up; the next
                release stops them.
        """
        with self._guard:
            users, self._users = self._users, None
        _open_holds.discard(self)
        if users is None:
            return
        try:
            with locks.control(self._control_lock):
                locks.release(users)
                users = None
                if locks.is_unused(self._users_lock):
                    _stop(self._where)
        finally:
            if users is not None:
                locks.release(users)

    def revive(self) -> list[str]:
        """Start again what has died since; return its names. Cheap when all is well.

        Raises:
            EngineError: an engine does not come up again.
        """
        dead = [engine for engine in self._engines if not engine.is_listening()]
        if dead:
            with locks.control(self._control_lock):
                self._ensure()
        return [engine.name for engine in dead]

    def _acquire(self) -> None:
        prepare_home(self._where)
        try:
            with locks.control(self._control_lock):
                self._users = locks.share(self._users_lock)
                _open_holds.add(self)
                self._ensure()
        except BaseException:  # also Ctrl-C: nothing half-started may stay behind
            self.release()
            raise

    def _ensure(self) -> None:
        starter = cache(lambda: _starter(self._where, durable=self._durable))
        for engine in self._engines:
            engine.ensure(starter)

    def _forget(self) -> None:
        """Drop an inherited hold in a forked child, without a word to anybody."""
        users, self._users = self._users, None
        self._guard = threading.Lock()  # another thread may have held it when we were forked
        if users is not None:
            os.close(users)

    @property
    def _control_lock(self) -> Path:
        return self._where.home / "control.lock"

    @property
    def _users_lock(self) -> Path:
        return self._where.home / "users.lock"


def hold(
    data_dir: Path, *, postgres: bool = True, valkey: bool = True, durable: bool = True
) -> Hold:
    """Make sure the engines of ``data_dir`` run, and keep them running until released.

    Engines that run already are used as they are; whoever starts them decides how durable they
    are. Released at the end of the process too; so that this holds for SIGTERM and SIGHUP, the
    first hold of a main thread turns those two, unless the program handles them itself, into an
    orderly exit (status 128 + signal).

    Args:
        data_dir: The store's data folder, made when missing.
        postgres: Whether PostgreSQL is wanted.
        valkey: Whether Valkey is wanted.
        durable: ``False`` gives up safety against a power cut (not against kill -9), for tests.

    Raises:
        EngineStartError: an engine did not start; the message ends with its last log lines.
        EngineFolderError: a folder cannot be used.
        EngineAccessError: started by root, and the engines' user has no way in.
        EngineBusyError: another command keeps the engines locked.
    """
    where = places(data_dir)
    engines: list[Engine] = [Postgres(where)] if postgres else []
    engines += [Valkey(where)] if valkey else []
    held = Hold(where, engines=engines, durable=durable)
    if not engines:
        return held
    if not hasattr(os, "pidfd_open"):
        raise EngineStartError(
            "The embedded engines need Linux. Bring your own servers: set DATABASE_URL and "
            "REDIS_URL."
        )
    _exit_on_signals()
    held._acquire()  # noqa: SLF001 - same module
    return held


def _starter(where: EnginePlaces, *, durable: bool) -> Starter:
    programs = find_programs()
    user = engine_user(where.home)
    prepare_folders(where, user)
    user = with_reach(user, programs, where.home / "valkey")
    return Starter(programs=programs, user=user, durable=durable)


def _stop(where: EnginePlaces) -> None:
    """Stop whatever runs, cleanly; what does not end in time is killed. Under the control lock."""
    started = time.monotonic()
    engines: list[Engine] = [Postgres(where), Valkey(where)]
    pids = {pid: engine for engine in engines if (pid := engine.listening_pid())}
    stubborn = end_all(
        {pid: engine.stop_signal for pid, engine in pids.items()}, patience_s=STOP_TIMEOUT_S
    )
    for pid in stubborn:
        logger.warning("the embedded %s does not stop; it is killed", pids[pid].name)
        clear_left_over(engine_user(where.home), pids[pid].tag, pids[pid].clear_signal)
    logger.debug("engines stopped in %.2f s", time.monotonic() - started)


@atexit.register
def _release_all() -> None:
    for held in list(_open_holds):
        try:
            held.release()
        except EngineError:
            logger.exception("the embedded engines could not be stopped")


def _forget_all() -> None:
    for held in list(_open_holds):
        held._forget()  # noqa: SLF001 - same module
    _open_holds.clear()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is _exit:
            signal.signal(number, signal.SIG_DFL)


os.register_at_fork(after_in_child=_forget_all)


def _exit(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _exit_on_signals() -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _exit)

"""Who uses the engines, counted by the kernel.

Two files and ``flock``: *control* is held exclusively for the short time in which engines are
started or stopped; *users* is held shared by every process that uses them. The kernel drops both
when a process dies, however it dies, so no count can go stale and nothing needs repair.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from store.engines.errors import EngineBusyError, EngineFolderError

CONTROL_TIMEOUT_S = 400.0
"""Longer than one start and one stop of an engine may take."""

_PAUSE_S = 0.02


def open_lock(path: Path) -> int:
    """Open (and make) a lock file; the descriptor is not inherited by started programs.

    Raises:
        EngineFolderError: the file cannot be opened or is a link.
    """
    try:
        return open_owned(path, os.O_RDWR)
    except OSError as exc:
        raise EngineFolderError(
            f"Cannot open {path}: {exc.strerror}. Run the store as the user who owns its data "
            "folder.",
            path=str(path),
        ) from exc


def open_owned(path: Path, flags: int) -> int:
    """Open (and make) a file that belongs to whom its folder belongs, also when root makes it."""
    file = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.fchown(file, folder.st_uid, folder.st_gid)
    return file


@contextmanager
def control(path: Path) -> Iterator[None]:
    """Hold the control lock; nobody else starts or stops an engine meanwhile.

    Raises:
        EngineBusyError: another process kept it for ``CONTROL_TIMEOUT_S`` seconds.
    """
    lock = open_lock(path)
    try:
        deadline = time.monotonic() + CONTROL_TIMEOUT_S
        while not _try_lock(lock, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise EngineBusyError(
                    f"Another command has held {path} for {CONTROL_TIMEOUT_S:.0f} s. Look for a "
                    "store command that hangs (fuser -v on that file), end it and try again.",
                    path=str(path),
                )
            time.sleep(_PAUSE_S)
        yield
    finally:
        release(lock)


def share(path: Path) -> int:
    """Join the users of the engines; ``release`` leaves them.

    Call it under the control lock: only there does anybody ask for the file exclusively, so it
    never has to wait.
    """
    lock = open_lock(path)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return lock


def is_unused(path: Path) -> bool:
    """Tell whether no process uses the engines. Call it under the control lock."""
    lock = open_lock(path)
    try:
        return _try_lock(lock, fcntl.LOCK_EX)
    finally:
        release(lock)


def release(lock: int) -> None:
    """Give a lock back and close it.

    Unlocking comes first: a child forked by another thread at the wrong moment holds a copy of
    the descriptor, and a mere close would leave the lock with that child.
    """
    fcntl.flock(lock, fcntl.LOCK_UN)
    os.close(lock)


def _try_lock(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

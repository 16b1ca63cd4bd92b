"""Starting, finding and ending the engines' processes.

An engine is started in a session of its own and without a parent (it becomes a child of init):
Ctrl-C in the terminal does not reach it, it outlives a killed store, and no dead engine stays
behind as somebody's zombie. Processes are addressed by pidfd, so a signal never hits a stranger
that got the same number.
"""

import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from store.engines.errors import EngineBusyError, EngineStartError
from store.engines.locks import open_owned
from store.engines.runas import EngineUser

LOG_LIMIT_BYTES = 10 * 1024**2
"""A log longer than this is put aside when its engine starts; one older log is kept."""

ANSWER_TIMEOUT_S = 5

_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "TZ": "UTC"}
"""All that the engines see of the environment: the store's secrets are none of their business."""

_PROC = Path("/proc")


def run(
    user: EngineUser, command: Sequence[str | Path], *, feed: str = "", timeout_s: float = 120
) -> None:
    """Run one of the engines' programs to its end.

    Args:
        user: Who runs it.
        command: Program and arguments.
        feed: What it reads.
        timeout_s: Seconds after which it is killed.

    Raises:
        EngineStartError: it failed or took too long; carries the end of its output.
    """
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            [*user.prefix, *command],
            cwd="/",
            env=_ENVIRONMENT,
            input=feed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise EngineStartError(f"{name} did not end within {timeout_s:.0f} s.") from exc
    if done.returncode != 0:
        raise EngineStartError(f"{name} failed (exit {done.returncode}):\n{done.stdout[-2000:]}")


def start_detached(user: EngineUser, command: Sequence[str | Path], log: Path) -> int:
    """Start a program that goes on without us; return its process id.

    The shell puts it in the background and ends at once, which leaves it to init.

    Args:
        user: Who runs it.
        command: Program and arguments.
        log: File that gets all its output, appended.
    """
    rotate(log)
    output = open_owned(log, os.O_WRONLY | os.O_APPEND)
    try:
        started = subprocess.run(
            ["sh", "-c", 'umask 077; "$@" >&2 & echo $!', "sh", *user.prefix, *command],
            cwd="/",
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            start_new_session=True,
            timeout=30,
            check=True,
        )
    finally:
        os.close(output)
    return int(started.stdout)


def rotate(log: Path) -> None:
    """Put ``log`` aside when it has grown past ``LOG_LIMIT_BYTES``."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".log.1"))


def log_tail(log: Path, *, lines: int = 20) -> str:
    """Return the last lines of ``log``; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def connect(path: Path) -> socket.socket | None:
    """Connect to the unix socket ``path``; ``None`` when nobody listens there.

    A dead process cannot listen, so an answer is proof of life that no left-over file can give.

    Raises:
        EngineBusyError: somebody listens but takes no connection.
    """
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Not settimeout: a non-blocking connect fails at once when the queue is full (connect(2)).
    for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
        client.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", ANSWER_TIMEOUT_S, 0))
    try:
        client.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        client.close()
        return None
    except OSError as exc:
        client.close()
        raise EngineBusyError(
            f"Cannot connect to {path}: {exc.strerror}. Stop whatever keeps that server busy, or "
            "run the store as the user who owns the folder.",
            path=str(path),
        ) from exc
    return client


def listener_pid(client: socket.socket) -> int:
    """Return the id of the process that listens at the other end (SO_PEERCRED, unix(7)).

    0 when it lives in another container: then it is not ours to signal.
    """
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])


def has_ended(pid: int) -> bool:
    """Tell whether process ``pid`` is gone or dead."""
    return not end_all({pid: None}, patience_s=0)


def end_all(pids: Mapping[int, signal.Signals | None], *, patience_s: float) -> list[int]:
    """Signal processes and wait for their end together.

    Args:
        pids: Process id and what to send to it, if anything.
        patience_s: Seconds to wait for all of them.

    Returns:
        Those that still run.
    """
    deadline = time.monotonic() + patience_s
    running = []
    with contextlib.ExitStack() as stack:
        handles = []
        for pid, number in pids.items():
            with contextlib.suppress(ProcessLookupError):
                handle = os.pidfd_open(pid)
                stack.callback(os.close, handle)
                if number is not None:
                    signal.pidfd_send_signal(handle, number)
                handles.append((pid, handle))
        for pid, handle in handles:
            left_s = max(0.0, deadline - time.monotonic())
            if not select.select([handle], [], [], left_s)[0]:
                running.append(pid)
    return running


def is_in_use(pid: int) -> bool:
    """Tell whether the number ``pid`` stands for anything: a process, a thread, a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def left_over(user: EngineUser, tag: str) -> list[int]:
    """Return the processes of ``user`` that carry ``tag`` in their command line.

    The tag alone would not do: anybody may put it into a command line of theirs.
    """
    found = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it ended meanwhile
            if entry.stat().st_uid == user.uid and tag.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def clear_left_over(user: EngineUser, tag: str, politely: signal.Signals) -> None:
    """End what a killed engine left running, so that nothing writes its files meanwhile.

    Args:
        user: Whose processes.
        tag: In their command line.
        politely: Sent first; after 5 s they are killed.
    """
    for number in (politely, signal.SIGKILL):
        if pids := left_over(user, tag):
            end_all(dict.fromkeys(pids, number), patience_s=5)

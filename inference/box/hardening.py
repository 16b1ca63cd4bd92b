"""How the child locks itself in, before it reads anything of a stranger's.

Each lock is tried; what the machine refuses is noted and the next best is taken. The order
matters: namespaces and the user first (they need rights), then the rights go, then the filters
that never come off. At the end the network is tried, so that what is reported was seen.
"""

import errno
import os
import resource
import signal
import socket
import sys
from pathlib import Path

from inference.box import kernel, landlock, seccomp
from inference.box.limits import GIB
from inference.box.protocol import Network, Protection, SetupRequest

_TEST_NETWORK = ("192.0.2.1", 9)
"""An address of the block kept for documentation (RFC 5737); nothing is ever sent."""
_LARGEST_FILE_BYTES = 8 * GIB
"""Where files may be written at all: a data set of lm-evaluation-harness."""
_OWN_USER_PROCESSES = 512
"""Threads of all boxes together, where the box has a user of its own."""


def lock_in(setup: SetupRequest) -> Protection:
    """Apply every lock this machine has and return what holds.

    Raises:
        SystemExit: the parent is gone.
    """
    notes: list[str] = []
    kernel.die_with_parent(signal.SIGKILL)
    namespace: Network = "open" if setup.may_connect else _leave_network(notes)
    kernel.drop_bounding_set()
    user = _change_user(setup.uid, notes)
    kept_rights = _drop_rights(notes)
    _limit_resources(setup, own_user=user)
    kernel.die_with_parent(signal.SIGKILL)  # the change of user has cleared it
    if os.getppid() != setup.parent_pid:
        sys.exit("the process that started this box is gone")
    kernel.no_new_privileges()
    files = _close_files(setup, notes)
    filtered = _filter_syscalls(notes, may_connect=setup.may_connect)
    return Protection(
        network=_proven(namespace, filtered=filtered),
        files="landlock" if files else "open",
        syscalls=filtered,
        user="own" if user else "same",
        capabilities=kept_rights,
        notes=notes,
    )


def _note(notes: list[str], what: str, exc: OSError) -> None:
    notes.append(f"{what}: {exc.strerror or exc}"[:300])


def _leave_network(notes: list[str]) -> Network:
    flags = kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC
    try:
        kernel.unshare(flags)
    except OSError as exc:
        _note(notes, "network namespace", exc)
    else:
        return "namespace"
    try:
        kernel.unshare(flags | kernel.CLONE_NEWUSER)
    except OSError as exc:
        _note(notes, "user namespace", exc)
        return "open"
    return "user-namespace"


def _change_user(uid: int | None, notes: list[str]) -> bool:
    if uid is None:
        return False
    try:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    except OSError as exc:
        _note(notes, f"user {uid}", exc)
        return False
    return True


def _drop_rights(notes: list[str]) -> bool:
    """Return whether rights of root are left."""
    try:
        kernel.drop_capabilities()
    except OSError as exc:
        _note(notes, "capabilities", exc)
        return True
    return False


def _limit_resources(setup: SetupRequest, *, own_user: bool) -> None:
    limits = setup.limits
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: _LARGEST_FILE_BYTES if setup.writable else 0,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_CPU: limits.cpu_s,
    }
    if own_user:  # it counts by user: where it is the store's own, the filter stops new processes
        wanted[resource.RLIMIT_NPROC] = _OWN_USER_PROCESSES
    if not any("nvidia" in device for device in setup.devices):
        wanted[resource.RLIMIT_DATA] = limits.memory_bytes
    for which, value in wanted.items():
        _, hard = resource.getrlimit(which)
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (most, most))


def _close_files(setup: SetupRequest, notes: list[str]) -> bool:
    allowed = [(Path(path), landlock.READ) for path in setup.readable]
    allowed += [(Path(path), landlock.READ_WRITE_DEVICE) for path in setup.devices]
    allowed += [(Path(path), landlock.READ_WRITE_FOLDER) for path in setup.writable]
    try:
        landlock.restrict(allowed, may_connect=setup.may_connect)
    except OSError as exc:
        _note(notes, "Landlock", exc)
        return False
    return True


def _filter_syscalls(notes: list[str], *, may_connect: bool) -> bool:
    try:
        kernel.install_filter(seccomp.program(pid=os.getpid(), may_connect=may_connect))
    except OSError as exc:
        _note(notes, "system call filter", exc)
        return False
    return True


def _proven(namespace: Network, *, filtered: bool) -> Network:
    """Return what cuts off the network, after trying to reach it both ways."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
            trial.connect(_TEST_NETWORK)  # a datagram socket: looks up the route, sends nothing
    except OSError as exc:
        if exc.errno == errno.EPERM and filtered:
            return namespace if namespace != "open" else "seccomp"
        return namespace
    return "open"

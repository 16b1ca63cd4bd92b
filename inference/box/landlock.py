"""Lets a process read a few folders and nothing else, with the kernel's Landlock.

Needs no rights. What is not listed can be neither read nor written, whatever the user id; a
restricted process can also not look into processes outside (``/proc/PID/environ``, memory).

Source:
    https://docs.kernel.org/userspace-api/landlock.html
"""

import errno
import os
import stat
import struct
from collections.abc import Callable, Iterable
from ctypes import c_char_p, c_int, c_long, c_size_t, c_uint
from pathlib import Path

from inference.box import kernel

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every processor
_VERSION_FLAG = 1
_PATH_BENEATH = 1

WRITE_FILE, READ_FILE, READ_DIR = 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_FILE_RIGHTS_BY_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_TCP_RIGHTS = 0b11
"""Bind and connect; version 4."""
_SCOPES = 0b11
"""Abstract unix sockets and signals; version 6."""

READ = READ_FILE | READ_DIR
READ_WRITE_DEVICE = READ_FILE | WRITE_FILE | _IOCTL_DEV
_EXECUTE, _MAKE_CHAR, _MAKE_SOCKET, _MAKE_BLOCK = 1 << 0, 1 << 6, 1 << 9, 1 << 11
READ_WRITE_FOLDER = ((1 << 15) - 1) & ~(_EXECUTE | _MAKE_CHAR | _MAKE_SOCKET | _MAKE_BLOCK)
"""Files, folders and links are read, written, made, moved and deleted; nothing is run."""

Syscall = Callable[..., int]


def version(syscall: Syscall = kernel.syscall) -> int:
    """Return the kernel's Landlock version, 0 where there is none."""
    try:
        return syscall(_CREATE_RULESET, c_char_p(None), c_size_t(0), c_uint(_VERSION_FLAG))
    except OSError:
        return 0


def _ruleset(known: int, *, may_connect: bool) -> tuple[bytes, int]:
    """Return the packed ``landlock_ruleset_attr`` and the file rights it governs."""
    rights = max(mask for since, mask in _FILE_RIGHTS_BY_VERSION.items() if since <= known)
    attributes = struct.pack("=Q", rights)
    if known >= 4:
        attributes += struct.pack("=Q", 0 if may_connect else _TCP_RIGHTS)
    if known >= 6:
        attributes += struct.pack("=Q", _SCOPES)
    return attributes, rights


def restrict(
    allowed: Iterable[tuple[Path, int]],
    syscall: Syscall = kernel.syscall,
    *,
    may_connect: bool = False,
) -> None:
    """Allow each path (a folder with all below it, or one file) its rights; refuse all else.

    Paths that do not exist are left out. Nothing is restricted if an exception is raised.

    Raises:
        OSError: the kernel has no Landlock or refuses.
    """
    known = version(syscall)
    if known < 1:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    attributes, governed = _ruleset(known, may_connect=may_connect)
    rules = syscall(_CREATE_RULESET, c_char_p(attributes), c_size_t(len(attributes)), c_uint(0))
    try:
        for path, rights in allowed:
            _allow(rules, path, rights & governed, syscall)
        syscall(_RESTRICT_SELF, c_int(rules), c_uint(0))
    finally:
        os.close(rules)


def _allow(rules: int, path: Path, rights: int, syscall: Syscall) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(opened).st_mode):
            rights &= ~READ_DIR
        rule = struct.pack("=Qi", rights, opened)
        syscall(_ADD_RULE, c_int(rules), c_long(_PATH_BENEATH), c_char_p(rule), c_uint(0))
    finally:
        os.close(opened)

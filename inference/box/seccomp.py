"""The system calls a boxed model does without, as a classic BPF program.

A list of refusals, not of permissions: torch, its threads and the driver of a graphics card call
more than can be listed here for every machine. Refused is what reaches out (sockets, io_uring,
which could open them), what reaches over (ptrace, signals to others, keys), what changes the
machine, and what starts another program. Threads are allowed, processes are not.

Numbers were checked against libseccomp 2.5.4 for both processors.
"""

import errno
import platform
import struct

# (x86_64, aarch64); None where the processor has no such call.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # the network
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "kcmp": (312, 272),
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    # memory and messages that outlive a process, and reach others
    "shmget": (29, 194),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    # new programs and processes
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, None),
    "vfork": (58, None),
    # the kernel and the machine
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "setns": (308, 268),
    "unshare": (272, 97),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "syslog": (103, 116),
    "iopl": (172, None),
    "ioperm": (173, None),
}
_SOCKETS = frozenset({"socket", "connect", "bind"})
_CLONE, _CLONE3, _TGKILL, _PRLIMIT = (56, 220), (435, 435), (234, 131), (302, 261)
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = {"x86_64": 0, "aarch64": 1}

_CLONE_THREAD = 0x00010000
_X32_BIT = 0x40000000
"""On x86_64 the same kernel answers a second set of numbers with this bit: refused as a whole."""

_LOAD, _JUMP_EQUAL, _JUMP_GE, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data (little endian)
_ALLOW = 0x7FFF0000
_KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000
REFUSE = _ERRNO | errno.EPERM
ABSENT = _ERRNO | errno.ENOSYS
"""For ``clone3``, whose flags a filter cannot read: C libraries fall back to ``clone``."""


def _op(code: int, value: int, *, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def program(*, pid: int, machine: str | None = None, may_connect: bool = False) -> bytes:
    """Return the packed filter for the process ``pid``, which may only signal itself.

    With ``may_connect`` sockets are left to it.

    Raises:
        OSError: no table for this processor (``ENOSYS``).
    """
    machine = machine or platform.machine()
    if machine not in _COLUMN:
        raise OSError(errno.ENOSYS, f"no system call table for {machine}")
    column = _COLUMN[machine]
    refuse = _op(_RETURN, REFUSE)
    parts = [
        _op(_LOAD, _ARCH),
        _op(_JUMP_EQUAL, _AUDIT_ARCH[machine], if_true=1),
        _op(_RETURN, _KILL_PROCESS),
        _op(_LOAD, _NUMBER),
        _op(_JUMP_GE, _X32_BIT, if_false=1),
        refuse,
        _op(_JUMP_EQUAL, _CLONE3[column], if_false=1),
        _op(_RETURN, ABSENT),
    ]
    for name, numbers in _REFUSED.items():
        number = numbers[column]
        if number is not None and not (may_connect and name in _SOCKETS):
            parts += [_op(_JUMP_EQUAL, number, if_false=1), refuse]
    parts += [  # threads, not processes
        _op(_JUMP_EQUAL, _CLONE[column], if_false=4),
        _op(_LOAD, _FIRST_ARGUMENT),
        _op(_JUMP_BITS, _CLONE_THREAD, if_true=1),
        refuse,
        _op(_RETURN, _ALLOW),
    ]
    for number, own in ((_TGKILL[column], pid), (_PRLIMIT[column], 0)):
        parts += [
            _op(_JUMP_EQUAL, number, if_false=4),
            _op(_LOAD, _FIRST_ARGUMENT),
            _op(_JUMP_EQUAL, own, if_true=1),
            refuse,
            _op(_RETURN, _ALLOW),
        ]
    return b"".join([*parts, _op(_RETURN, _ALLOW)])

"""The filter program, run by a small interpreter of classic BPF."""

import struct

import pytest

from inference.box import seccomp

ALLOW = 0x7FFF0000
KILL = 0x80000000
X86, ARM = 0xC000003E, 0xC00000B7
PID = 4242


def verdict(program: bytes, number: int, *, arch: int = X86, first: int = 0) -> int:
    """Interpret the program as the kernel does: ld, jeq, jge, jset, ret."""
    data = struct.pack("<IIQ6Q", number, arch, 0, first, 0, 0, 0, 0, 0)
    steps = list(struct.iter_unpack("<HBBI", program))
    register, at = 0, 0
    while True:
        code, if_true, if_false, value = steps[at]
        at += 1
        if code == 0x06:
            return int(value)
        if code == 0x20:
            (register,) = struct.unpack_from("<I", data, value)
            continue
        taken = {
            0x15: register == value,
            0x35: register >= value,
            0x45: bool(register & value),
        }[code]
        at += if_true if taken else if_false


@pytest.fixture(scope="module")
def x86() -> bytes:
    return seccomp.program(pid=PID, machine="x86_64")


@pytest.mark.parametrize(
    "number",
    [
        41,
        42,
        49,
        425,
        101,
        310,
        438,
        62,
        200,
        59,
        322,
        57,
        58,
        321,
        165,
        272,
        308,
        304,
        250,
        29,
        240,
    ],
)
def test_refuses_what_reaches_out(x86: bytes, number: int) -> None:
    assert verdict(x86, number) == seccomp.REFUSE


@pytest.mark.parametrize("number", [0, 1, 9, 10, 12, 53, 202, 257, 231, 39])
def test_allows_ordinary_work(x86: bytes, number: int) -> None:
    assert verdict(x86, number) == ALLOW


def test_threads_yes_processes_no(x86: bytes) -> None:
    assert verdict(x86, 56, first=0x3D0F00) == ALLOW  # what glibc's pthread_create passes
    assert verdict(x86, 56, first=0x01200011) == seccomp.REFUSE  # fork
    assert verdict(x86, 435, first=0) == seccomp.ABSENT


def test_signals_go_to_oneself_only(x86: bytes) -> None:
    assert verdict(x86, 234, first=PID) == ALLOW
    assert verdict(x86, 234, first=1) == seccomp.REFUSE


def test_limits_are_ones_own(x86: bytes) -> None:
    assert verdict(x86, 302, first=0) == ALLOW
    assert verdict(x86, 302, first=PID + 1) == seccomp.REFUSE


def test_a_foreign_call_table_is_no_way_around(x86: bytes) -> None:
    assert verdict(x86, 0, arch=0x40000003) == KILL  # 32 bit
    assert verdict(x86, 0x40000000 | 41) == seccomp.REFUSE  # x32


def test_arm_has_its_own_numbers() -> None:
    arm = seccomp.program(pid=PID, machine="aarch64")

    assert verdict(arm, 198, arch=ARM) == seccomp.REFUSE
    assert verdict(arm, 41, arch=ARM) == seccomp.REFUSE  # pivot_root there
    assert verdict(arm, 194, arch=ARM) == seccomp.REFUSE  # shmget there
    assert verdict(arm, 57, arch=ARM) == ALLOW  # close there, fork on the other
    assert verdict(arm, 220, arch=ARM, first=0x3D0F00) == ALLOW
    assert verdict(arm, 131, arch=ARM, first=PID) == ALLOW
    assert verdict(arm, 0, arch=X86) == KILL


def test_an_unknown_processor_has_no_program() -> None:
    with pytest.raises(OSError, match="no system call table for riscv64"):
        seccomp.program(pid=1, machine="riscv64")


def test_the_program_fits_the_kernel() -> None:
    assert len(seccomp.program(pid=PID)) // 8 <= 4096

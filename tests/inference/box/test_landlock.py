"""What is asked of the kernel; test_locked_in tries what it does."""

import os
import struct
from pathlib import Path
from typing import Any

import pytest

from inference.box import landlock


class Kernel:
    """Notes the calls; answers the version and a descriptor."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.attributes = b""
        self.rules: list[tuple[int, str]] = []
        self.is_restricted = False

    def __call__(self, number: int, *args: Any) -> int:
        if number == 444 and args[0].value is None:
            if self.version == 0:
                raise OSError(38, "none")
            return self.version
        if number == 444:
            self.attributes = args[0]._objects[: args[1].value]
            return os.open("/dev/null", os.O_RDONLY)
        if number == 445:
            rights, opened = struct.unpack("=Qi", args[2]._objects[:12])
            self.rules.append((rights, os.readlink(f"/proc/self/fd/{opened}")))
            return 0
        self.is_restricted = True
        return 0


def test_without_landlock_nothing_is_restricted() -> None:
    kernel = Kernel(0)

    with pytest.raises(OSError, match="not implemented"):
        landlock.restrict([(Path("/"), landlock.READ)], kernel)

    assert not kernel.is_restricted


@pytest.mark.parametrize(
    ("version", "rights", "size"),
    [(1, (1 << 13) - 1, 8), (2, (1 << 14) - 1, 8), (3, (1 << 15) - 1, 8), (4, (1 << 15) - 1, 16)],
)
def test_each_version_is_asked_for_what_it_knows(version: int, rights: int, size: int) -> None:
    kernel = Kernel(version)

    landlock.restrict([], kernel)

    assert len(kernel.attributes) == size
    assert struct.unpack_from("=Q", kernel.attributes) == (rights,)
    assert kernel.is_restricted


def test_the_newest_closes_tcp_signals_and_abstract_sockets_too() -> None:
    kernel = Kernel(7)

    landlock.restrict([], kernel)

    assert struct.unpack("=QQQ", kernel.attributes) == ((1 << 16) - 1, 3, 3)


def test_folders_are_listed_files_only_read_missing_ones_left_out(tmp_path: Path) -> None:
    kernel = Kernel(7)
    file = tmp_path / "file"
    file.touch()

    landlock.restrict(
        [(path, landlock.READ) for path in (tmp_path, file, tmp_path / "missing")], kernel
    )

    assert kernel.rules == [
        (landlock.READ_FILE | landlock.READ_DIR, str(tmp_path)),
        (landlock.READ_FILE, str(file)),
    ]


def test_device_rights_shrink_to_what_the_kernel_governs() -> None:
    kernel = Kernel(4)

    landlock.restrict([(Path("/dev/null"), landlock.READ_WRITE_DEVICE)], kernel)

    assert kernel.rules == [(landlock.READ_FILE | landlock.WRITE_FILE, "/dev/null")]

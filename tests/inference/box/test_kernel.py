"""The calls as they reach the C library; test_locked_in tries what they do."""

import ctypes
import errno
from collections.abc import Callable
from typing import Any

import pytest

from inference.box import kernel


class Libc:
    """Notes calls; fails where told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.failing: Callable[[str, tuple[Any, ...]], bool] = lambda name, args: False

    def __getattr__(self, name: str) -> Callable[..., int]:
        def call(*args: Any) -> int:
            plain = tuple(getattr(arg, "value", arg) for arg in args)
            self.calls.append((name, *plain))
            if self.failing(name, plain):
                ctypes.set_errno(errno.EPERM)
                return -1
            return 5

        return call


@pytest.fixture
def libc(monkeypatch: pytest.MonkeyPatch) -> Libc:
    fake = Libc()
    monkeypatch.setattr(kernel, "_libc", fake)
    return fake


def test_each_call_has_its_numbers(libc: Libc) -> None:
    kernel.die_with_parent(9)
    kernel.no_new_privileges()
    kernel.unshare(kernel.CLONE_NEWNET)

    assert kernel.syscall(444, 1) == 5
    assert libc.calls == [
        ("prctl", 1, 9, 0, 0, 0),
        ("prctl", 38, 1, 0, 0, 0),
        ("unshare", 0x40000000),
        ("syscall", 444, 1),
    ]


def test_every_capability_goes_until_the_kernel_knows_no_more(libc: Libc) -> None:
    libc.failing = lambda name, args: name == "prctl" and args[1] == 41

    kernel.drop_bounding_set()

    assert [call[:3] for call in libc.calls] == [("prctl", 24, number) for number in range(42)]


def test_a_refusal_is_an_os_error(libc: Libc) -> None:
    libc.failing = lambda name, args: True

    for call in (
        lambda: kernel.unshare(0),
        kernel.no_new_privileges,
        kernel.drop_capabilities,
        lambda: kernel.syscall(1),
        lambda: kernel.install_filter(b"\0" * 8),
    ):
        with pytest.raises(OSError, match="not permitted") as caught:
            call()
        assert caught.value.errno == errno.EPERM


def test_all_capabilities_are_tried(libc: Libc) -> None:
    kernel.drop_bounding_set()

    assert [call[2] for call in libc.calls] == list(range(64))


def test_held_capabilities_are_set_to_none(libc: Libc) -> None:
    kernel.drop_capabilities()

    assert [call[0] for call in libc.calls] == ["capset"]


def test_a_filter_is_installed_with_its_length(libc: Libc) -> None:
    kernel.install_filter(b"\0" * 24)

    (call,) = libc.calls
    assert call[:3] == ("prctl", 22, 2)
    assert call[4:] == (0, 0)

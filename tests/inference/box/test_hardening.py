"""Which lock is taken when another is refused, with the kernel's answers made up.

What the locks do is tried for real in test_locked_in.
"""

import errno
import os
import resource
import socket
from collections.abc import Callable
from typing import Any

import pytest

from inference.box import hardening
from inference.box.limits import BoxLimits
from inference.box.protocol import SetupRequest


class World:
    """The kernel as the test wants it; notes what was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refused: set[str] = set()
        self.asked: list[tuple[str, Any]] = []
        self.socket_error: OSError | None = PermissionError(errno.EPERM, "no")
        self.limits: dict[int, tuple[int, int]] = {}
        kernel, landlock = hardening.kernel, hardening.landlock
        monkeypatch.setattr(kernel, "die_with_parent", self.answer("die_with_parent"))
        monkeypatch.setattr(kernel, "unshare", self.unshare)
        monkeypatch.setattr(kernel, "drop_bounding_set", self.answer("drop_bounding_set"))
        monkeypatch.setattr(kernel, "drop_capabilities", self.answer("drop_capabilities"))
        monkeypatch.setattr(kernel, "no_new_privileges", self.answer("no_new_privileges"))
        monkeypatch.setattr(kernel, "install_filter", self.answer("install_filter"))
        monkeypatch.setattr(landlock, "restrict", self.answer("restrict"))
        for name in ("setgroups", "setresgid", "setresuid"):
            monkeypatch.setattr(os, name, self.answer(name))
        monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 1000))
        monkeypatch.setattr(resource, "setrlimit", self.limits.__setitem__)
        monkeypatch.setattr(socket, "socket", self.socket)

    def answer(self, name: str) -> Callable[..., None]:
        def called(*args: Any, **_options: Any) -> None:
            self.asked.append((name, args))
            if name in self.refused:
                raise PermissionError(errno.EPERM, "refused")

        return called

    def unshare(self, flags: int) -> None:
        is_user = bool(flags & hardening.kernel.CLONE_NEWUSER)
        self.answer("user namespace" if is_user else "namespace")(flags)

    def socket(self, *args: Any) -> Any:
        if self.socket_error:
            raise self.socket_error
        return OpenSocket()

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.asked]


class OpenSocket:
    def __enter__(self) -> "OpenSocket":
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def connect(self, address: Any) -> None:
        assert address == ("192.0.2.1", 9)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def request(**changes: Any) -> SetupRequest:
    fields: dict[str, Any] = {
        "limits": BoxLimits(),
        "readable": ["/usr"],
        "devices": ["/dev/null"],
        "parent_pid": os.getppid(),
    }
    return SetupRequest(**(fields | changes))


def test_everything_at_once(world: World) -> None:
    held = hardening.lock_in(request(uid=65534))

    assert (held.network, held.files, held.syscalls) == ("namespace", "landlock", True)
    assert (held.user, held.capabilities, held.notes) == ("own", False, [])
    order = world.names
    assert order.index("namespace") < order.index("drop_bounding_set") < order.index("setgroups")
    assert order.index("setresuid") < order.index("drop_capabilities")
    assert order.index("setgroups") < order.index("setresgid") < order.index("setresuid")
    assert (
        order.index("no_new_privileges") < order.index("restrict") < order.index("install_filter")
    )
    assert order.count("die_with_parent") == 2  # the change of user clears the first


def test_limits_never_exceed_what_is_allowed_already(world: World) -> None:
    hardening.lock_in(request(uid=65534, limits=BoxLimits(cpu_s=60)))

    assert world.limits[resource.RLIMIT_CORE] == (0, 0)
    assert world.limits[resource.RLIMIT_FSIZE] == (0, 0)
    assert world.limits[resource.RLIMIT_CPU] == (60, 60)
    assert world.limits[resource.RLIMIT_NPROC] == (512, 512)
    assert world.limits[resource.RLIMIT_DATA] == (1000, 1000)


def test_a_card_lifts_the_data_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (0, resource.RLIM_INFINITY))

    hardening.lock_in(request(devices=["/dev/null", "/dev/nvidia0"]))

    assert resource.RLIMIT_DATA not in world.limits
    assert resource.RLIMIT_NPROC not in world.limits  # not its own user
    assert world.limits[resource.RLIMIT_NOFILE] == (256, 256)


def test_without_rights_a_user_namespace_does(world: World) -> None:
    world.refused = {"namespace"}

    held = hardening.lock_in(request())

    assert held.network == "user-namespace"
    assert held.notes == ["network namespace: refused"]


def test_without_namespaces_the_filter_does(world: World) -> None:
    world.refused = {"namespace", "user namespace"}

    held = hardening.lock_in(request())

    assert held.network == "seccomp"
    assert held.is_enough
    assert held.notes == ["network namespace: refused", "user namespace: refused"]


def test_with_nothing_the_network_is_open(world: World) -> None:
    world.refused = {
        "namespace",
        "user namespace",
        "install_filter",
        "restrict",
        "setgroups",
        "drop_capabilities",
    }
    world.socket_error = None

    held = hardening.lock_in(request(uid=65534))

    assert not held.is_enough
    assert (held.files, held.syscalls, held.user) == ("open", False, "same")
    assert held.capabilities
    assert len(held.notes) == 6


def test_a_namespace_alone_is_believed_when_no_route_is_seen(world: World) -> None:
    world.refused = {"install_filter"}
    world.socket_error = OSError(errno.ENETUNREACH, "unreachable")

    assert hardening.lock_in(request()).network == "namespace"


def test_a_machine_that_merely_has_no_route_is_not_called_protected(world: World) -> None:
    world.refused = {"namespace", "user namespace", "install_filter"}
    world.socket_error = OSError(errno.ENETUNREACH, "unreachable")

    assert hardening.lock_in(request()).network == "open"


def test_a_namespace_that_still_reaches_out_is_not_believed(world: World) -> None:
    world.socket_error = None

    assert hardening.lock_in(request()).network == "open"


def test_an_orphan_ends(world: World) -> None:
    with pytest.raises(SystemExit):
        hardening.lock_in(request(parent_pid=os.getppid() + 1))

    assert "install_filter" not in world.names

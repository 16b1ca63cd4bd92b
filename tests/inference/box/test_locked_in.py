"""What the locks of this machine really hold, tried from inside by a child of the same kind."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inference.box.client import protection
from inference.box.limits import MIB, BoxLimits
from inference.box.process import BoxProcess
from inference.box.protocol import ErrorEvent, HelloEvent, LoadRequest, pack
from inference.box.setup import CODE_ROOT, environment, setup_request
from tests.inference.box.conftest import LIMITS

PROBE = "tests.inference.box.probe"


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    return folder


@pytest.fixture
def ask(model_dir: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """Carry out a plan inside a box and return what was found."""
    processes: list[BoxProcess] = []

    def run(limits: BoxLimits = LIMITS, **plan: Any) -> dict[str, Any]:
        (model_dir / "plan.json").write_text(json.dumps(plan))
        process = BoxProcess(
            environment=environment(limits), memory_bytes=limits.memory_bytes, module=PROBE
        )
        processes.append(process)
        process.send(pack(setup_request(limits, model_dir)))
        deadline = time.monotonic() + 60
        assert isinstance(process.receive(deadline, "hello"), HelloEvent)
        process.send(pack(LoadRequest(model_dir=str(model_dir))))
        text = ""
        while True:
            event = process.receive(deadline, "findings")
            assert isinstance(event, ErrorEvent)
            text += event.message
            if event.code == "probe_last":
                return dict(json.loads(text))

    yield run
    for process in processes:
        process.close()


def test_this_machine_protects() -> None:
    held = protection(LIMITS)

    assert held.is_enough
    assert held.network in {"namespace", "user-namespace", "seccomp"}
    assert held.syscalls
    assert not held.capabilities


def test_no_way_out(ask: Any, model_dir: Path, tmp_path: Path) -> None:
    own, neighbor = model_dir / "own.txt", tmp_path / "neighbor" / "weights"
    own.write_text("mine")
    neighbor.parent.mkdir()
    neighbor.write_text("paid for by others")
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(model_dir / "socket"))
        unix.listen()

        found = ask(
            act="escapes",
            port=tcp.getsockname()[1],
            unix=str(model_dir / "socket"),
            own=str(own),
            neighbor=str(neighbor),
            project=str(CODE_ROOT / "pyproject.toml"),
        )

    allowed = {name: result for name, result in found.items() if result.startswith("done")}
    assert allowed == {"read own": "done: mine", "thread": "done: thread ran"}
    assert own.read_text() == "mine"
    assert not Path("/tmp/probe-was-here").exists()  # noqa: S108


def test_nothing_of_ours_is_visible(
    ask: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STORE_SECRET_KEY", "canary-in-the-environment")
    secret = tmp_path / "secret"
    secret.write_text("canary in a file")
    inherited = os.open(secret, os.O_RDONLY)
    os.set_inheritable(inherited, True)

    found = ask(act="surroundings")

    os.close(inherited)
    assert "canary" not in found["environ"]
    assert "HF_HUB_OFFLINE=1" in found["environ"]
    assert str(tmp_path) not in found["argv"]
    assert found["cwd"] == "/"
    assert found["pipes_only"]
    assert set(found["caps"]) == {"0"}
    assert (found["nnp"], found["seccomp"]) == ("1", "2")
    assert found["sid"]
    assert (found["core"], found["fsize"]) == ([0, 0], [0, 0])
    assert found["data"] == [LIMITS.memory_bytes] * 2
    assert found["uid"] != 0 or os.getuid() == 0


def test_memory_ends_where_the_limit_is(ask: Any) -> None:
    limits = BoxLimits(device="cpu", memory_bytes=300 * MIB)

    assert ask(limits, act="grow", mib=800) == {"stopped": "MemoryError"}

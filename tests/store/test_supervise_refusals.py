"""What keeps the store from starting is said, and nothing is left running."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from store.supervise.errors import AlreadyRunningError, PortTakenError, PrepareError
from store.supervise.running import await_port, run
from store.supervise.table import Plan, Process
from store.supervise.terminal import Terminal
from tests.store.engines_lab import engine_processes, eventually, short_folder
from tests.store.supervise_lab import TALK, fake, free_port, heard, is_dead, plan_of, run_of, script


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


def test_an_interrupted_preparation_is_ended_here_too(data_dir: Path) -> None:
    class Impatient(Terminal):
        def feed(self, name: str, data: bytes) -> None:
            raise KeyboardInterrupt

    plan = Plan(
        data_dir=data_dir,
        host="127.0.0.1",
        port=free_port(),
        processes=(),
        prepare=script(TALK),
        needs_postgres=False,
        needs_valkey=False,
    )
    before = psutil.Process().children()  # other tests of this run have some

    with pytest.raises(KeyboardInterrupt):
        run(plan, Impatient([]))

    assert [child for child in psutil.Process().children() if child not in before] == []


def test_a_second_supervisor_of_one_folder_is_refused(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_of(data_dir, fake("web"))
    with run_of(plan) as running:
        running.says("web   | alive")
        before = running.family()

        with pytest.raises(AlreadyRunningError, match=f"process {running.process.pid}, http") as no:
            run(Plan(data_dir=data_dir, host="127.0.0.1", port=free_port(), processes=()))

        assert "STORE_DATA_DIR" in no.value.message
        assert running.family() == before
        assert running.process.poll() is None


def test_a_taken_port_is_refused_before_anything_starts(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.supervise.running.PORT_PATIENCE_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(PortTakenError, match=f"PORT={port + 1} make run"):
            run(Plan(data_dir=data_dir, host="127.0.0.1", port=port, processes=()))

    assert not (data_dir / "engines").exists()
    await_port("127.0.0.1", port)  # free again


def test_a_port_that_gets_free_is_waited_for() -> None:
    holder = socket.create_server(("127.0.0.1", 0))
    port = holder.getsockname()[1]
    threading.Timer(0.3, holder.close).start()

    await_port("127.0.0.1", port)


@pytest.mark.parametrize("host", ["203.0.113.7", "no such host"])
def test_an_address_that_is_not_ours_is_refused(host: str) -> None:
    with pytest.raises(PortTakenError, match="cannot listen on"):
        await_port(host, 8000)


def test_a_failed_preparation_starts_nothing(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Plan(
        data_dir=data_dir,
        host="127.0.0.1",
        port=free_port(),
        processes=(Process("web", script(TALK)),),
        prepare=(sys.executable, "-c", "import sys; sys.exit('migration 7 failed')"),
        needs_postgres=False,
        are_engines_durable=False,
    )

    with pytest.raises(PrepareError, match="Nothing was started"):
        run(plan)

    assert heard(capsys) == ["store | migration 7 failed"]
    assert engine_processes(data_dir) == []
    assert not (data_dir / "run/logs/web.log").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_preparation_can_be_interrupted(data_dir: Path, number: signal.Signals) -> None:
    plan = plan_of(data_dir, fake("web"), needs_valkey=True, prepare=fake("x")["command"])
    with run_of(plan) as running:
        running.says("store | alive")
        (child,) = running.family()
        os.killpg(running.process.pid, number)

        assert running.ends() != 0

    eventually("the preparation is gone", lambda: is_dead(child))
    assert engine_processes(data_dir) == []

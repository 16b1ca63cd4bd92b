"""Whoever leaves, and however, leaves the engines as they should be."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from store import engines
from store.engines import holding, locks
from tests.store.engines_lab import (
    command,
    engine_processes,
    eventually,
    short_folder,
    start,
    valkey,
)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@pytest.fixture
def default_signals() -> Iterator[None]:
    """Signals as a fresh program finds them; the test runner's own come back afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number in before:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def own_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the hold that keeps the test run's own engines."""
    monkeypatch.setattr(holding, "_open_holds", set())


def test_end_of_the_process_releases(data_dir: Path) -> None:
    forgetful = "import sys; from pathlib import Path; from store import engines\n"
    forgetful += "engines.hold(Path(sys.argv[1]), durable=False)"  # result dropped

    run = start(data_dir, forgetful)

    assert run.communicate(timeout=60) == ("", "")
    assert run.returncode == 0
    assert engine_processes(data_dir) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_an_interrupted_command_stops_them(data_dir: Path, number: signal.Signals) -> None:
    with command(data_dir) as other:
        os.killpg(other.pid, number)  # to the whole group, as a terminal does
        _, told = other.communicate(timeout=2 * holding.STOP_TIMEOUT_S)  # past the killing

    assert "does not stop" not in told
    assert other.returncode == (-number if number == signal.SIGINT else 128 + number)
    assert engine_processes(data_dir) == []
    assert "database system is shut down" in (data_dir / "engines/logs/postgres.log").read_text()


def test_a_program_that_handles_signals_itself_keeps_its_handler(data_dir: Path) -> None:
    script = """
import signal, sys
from pathlib import Path
from store import engines
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with engines.hold(Path(sys.argv[1]), postgres=False):
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
"""
    run = start(data_dir, script)

    assert run.communicate(timeout=60) == ("", "")
    assert run.returncode == 0


def test_a_hold_from_a_thread_leaves_signals_alone(data_dir: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[bool] = []

    def work() -> None:
        with engines.hold(data_dir, postgres=False, durable=False):
            seen.append(bool(valkey(data_dir).ping()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(timeout=60)

    assert seen == [True]
    assert signal.getsignal(signal.SIGTERM) is before
    assert engine_processes(data_dir) == []


def test_a_forked_child_neither_stops_nor_keeps_them(data_dir: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from store import engines
held = engines.hold(Path(sys.argv[1]), postgres=False, durable=False)
ends = []
child = os.fork()
if child == 0:
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    held.release()
    sys.exit(0)  # runs what is registered for the end of the process
assert os.waitpid(child, 0)[1] == 0
print("held", flush=True)
child = os.fork()
if child == 0:
    os.closerange(0, 3)
    signal.pause()  # stays on after its parent
sys.stdin.readline()
print(child)
"""
    with command(data_dir, script) as other:
        assert valkey(data_dir).ping() is True  # the first child's end changed nothing

        second = psutil.Process(int(other.communicate("\n", timeout=60)[0]))

    try:
        assert other.returncode == 0
        assert engine_processes(data_dir) == []
        assert second.is_running()  # and keeps nothing
    finally:
        second.kill()


@pytest.mark.usefixtures("own_holds")
def test_what_a_forked_child_does_first(data_dir: Path, default_signals: None) -> None:
    held = engines.hold(data_dir, postgres=False, durable=False)
    assert signal.getsignal(signal.SIGTERM) is holding._exit

    holding._forget_all()  # what the child runs, here in the parent: it closes the only copy

    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    held.release()
    assert valkey(data_dir).ping() is True  # forgotten, not released
    engines.hold(data_dir, postgres=False, durable=False).release()
    assert engine_processes(data_dir) == []


def test_sigterm_becomes_an_orderly_exit(data_dir: Path, default_signals: None) -> None:
    with (
        pytest.raises(SystemExit, match="143"),
        engines.hold(data_dir, postgres=False, durable=False),
    ):
        os.kill(os.getpid(), signal.SIGTERM)
        signal.sigtimedwait([], 5)

    assert engine_processes(data_dir) == []


def test_started_programs_inherit_no_lock(data_dir: Path) -> None:
    with engines.hold(data_dir, postgres=False, durable=False):
        sleeper = subprocess.Popen(["sleep", "60"], close_fds=False)

    try:
        assert engine_processes(data_dir) == []
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_locked_store_is_reported_and_left_alone(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir.joinpath("engines").mkdir(parents=True)
    monkeypatch.setattr(locks, "CONTROL_TIMEOUT_S", 0.1)

    with (
        locks.control(data_dir / "engines/control.lock"),
        pytest.raises(engines.EngineBusyError, match=r"control\.lock for 0 s"),
    ):
        engines.hold(data_dir)

    assert engine_processes(data_dir) == []
    assert sorted(path.name for path in (data_dir / "engines").iterdir()) == ["control.lock"]


def test_a_release_that_cannot_lock_leaves_them_for_the_next(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = engines.hold(data_dir, postgres=False, durable=False)
    monkeypatch.setattr(locks, "CONTROL_TIMEOUT_S", 0.1)
    with (
        locks.control(data_dir / "engines/control.lock"),
        pytest.raises(engines.EngineBusyError),
    ):
        held.release()

    assert valkey(data_dir).ping() is True
    monkeypatch.undo()
    engines.hold(data_dir, postgres=False, durable=False).release()
    assert engine_processes(data_dir) == []


@pytest.mark.usefixtures("own_holds")
def test_the_end_of_the_process_survives_a_release_that_fails(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engines.hold(data_dir, postgres=False, durable=False)
    monkeypatch.setattr(locks, "CONTROL_TIMEOUT_S", 0.1)
    with locks.control(data_dir / "engines/control.lock"):
        holding._release_all()

    assert "could not be stopped" in caplog.text


@pytest.mark.parametrize("name", ["Postgres", "Valkey"])
def test_a_server_that_does_not_stop_is_killed(
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    held = engines.hold(
        data_dir, postgres=name == "Postgres", valkey=name == "Valkey", durable=False
    )
    monkeypatch.setattr(holding, "STOP_TIMEOUT_S", 0.2)
    for process in engine_processes(data_dir):
        process.suspend()

    held.release()

    eventually("all are gone", lambda: engine_processes(data_dir) == [])
    assert f"the embedded {name} does not stop; it is killed" in caplog.text

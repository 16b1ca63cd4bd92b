"""One supervisor over everything: starts in order, restarts, gives up, stops, dies as one."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from store.engines import EngineStartError, Hold
from store.supervise import configuration
from store.supervise.running import run
from store.supervise.table import Plan, Process
from store.supervise.terminal import Terminal
from tests.store.engines_lab import engine_processes, eventually, short_folder, valkey
from tests.store.supervise_lab import TALK, fake, free_port, heard, is_dead, plan_of, run_of, script

ASKS_TO_STOP = "import os, signal\nprint('asking', flush=True)\nos.kill(os.getppid(), {})"
"""A process that ends the whole, as a person would."""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For runs inside this process: short patience; the signal handlers come back afterwards."""
    monkeypatch.setattr(configuration, "STEADY_S", 1)
    monkeypatch.setattr(configuration, "TRIES", 1)
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
    before = {
        number: signal.getsignal(number) for number in (*numbers, signal.SIGCHLD, signal.SIGUSR2)
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_prepares_then_runs_then_stops_everything(
    data_dir: Path, quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Plan(
        data_dir=data_dir,
        host="127.0.0.1",
        port=free_port(),
        processes=(
            Process("web", script(TALK)),
            Process("beat", script("print('late', flush=True)\n" + TALK), is_patient=True),
            Process(
                "ready",
                script("import sys; sys.stdout.write('no line end')"),
                is_once=True,
            ),
            Process(
                "boss",
                script("import time; time.sleep(2)\n" + asks(signal.SIGTERM)),
                is_once=True,
            ),
        ),
        prepare=(sys.executable, "-c", "print('prepared')"),
        needs_postgres=False,
        are_engines_durable=False,
    )

    before = psutil.Process().children()  # other tests of this run have some
    status = run(plan)

    said = heard(capsys)
    assert status == 0
    assert said[0] == "store | prepared"
    assert "web   | alive" in said
    assert said.index("ready | no line end") < said.index("beat  | late")
    assert said.count("beat  | late") == 1
    assert "boss  | asking" in said
    assert "store | stopping; running work is finished first" in said
    assert said[-2:] == ["store | stopping the engines", "store | stopped"]
    assert not any("again" in line or "right after" in line for line in said)
    assert engine_processes(data_dir) == []
    assert [child for child in psutil.Process().children() if child not in before] == []
    assert (data_dir / "run/logs/web.log").read_text().startswith("alive\n")
    assert (data_dir / "run").stat().st_mode & 0o777 == 0o700


def test_who_keeps_ending_ends_the_whole(
    data_dir: Path, quick: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configuration, "STEADY_S", 60)  # no start is so slow as to pass for a life
    plan = Plan(
        data_dir=data_dir,
        host="127.0.0.1",
        port=free_port(),
        processes=(
            Process("web", script("import sys; sys.exit('cannot import this')")),
            Process("worker", script(TALK)),
        ),
        needs_postgres=False,
        needs_valkey=False,
    )

    before = psutil.Process().children()  # other tests of this run have some
    status = run(plan)

    said = capsys.readouterr().out
    assert status == 1
    assert said.count("web    | cannot import this") == 2
    assert "store  | web ended right after its start (try 1 of 2)" in said
    assert "store  | web ended right after its start (try 2 of 2)" in said
    assert f"web keeps ending, so the store stops. See {data_dir}/run/logs/web.log" in said
    assert [child for child in psutil.Process().children() if child not in before] == []
    assert not (data_dir / "engines").exists()


def test_a_crashed_process_is_started_again(data_dir: Path) -> None:
    mortal = (
        "import os, pathlib, sys, time; mark = pathlib.Path(sys.argv[1])\n"
        "print('life', os.getpid(), flush=True); time.sleep(2)\n"
        "if not mark.exists(): mark.touch(); sys.exit(3)\n"
        "time.sleep(60)"
    )
    worker = fake("worker", mortal)
    worker["command"] = (*worker["command"], str(data_dir / "mark"))

    with run_of(plan_of(data_dir, worker, fake("web"))) as running:
        running.says("worker | life", times=2)
        running.says("store  | worker ended with 3; starting it again")
        running.process.send_signal(signal.SIGTERM)
        assert running.ends() == 0


def test_a_process_that_ends_after_a_while_is_started_again_here_too(
    data_dir: Path, quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    lives = (
        "import os, pathlib, signal, sys, time; mark = pathlib.Path(sys.argv[1])\n"
        "time.sleep(2)\n"
        "if not mark.exists(): mark.touch(); sys.exit(3)\n"
        "os.kill(os.getppid(), signal.SIGTERM); time.sleep(60)"
    )
    plan = Plan(
        data_dir=data_dir,
        host="127.0.0.1",
        port=free_port(),
        processes=(Process("web", (*script(lives), str(data_dir / "mark"))),),
        needs_postgres=False,
        needs_valkey=False,
    )

    assert run(plan) == 0

    assert heard(capsys) == [
        "store | web ended with 3; starting it again",
        "store | stopping; running work is finished first",
        "store | stopping the engines",
        "store | stopped",
    ]


def test_a_killed_process_is_started_again(data_dir: Path) -> None:
    with run_of(
        plan_of(data_dir, fake("web", "import os\nprint(os.getpid())\n" + TALK))
    ) as running:
        running.says("web   | alive", times=8)  # past the trial period
        first = int(next(line for line in running.lines if "web " in line).split("|")[1])
        os.kill(first, signal.SIGKILL)

        running.says("store | web was killed; starting it again")
        eventually(
            "another one", lambda: [child.pid for child in running.family() if child.pid != first]
        )
        running.process.send_signal(signal.SIGTERM)
        assert running.ends() == 0


def test_a_killed_engine_is_started_again(data_dir: Path) -> None:
    with run_of(plan_of(data_dir, fake("web"), needs_valkey=True)) as running:
        running.says("web   | alive")
        (old,) = engine_processes(data_dir)
        old.kill()

        running.says("store | the embedded Valkey had died and was started again")
        assert valkey(data_dir).ping() is True
        running.process.send_signal(signal.SIGTERM)
        assert running.ends() == 0


def test_an_engine_that_does_not_come_back_ends_the_whole(
    data_dir: Path, quick: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_held: Hold) -> list[str]:
        raise EngineStartError("No engine.")

    monkeypatch.setattr(Hold, "revive", fail)
    plan = Plan(
        data_dir=data_dir,
        host="127.0.0.1",
        port=free_port(),
        processes=(Process("web", script(TALK)),),
        needs_postgres=False,
        needs_valkey=False,
    )

    assert run(plan) == 1

    said = heard(capsys)
    assert said.index("store | No engine.") + 1 == said.index("store | Without it the store stops.")
    assert said[-1] == "store | stopped"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_stop_is_passed_on_as_sigterm_alone(
    data_dir: Path, number: signal.Signals
) -> None:
    polite = (
        "import signal, sys, time\n"
        "for n in (signal.SIGINT, signal.SIGHUP):\n"
        "    signal.signal(n, lambda *_: print('hit by terminal', flush=True))\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit(0)))\n"
        "print('up', flush=True)\n"
        "while True: time.sleep(1)"
    )
    plan = plan_of(data_dir, fake("web", polite), fake("worker", polite), needs_valkey=True)
    with run_of(plan) as running:
        running.says("| up", times=2)
        os.killpg(running.process.pid, number)  # as a terminal does: to the whole group

        assert running.ends() == 0

        assert "web    | bye" in running.lines
        assert "worker | bye" in running.lines
        assert not [line for line in running.lines if "hit by terminal" in line]
        assert running.lines[-1] == "store  | stopped"
    assert engine_processes(data_dir) == []


def test_all_are_told_to_stop_at_once(data_dir: Path) -> None:
    slow = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(3), sys.exit(0)))\n"
        "print('up', flush=True)\n"
        "while True: time.sleep(1)"
    )
    names = ("one", "two", "three", "four")
    with run_of(plan_of(data_dir, *(fake(name, slow) for name in names))) as running:
        running.says("| up", times=4)
        started = time.monotonic()
        running.process.send_signal(signal.SIGTERM)

        assert running.ends() == 0

    assert time.monotonic() - started < 10  # one after the other would take 12 s


def test_who_does_not_stop_is_killed_with_its_children(data_dir: Path) -> None:
    stubborn = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'])\n"
        "print('child', child.pid, flush=True)\n"
        "while True: time.sleep(1)"
    )
    with run_of(plan_of(data_dir, fake("web", stubborn, stop_wait_s=1))) as running:
        running.says("web   | child")
        child = psutil.Process(int(running.lines[-1].split()[-1]))
        running.process.send_signal(signal.SIGTERM)

        assert running.ends() == 0

    eventually("the grandchild is gone", lambda: is_dead(child))


def test_a_killed_supervisor_takes_the_children_down_and_the_next_one_takes_over(
    data_dir: Path,
) -> None:
    plan = plan_of(data_dir, fake("web"), fake("worker"), needs_valkey=True)
    with run_of(plan) as first:
        first.says("worker | alive")
        children = first.family()
        (server,) = engine_processes(data_dir)
        first.process.kill()
        first.ends()

        eventually("the children are gone", lambda: all(map(is_dead, children)))
        assert len(children) == 2
        assert valkey(data_dir).ping() is True

    with run_of(plan) as second:
        second.says("worker | alive")
        assert engine_processes(data_dir) == [server]
        second.process.send_signal(signal.SIGTERM)
        assert second.ends() == 0

    assert engine_processes(data_dir) == []


def test_a_closed_terminal_does_not_stop_the_store(data_dir: Path, quick: None) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as gone:
        plan = Plan(
            data_dir=data_dir,
            host="127.0.0.1",
            port=free_port(),
            processes=(
                Process("web", script(TALK)),
                Process("boss", script(asks(signal.SIGHUP)), is_once=True),
            ),
            needs_postgres=False,
            needs_valkey=False,
        )

        status = run(plan, Terminal(["web"], gone))

        assert status == 0
        assert "alive" in (data_dir / "run/logs/web.log").read_text()


def asks(number: signal.Signals) -> str:
    return "import time; time.sleep(1)\n" + ASKS_TO_STOP.format(int(number))

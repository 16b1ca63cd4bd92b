"""``make run`` itself, with the real processes."""

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from store.supervise import ready
from tests import live
from tests.store.engines_lab import REPO, engine_processes, eventually, short_folder
from tests.store.supervise_lab import Run, free_port, supervised

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

WEB_RSS_LIMIT_BYTES = 200 * 1024**2


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


def test_the_whole_store_starts_heals_and_stops(data_dir: Path) -> None:
    port = free_port()
    environment = live.environment(data_dir, PORT=str(port))
    command = [sys.executable, "-m", "store.supervise"]

    with supervised(command, env=environment) as first:
        first.says("The store is ready: http://127.0.0.1:", timeout_s=300)
        assert ready.ask("127.0.0.1", port) == ""
        assert status_of(port, "/healthz") == 200
        check_web_processes(first)
        check_a_command_beside_it(environment)
        check_a_killed_web_server_comes_back(first, port)
        family = first.family()
        os.killpg(first.process.pid, signal.SIGINT)  # Ctrl-C

        assert first.ends(120) == 0
        assert first.lines[-1].endswith("| stopped")
        # the kernel ends a model's process after its worker: a moment later
        eventually("all are gone", lambda: not any(map(lives, family)), timeout_s=20)
        assert engine_processes(data_dir) == []

    started = time.monotonic()
    with supervised(command, env=environment) as second:
        second.says("The store is ready: http://127.0.0.1:", timeout_s=300)
        took_s = time.monotonic() - started
        second.process.send_signal(signal.SIGTERM)
        assert second.ends(120) == 0
    assert engine_processes(data_dir) == []
    assert took_s < 60  # the figure is 10 s on a machine that does nothing else


def check_web_processes(run: Run) -> None:
    """No machine learning in the web server, and little memory."""
    web = web_processes(run)
    assert len(web) == 3
    for process in web:
        assert not re.search(r"libtorch|tokenizers", Path(f"/proc/{process.pid}/maps").read_text())
        assert process.memory_info().rss < WEB_RSS_LIMIT_BYTES


def check_a_command_beside_it(environment: dict[str, str]) -> None:
    """A management command shares the engines and leaves them running."""
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--check"],
        cwd=REPO,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def check_a_killed_web_server_comes_back(run: Run, port: int) -> None:
    """kill -9 of the web server's first process: another one answers soon."""
    old = web_processes(run)
    master = min(old, key=lambda process: process.create_time())
    master.kill()
    # it says "right after its start" where less than a few seconds went by
    told = re.compile(r"web was killed; starting it again|web ended right after its start")
    eventually("it says so", lambda: any(map(told.search, run.lines)), timeout_s=60)
    eventually("it answers again", lambda: ready.ask("127.0.0.1", port) == "", timeout_s=120)
    eventually("the old ones are gone", lambda: not any(map(lives, old)))


def lives(process: psutil.Process) -> bool:
    """Whether it runs; one that has ended and waits for its parent to notice does not."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def web_processes(run: Run) -> list[psutil.Process]:
    """Of a family that changes while it is looked at: some of it may have just ended."""
    found = []
    for process in run.family():
        with suppress(psutil.NoSuchProcess):  # ZombieProcess is one of them
            if "gunicorn" in " ".join(process.cmdline()):
                found.append(process)
    return found


def status_of(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()

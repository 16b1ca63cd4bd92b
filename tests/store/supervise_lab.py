"""What the tests of the supervisor share: plans made of small commands, run beside the test."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.live import free_port
from tests.store.engines_lab import AS_ROOT, REPO, eventually

RUN = """
import json, sys
from pathlib import Path
from store.core.errors import StoreError
from store.supervise import configuration
from store.supervise.running import run
from store.supervise.table import Plan, Process
given = json.loads(sys.argv[1])
configuration.STEADY_S = 1
configuration.TRIES = 1
processes = tuple(Process(**each) for each in given.pop("processes"))
data_dir = Path(given.pop("data_dir"))
try:
    sys.exit(run(Plan(data_dir=data_dir, processes=processes, **given)))
except StoreError as error:
    sys.exit(error.message)
"""

TALK = "import time\nwhile True: print('alive', flush=True); time.sleep(0.2)"


def script(text: str) -> tuple[str, ...]:
    """Keep a Python program in a file and return the command that runs it."""
    folder = Path(tempfile.gettempdir(), f"gs-scripts-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.py"
    path.write_text(text)
    return (sys.executable, str(path))


def fake(name: str, text: str = TALK, **fields: Any) -> dict[str, Any]:
    """Return a row of the process table that runs a Python program."""
    return {"name": name, "command": script(text), **fields}


def plan_of(data_dir: Path, *processes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a plan of fake processes, without engines unless asked for."""
    return {
        "data_dir": str(data_dir),
        "host": "127.0.0.1",
        "port": free_port(),
        "processes": processes,
        "needs_postgres": False,
        "needs_valkey": False,
        "are_engines_durable": False,
        **fields,
    }


@dataclass
class Run:
    """A supervisor running beside the test."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def says(self, text: str, *, times: int = 1, timeout_s: float = 30) -> None:
        """Wait until ``text`` was said so often."""

        def heard() -> bool:
            ended = self.process.poll()
            assert ended is None or text in "".join(self.lines), f"it ended with {ended}"
            return sum(text in line for line in self.lines) >= times

        try:
            eventually(text, heard, timeout_s=timeout_s)
        except AssertionError as exc:
            raise AssertionError(f"{exc}\n" + "\n".join(self.lines)) from exc

    def ends(self, timeout_s: float = 60) -> int:
        """Wait for the end and return the status."""
        return self.process.wait(timeout=timeout_s)

    def family(self) -> list[psutil.Process]:
        """Return the supervisor's living descendants."""
        return psutil.Process(self.process.pid).children(recursive=True)


@contextmanager
def supervised(command: list[str], **options: Any) -> Iterator[Run]:
    """Start a supervisor and read what it says."""
    process = subprocess.Popen(
        command,
        cwd=REPO,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **options,
    )
    run = Run(process)

    def read() -> None:
        assert process.stdout is not None
        run.lines.extend(line.rstrip("\n") for line in process.stdout)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    family: list[psutil.Process] = []
    try:
        yield run
    finally:
        if process.poll() is None:
            family = run.family()
            process.kill()
        process.wait(timeout=30)
        for child in family:
            if child.is_running():
                child.kill()
        reader.join(timeout=30)
        if process.stdout:
            process.stdout.close()


@contextmanager
def run_of(plan: dict[str, Any]) -> Iterator[Run]:
    """Run a plan of fake processes."""
    with supervised([sys.executable, "-c", RUN, json.dumps(plan)]) as run:
        yield run


def heard(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines said, but for the advice that root gets."""
    lines = capsys.readouterr().out.splitlines()
    advice = [line for line in lines if "running as root" in line]
    assert len(advice) == AS_ROOT
    return [line for line in lines if line not in advice]


def is_dead(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True

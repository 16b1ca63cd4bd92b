"""Runs every check of ``make test`` and stops at the first that fails.

Types are checked beside the others: that is a core's work of minutes, and nothing waits for it.

``--lint`` runs everything but the tests: seconds, for before a commit.

Counting lines takes as long again as the tests themselves, even where only one room is counted, so
nothing is counted here. ``make coverage`` runs the tests with every room counted and judges that.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress

import pytest

from tests.second_look import second_look

BIN = os.path.dirname(sys.executable)
_PYTEST = ["python", "-m", "pytest", "-n", "2", "--dist", "loadgroup", "--cache-clear"]
STEPS: list[tuple[str, list[str]]] = [
    ("style", ["ruff", "check", "."]),
    ("format", ["ruff", "format", "--check", "."]),
    ("structure", ["lint-imports"]),
    ("templates", ["djlint", "templates", "--check", "--lint"]),
    ("migrations", ["python", "manage.py", "makemigrations", "--check", "--dry-run"]),
    ("tests", _PYTEST),
]
BESIDE: tuple[str, list[str]] = ("types", ["mypy", "."])
COUNTED: list[tuple[str, list[str]]] = [
    ("tests", [*_PYTEST, "--cov", "--cov-report="]),
    ("coverage", ["python", "-m", "tests.coverage_gate"]),
]


def main() -> int:
    """Run the steps; return the first bad exit status."""
    for number in (signal.SIGHUP, signal.SIGINT):  # what a shell starts with & ignores them
        signal.signal(number, signal.SIG_DFL)
    env = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    steps = COUNTED if "--counted" in sys.argv[1:] else STEPS
    if "--lint" in sys.argv[1:]:
        steps = [step for step in STEPS if step[0] != "tests"]
    name, command = BESIDE
    with tempfile.TemporaryFile() as said:
        beside = subprocess.Popen(command, env=env, stdout=said, stderr=subprocess.STDOUT)
        status = _run(steps, env, beside)
        if status and beside.poll() is None:
            beside.terminate()
            return status
        status = beside.wait() or status
        said.seek(0)
        print(f"── {name}: {' '.join(command)}\n{said.read().decode()}", end="")
    print(f"── {name}: status {beside.returncode}", flush=True)
    return status


def _run(
    steps: list[tuple[str, list[str]]], env: dict[str, str], beside: subprocess.Popen[bytes]
) -> int:
    """Run the steps until one fails, or ``beside`` does; return the status, 0 for well done."""
    for name, command in steps:
        print(f"── {name}: {' '.join(command)}", flush=True)
        started = time.monotonic()
        step = subprocess.Popen(command, env=env)
        while step.poll() is None:
            if beside.poll():
                step.send_signal(signal.SIGINT)  # tests stop their engines
                step.wait()
            with suppress(subprocess.TimeoutExpired):
                step.wait(timeout=1)
        status = step.returncode
        if name == "tests" and status == pytest.ExitCode.TESTS_FAILED:
            status = second_look(env)
        print(f"── {name}: {time.monotonic() - started:.0f} s, status {status}", flush=True)
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())

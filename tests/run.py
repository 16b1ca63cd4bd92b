"""Runs every check of ``make test`` in order and stops at the first that fails."""

import os
import signal
import subprocess
import sys
import time

BIN = os.path.dirname(sys.executable)
STEPS: list[tuple[str, list[str]]] = [
    ("style", ["ruff", "check", "."]),
    ("format", ["ruff", "format", "--check", "."]),
    ("types", ["mypy", "."]),
    ("structure", ["lint-imports"]),
    ("templates", ["djlint", "templates", "--check", "--lint", "--quiet"]),
    ("migrations", ["python", "manage.py", "makemigrations", "--check", "--dry-run"]),
    (
        "tests",
        ["python", "-m", "pytest", "-n", "2", "--dist", "loadgroup", "--cov", "--cov-report="],
    ),
    ("coverage", ["python", "-m", "tests.coverage_gate"]),
]


def main() -> int:
    """Run the steps; return the first bad exit status."""
    for number in (signal.SIGHUP, signal.SIGINT):  # what a shell starts with & ignores them
        signal.signal(number, signal.SIG_DFL)
    env = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    for name, command in STEPS:
        print(f"── {name}: {' '.join(command)}", flush=True)
        started = time.monotonic()
        status = subprocess.run(command, env=env, check=False).returncode
        print(f"── {name}: {time.monotonic() - started:.0f} s, status {status}", flush=True)
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())

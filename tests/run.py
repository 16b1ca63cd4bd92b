"""Runs every check of ``make test`` in order and stops at the first that fails.

Counting lines takes almost half of a test's time again, so only the room that moves money and lets
bytes out is counted here. ``make coverage`` runs the tests with every room counted.
"""

import os
import signal
import subprocess
import sys
import time

BIN = os.path.dirname(sys.executable)
_PYTEST = ["python", "-m", "pytest", "-n", "2", "--dist", "loadgroup"]
STEPS: list[tuple[str, list[str]]] = [
    ("style", ["ruff", "check", "."]),
    ("format", ["ruff", "format", "--check", "."]),
    ("types", ["mypy", "."]),
    ("structure", ["lint-imports"]),
    ("templates", ["djlint", "templates", "--check", "--lint", "--quiet"]),
    ("migrations", ["python", "manage.py", "makemigrations", "--check", "--dry-run"]),
    ("tests", [*_PYTEST, "--cov=licensing", "--cov-report="]),
    ("coverage", ["python", "-m", "tests.coverage_gate"]),
]
COUNTED: list[tuple[str, list[str]]] = [
    ("tests", [*_PYTEST, "--cov", "--cov-report="]),
    ("coverage", ["python", "-m", "tests.coverage_gate", "--all"]),
]


def main() -> int:
    """Run the steps; return the first bad exit status."""
    for number in (signal.SIGHUP, signal.SIGINT):  # what a shell starts with & ignores them
        signal.signal(number, signal.SIG_DFL)
    env = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    for name, command in COUNTED if "--counted" in sys.argv[1:] else STEPS:
        print(f"── {name}: {' '.join(command)}", flush=True)
        started = time.monotonic()
        status = subprocess.run(command, env=env, check=False).returncode
        print(f"── {name}: {time.monotonic() - started:.0f} s, status {status}", flush=True)
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())

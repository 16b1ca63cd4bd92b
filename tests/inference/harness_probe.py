"""A harness that was taken over: it tries what a hostile task would, behind the real locks."""

import json
import os
import socket
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inference.harness import locked

GIB = 1024**3
COMMON_TEMP = Path("/tmp/left-by-the-harness")  # noqa: S108 - it must not get there


def tried(do: Callable[[], Any]) -> str:
    """Return how a try ended: ``done``, or the name of what refused it."""
    try:
        do()
    except (OSError, MemoryError) as refused:
        return type(refused).__name__
    return "done"


def attempts() -> dict[str, str]:
    """Reach for everything."""
    parent = os.getppid()
    home = Path(os.environ["HOME"])
    tries: dict[str, Callable[[], Any]] = {
        "read the users": lambda: Path("/etc/passwd").read_text(),
        "read the settings": lambda: Path("store/settings.py").read_text(),
        "read its starter's environment": lambda: Path(f"/proc/{parent}/environ").read_bytes(),
        "end its starter": lambda: os.kill(parent, 0),
        "open a socket": socket.socket,
        "start a program": lambda: subprocess.run(["/bin/true"], check=True),
        "fork": os.fork,
        "write beside the code": lambda: Path("inference/left.py").write_text("x"),
        "write into the common temp": lambda: COMMON_TEMP.write_text("x"),
        "take all memory": lambda: bytearray(64 * GIB),
        "write into its own folder": lambda: (home / "left").write_text("x"),
    }
    return {name: tried(do) for name, do in tries.items()}


def main() -> None:
    """Say what came of it; then use up the processor."""
    sys.stdout.write(json.dumps({"tried": attempts()}) + "\n")
    sys.stdout.flush()
    while True:
        pass


if __name__ == "__main__":
    taken_over: Any = types.ModuleType("inference.harness.child")
    taken_over.main = main
    sys.modules["inference.harness.child"] = taken_over
    locked.main()

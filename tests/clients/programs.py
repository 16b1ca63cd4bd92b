"""Runs client programs, each in a process and with a home of its own, as on another machine."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Hf = Callable[..., subprocess.CompletedProcess[str]]
PROGRAM = Path(__file__).with_name("xet_program.py")


@dataclass
class Machine:
    """A person's machine with a client on it.

    Args:
        home: Its caches, empty at first.
        endpoint: Where the store is.
        token: The person's.
        python: Whose packages it uses.
        settings: Environment variables beside the usual.
    """

    home: Path
    endpoint: str
    token: str
    python: str = sys.executable
    settings: dict[str, str] = field(default_factory=dict)

    def start(self, *steps: list[Any]) -> subprocess.Popen[str]:
        """Begin to do ``steps`` (see ``xet_program``)."""
        asked = {"endpoint": self.endpoint, "token": self.token, "steps": steps}
        return subprocess.Popen(
            [self.python, str(PROGRAM), json.dumps(asked)],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def do(self, *steps: list[Any]) -> list[Any]:
        """Do ``steps``; return what each gave."""
        return finished(self.start(*steps))

    def run(self, *command: str) -> str:
        """Run another program on this machine; return what it printed."""
        return printed(
            subprocess.Popen(
                command,
                env=self.environment() | {"HF_ENDPOINT": self.endpoint, "HF_TOKEN": self.token},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )

    def environment(self) -> dict[str, str]:
        """Nothing of the tests' own settings, which switch Xet off, leaks in."""
        left_out = ("HF_", "STORE_", "DJANGO_", "PYTEST_", "COVERAGE")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        bins = str(Path(self.python).parent)
        return kept | {
            "HF_HOME": str(self.home),
            "HOME": str(self.home),
            "PATH": f"{bins}:{os.environ['PATH']}",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            **self.settings,
        }


def machines(
    folder: Path, endpoint: str, token: str, *, python: str = sys.executable
) -> Callable[..., Machine]:
    """Return what makes machines of one person, each with empty caches below ``folder``.

    It takes settings by name; see ``Machine`` for everything else.
    """

    def make(**settings: str) -> Machine:
        home = folder / f"home-{secrets.token_hex(4)}"
        return Machine(home, endpoint, token, python=python, settings=settings)

    return make


def curl(url: str, *args: str) -> bytes:
    """Return the body curl gets of ``url``."""
    return subprocess.run(["curl", "-sS", *args, url], capture_output=True, check=True).stdout


def finished(process: subprocess.Popen[str]) -> list[Any]:
    """Return what the steps of a program gave that was started."""
    found: list[Any] = json.loads(printed(process).strip().splitlines()[-1])
    return found


def printed(process: subprocess.Popen[str]) -> str:
    """Return what a program printed that must end well."""
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, f"{out}\n{err}"
    return out


def hf_command(folder: Path, **settings: str) -> Hf:
    """Return what runs ``hf`` in ``folder``, with its home there and nothing set but ``settings``.

    It takes the words of the command, ``ok`` (whether it must succeed) and more settings by name.
    """
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))
    }
    env = kept | {"HF_HOME": str(folder / "hf"), "NO_COLOR": "1"} | settings

    def run(*args: str, ok: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(Path(sys.executable).parent / "hf"), *args],
            env=env | more,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode == 0) == ok, f"{args}: {done.stdout}\n{done.stderr}"
        return done

    return run

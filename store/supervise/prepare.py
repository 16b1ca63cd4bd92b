"""Bring database and files up to date before anything starts. One process, one Django start."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import django


@dataclass(frozen=True, slots=True)
class Step:
    """One management command of the preparation."""

    command: str
    arguments: tuple[str, ...] = ()
    is_once: bool = False
    """Run only until it has succeeded once with this data folder."""


STEPS = (
    Step("migrate", ("--no-input", "--verbosity=0")),
    Step("collectstatic", ("--no-input", "--verbosity=0")),
    Step("load_demo", is_once=True),
    Step("evaluate", ("--demo",), is_once=True),
)


def prepare(steps: tuple[Step, ...], data_dir: Path, call: Callable[..., object]) -> None:
    """Run ``steps`` in order; the first that fails raises.

    Args:
        steps: What to run.
        data_dir: Keeps, in ``run/done``, which one-time steps have succeeded.
        call: Runs a management command by name.
    """
    done = data_dir / "run" / "done"
    done.mkdir(parents=True, exist_ok=True)
    for step in steps:
        if step.is_once and (done / step.command).exists():
            continue
        started = time.monotonic()
        call(step.command, *step.arguments)
        sys.stdout.write(f"{step.command}: {time.monotonic() - started:.1f} s\n")
        if step.is_once:
            (done / step.command).touch()


def run_steps(steps: tuple[Step, ...]) -> None:
    """Run ``steps`` with the current settings."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "store.settings")
    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    prepare(steps, settings.DATA_DIR, call_command)


def main() -> None:
    """Prepare the store of ``make run``."""
    run_steps(STEPS)


if __name__ == "__main__":
    main()

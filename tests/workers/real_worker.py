"""Starts the real worker program on the engines and the database of the running test."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from django.conf import settings
from django.db import connection

from store.core import presence, sweeping

ROOT = Path(__file__).resolve().parents[2]


def until(condition: Callable[[], Any], *, within_s: float = 60) -> Any:
    """Wait until ``condition`` gives something true, and return it."""
    deadline = time.monotonic() + within_s
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return result


class RealWorker:
    """One ``celery worker`` process, its notes and its log.

    Args:
        folder: Where its handlers leave notes.
        queues: Comma-separated.
        pool: ``threads`` or ``prefork``.
        concurrency: Jobs at a time.
        policy: Changes to the policy of every job.
        real: Names of jobs that keep their real handler.
        environment: More variables.
    """

    def __init__(
        self,
        folder: Path,
        *,
        queues: str = "scan",
        pool: str = "threads",
        concurrency: int = 1,
        policy: dict[str, Any] | None = None,
        real: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.name = f"{folder.name}-{os.urandom(4).hex()}@test"
        lab = {"folder": str(folder), "policy": policy or {}, "real": real}
        database = connection.settings_dict
        where = urlencode({"host": database["HOST"], "port": database["PORT"]}, quote_via=quote)
        url = f"postgres://{database['USER']}@/{database['NAME']}?{where}"
        command = [
            *(sys.executable, "-m", "celery", "-A", "tests.workers.lab", "worker"),
            *(f"--queues={queues}", f"--pool={pool}", f"--concurrency={concurrency}"),
            *("--without-mingle", "--without-gossip", "--loglevel=INFO"),
            f"--hostname={self.name}",
        ]
        self.log = folder / f"worker-{os.urandom(4).hex()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ
                | {
                    "DATABASE_URL": url,
                    "REDIS_URL": settings.REDIS_URL,
                    "STORE_DATA_DIR": str(settings.DATA_DIR),
                    "STORE_LOG_LEVEL": "info",
                    "LAB": json.dumps(lab),
                    "PYTHONWARNINGS": "default",
                }
                | (environment or {}),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ready(self) -> "RealWorker":
        """Wait until it listens."""
        until(lambda: b"worker listens on" in self.log.read_bytes() or self._must_run())
        return self

    def _must_run(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return False

    def kill(self) -> None:
        """Take its life at once, and its children's."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=30)
        presence.retract(self.name)

    def stop(self) -> int:
        """Ask it to leave; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def notes(folder: Path, word: str) -> list[tuple[int, int, int]]:
    """Return (job, attempt, process) of every note of a kind."""
    file = folder / "notes"
    lines = file.read_text().splitlines() if file.exists() else []
    split = [line.split() for line in lines]
    return [(int(job), int(attempt), int(pid)) for w, job, attempt, pid in split if w == word]


def sweep_until(condition: Callable[[], Any], *, within_s: float = 60) -> Any:
    """Do what the beat does until ``condition`` gives something true."""

    def look() -> Any:
        sweeping.sweep(forgotten_after_s=0.5)
        return condition()

    return until(look, within_s=within_s)

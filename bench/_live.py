"""A whole running store for benches, on a data folder that is kept between runs."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests

from bench.delivery import free_port, tree

ROOT = Path(__file__).resolve().parent.parent
DATA_DIR = ROOT / "var" / "bench"
PERSON = "bench"
START_S = 300.0


@dataclass
class Live:
    """A running store."""

    url: str
    process: psutil.Process
    ready_s: float
    """From the start of the command to the first good ``/readyz``."""
    env: dict[str, str]

    def manage(self, *args: str) -> str:
        """Run a management command beside it; return what it printed."""
        command = [sys.executable, "manage.py", *args]
        done = subprocess.run(
            command, cwd=ROOT, env=self.env, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def web_workers(self) -> list[psutil.Process]:
        """The processes that answer requests: children of the web server's master."""
        named = [each for each in tree(self.process) if _is_web(each)]
        return [each for each in named if each.ppid() in {one.pid for one in named}]


@contextmanager
def live(data_dir: Path = DATA_DIR) -> Iterator[Live]:
    """Start the store as ``make run`` does, wait until it is ready, and stop it.

    Args:
        data_dir: Of the store.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = {name: value for name, value in os.environ.items() if not name.startswith("STORE_")}
    env |= {"STORE_DATA_DIR": str(data_dir), "STORE_RATE_LIMITS": "off", "PORT": str(port)}
    env |= {"STORE_EVALUATE_ON_PUBLISH": "none"}  # nothing else is measured meanwhile
    data_dir.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with (data_dir / "terminal.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "store.supervise"],
            cwd=ROOT,
            env=env,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    try:
        while not _is_ready(url):
            if process.poll() is not None or time.monotonic() - started > START_S:
                raise RuntimeError(f"the store did not start; see {data_dir}/terminal.log")
            time.sleep(0.05)
        yield Live(url, psutil.Process(process.pid), time.monotonic() - started, env)
    finally:
        process.terminate()
        process.wait(timeout=120)


def set_up_django(data_dir: Path = DATA_DIR) -> None:
    """Let this process work on the same data folder."""
    os.environ["STORE_DATA_DIR"] = str(data_dir)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "store.settings")
    import django

    django.setup()
    logging.getLogger().setLevel(logging.WARNING)  # one line for each request is too much here


def token(store: Live) -> str:
    """Make the bench's person once, and a fresh write token each time."""
    mail = f"{PERSON}@example.org"
    return store.manage(
        "adduser", PERSON, "--email", mail, "--password", "measured twice 9", "--token", "write"
    )


def peak_rss_mb(process: psutil.Process) -> float:
    """The most memory a process ever had resident (VmHWM), in MB."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def _is_web(process: psutil.Process) -> bool:
    try:
        return "gunicorn" in " ".join(process.cmdline())
    except psutil.Error:  # just ended
        return False


def _is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/readyz", timeout=5).ok
    except requests.RequestException:
        return False

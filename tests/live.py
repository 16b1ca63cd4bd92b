"""A whole running store, as ``make run`` starts it, for clients and browsers to use."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
START_S = 120
RECEIVERS_HERE = {
    "STORE_OUTGOING_HTTP": "true",
    "STORE_OUTGOING_PORTS": "0",
    "STORE_OUTGOING_NETWORKS": "127.0.0.0/8",
}
"""Settings of a site whose webhooks may go to this machine."""
PASSWORD = "correct horse battery 9"


@dataclass
class LiveStore:
    """A running store and the commands beside it."""

    url: str
    data_dir: Path
    process: subprocess.Popen[bytes]
    settings: dict[str, str] = field(default_factory=dict)
    """What it was started with beside the defaults."""
    _clerk: subprocess.Popen[str] | None = None

    def manage(self, *args: str) -> str:
        """Run a management command beside the running store; return what it printed."""
        done = self.command(*args)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def command(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run a management command, which may fail."""
        return subprocess.run(
            [sys.executable, "manage.py", *args],
            cwd=ROOT,
            env=environment(self.data_dir, **self.settings),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def person(self, name: str = "", scope: str = "write") -> tuple[str, str]:
        """Make a person; return (name, token)."""
        name = name or f"user{secrets.token_hex(4)}"
        words = ["adduser", name, "--email", f"{name}@example.org", "--password", PASSWORD]
        return name, self._clerk_does([*words, "--token", scope])

    def _clerk_does(self, words: list[str]) -> str:
        """Run a command that must not fail, in a process that is kept for the next."""
        if self._clerk is None:
            self._clerk = subprocess.Popen(
                [sys.executable, "-m", "tests.clerk"],
                cwd=ROOT,
                env=environment(self.data_dir, **self.settings),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._clerk.stdin
        assert self._clerk.stdout
        print(json.dumps(words), file=self._clerk.stdin, flush=True)
        answer = json.loads(self._clerk.stdout.readline())
        assert "error" not in answer, answer
        return str(answer["out"])

    def settled(self, repo: str, token: str) -> None:
        """Return once the workers have judged every file of the newest revision."""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            files = self.ask(f"/api/v1/models/{repo}/files", token)["results"]
            if all(file["verdict"] != "pending" for file in files):
                return
            time.sleep(0.2)
        raise AssertionError(f"the files of {repo} were not judged in {START_S} s: {files}")

    def ask(self, path: str, token: str = "", *, body: Any = None) -> Any:
        """GET JSON, or POST ``body``."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = None if body is None else json.dumps(body).encode()
        if data:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.url + path, headers=headers, data=data)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def stop(self) -> int:
        """Stop everything as Ctrl-C does; return the exit status."""
        if self._clerk is not None:
            self._clerk.communicate(timeout=60)
            self._clerk = None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=120)


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    """The environment of a store of its own: nothing of the tests' settings leaks in.

    It runs at its own speed, too: what it does is not counted as covered.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("STORE_", "HF_", "DJANGO_", "PYTEST_", "COVERAGE_"))
        and name not in {"DATABASE_URL", "REDIS_URL", "PORT"}
    }
    ours = {"STORE_RATE_LIMITS": "off", "STORE_EVALUATE_ON_PUBLISH": "none"}
    return kept | ours | {"STORE_DATA_DIR": str(data_dir)} | more


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(data_dir: Path | None = None, **settings: str) -> LiveStore:
    """Start a store, by default with an empty data folder, and wait until it is ready."""
    if data_dir is None:
        data_dir = Path(tempfile.mkdtemp(prefix="live-", dir=tempfile.gettempdir()))
        data_dir.chmod(0o755)
    port = free_port()
    with (data_dir / "terminal.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "store.supervise"],
            cwd=ROOT,
            env=environment(data_dir, PORT=str(port), **settings),
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    store = LiveStore(f"http://127.0.0.1:{port}", data_dir, process, settings)
    wait_ready(store)
    return store


def wait_ready(store: LiveStore) -> None:
    """Return once /readyz says so; fail with the log when it never does."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and store.process.poll() is None:
        try:
            with urllib.request.urlopen(f"{store.url}/readyz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    log = (store.data_dir / "terminal.log").read_text(errors="replace")
    raise AssertionError(f"the store did not get ready:\n{log[-4000:]}")


def discard(store: LiveStore) -> None:
    """Stop the store and delete its data."""
    store.stop()
    shutil.rmtree(store.data_dir, ignore_errors=True)

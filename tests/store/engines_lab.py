"""What the tests of the embedded engines share: folders, other commands, ordinary users."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import redis

from store import engines
from store.engines.places import SHORT_FOLDERS, places
from store.engines.processes import has_ended

REPO = Path(__file__).resolve().parents[2]

HOLDER = """
import select
import sys
from pathlib import Path
from store import engines
held = engines.hold(Path(sys.argv[1]), durable=False)
print("held", flush=True)
while not select.select([sys.stdin], [], [], 0.5)[0]:
    pass
sys.stdin.readline()
"""
"""Another store command: holds the engines until its input ends.

It looks up twice a second: a signal that comes just before a read is not seen until that ends.
"""

AS_ROOT = os.geteuid() == 0


@contextmanager
def short_folder(*, parent: Path = SHORT_FOLDERS, mode: int = 0o755) -> Iterator[Path]:
    """Give a data folder with a short path, and leave no engine and no file behind."""
    folder = Path(tempfile.mkdtemp(prefix="gs-", dir=parent))
    folder.chmod(mode)
    data_dir = folder / "var"
    try:
        yield data_dir
    finally:
        for process in engine_processes(data_dir):
            process.kill()
        psutil.wait_procs(engine_processes(data_dir), timeout=10)
        shutil.rmtree(folder)


def engine_processes(data_dir: Path, *names: str) -> list[psutil.Process]:
    """Return the living processes of the engines of ``data_dir``."""
    tags = [places(data_dir).tag(name) for name in names or ("Postgres", "Valkey")]
    found = []
    for process in psutil.process_iter(["cmdline", "status", "ppid"]):
        line = " ".join(process.info["cmdline"] or [])
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(tag in line for tag in tags):
            found.append(process)
    return found


def server(data_dir: Path, name: str) -> psutil.Process:
    """Return the one server process of an engine: the one whose parent is not of the engine."""
    # A process the server started may end between two looks: psutil kept its parent's number.
    family = {each: each.info["ppid"] for each in engine_processes(data_dir, name)}
    pids = {process.pid for process in family}
    (found,) = [process for process, parent in family.items() if parent not in pids]
    return found


def kill(process: psutil.Process) -> None:
    """Kill -9, and wait until it is dead (perhaps a zombie, when init is slow to bury it)."""
    process.kill()
    eventually("it is dead", lambda: has_ended(process.pid))


def sql(data_dir: Path, statement: str, *, database: str = "store") -> list[tuple[object, ...]]:
    """Run a statement as the store and return its rows."""
    dsn = engines.postgres_dsn(data_dir, database=database)
    with psycopg.connect(dsn, connect_timeout=10) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def valkey(data_dir: Path) -> redis.Redis:
    """Return a client."""
    socket = engines.addresses(data_dir).valkey_socket
    return redis.Redis(unix_socket_path=str(socket), socket_timeout=10, decode_responses=True)


@contextmanager
def command(
    data_dir: Path, script: str = HOLDER, *, prefix: tuple[str, ...] = (), held: str = "held\n"
) -> Iterator[subprocess.Popen[str]]:
    """Run another store command beside this one and wait until it holds the engines."""
    process = start(data_dir, script, prefix=prefix)
    try:
        said = process.stdout.readline() if process.stdout else ""
        assert said == held, (said, process.stderr.read() if process.stderr else "")
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def start(
    data_dir: Path, script: str = HOLDER, *, prefix: tuple[str, ...] = ()
) -> subprocess.Popen[str]:
    """Start a Python command with the data folder as its argument."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-W", "error", "-c", script, str(data_dir)],
        cwd=REPO,
        env=os.environ | {"PYTHONPATH": str(REPO)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> int:
    """Let a command end by itself; return its status."""
    process.communicate("\n", timeout=60)
    return process.returncode


def eventually(what: str, condition: object, *, timeout_s: float = 20) -> None:
    """Wait until ``condition()`` holds."""
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.02)


def ordinary_user() -> tuple[str, ...]:
    """Return the command prefix under which root becomes an ordinary user that can run Python.

    The interpreter may live where only root may pass (a pyenv in ``/root``). Then that user gets
    the right to read and pass any folder and nothing more; the permissions under test, who owns
    and who may write, bind it like everybody.
    """
    entry = pwd.getpwnam("nobody")
    plain = (
        "setpriv",
        f"--reuid={entry.pw_uid}",
        f"--regid={entry.pw_gid}",
        "--clear-groups",
    )
    reading = (
        "--inh-caps=+dac_read_search",
        "--ambient-caps=+dac_read_search",
        "--securebits=+no_setuid_fixup",
    )
    for prefix in (plain, (*plain, *reading)):
        probe = [*prefix, sys.executable, "-c", "import psycopg"]
        if subprocess.run(probe, capture_output=True, timeout=60, check=False).returncode == 0:
            return prefix
    raise AssertionError("an ordinary user cannot run this Python, not even with dac_read_search")

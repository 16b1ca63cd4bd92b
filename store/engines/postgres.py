"""The embedded PostgreSQL: one cluster, one database, one role.

Settings that guard data (fsync, synchronous_commit, full_page_writes) are PostgreSQL's own,
untouched, except with ``durable=False``, which is for tests.
"""

import os
import shutil
import signal
from pathlib import Path
from typing import ClassVar

from store.engines.engine import Engine, Starter
from store.engines.places import POSTGRES_DATABASE, POSTGRES_PORT, POSTGRES_ROLE
from store.engines.processes import is_in_use, left_over, run

CLUSTER_OWNER = "engine"
"""The cluster's superuser. The store's role is none: a query must never be able to read files or
start programs, and a hosted PostgreSQL would not grant it either. pg_trgm, unaccent, btree_gin
and citext are trusted extensions, which the owner of a database may create."""

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # 2 web processes with a pool of 16, workers, beat, commands beside them: 200 is ample, and
    # each unused slot costs a few kB.
    "max_connections": "200",
    "shared_buffers": "128MB",
    "huge_pages": "off",
    "jit": "off",  # the wheel has no LLVM
    "log_timezone": "UTC",
    "timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    # Statements and details hold people's data; the log must not.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}

_CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

_STATUS_LINE = 7
"""Of ``postmaster.pid``, counted from 0 (LOCK_FILE_LINE_PM_STATUS, utils/pidfile.h)."""


class Postgres(Engine):
    """The database server of one data folder."""

    name: ClassVar[str] = "Postgres"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # fast: sessions end, a checkpoint
    clear_signal: ClassVar[signal.Signals] = signal.SIGQUIT  # immediate; the next start recovers

    @property
    def socket(self) -> Path:
        return self.where.addresses.postgres_socket

    @property
    def _data(self) -> Path:
        return self.where.home / "postgres"

    def create(self, starter: Starter) -> None:
        """Make the cluster, the role and the database, unless they are there.

        All of it happens in a folder of another name, which is renamed at the end: an
        interrupted first start leaves nothing that looks finished.
        """
        if self._data.exists():
            return
        draft = self.where.home / "postgres.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        os.chown(draft, starter.user.uid, starter.user.gid)
        initdb: list[str | Path] = [
            starter.programs.postgres_bin / "initdb",
            f"--pgdata={draft}",
            f"--username={CLUSTER_OWNER}",
            "--auth-local=trust",  # why that is enough: see ``places``
            "--auth-host=reject",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ]
        run(starter.user, [*initdb, *([] if starter.durable else ["--no-sync"])])
        server = starter.programs.postgres_bin / "postgres"
        options = _options({"huge_pages": "off"} | ({} if starter.durable else _CARELESS))
        run(
            starter.user,
            [server, "--single", "-D", draft, *options, "postgres"],
            feed=(
                f"CREATE ROLE {POSTGRES_ROLE} LOGIN CREATEDB;\n"
                f"CREATE DATABASE {POSTGRES_DATABASE} OWNER {POSTGRES_ROLE};\n"
            ),
        )
        draft.rename(self._data)
        if starter.durable:
            _sync_folder(self.where.home)

    def command(self, starter: Starter) -> list[str | Path]:
        settings = _SETTINGS | {
            "port": str(POSTGRES_PORT),
            "unix_socket_directories": str(self.where.addresses.postgres_socket_dir),
            "cluster_name": self.tag,  # every process of the server shows it as its title
        }
        options = _options(settings | ({} if starter.durable else _CARELESS))
        return [starter.programs.postgres_bin / "postgres", "-D", self._data, *options]

    def clear(self, starter: Starter) -> None:
        """Remove the remains of a killed server.

        PostgreSQL looks after its own pid files when the process number in them is unused. After
        a restart of the machine the number may belong to another program of the same user, and
        PostgreSQL would refuse to start for ever; only then the files are removed here.
        """
        super().clear(starter)
        ours = left_over(starter.user, self.tag)
        for file in (
            self._data / "postmaster.pid",
            self.socket.with_name(f"{self.socket.name}.lock"),
        ):
            pid = _first_number(file)
            if pid is not None and pid not in ours and is_in_use(pid):
                file.unlink(missing_ok=True)

    def is_ready(self, pid: int) -> bool:
        """Tell whether the server, process ``pid``, takes sessions: its pid file says so."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False  # on its way out
        is_this_one = pid == 0 or lines[:1] == [str(pid)]
        return is_this_one and [line.strip() for line in lines[_STATUS_LINE:]] == ["ready"]


def _options(settings: dict[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _first_number(file: Path) -> int | None:
    """Return the process number in a pid file (negative for single-user mode), if there is one."""
    try:
        return abs(int(file.read_text().splitlines()[0]))
    except (OSError, ValueError, IndexError):
        return None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""The embedded Valkey: queue, cache, counters.

Append-only with one fsync a second: queued work survives a kill of the server, and a power cut
costs at most the last second of nudges (the rows in PostgreSQL are the queue of record).
"""

import signal
from pathlib import Path
from typing import ClassVar

from store.engines.engine import Engine, Starter
from store.engines.processes import connect


class Valkey(Engine):
    """The Redis-protocol server of one data folder."""

    name: ClassVar[str] = "Valkey"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM  # as SHUTDOWN: the file is synced
    clear_signal: ClassVar[signal.Signals] = signal.SIGTERM

    @property
    def socket(self) -> Path:
        return self.where.addresses.valkey_socket

    def create(self, starter: Starter) -> None:
        """Nothing to make: the server writes its first file by itself."""

    def command(self, starter: Starter) -> list[str | Path]:
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.where.home / "valkey"),
            "appendonly": "yes" if starter.durable else "no",
            "appendfsync": "everysec",
            "save": "",  # the append-only file has it all
            "maxmemory": "0",  # jobs and sessions must not be evicted
            "daemonize": "no",
            "logfile": "",
            "proc-title-template": f"{{title}} {self.tag}",
        }
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return [starter.programs.valkey_server, *options]

    def is_ready(self, pid: int) -> bool:
        """Tell whether the server answers; while it reads its file it says ``-LOADING``."""
        client = connect(self.socket)
        if client is None:
            return False
        with client:
            try:
                client.sendall(b"PING\r\n")
                return client.recv(64).startswith(b"+PONG")
            except OSError:  # it went away, or stands still
                return False

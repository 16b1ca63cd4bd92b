"""gunicorn's settings, for ``make run`` and for the container alike.

gthread with many threads and sendfile: measured level with nginx for large files, and slow
readers hold a thread, not the server.
"""

import gc
import os
from typing import Any

from store.env import read_env

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
"""numpy only moves bytes about here; a pool of threads for it would wait for nothing."""

_env = read_env()

bind = f"[{_env.host}]:{_env.port}" if ":" in _env.host else f"{_env.host}:{_env.port}"
workers = _env.web_workers
worker_class = "gthread"
threads = _env.web_threads
sendfile = True

preload_app = True
"""Imported once, in half the time and memory; connections are opened after the fork."""


def when_ready(_server: Any) -> None:
    """Leave what was imported to no collection of garbage: its memory stays shared after forks."""
    gc.collect()
    gc.freeze()


timeout = 120
"""Seconds without a heartbeat until a worker is replaced. Threads may take longer."""
graceful_timeout = 30
"""Seconds running requests have left when the server stops."""
keepalive = 65
"""Seconds an idle connection is kept: JavaScript's client packs 64 MiB between two requests, and an
upload fails where the connection was closed meanwhile."""

limit_request_line = 8190
"""Bytes; the most gunicorn allows. Hub clients put whole revisions and paths into one line."""

forwarded_allow_ips = ""
"""Nobody's ``X-Forwarded-*`` is believed here: ``store.settings`` decides which proxy is ours."""

worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
"""Heartbeats in memory: on a busy disk they would block and look like death."""

control_socket_disable = True
"""No second way in."""

accesslog = None
"""Requests are logged by the application, with their ids."""
errorlog = "-"
loglevel = "info"
proc_name = "gpt-store-web"

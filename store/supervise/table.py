"""What runs, as data: the table of processes."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from store.env import Env

ROOT = Path(__file__).resolve().parents[2]
"""The checkout: every process runs in it."""


@dataclass(frozen=True, slots=True)
class Process:
    """One long-running process of the store, or one that does its part once."""

    name: str
    """Word in front of its lines in the terminal, and the name of its log file."""
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to the supervisor's own."""
    stop_wait_s: int = 15
    """Seconds between SIGTERM and SIGKILL."""
    is_once: bool = False
    """Ends by itself and is not started again."""
    is_patient: bool = False
    """Started when a process that runs once has ended: on a small machine everything at once
    would keep web server and worker from getting ready."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything one run of the store consists of."""

    data_dir: Path
    host: str
    port: int
    processes: tuple[Process, ...]
    prepare: tuple[str, ...] = ()
    """Command that must succeed before anything else starts."""
    needs_postgres: bool = True
    needs_valkey: bool = True
    are_engines_durable: bool = True
    """``False`` is for tests."""

    @property
    def run_dir(self) -> Path:
        """Folder for what belongs to one run: configuration, locks, logs."""
        return self.data_dir / "run"


def plan(env: Env) -> Plan:
    """Return the plan for the real store with the settings ``env``."""
    data_dir = (ROOT / env.data_dir).resolve()
    return Plan(
        data_dir=data_dir,
        host=env.host,
        port=env.port,
        processes=processes(data_dir),
        prepare=(sys.executable, "-m", "store.supervise.prepare"),
        needs_postgres=not env.database_url,
        needs_valkey=not env.redis_url,
    )


def processes(data_dir: Path) -> tuple[Process, ...]:
    """Return the processes of the real store."""
    python = (sys.executable, "-m")
    celery = (*python, "celery", "--app=workers.app", "--quiet")  # no banner of 30 lines
    return (
        Process(
            name="web",
            command=(
                *python,
                "gunicorn",
                "--config=python:store.supervise.gunicorn_conf",
                "store.wsgi:application",
            ),
            stop_wait_s=40,  # gunicorn's own patience is 30 s
        ),
        *_workers(celery),
        Process(
            name="beat",
            command=(
                *(*celery, "beat", "--loglevel=INFO"),
                *(f"--schedule={data_dir / 'run' / 'beat-schedule'}", "--pidfile="),
            ),
            is_patient=True,
        ),
        Process(name="ready", command=(*python, "store.supervise.ready"), is_once=True),
    )


def _workers(celery: tuple[str, ...]) -> tuple[Process, ...]:
    """Return those who do jobs, by queue."""
    # Neither mingle nor gossip: workers need to know nothing of each other, and mingling alone
    # delays each start by a second.
    worker = (*celery, "worker", "--loglevel=INFO", "--without-mingle", "--without-gossip")
    return (
        Process(
            name="worker",
            command=(*worker, "--queues=default,scan", "--hostname=worker@%h", "--concurrency=2"),
            stop_wait_s=75,  # a warm shutdown was measured to take up to 31 s
        ),
        Process(
            name="inference",
            command=(
                *(*worker, "--queues=inference", "--hostname=inference@%h"),
                *("--pool=threads", "--concurrency=16"),
            ),
            # Two threads of one computation are several times slower than one as soon as
            # anything else runs on the machine.
            environment={"OMP_NUM_THREADS": "1"},
            stop_wait_s=75,
            is_patient=True,
        ),
        Process(
            name="senders",
            command=(
                *(*worker, "--queues=senders", "--hostname=senders@%h"),
                *("--pool=threads", "--concurrency=12"),
            ),
            stop_wait_s=75,
            is_patient=True,
        ),
    )

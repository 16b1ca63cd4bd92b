"""What the beat asks for, what a worker says of itself, and what each job calls."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from celery.signals import worker_ready, worker_shutting_down
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisConnectionError

from inference.box import client as box_client
from inference.box.errors import BoxCrashedError
from store.core import presence
from store.core.jobs import ERRAND, JobName, Queue, claim, enqueue
from store.core.models import Job
from store.core.presence import Worker
from store.core.valkey import valkey
from store.core.work import JobContext
from workers import handlers, life, tasks
from workers.app import app
from workers.heartbeat import SHUTTING_DOWN
from workers.schedule import ERRANDS


def context_of(name: JobName, **args: int | str) -> JobContext:
    """A claimed job."""
    taken = claim(enqueue(name, **args).pk)
    assert taken is not None
    return JobContext(taken)


# ── the beat ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (tasks.flush_downloads, JobName.FLUSH_DOWNLOADS),
        (tasks.flush_views, JobName.FLUSH_VIEWS),
        (tasks.refresh_prices, JobName.REFRESH_PRICES),
        (tasks.refresh_downloads, JobName.REFRESH_DOWNLOADS),
        (tasks.sweep_uploads, JobName.SWEEP_UPLOADS),
        (tasks.refresh_trends, JobName.REFRESH_TRENDS),
        (tasks.forget_notices, JobName.FORGET_NOTICES),
    ],
)
def test_an_errand_never_piles_up(db: None, task: Callable[[], None], name: JobName) -> None:
    task()
    task()

    job = Job.objects.get()
    assert (job.name, job.key, job.state) == (name, ERRAND, "queued")


def test_every_errand_is_a_task_that_workers_know() -> None:
    app.loader.import_default_modules()

    for errand in ERRANDS.values():
        assert errand.task in app.tasks
    assert app.conf.beat_schedule["sweep-jobs"] == {
        "task": "workers.sweep",
        "schedule": ERRANDS["sweep-jobs"].when,
        "options": {"expires": 10, "queue": "default"},
    }


def test_an_errand_nobody_takes_up_expires_before_the_next_few() -> None:
    for errand in ERRANDS.values():
        every_s = errand.when.remaining_estimate(timezone.now()).total_seconds()
        assert errand.expires_s <= max(3600, every_s)


def test_only_json_is_accepted() -> None:
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_serializer == "json"
    assert app.conf.task_acks_late is True
    assert app.conf.worker_prefetch_multiplier == 1


def test_sweeping_asks_again_and_ends_lost_runs(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from inference.services import endings

    called: list[str] = []
    nudged = iter([2, 0])

    def sweep() -> int:
        called.append("jobs")
        return next(nudged)

    monkeypatch.setattr(tasks.sweeping, "sweep", sweep)
    monkeypatch.setattr(endings, "settle_all", lambda: called.append("runs"))

    tasks.sweep()
    tasks.sweep()

    assert called == ["jobs", "runs"] * 2


def test_old_things_are_forgotten(db: None) -> None:
    old = timezone.now() - timedelta(days=40)
    Job.objects.create(name="x", queue="default", state="done", finished_at=old)

    tasks.forget_old()

    assert Job.objects.count() == 0


def test_the_one_task_runs_a_row(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, Any]] = []
    monkeypatch.setattr(tasks, "run_next", lambda queue, on_stuck: ran.append((queue, on_stuck)))

    tasks.run(queue="scan")

    assert ran == [("scan", tasks.end_process)]


def test_a_stuck_process_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(tasks.os, "_exit", codes.append)
    monkeypatch.setattr(tasks.logging, "shutdown", lambda: None)

    tasks.end_process()

    assert codes == [70]


# ── what jobs call ──────────────────────────────────────────────────────────────────────────────


def test_jobs_of_other_rooms_call_their_services(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from accounts.services import mailing
    from catalog.content import uploads
    from catalog.search import trends
    from catalog.services import scanning, staging
    from inference.runners import generation
    from inference.services import endings
    from licensing.delivery import counting

    monkeypatch.setattr(mailing, "send", lambda letter, ident, language: (letter, ident, language))
    monkeypatch.setattr(scanning, "scan_commit", lambda repo, oid: {"judged": (repo, oid)})
    monkeypatch.setattr(uploads, "sweep_uploads", lambda: 2)
    monkeypatch.setattr(staging, "sweep_staged", lambda: 1)
    monkeypatch.setattr(trends, "refresh_trends", lambda: 5)
    monkeypatch.setattr(counting, "flush", lambda: 4)
    refreshed: list[str] = []
    monkeypatch.setattr(counting, "refresh_counters", lambda: refreshed.append("all"))
    monkeypatch.setattr(generation, "run_generation", lambda _context, run_id: {"run": run_id})
    settled: list[int] = []
    monkeypatch.setattr(endings, "settle", settled.append)

    assert set(handlers.HANDLERS) == set(JobName)
    done = {
        name: handlers.HANDLERS[name](context_of(name, **args))
        for name, args in {
            JobName.SEND_MAIL: {"letter": "reset", "ident": 4, "language": "en"},
            JobName.SCAN_COMMIT: {"repo_id": 1, "commit_oid": "abc"},
            JobName.SWEEP_UPLOADS: {},
            JobName.REFRESH_TRENDS: {},
            JobName.FLUSH_DOWNLOADS: {},
            JobName.REFRESH_DOWNLOADS: {},
            JobName.GENERATE: {"run_id": 9},
        }.items()
    }
    handlers.WHEN_ENDED[JobName.GENERATE](12)

    assert done == {
        JobName.SEND_MAIL: {"sent": ("reset", 4, "en")},
        JobName.SCAN_COMMIT: {"judged": (1, "abc")},
        JobName.SWEEP_UPLOADS: {"removed": 3},
        JobName.REFRESH_TRENDS: {"changed": 5},
        JobName.FLUSH_DOWNLOADS: {"rows": 4},
        JobName.REFRESH_DOWNLOADS: {},
        JobName.GENERATE: {"run": 9},
    }
    assert settled == [12]
    assert refreshed == ["all"]


# ── presence ────────────────────────────────────────────────────────────────────────────────────


def test_a_worker_is_seen_until_it_falls_silent() -> None:
    assert presence.seen() == {}

    card = Worker("b@x", ("inference-gpu",), slots=4, device="gpu", memory_bytes=24 * 10**9)
    presence.announce(Worker("a@x", ("scan", "default", "of.a.newer.version"), slots=2))
    presence.announce(card)
    valkey().pexpire("worker:b@x", 10_000)

    first, second = presence.workers()
    assert (first.name, first.queues, first.slots) == (
        "a@x",
        ("scan", "default", "of.a.newer.version"),
        2,
    )
    assert replace(second, age_s=0.0) == card
    assert second.age_s == pytest.approx(50, abs=1)
    ages = presence.seen()
    assert set(ages) == {Queue.SCAN, Queue.DEFAULT, Queue.INFERENCE_GPU}
    assert ages[Queue.SCAN] == pytest.approx(0, abs=1)

    valkey().delete("worker:b@x")
    presence.retract("a@x")
    assert presence.seen() == {}
    assert valkey().smembers("workers") == set()


class Consumer:
    """What Celery hands to the signal: here of two queues."""

    hostname = "w@test"
    pool = SimpleNamespace(limit=16)
    task_consumer = SimpleNamespace(
        queues=[SimpleNamespace(name="inference"), SimpleNamespace(name="default")]
    )


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> Consumer:
    """A worker that is ready."""
    monkeypatch.setattr(life, "_announcers", [])
    monkeypatch.setattr(presence, "ANNOUNCE_EVERY_S", 0.05)
    return Consumer()


@pytest.fixture
def quick_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the start of a real box."""
    found = SimpleNamespace(sentence="models run in a box: no network (sockets refused)")
    monkeypatch.setattr(box_client, "protection", lambda: found)


def until(condition: Callable[[], bool]) -> None:
    """Wait for ``condition``; fail when it does not come true."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_a_worker_announces_itself_and_takes_its_leave(
    consumer: Consumer, quick_look: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    try:
        worker_ready.send(sender=consumer)
        worker_ready.send(sender=consumer)  # after a reconnect
        until(lambda: set(presence.seen()) == {Queue.INFERENCE, Queue.DEFAULT})
        assert len(life._announcers) == 1
        worker_shutting_down.send(sender="worker@x")
        until(lambda: presence.seen() == {})
        assert SHUTTING_DOWN.is_set()
    finally:
        SHUTTING_DOWN.clear()

    assert "models run in a box: no network (sockets refused)" in caplog.text
    assert "worker listens on default, inference" in caplog.text


def test_a_worker_without_models_looks_for_no_box(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(box_client, "protection", lambda: pytest.fail("no box is needed"))
    monkeypatch.setattr(Consumer.task_consumer, "queues", [SimpleNamespace(name="scan")])

    worker_ready.send(sender=consumer)

    life._announcers[0].stop()
    assert life._announcers[0].worker == Worker("w@test", ("scan",), slots=16)


def test_a_machine_that_cannot_run_models_says_so_and_works_on(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise BoxCrashedError("The model's process ended by itself with status 1.")

    monkeypatch.setattr(box_client, "protection", fail)

    worker_ready.send(sender=consumer)

    life._announcers[0].stop()
    assert "models cannot be run: The model's process ended by itself" in caplog.text


def test_presence_outlives_an_absence_of_valkey(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(presence, "ANNOUNCE_EVERY_S", 0.02)
    is_away = threading.Event()
    is_away.set()
    real = presence.announce

    def announce(worker: Worker) -> None:
        if is_away.is_set():
            raise RedisConnectionError("away")
        real(worker)

    def retract(_name: str) -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(presence, "announce", announce)
    monkeypatch.setattr(presence, "retract", retract)
    announcer = life.Announcer(Worker("w@test", ("default",)), lambda: (0, 0))
    announcer.start()
    until(lambda: "presence cannot be announced" in caplog.text)

    is_away.clear()
    until(lambda: Queue.DEFAULT in presence.seen())
    announcer.stop()

    assert "presence was left to expire" in caplog.text

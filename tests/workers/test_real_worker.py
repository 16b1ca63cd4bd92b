"""The real worker program: killed, stopped, doubled, without its broker, without its database."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from store.core import jobs, presence
from store.core.jobs import JobName, Queue, enqueue
from store.core.models import Job
from store.core.valkey import valkey
from tests.workers.real_worker import RealWorker, notes, sweep_until, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]
SCAN = JobName.SCAN_COMMIT
SHORT = {"lease_s": 2}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., RealWorker]]:
    """Start workers; none outlives the test."""
    started: list[RealWorker] = []

    def run(**options: Any) -> RealWorker:
        options.setdefault("policy", SHORT)
        started.append(RealWorker(tmp_path, **options))
        return started[-1].ready()

    yield run
    for worker in started:
        worker.kill()


def is_done() -> bool:
    """Whether every job has ended well."""
    return not Job.objects.exclude(state=Job.State.DONE).exists()


def test_a_job_survives_the_death_of_its_worker_and_ends_once(
    start: Callable[..., RealWorker], tmp_path: Path
) -> None:
    first = start()
    job = enqueue(SCAN, what="wait")
    until(lambda: notes(tmp_path, "start"))
    first.kill()
    assert Job.objects.get().state == "running"

    start()
    (tmp_path / "go").touch()
    sweep_until(is_done)

    done = Job.objects.get()
    assert (done.attempts, done.result) == (2, {"attempt": 2})
    assert [attempt for _, attempt, _ in notes(tmp_path, "start")] == [1, 2]
    assert [(pk, attempt) for pk, attempt, _ in notes(tmp_path, "end")] == [(job.pk, 2)]


def test_a_job_survives_the_death_of_its_child_process(
    start: Callable[..., RealWorker], tmp_path: Path
) -> None:
    start(pool="prefork")
    job = enqueue(SCAN, what="wait")
    ((_, _, child),) = until(lambda: notes(tmp_path, "start"))

    os.kill(child, signal.SIGKILL)
    (tmp_path / "go").touch()
    sweep_until(is_done)

    assert [(pk, attempt) for pk, attempt, _ in notes(tmp_path, "end")] == [(job.pk, 2)]
    assert {pid for _, _, pid in notes(tmp_path, "end")} != {child}


def test_a_job_that_kills_every_worker_is_given_up(
    start: Callable[..., RealWorker], tmp_path: Path, policy: Callable[..., None]
) -> None:
    policy(SCAN, max_attempts=2)  # for the sweeper, which runs here
    start(pool="prefork", policy=SHORT | {"max_attempts": 2})
    enqueue(SCAN, what="wait")

    for attempt in (1, 2):
        started = sweep_until(
            lambda n=attempt: [pid for _, a, pid in notes(tmp_path, "start") if a == n]
        )
        os.kill(started[0], signal.SIGKILL)
    sweep_until(lambda: Job.objects.filter(state="failed").exists())

    job = Job.objects.get()
    assert (job.attempts, job.error_code) == (2, "gave_up")


def test_a_broker_that_forgot_everything_only_delays(
    start: Callable[..., RealWorker], tmp_path: Path
) -> None:
    waiting = [enqueue(SCAN).pk for _ in range(3)]
    valkey().flushdb()
    start()
    again = enqueue(SCAN)  # the worker is well; of four messages it gets one
    until(lambda: Job.objects.get(pk=waiting[0]).state == "done")
    left = [*waiting[1:], again.pk]
    assert set(Job.objects.filter(state="queued").values_list("pk", flat=True)) == set(left)

    sweep_until(is_done)

    assert [pk for pk, _, _ in notes(tmp_path, "end")] == [waiting[0], *left]


def test_a_message_that_comes_many_times_is_one_run(
    start: Callable[..., RealWorker], tmp_path: Path
) -> None:
    start(concurrency=2)
    start(pool="prefork", concurrency=2)
    job = enqueue(SCAN, what="wait")
    for _ in range(10):
        jobs.nudge(job)
    until(lambda: notes(tmp_path, "start"))
    (tmp_path / "go").touch()
    until(is_done)
    last = enqueue(SCAN)  # behind all the others
    until(lambda: Job.objects.get(pk=last.pk).state == "done")

    assert [pk for pk, _, _ in notes(tmp_path, "start")] == [job.pk, last.pk]
    assert Job.objects.get(pk=job.pk).attempts == 1


def test_many_jobs_and_two_workers_are_each_done_once(
    start: Callable[..., RealWorker], tmp_path: Path
) -> None:
    start(concurrency=2)
    start(pool="prefork", concurrency=2)
    wanted = [enqueue(SCAN).pk for _ in range(40)]

    until(is_done)

    assert sorted(pk for pk, _, _ in notes(tmp_path, "end")) == wanted
    assert set(Job.objects.values_list("attempts", flat=True)) == {1}


def test_a_worker_that_is_asked_to_leave_gives_its_job_back(
    start: Callable[..., RealWorker], tmp_path: Path
) -> None:
    worker = start(queues="scan,default")
    until(lambda: set(presence.seen()) == {Queue.SCAN, Queue.DEFAULT})
    enqueue(SCAN, what="wait")
    until(lambda: notes(tmp_path, "start"))

    assert worker.stop() == 0

    job = Job.objects.get()
    assert (job.state, job.attempts, job.lease_owner) == ("queued", 0, "")
    assert presence.seen() == {}
    start()
    (tmp_path / "go").touch()
    sweep_until(is_done)
    assert Job.objects.get().attempts == 1


def test_passing_faults_are_tried_again_and_bugs_end(
    start: Callable[..., RealWorker], tmp_path: Path
) -> None:
    start(policy=SHORT | {"max_attempts": 3})
    shaky, bug = enqueue(SCAN, what="shaky"), enqueue(SCAN, what="bug")

    sweep_until(lambda: not Job.objects.filter(state__in=Job.OPEN).exists())

    shaky.refresh_from_db()
    bug.refresh_from_db()
    assert (shaky.state, shaky.attempts) == ("done", 3)
    assert (bug.state, bug.attempts, bug.error_code) == ("failed", 3, "internal_error")
    assert len(notes(tmp_path, "start")) == 6


def test_a_handler_that_never_looks_up_loses_its_process_not_the_worker(
    start: Callable[..., RealWorker], tmp_path: Path
) -> None:
    start(pool="prefork", policy={"lease_s": 2, "time_limit_s": 1})
    deaf = enqueue(SCAN, what="deaf")
    until(lambda: notes(tmp_path, "start"))

    next_one = enqueue(SCAN)
    sweep_until(lambda: Job.objects.get(pk=next_one.pk).state == "done")

    deaf.refresh_from_db()
    assert (deaf.state, deaf.error_code, deaf.attempts) == ("failed", "time_limit", 1)


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_database_that_dropped_its_connections_is_reached_again(
    start: Callable[..., RealWorker], tmp_path: Path, pool: str
) -> None:
    start(pool=pool)
    first = enqueue(SCAN)
    until(lambda: Job.objects.get(pk=first.pk).state == "done")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    second = enqueue(SCAN)
    sweep_until(lambda: Job.objects.get(pk=second.pk).state == "done")

    assert [pk for pk, _, _ in notes(tmp_path, "end")] == [first.pk, second.pk]

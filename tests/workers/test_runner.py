"""One job from claim to end: successes, failures, retries, leases, time limits."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.utils import timezone

from store.core import jobs
from store.core.errors import ConflictError, TransientError
from store.core.jobs import POLICIES, Claim, JobName, enqueue
from store.core.models import Job
from store.core.work import JobContext
from workers import handlers, heartbeat, runner
from workers.heartbeat import SHUTTING_DOWN
from workers.runner import retry_delay_s, run_job

SCAN = JobName.SCAN_COMMIT
Handle = Callable[[JobName, Callable[[JobContext], Any]], None]
SetPolicy = Callable[..., None]


def until(condition: Callable[[], bool], *, within_s: float = 10) -> None:
    """Wait for ``condition``; fail when it does not come true."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def wait_until_stopped(context: JobContext) -> None:
    """What a good handler does: ask often, and leave when told to."""
    for _ in range(1000):
        context.check()
        time.sleep(0.01)
    pytest.fail("nobody told the handler to stop")


# ── ends ────────────────────────────────────────────────────────────────────────────────────────


def test_a_job_that_succeeds(db: None, handle: Handle) -> None:
    job = enqueue(SCAN, repo_id=7)

    def work(context: JobContext) -> dict[str, Any]:
        assert context.attempt == 1
        assert context.should_stop() is False
        context.check()
        context.report(progress=0.5, line=f"repository {context.claim.job.args['repo_id']}")
        return {"judged": 3}

    handle(SCAN, work)
    run_job(job.pk)

    job.refresh_from_db()
    assert (job.state, job.result, job.progress) == ("done", {"judged": 3}, 1.0)
    assert job.log == "repository 7\n"


def test_a_second_delivery_does_nothing(db: None, handle: Handle) -> None:
    job = enqueue(SCAN)
    calls: list[int] = []
    handle(SCAN, lambda context: calls.append(context.claim.job.pk))

    run_job(job.pk)
    run_job(job.pk)
    run_job(987654)

    assert calls == [job.pk]


def test_a_passing_fault_is_tried_again_later(db: None, handle: Handle) -> None:
    job = enqueue(SCAN)

    def work(_context: JobContext) -> None:
        raise TransientError("The storage is away.")

    handle(SCAN, work)
    run_job(job.pk)

    job.refresh_from_db()
    assert (job.state, job.error_code, job.error) == ("queued", "try_again", "The storage is away.")
    wait_s = (job.not_before - timezone.now()).total_seconds()
    assert 4 < wait_s < 6


def test_an_expected_failure_is_final(db: None, handle: Handle) -> None:
    job = enqueue(SCAN)

    def work(_context: JobContext) -> None:
        raise ConflictError("It is gone.")

    handle(SCAN, work)
    run_job(job.pk)

    job.refresh_from_db()
    assert (job.state, job.error_code, job.error) == ("failed", "conflict", "It is gone.")
    assert job.finished_at is not None


def test_a_bug_is_logged_and_tried_again_until_the_attempts_are_used_up(
    db: None, handle: Handle, caplog: pytest.LogCaptureFixture
) -> None:
    job = enqueue(SCAN)
    handle(SCAN, lambda _context: 1 / 0)  # type: ignore[arg-type,return-value]
    states = []

    for _ in range(POLICIES[SCAN].max_attempts):
        Job.objects.update(not_before=timezone.now())
        run_job(job.pk)
        states.append(Job.objects.get().state)

    assert states == ["queued"] * (POLICIES[SCAN].max_attempts - 1) + ["failed"]
    job.refresh_from_db()
    assert (job.error_code, job.attempts) == ("internal_error", POLICIES[SCAN].max_attempts)
    assert job.error == "Something went wrong on our side; it was logged."
    assert caplog.text.count("ZeroDivisionError") == POLICIES[SCAN].max_attempts


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_broke_in_the_handler_does_not_keep_the_end_from_being_written(
    handle: Handle,
) -> None:
    job = enqueue(SCAN)

    def work(_context: JobContext) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    handle(SCAN, work)
    run_job(job.pk)

    job.refresh_from_db()
    assert (job.state, job.attempts, job.error_code) == ("queued", 1, "internal_error")


def test_pauses_double_up_to_five_minutes() -> None:
    for attempt, middle in [(1, 5), (2, 10), (3, 20), (7, 300), (40, 300)]:
        assert middle * 0.9 <= retry_delay_s(attempt) <= middle * 1.1


def test_each_kind_of_job_has_its_handler() -> None:
    assert set(handlers.HANDLERS) == set(JobName)
    assert len(set(handlers.HANDLERS.values())) == len(JobName)
    assert set(handlers.WHEN_ENDED) <= set(JobName)


def test_whoever_waits_for_the_end_is_told_whatever_came_of_it(
    db: None, handle: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, str]] = []
    monkeypatch.setattr(
        runner, "WHEN_ENDED", {SCAN: lambda pk: told.append((pk, Job.objects.get(pk=pk).state))}
    )
    good, bad = enqueue(SCAN), enqueue(SCAN)
    handle(SCAN, lambda _context: None)
    run_job(good.pk)

    def fail(_context: JobContext) -> None:
        raise ConflictError("No.")

    handle(SCAN, fail)
    run_job(bad.pk)

    assert told == [(good.pk, "done"), (bad.pk, "failed")]


# ── leases ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.django_db(transaction=True)
def test_the_lease_is_kept_while_the_handler_works(handle: Handle, policy: SetPolicy) -> None:
    policy(SCAN, lease_s=0.6)
    job = enqueue(SCAN)
    ends = []

    def work(_context: JobContext) -> None:
        for _ in range(4):
            time.sleep(0.4)
            ends.append(Job.objects.get().lease_until)
            assert jobs.claim(job.pk) is None

    handle(SCAN, work)
    run_job(job.pk)

    assert Job.objects.get().state == "done"
    assert ends == sorted(set(ends))


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_job_is_told_to_stop_and_writes_nothing(
    handle: Handle, policy: SetPolicy
) -> None:
    policy(SCAN, lease_s=0.6)
    job = enqueue(SCAN)

    def work(context: JobContext) -> None:
        assert jobs.cancel(job.pk) is True
        wait_until_stopped(context)

    handle(SCAN, work)
    run_job(job.pk)

    job.refresh_from_db()
    assert (job.state, job.error_code, job.result) == ("cancelled", "", None)


@pytest.mark.django_db(transaction=True)
def test_a_handler_that_overlooks_the_loss_of_its_lease_cannot_write_its_result(
    handle: Handle, policy: SetPolicy
) -> None:
    policy(SCAN, lease_s=0.6)
    job = enqueue(SCAN)
    other: list[Claim] = []

    def work(context: JobContext) -> dict[str, Any]:
        Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        taken = jobs.claim(job.pk)
        assert taken is not None
        other.append(taken)
        until(context.should_stop)
        return {"from": "the old worker"}

    handle(SCAN, work)
    run_job(job.pk)

    job.refresh_from_db()
    assert (job.state, job.result, job.lease_owner) == ("running", None, other[0].owner)
    assert other[0].finish({"from": "the new worker"}) is True


@pytest.mark.django_db(transaction=True)
def test_a_job_that_takes_too_long_fails_at_once_and_is_told(
    handle: Handle, policy: SetPolicy
) -> None:
    policy(SCAN, lease_s=5, time_limit_s=0.3)
    job = enqueue(SCAN)
    seen: list[str] = []

    def work(context: JobContext) -> None:
        until(context.should_stop)
        seen.append(Job.objects.get().state)
        context.check()

    handle(SCAN, work)
    run_job(job.pk)

    job.refresh_from_db()
    assert seen == ["failed"]
    assert (job.state, job.error_code) == ("failed", "time_limit")
    assert job.error == "This took longer than 0.3 seconds and was stopped."


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_ends_gives_its_job_back_unharmed(
    handle: Handle, policy: SetPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy(SCAN, lease_s=0.6)
    monkeypatch.setattr(heartbeat, "DRAIN_S", 0.3)
    job = enqueue(SCAN)

    def work(context: JobContext) -> None:
        SHUTTING_DOWN.set()
        wait_until_stopped(context)

    handle(SCAN, work)
    try:
        run_job(job.pk)
    finally:
        SHUTTING_DOWN.clear()

    job.refresh_from_db()
    assert (job.state, job.attempts, job.error) == ("queued", 0, "")


@pytest.mark.django_db(transaction=True)
def test_a_handler_that_does_not_stop_is_reported(
    handle: Handle, policy: SetPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy(SCAN, lease_s=5, time_limit_s=0.3)
    monkeypatch.setattr(heartbeat, "STUCK_AFTER_S", 0.2)
    job = enqueue(SCAN)
    stuck = threading.Event()
    handle(SCAN, lambda _context: until(stuck.is_set))

    run_job(job.pk, on_stuck=stuck.set)

    assert stuck.is_set()
    assert Job.objects.get().error_code == "time_limit"


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_for_a_moment_costs_nothing(
    handle: Handle, policy: SetPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy(SCAN, lease_s=1.2)
    job = enqueue(SCAN)
    real, calls = Claim.renew, []

    def renew(claim: Claim) -> bool:
        calls.append(1)
        if len(calls) == 1:
            raise DatabaseError("the server closed the connection")
        return real(claim)

    monkeypatch.setattr(Claim, "renew", renew)
    handle(SCAN, lambda _context: until(lambda: len(calls) >= 3))

    run_job(job.pk)

    assert Job.objects.get().state == "done"


@pytest.mark.django_db(transaction=True)
def test_without_the_database_a_worker_stops_when_its_lease_has_run_out(
    handle: Handle, policy: SetPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy(SCAN, lease_s=0.6)
    job = enqueue(SCAN)

    def renew(_claim: Claim) -> bool:
        raise DatabaseError("the server closed the connection")

    monkeypatch.setattr(Claim, "renew", renew)
    started = time.monotonic()
    took: list[float] = []

    def work(context: JobContext) -> None:
        until(context.should_stop)
        took.append(time.monotonic() - started)
        context.check()

    handle(SCAN, work)
    run_job(job.pk)

    assert 0.6 <= took[0] < 10
    assert Job.objects.get().state == "running"  # for the sweeper


@pytest.mark.django_db(transaction=True)
def test_a_time_limit_that_cannot_be_written_still_stops_the_handler(
    handle: Handle, policy: SetPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy(SCAN, lease_s=5, time_limit_s=0.3)
    job = enqueue(SCAN)

    def fail(_claim: Claim, **_reason: str) -> bool:
        raise DatabaseError("the server closed the connection")

    monkeypatch.setattr(Claim, "fail", fail)
    handle(SCAN, wait_until_stopped)

    run_job(job.pk)

    assert Job.objects.get().state == "running"

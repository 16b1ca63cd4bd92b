"""The life of a job row: claims, leases, endings, and what the sweeper finds."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.db import connection, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from store.core import jobs
from store.core.jobs import (
    ERRAND,
    POLICIES,
    JobName,
    LeaseLostError,
    Priority,
    Queue,
    claim,
    enqueue,
)
from store.core.models import Job
from store.core.sweeping import prune, sweep
from tests.threads import at_once

SCAN = JobName.SCAN_COMMIT


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What goes to the broker."""
    messages: list[dict[str, Any]] = []

    def send_task(name: str, **options: Any) -> None:
        messages.append({"task": name, **options})

    monkeypatch.setattr(current_app, "send_task", send_task)
    return messages


def forgotten(job: Job) -> Job:
    """Make ``job`` look as if its message was lost long ago."""
    long_ago = timezone.now() - timedelta(minutes=5)
    Job.objects.filter(pk=job.pk).update(nudged_at=long_ago, not_before=long_ago)
    return job


def orphaned(job: Job, *, attempts: int = 1) -> Job:
    """Make ``job`` look as if its worker died."""
    long_ago = timezone.now() - timedelta(minutes=5)
    Job.objects.filter(pk=job.pk).update(
        state=Job.State.RUNNING,
        lease_owner="dead",
        lease_until=long_ago,
        nudged_at=long_ago,
        attempts=attempts,
    )
    return job


def test_a_job_is_announced_when_its_transaction_commits(
    db: None, sent: list[dict[str, Any]], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        job = enqueue(SCAN, repo_id=1, commit_oid="a")
        assert sent == []

    assert (job.name, job.queue, job.state, job.attempts) == (SCAN, "scan", "queued", 0)
    assert job.args == {"repo_id": 1, "commit_oid": "a"}
    assert sent == [
        {
            "task": "workers.run",
            "kwargs": {"queue": "scan"},
            "queue": "scan",
            "countdown": None,
            "retry": False,
            "ignore_result": True,
        }
    ]


def test_a_job_of_a_transaction_that_fails_was_never_there(
    db: None, sent: list[dict[str, Any]], django_capture_on_commit_callbacks: Any
) -> None:
    with (
        django_capture_on_commit_callbacks(execute=True),
        pytest.raises(ZeroDivisionError),
        transaction.atomic(),
    ):
        enqueue(SCAN)
        1 / 0  # noqa: B018

    assert Job.objects.count() == 0
    assert sent == []


def test_the_same_key_yields_the_open_job(db: None) -> None:
    first = enqueue(SCAN, key="1:a", repo_id=1)

    second = enqueue(SCAN, key="1:a", repo_id=1)
    other = enqueue(SCAN, key="1:b", repo_id=1)

    assert second.pk == first.pk
    assert other.pk != first.pk


def test_what_a_person_waits_for_moves_up(db: None) -> None:
    of_the_store = enqueue(SCAN, key="k", priority=Priority.STORE)

    asked = enqueue(SCAN, key="k")
    again = enqueue(SCAN, key="k", priority=Priority.BATCH)

    assert [job.pk for job in (asked, again)] == [of_the_store.pk] * 2
    assert [asked.priority, again.priority] == [Priority.PERSON] * 2
    assert Job.objects.get().priority == Priority.PERSON


def test_what_a_job_costs_is_added_up(db: None) -> None:
    job = enqueue(SCAN)
    first = claim(job.pk)
    assert first is not None
    began = timezone.now() - timedelta(seconds=100)
    Job.objects.update(started_at=began, lease_until=began + timedelta(seconds=40))

    second = claim(job.pk)  # the first worker died
    assert second is not None
    second.report(tokens=7)
    second.report(tokens=5)
    Job.objects.update(started_at=timezone.now() - timedelta(seconds=10))
    assert second.hand_back(delay_s=0, code="x", message="x") is True

    job.refresh_from_db()
    assert job.spent_s == pytest.approx(50, abs=1)
    assert job.tokens == 12
    jobs.cancel(job.pk)
    job.refresh_from_db()
    assert job.spent_s == pytest.approx(50, abs=1)


def test_an_ended_job_frees_its_key(db: None) -> None:
    first = enqueue(SCAN, key="k")
    taken = claim(first.pk)
    assert taken is not None
    assert taken.finish() is True

    assert enqueue(SCAN, key="k").pk != first.pk


@pytest.mark.django_db(transaction=True)
def test_a_key_that_is_freed_while_it_is_asked_for(sent: list[dict[str, Any]]) -> None:
    """Asking never fails because the open job ended between two looks."""

    def ask_and_end(_: int) -> int:
        try:
            for _turn in range(60):
                job = enqueue(SCAN, key="k")
                Job.objects.filter(pk=job.pk).update(state=Job.State.DONE)
        finally:
            connection.close()
        return 60

    assert at_once(ask_and_end, 4) == [60] * 4
    assert not Job.objects.filter(state__in=Job.OPEN).exists()


def test_a_broker_that_is_down_only_delays(
    db: None, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(current_app, "send_task", refuse)

    with django_capture_on_commit_callbacks(execute=True):
        job = enqueue(SCAN)

    assert Job.objects.get().pk == job.pk


def test_a_job_is_claimed_once(db: None) -> None:
    job = enqueue(SCAN)

    first, second = claim(job.pk), claim(job.pk)

    assert first is not None
    assert second is None
    job.refresh_from_db()
    assert (job.state, job.attempts, job.lease_owner) == ("running", 1, first.owner)
    left_s = (job.lease_until - timezone.now()).total_seconds()  # type: ignore[operator]
    assert 55 < left_s <= POLICIES[SCAN].lease_s


def test_what_cannot_be_claimed(db: None) -> None:
    later = enqueue(SCAN, delay_s=60)
    unknown = Job.objects.create(name="of.a.newer.version", queue="default")
    cancelled = enqueue(SCAN)
    assert jobs.cancel(cancelled.pk) is True

    assert [claim(pk) for pk in (later.pk, unknown.pk, cancelled.pk, 987654)] == [None] * 4
    assert jobs.cancel(cancelled.pk) is False
    assert set(Job.objects.values_list("state", "attempts")) == {("queued", 0), ("cancelled", 0)}


def test_a_lease_that_ran_out_is_taken_over_and_the_old_owner_can_write_nothing(db: None) -> None:
    job = enqueue(SCAN)
    old = claim(job.pk)
    assert old is not None
    Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))

    new = claim(job.pk)

    assert new is not None
    assert new.job.attempts == 2
    assert old.renew() is False
    old.report(progress=0.5, line="from the grave")
    assert old.finish({"from": "old"}) is False
    assert old.fail(code="x", message="x") is False
    assert old.hand_back(delay_s=0, code="x", message="x") is False
    assert old.give_back() is False
    with pytest.raises(LeaseLostError), old.writing():
        pytest.fail("the block must not run")
    assert new.finish({"from": "new"}) is True
    job.refresh_from_db()
    assert (job.state, job.result, job.progress, job.log) == ("done", {"from": "new"}, 1.0, "")


def test_what_is_written_under_the_claim_is_undone_when_the_block_fails(db: None) -> None:
    taken = claim(enqueue(SCAN).pk)
    assert taken is not None

    with pytest.raises(ZeroDivisionError), taken.writing():
        Job.objects.update(progress=0.25)
        1 / 0  # noqa: B018

    assert Job.objects.get().progress == 0.0


def test_renewing_moves_the_lease_on(db: None) -> None:
    taken = claim(enqueue(SCAN).pk)
    assert taken is not None
    soon = timezone.now() + timedelta(seconds=5)
    Job.objects.update(lease_until=soon)

    assert taken.renew() is True

    assert Job.objects.get().lease_until > soon + timedelta(seconds=30)  # type: ignore[operator]


def test_progress_and_log_are_kept_within_bounds(db: None) -> None:
    taken = claim(enqueue(SCAN).pk)
    assert taken is not None

    taken.report()
    taken.report(progress=0.5, line="half way")
    taken.report(progress=7, line="x" * 19_996)

    job = Job.objects.get()
    assert job.progress == 1.0
    assert job.log == "ay\n" + "x" * 19_996 + "\n"
    assert len(job.log) == jobs.MAX_LOG_CHARS


def test_a_job_is_handed_back_until_its_attempts_are_used_up(
    db: None, sent: list[dict[str, Any]], django_capture_on_commit_callbacks: Any
) -> None:
    job = enqueue(SCAN)
    states = []

    for _ in range(POLICIES[SCAN].max_attempts):
        Job.objects.update(not_before=timezone.now())
        taken = claim(job.pk)
        assert taken is not None
        with django_capture_on_commit_callbacks(execute=True):
            assert taken.hand_back(delay_s=30, code="try_again", message="disk away") is True
        states.append(Job.objects.get().state)

    assert states == ["queued"] * (POLICIES[SCAN].max_attempts - 1) + ["failed"]
    assert [message["countdown"] for message in sent] == [30] * (POLICIES[SCAN].max_attempts - 1)
    job.refresh_from_db()
    assert (job.error_code, job.error, job.lease_until) == ("try_again", "disk away", None)
    assert job.finished_at is not None
    assert claim(job.pk) is None


def test_giving_back_costs_no_attempt(
    db: None, sent: list[dict[str, Any]], django_capture_on_commit_callbacks: Any
) -> None:
    taken = claim(enqueue(SCAN).pk)
    assert taken is not None

    with django_capture_on_commit_callbacks(execute=True):
        assert taken.give_back() is True

    job = Job.objects.get()
    assert (job.state, job.attempts, job.lease_owner, job.lease_until) == ("queued", 0, "", None)
    assert [message["kwargs"] for message in sent] == [{"queue": "scan"}]
    assert job.spent_s > 0


def test_the_sweeper_asks_again_for_what_was_lost(db: None, sent: list[dict[str, Any]]) -> None:
    forgotten(enqueue(SCAN))
    orphan = orphaned(enqueue(JobName.GENERATE))
    enqueue(SCAN)  # its message is on its way
    enqueue(SCAN, delay_s=60)

    assert sweep() == 2
    assert sweep() == 0

    assert sorted(message["kwargs"]["queue"] for message in sent) == ["inference", "scan"]
    assert Job.objects.get(pk=orphan.pk).state == "running"  # until somebody claims it


def test_the_sweeper_leaves_a_queue_alone_that_has_its_messages(db: None) -> None:
    waiting = [forgotten(enqueue(SCAN)) for _ in range(3)]
    for job in waiting[:2]:
        jobs.nudge(job)

    assert sweep() == 1
    Job.objects.update(nudged_at=timezone.now() - timedelta(minutes=1))
    assert sweep() == 0


def test_the_sweeper_waits_for_the_broker(
    db: None, sent: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten(enqueue(SCAN))
    broken = current_app.connection_for_write("redis+socket:///nowhere/valkey.sock")
    monkeypatch.setattr(current_app, "connection_for_write", lambda: broken)

    assert sweep() == 0

    assert sent == []


def test_the_sweeper_gives_up_what_stopped_too_often(db: None, sent: list[dict[str, Any]]) -> None:
    most = POLICIES[SCAN].max_attempts
    silent = orphaned(enqueue(SCAN), attempts=most)
    told = orphaned(enqueue(SCAN), attempts=most)
    Job.objects.filter(pk=told.pk).update(error="the disk was away", error_code="try_again")
    foreign = forgotten(Job.objects.create(name="of.a.newer.version", queue="default"))

    assert sweep() == 0

    silent.refresh_from_db()
    told.refresh_from_db()
    foreign.refresh_from_db()
    assert (silent.state, silent.error_code) == ("failed", "gave_up")
    assert silent.error == "The worker stopped too often while doing this. Try again."
    assert (told.state, told.error_code, told.error) == ("failed", "gave_up", "the disk was away")
    assert silent.finished_at is not None
    assert foreign.state == "queued"
    assert sent == []


def test_old_jobs_are_deleted(db: None) -> None:
    def ended(days: float, state: str, key: str = "") -> Job:
        at = timezone.now() - timedelta(days=days)
        return Job.objects.create(name=SCAN, queue=Queue.SCAN, key=key, state=state, finished_at=at)

    kept = [
        ended(29, Job.State.DONE),
        ended(2, Job.State.FAILED, ERRAND),
        ended(0.5, Job.State.DONE, ERRAND),
        enqueue(SCAN),
    ]
    ended(31, Job.State.CANCELLED)
    ended(2, Job.State.DONE, ERRAND)

    assert prune() == 2

    assert set(Job.objects.values_list("pk", flat=True)) == {job.pk for job in kept}


def test_every_lease_fits_its_limit_and_the_broker_waits_longer_than_any_job() -> None:
    from workers.app import VISIBILITY_TIMEOUT_S

    for name in JobName:
        policy = POLICIES[name]
        assert 1 <= policy.lease_s <= policy.time_limit_s < VISIBILITY_TIMEOUT_S
        assert policy.max_attempts >= 2


@pytest.mark.django_db(transaction=True)
def test_eight_workers_race_and_one_wins(in_threads: Callable[..., list[Any]]) -> None:
    job = enqueue(SCAN)

    def take(_number: int) -> bool:
        try:
            return claim(job.pk) is not None
        finally:
            connection.close()

    assert sum(in_threads(take, 8)) == 1
    assert Job.objects.get().attempts == 1

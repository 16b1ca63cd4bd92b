"""The job around an evaluation: it lets people go first, fails with a reason, is stopped."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import Listing, ModelRepo
from inference.box.errors import BoxCrashedError, ModelRefusedError
from inference.box.pool import BoxPool
from inference.models import EvaluationRun, EvaluationShard, Sample, Suite, UsageRecord
from inference.runners import evaluation, evaluation_machine, generation
from inference.services import evaluation_queue, evaluations, runs, suites
from store.core import presence
from store.core.jobs import JobName, claim
from store.core.models import Job
from store.core.placing import NO_WORKER
from store.core.presence import Worker
from store.core.queues import Priority
from store.core.valkey import valkey
from store.core.work import JobContext, JobStoppedError, JobYieldedError
from workers.runner import run_job

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def small(db: None) -> Suite:
    """Three short pieces."""
    task = {"name": "counting", "runner": "probe", "probe": "counting", "count": 3, "shard": 1}
    spec = {"tasks": [task], "primary": {"task": "counting", "metric": "is_right"}}
    return suites.keep("small", Suite.Kind.BUILTIN, "Small", spec, owner=None, is_public=True)


@pytest.fixture
def queued(tiny_repo: ModelRepo, as_bob: Viewer, small: Suite) -> EvaluationRun:
    """A run that waits for a worker."""
    return evaluations.ask(as_bob, tiny_repo, small)[0]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rest, but not for long."""
    monkeypatch.setattr(evaluation, "PAUSE_S", 0.3)
    monkeypatch.setattr(evaluation, "QUIET_S", 0.3)
    monkeypatch.setattr(evaluation, "_LOOK_S", 0.05)


def long_waiting(as_bob: Viewer, repo: ModelRepo) -> Job:
    """A generation no worker has taken up."""
    asked = runs.submit(as_bob, repo, "", "Once", {"max_new_tokens": 4})
    Job.objects.filter(pk=asked.job_id).update(not_before=timezone.now() - timedelta(seconds=30))
    return Job.objects.get(pk=asked.job_id)


def test_a_run_gives_its_worker_to_people_who_wait_and_goes_on_where_it_was(
    queued: EvaluationRun, tiny_repo: ModelRepo, as_bob: Viewer, real_pool: BoxPool
) -> None:
    waiting = long_waiting(as_bob, tiny_repo)

    run_job(queued.job_id)

    queued.refresh_from_db()
    job = queued.job
    assert (job.state, job.attempts, job.error_code) == ("queued", 0, "")
    assert job.not_before > timezone.now()
    assert (queued.state, queued.shards.filter(done_at__isnull=False).count()) == ("running", 1)
    run_job(waiting.pk)
    Job.objects.filter(pk=job.pk).update(not_before=timezone.now())
    kept = Sample.objects.get()

    run_job(job.pk)

    queued.refresh_from_db()
    assert (queued.state, queued.error) == ("done", "")
    assert Sample.objects.filter(pk=kept.pk).exists()
    assert sorted(queued.samples.values_list("index", flat=True)) == [0, 1, 2]


def test_a_run_rests_while_texts_are_written(
    queued: EvaluationRun, tiny_repo: ModelRepo, as_bob: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = long_waiting(as_bob, tiny_repo)
    now = timezone.now()
    Job.objects.filter(pk=busy.pk).update(state="running", lease_until=now + timedelta(seconds=60))
    context = JobContext(claim(queued.job_id))
    waits: list[float] = []
    monkeypatch.setattr(context.stopped, "wait", waits.append)
    work = evaluation._Attempt(context, queued)

    work._let_people_first(may_yield=True)
    assert waits
    Job.objects.filter(pk=busy.pk).update(lease_until=now - timedelta(seconds=60))  # it is gone
    waits.clear()
    work._let_people_first(may_yield=True)

    assert not waits
    context.stopped.set()
    with pytest.raises(JobStoppedError):
        work._let_people_first(may_yield=True)
    Job.objects.filter(pk=busy.pk).update(state="queued")
    context.stopped.clear()
    with pytest.raises(JobYieldedError):
        work._let_people_first(may_yield=True)


def test_a_piece_is_cut_short_where_somebody_waits(
    queued: EvaluationRun,
    tiny_repo: ModelRepo,
    as_bob: Viewer,
    real_pool: BoxPool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = evaluation.TaskSet.answer

    def answer(self: Any, shard: EvaluationShard, scorer: Any) -> Any:
        for sample in real(self, shard, scorer):
            if sample.index == 0:
                long_waiting(as_bob, tiny_repo)
            yield sample

    monkeypatch.setattr(evaluation.TaskSet, "answer", answer)
    monkeypatch.setattr(evaluation, "_LOOK_S", 0)
    queued.suite.spec["tasks"][0]["shard"] = 3
    queued.suite.save()

    run_job(queued.job_id)

    pieces = list(queued.shards.order_by("number").values_list("number", "first", "count"))
    assert pieces == [(0, 0, 1), (1, 1, 2)]
    assert list(queued.samples.values_list("index", flat=True)) == [0]
    queued.refresh_from_db()
    assert (queued.state, queued.job.state, queued.job.attempts) == ("running", "queued", 0)
    monkeypatch.undo()
    monkeypatch.setattr(generation, "box_pool", lambda: real_pool)
    Job.objects.filter(name=JobName.GENERATE).update(state="done")
    Job.objects.filter(pk=queued.job_id).update(not_before=timezone.now())
    run_job(queued.job_id)
    queued.refresh_from_db()
    assert (queued.state, queued.shards.count()) == ("done", 2)
    assert sorted(queued.samples.values_list("index", flat=True)) == [0, 1, 2]


def test_a_run_that_has_the_model_alone_leaves_it_to_whoever_has_begun(
    queued: EvaluationRun, tiny_repo: ModelRepo, as_bob: Viewer
) -> None:
    busy = long_waiting(as_bob, tiny_repo)
    later = timezone.now() + timedelta(seconds=60)
    Job.objects.filter(pk=busy.pk).update(state="running", lease_until=later)
    work = evaluation._Attempt(JobContext(claim(queued.job_id)), queued)

    assert not work._is_wanted()
    work.is_alone = True
    assert work._is_wanted()


@pytest.mark.parametrize(
    "changes",
    [
        {"error_code": NO_WORKER},  # nobody here can do it, whoever gives way
        {"queue": "inference-gpu"},
        {"priority": Priority.BATCH},
    ],
)
def test_a_run_gives_way_only_to_people_its_worker_can_help(
    queued: EvaluationRun, tiny_repo: ModelRepo, as_bob: Viewer, changes: dict[str, Any]
) -> None:
    waiting = long_waiting(as_bob, tiny_repo)
    work = evaluation._Attempt(JobContext(claim(queued.job_id)), queued)
    assert work._is_wanted()

    Job.objects.filter(pk=waiting.pk).update(**changes)

    assert not work._is_wanted()


def test_a_model_that_cannot_be_loaded_fails_with_the_reason_and_the_next_begins(
    queued: EvaluationRun, tiny_repo: ModelRepo, as_bob: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, _ = evaluations.ask(as_bob, tiny_repo, suites.builtin("bias"))

    def refuse(*_args: Any, **_options: Any) -> Any:
        raise ModelRefusedError("Its tensors do not fit.", reason="bad_tensors")

    pool = BoxPool(starter=refuse, wait_s=5)
    monkeypatch.setattr(generation, "box_pool", lambda: pool)

    run_job(queued.job_id)

    queued.refresh_from_db()
    other.refresh_from_db()
    assert (queued.state, queued.error_code) == ("failed", "model_refused")
    assert queued.error == "Its tensors do not fit."
    assert not EvaluationShard.objects.exists()
    assert other.job is not None


def test_a_crash_in_a_piece_writes_nothing_of_it(
    queued: EvaluationRun, real_pool: BoxPool, monkeypatch: pytest.MonkeyPatch, as_bob: Viewer
) -> None:
    real = evaluation.TaskSet.answer

    def answer(self: Any, shard: EvaluationShard, scorer: Any) -> Any:
        if shard.number == 1:
            raise BoxCrashedError("The model's process ended.")
        return real(self, shard, scorer)

    monkeypatch.setattr(evaluation.TaskSet, "answer", answer)

    run_job(queued.job_id)

    queued.refresh_from_db()
    assert (queued.state, queued.error_code) == ("failed", "box_crashed")
    assert list(queued.samples.values_list("index", flat=True)) == [0]
    monkeypatch.undo()
    monkeypatch.setattr(generation, "box_pool", lambda: real_pool)
    again = evaluations.retry(as_bob, queued)
    run_job(again.job_id)
    queued.refresh_from_db()
    assert (queued.state, queued.samples.count(), queued.error) == ("done", 3, "")


def test_a_run_that_is_stopped_in_a_piece_keeps_nothing_of_it(
    queued: EvaluationRun, real_pool: BoxPool, monkeypatch: pytest.MonkeyPatch, as_bob: Viewer
) -> None:
    real = evaluation.TaskSet.answer

    def answer(self: Any, shard: EvaluationShard, scorer: Any) -> Any:
        if shard.number == 1:
            evaluations.cancel(as_bob, EvaluationRun.objects.get(pk=queued.pk))
        return real(self, shard, scorer)

    monkeypatch.setattr(evaluation.TaskSet, "answer", answer)

    run_job(queued.job_id)

    queued.refresh_from_db()
    assert (queued.state, queued.samples.count(), queued.scores.count()) == ("cancelled", 1, 0)


def test_a_run_that_has_ended_is_left_alone(
    queued: EvaluationRun, alice: User, run_jobs: Callable[[], list[Job]]
) -> None:
    EvaluationRun.objects.update(state="done")

    (job,) = run_jobs()

    assert (job.name, job.result) == (JobName.EVALUATE, {"state": "done"})
    assert not Sample.objects.exists()


@pytest.mark.parametrize(("slots", "running"), [((1,), 1), ((3,), 2), ((1, 2), 2), ((), 4)])
def test_evaluations_leave_a_slot_to_people(
    tiny_repo: ModelRepo, as_bob: Viewer, settings: Any, slots: tuple[int, ...], running: int
) -> None:
    settings.ENV = settings.ENV.model_copy(update={"evaluations_at_once": 4})
    valkey().flushdb()
    for number, count in enumerate(slots):
        presence.announce(Worker(f"w{number}", ("inference",), count))

    for suite in suites.sync()[:5]:
        evaluations.ask(as_bob, tiny_repo, suite)

    assert EvaluationRun.objects.exclude(job=None).count() == running


def test_a_run_says_what_each_of_its_pieces_was_done_on(
    queued: EvaluationRun, real_pool: BoxPool, monkeypatch: pytest.MonkeyPatch, as_bob: Viewer
) -> None:
    real = evaluation.TaskSet.answer

    def answer(self: Any, shard: EvaluationShard, scorer: Any) -> Any:
        if shard.number == 2:
            raise ModelRefusedError("Not this one.", reason="unsupported")
        return real(self, shard, scorer)

    monkeypatch.setattr(evaluation.TaskSet, "answer", answer)
    run_job(queued.job_id)
    monkeypatch.setattr(evaluation.TaskSet, "answer", real)
    here = evaluation_machine.libraries()
    elsewhere = here | {"torch": "9.9"}
    monkeypatch.setattr(evaluation_machine, "libraries", lambda: elsewhere)

    run_job(evaluations.retry(as_bob, EvaluationRun.objects.get(pk=queued.pk)).job_id)

    queued.refresh_from_db()
    assert (queued.state, queued.error) == ("done", "")
    first, second = queued.record["environments"]
    assert (first["libraries"], second["libraries"]) == (here, elsewhere)
    assert first["hardware"]["cores"] == second["hardware"]["cores"] >= 1
    assert first["pieces"] == [{"task": "counting", "first": 0, "count": 2}]
    assert second["pieces"] == [{"task": "counting", "first": 2, "count": 1}]
    page = Client().get(f"/alice/tiny/evaluations/{queued.public_id}").content.decode()
    assert "Parts of this evaluation were done on different machines" in page
    assert "torch 9.9" in page
    assert UsageRecord.objects.get().run == queued.public_id
    told = Client().get(f"/api/v1/evaluations/{queued.public_id}").json()
    assert told["record"]["environments"] == [first, second]


def test_what_the_store_measures_for_itself_is_nobodys_use(
    tiny_repo: ModelRepo, small: Suite, real_pool: BoxPool, run_jobs: Callable[[], list[Job]]
) -> None:
    run = EvaluationRun.objects.create(
        repo=tiny_repo, commit_oid=Listing.objects.get(repo=tiny_repo).head_oid, suite=small
    )
    evaluation_queue.dispatch()
    run_jobs()

    run.refresh_from_db()
    assert (run.state, run.error) == ("done", "")
    assert not UsageRecord.objects.exists()

"""From a question to its answer."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from accounts.viewer import Viewer
from inference.box.client import Box
from inference.box.errors import BoxCrashedError, ModelRefusedError
from inference.box.footprint import Footprint
from inference.box.pool import BoxPool
from inference.models import GenerationRun
from inference.runners import generation
from inference.runners.cards import Card
from inference.services import quotas, runs, streams
from inference.services.streams import Event
from store.core import jobs
from store.core.models import Job
from store.core.work import JobContext, JobStoppedError
from tests.inference import tiny
from tests.inference.fakes import FakeBox
from workers.runner import run_job

Ask = Callable[..., GenerationRun]


def job_of(run: GenerationRun) -> int:
    """Return the id of the run's job."""
    assert run.job_id is not None
    return run.job_id


# ── the real box ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.django_db(transaction=True)
def test_greedy_text_is_what_transformers_writes(
    prompted: Ask, real_pool: Any, tiny_folder: Path
) -> None:
    run = prompted("Once upon a time", max_new_tokens=24, temperature=0)

    run_job(job_of(run))

    run.refresh_from_db()
    assert (run.state, run.error) == ("done", "")
    assert run.texts == [tiny.greedy(tiny_folder, "Once upon a time", 24)]
    assert streams.transcript(run.public_id).texts == run.texts
    assert 1 <= run.new_tokens <= 24
    assert run.prompt_tokens > 0
    assert run.finish_reasons == ["length" if run.new_tokens == 24 else "stop"]
    assert run.load_s is not None
    assert run.generate_s is not None
    assert Job.objects.get().result == {
        "new_tokens": run.new_tokens,
        "finish_reasons": run.finish_reasons,
    }


@pytest.mark.django_db(transaction=True)
def test_the_same_seed_writes_the_same_texts_and_the_model_stays_loaded(
    prompted: Ask, real_pool: Any
) -> None:
    asked: dict[str, Any] = {"max_new_tokens": 12, "num_sequences": 2, "seed": 11}
    first, second = prompted(**asked), prompted(**asked)
    other = prompted(**asked | {"seed": 12})

    run_job(job_of(first))
    resident = set(real_pool.resident)
    for run in (second, other):
        run_job(job_of(run))
    for run in (first, second, other):
        run.refresh_from_db()

    assert len(first.texts) == 2
    assert first.texts == second.texts != other.texts
    assert first.texts[0] != first.texts[1]
    assert set(real_pool.resident) == resident
    assert second.load_s is not None
    assert second.load_s < 1


@pytest.mark.django_db(transaction=True)
def test_stopping_ends_the_box_within_a_moment(
    prompted: Ask, as_bob: Viewer, real_pool: Any
) -> None:
    run = prompted(max_new_tokens=1000, num_sequences=4)
    worker = threading.Thread(target=_work, args=(job_of(run),))
    worker.start()
    _until(lambda: streams.transcript(run.public_id).new_tokens > 8)

    assert runs.cancel(as_bob, run) is True
    stopped = time.monotonic()
    worker.join(timeout=30)

    assert not worker.is_alive()
    assert time.monotonic() - stopped < 10
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert run.new_tokens < 4000
    assert "".join(run.texts) != ""
    assert Job.objects.get().state == "cancelled"
    again = prompted(max_new_tokens=4)  # the box is whole
    run_job(job_of(again))
    again.refresh_from_db()
    assert again.state == "done"
    assert again.load_s is not None
    assert again.load_s < 1


@pytest.mark.django_db(transaction=True)
def test_a_box_that_dies_fails_its_run_with_a_reason_and_the_next_one_works(
    prompted: Ask, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    pool = BoxPool(wait_s=60)  # its own: whoever shares a box that dies is asked again
    request.addfinalizer(pool.close)
    monkeypatch.setattr(generation, "box_pool", lambda: pool)
    run = prompted(max_new_tokens=1000, num_sequences=4)
    worker = threading.Thread(target=_work, args=(job_of(run),))
    worker.start()
    _until(lambda: streams.transcript(run.public_id).new_tokens > 8)
    (slot,) = pool._slots.values()
    assert slot.users == 1
    assert slot.box
    os.kill(slot.box.pid, signal.SIGKILL)
    worker.join(timeout=60)

    run.refresh_from_db()
    assert (run.state, run.error_code) == ("failed", "box_crashed")
    assert run.error == "The model's process was ended by SIGKILL."
    last = streams.read(run.public_id)[-1]
    assert (last.kind, last.data["error_code"]) == ("failed", "box_crashed")
    again = prompted(max_new_tokens=4)
    run_job(job_of(again))
    again.refresh_from_db()
    assert again.state == "done"


@pytest.mark.django_db(transaction=True)
def test_a_prompt_longer_than_the_context_is_refused_in_words(
    prompted: Ask, real_pool: Any
) -> None:
    run = prompted("word " * 3000)

    run_job(job_of(run))

    run.refresh_from_db()
    assert (run.state, run.error_code) == ("failed", "prompt_too_long")
    assert Job.objects.get().error_code == "model_refused"
    assert "this model reads 1199 at most" in run.error


def _work(job_id: int) -> None:
    try:
        run_job(job_id)
    finally:
        connection.close()


def _until(condition: Callable[[], bool], *, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


# ── around the box ──────────────────────────────────────────────────────────────────────────────


def test_the_row_gets_everything_once(
    prompted: Ask, fake_box: FakeBox, django_capture_on_commit_callbacks: Any
) -> None:
    run = prompted("two words", max_new_tokens=8, seed=3)

    with django_capture_on_commit_callbacks(execute=True):
        run_job(job_of(run))
        run_job(job_of(run))

    run.refresh_from_db()
    assert (run.state, run.texts, run.finish_reasons) == ("done", ["Hello, world"], ["length"])
    assert (run.prompt_tokens, run.new_tokens) == (2, 3)
    assert (run.first_token_s, run.generate_s) == (0.25, 0.5)
    assert run.started_at is not None
    assert run.finished_at is not None
    ((prompt, params, name),) = fake_box.asked
    assert (prompt, params.seed, name) == ("two words", 3, f"{run.public_id}-1")
    events = streams.read(run.public_id)
    assert [event.kind for event in events if event.kind != "token"] == ["start", "done"]
    assert events[-1].data["texts"] == ["Hello, world"]
    assert "".join(e.data["text"] for e in events if e.kind == "token") == "Hello, world"


def test_unused_tokens_come_back(
    prompted: Ask, fake_box: FakeBox, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.ENV = settings.ENV.model_copy(update={"rate_limits": "on", "user_tokens_per_day": 100})
    run = prompted(max_new_tokens=40)
    assert quotas.left_of(run.asker, now=run.created_at) == 60

    with django_capture_on_commit_callbacks(execute=True):
        run_job(job_of(run))

    assert quotas.left_of(run.asker, now=run.created_at) == 97


def test_a_run_that_is_over_or_gone_is_left_alone(prompted: Ask, fake_box: FakeBox) -> None:
    over, gone = prompted(), prompted()
    GenerationRun.objects.filter(pk=over.pk).update(state="cancelled")
    GenerationRun.objects.filter(pk=gone.pk).delete()

    run_job(job_of(over))
    run_job(job_of(gone))

    assert fake_box.asked == []
    results = Job.objects.order_by("pk").values_list("state", "result")
    assert list(results) == [("done", {"state": "cancelled"}), ("done", {"state": "deleted"})]


def test_a_refusal_of_the_model_is_told(
    prompted: Ask, fake_box: FakeBox, django_capture_on_commit_callbacks: Any
) -> None:
    fake_box.texts = [["so", " far"]]
    fake_box.error = ModelRefusedError("The model's numbers are not finite.", reason="not_finite")
    run = prompted()

    with django_capture_on_commit_callbacks(execute=True):
        run_job(job_of(run))

    run.refresh_from_db()
    assert (run.state, run.error_code) == ("failed", "not_finite")
    assert run.error == "The model's numbers are not finite."
    assert (run.texts, run.new_tokens) == (["so far"], 2)
    assert Job.objects.get().state == "failed"
    assert streams.read(run.public_id)[-1].kind == "failed"


def test_a_file_that_was_refused_since_is_not_loaded(
    prompted: Ask, fake_box: FakeBox, tiny_repo: Any
) -> None:
    from catalog.models import FileScan

    run = prompted()
    for scan in FileScan.objects.filter(path="model.safetensors"):
        scan.report = scan.report | {"verdict": "unsafe", "reason": "It is something else."}
        scan.save()

    run_job(job_of(run))

    run.refresh_from_db()
    assert (run.state, run.error_code) == ("failed", "not_runnable")
    assert run.error == "'model.safetensors' is not loaded: It is something else."
    assert fake_box.starts == 0


def test_a_run_that_takes_too_long_keeps_what_it_wrote(
    prompted: Ask, fake_box: FakeBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = threading.Event()
    real = generation._Attempt._is_out_of_time

    def is_out_of_time(attempt: Any) -> bool:
        assert real(attempt) is False
        return late.is_set()

    monkeypatch.setattr(generation._Attempt, "_is_out_of_time", is_out_of_time)

    def before_token(count: int) -> None:
        if count == 2:
            late.set()
            assert fake_box.cancelled.wait(5)

    fake_box.before_token = before_token
    run = prompted()

    run_job(job_of(run))

    run.refresh_from_db()
    assert (run.state, run.texts, run.finish_reasons) == (
        "done",
        ["Hello, world"],
        ["time_limit"],
    )


def test_a_prompt_that_takes_too_long_to_read_is_said_to(
    prompted: Ask, fake_box: FakeBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = threading.Event()
    monkeypatch.setattr(generation._Attempt, "_is_out_of_time", lambda _attempt: late.is_set())

    def echo(_asked: Any, *, top: int | None, request_id: str) -> Iterator[Any]:
        late.set()
        assert fake_box.cancelled.wait(5)
        raise ModelRefusedError("It was cancelled.", reason="cancelled")
        yield  # as the box's, it speaks only when asked for the first token

    monkeypatch.setattr(fake_box, "echo", echo)
    run = prompted(prompt_logprobs=1)

    run_job(job_of(run))

    run.refresh_from_db()
    assert (run.state, run.error_code) == ("failed", "time_limit")
    assert run.error.startswith("This took longer than")
    assert (run.texts, fake_box.asked) == ([], [])


@pytest.mark.django_db(transaction=True)
def test_the_work_is_given_back_when_the_worker_must_leave(
    prompted: Ask, fake_box: FakeBox
) -> None:
    run = prompted()
    claim = jobs.claim(job_of(run))
    assert claim is not None
    context = JobContext(claim)

    def before_token(count: int) -> None:
        if count == 1:
            context.stopped.set()
            assert fake_box.cancelled.wait(5)

    fake_box.before_token = before_token

    with pytest.raises(JobStoppedError):
        generation.run_generation(context, run.pk)

    run.refresh_from_db()
    assert (run.state, run.texts, run.finished_at) == ("running", [], None)


@pytest.mark.django_db(transaction=True)
def test_a_second_attempt_starts_the_text_anew(prompted: Ask, fake_box: FakeBox) -> None:
    run = prompted()
    lost = Event("token", {"sequence": 0, "text": "lost words", "new_tokens": 2}, 1)
    streams.publish(run.public_id, [lost])
    Job.objects.update(attempts=1)

    run_job(job_of(run))

    kinds = [event.kind for event in streams.read(run.public_id)]
    assert kinds[:3] == ["token", "restart", "start"]
    assert streams.transcript(run.public_id).texts == ["Hello, world"]
    run.refresh_from_db()
    assert run.texts == ["Hello, world"]


@pytest.mark.django_db(transaction=True)
def test_a_stop_during_loading_is_heeded_before_a_word_is_written(
    prompted: Ask, fake_box: FakeBox, as_bob: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prompted()
    real = fake_box.started

    def slow_start() -> FakeBox:
        runs.cancel(as_bob, run)
        time.sleep(0.3)  # longer than the stop is polled
        return real()

    monkeypatch.setattr(fake_box, "started", slow_start)

    run_job(job_of(run))

    run.refresh_from_db()
    assert fake_box.asked == []
    assert (run.state, run.texts) == ("cancelled", [])


@pytest.mark.django_db(transaction=True)
def test_a_stop_at_the_last_moment_writes_nothing_twice(
    prompted: Ask, fake_box: FakeBox, as_bob: Viewer
) -> None:
    run = prompted()
    fake_box.before_token = lambda count: count == 2 and runs.cancel(as_bob, run)  # type: ignore[assignment,return-value]

    run_job(job_of(run))

    run.refresh_from_db()
    assert run.state == "cancelled"
    assert Job.objects.get().state == "cancelled"
    ends = [event for event in streams.read(run.public_id) if event.is_last]
    assert [event.data["state"] for event in ends] == ["cancelled"]


@pytest.mark.django_db(transaction=True)
def test_a_run_stopped_between_claim_and_start_is_not_begun(
    prompted: Ask, fake_box: FakeBox, as_bob: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prompted()
    real = generation._begin

    def begin(context: JobContext, row: GenerationRun) -> None:
        runs.cancel(as_bob, run)
        real(context, row)

    monkeypatch.setattr(generation, "_begin", begin)

    run_job(job_of(run))

    run.refresh_from_db()
    assert (run.state, run.started_at) == ("cancelled", None)
    assert fake_box.asked == []


def test_a_run_that_ended_while_its_job_is_still_ours_is_not_begun(
    prompted: Ask, fake_box: FakeBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prompted()
    real = generation._begin

    def begin(context: JobContext, row: GenerationRun) -> None:
        GenerationRun.objects.filter(pk=run.pk).update(state="cancelled")
        real(context, row)

    monkeypatch.setattr(generation, "_begin", begin)

    run_job(job_of(run))

    run.refresh_from_db()
    assert (run.state, run.started_at) == ("cancelled", None)
    assert fake_box.asked == []


def test_the_settings_bound_the_boxes(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = {
        "model_memory_bytes": 3 * 1024**3,
        "box_memory_bytes": 2 * 1024**3,
        "generation_timeout_s": 77,
        "allow_unprotected_box": True,
        "spare_box": False,
    }
    settings.ENV = settings.ENV.model_copy(update=changed)
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(generation, "BoxPool", lambda **options: made.append(options))

    generation.box_pool.__wrapped__()

    limits = made[0].pop("limits")
    assert made == [{"budget": Footprint(3 * 1024**3), "wait_s": 77, "starter": Box.start}]
    assert (limits.memory_bytes, limits.generate_s) == (2 * 1024**3, 77)
    assert limits.allow_unprotected is True


def test_a_crash_is_named(prompted: Ask, fake_box: FakeBox) -> None:
    fake_box.error = BoxCrashedError("The model's process was ended by SIGSEGV.", detail="secret")
    run = prompted()

    run_job(job_of(run))

    run.refresh_from_db()
    assert (run.error_code, run.error) == (
        "box_crashed",
        "The model's process was ended by SIGSEGV.",
    )
    assert "secret" not in run.error + Job.objects.get().log


def test_most_of_a_card_is_for_resident_models(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ENV = settings.ENV.model_copy(update={"spare_box": False})  # nobody would end it
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(generation, "BoxPool", lambda **options: made.append(options))
    monkeypatch.setattr(generation, "card", lambda: Card("A card", 10 * 1024**3))

    generation.box_pool.__wrapped__()

    assert made[0]["budget"].card_bytes == 9 * 1024**3

"""How runs end when nobody did it properly, and when they are forgotten."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisConnectionError

from inference.models import GenerationRun
from inference.services import endings, quotas, streams
from inference.services.endings import Outcome, end, last_event, settle, settle_all
from inference.services.retention import forget_old
from inference.services.streams import Event
from store.core.histograms import FIRST_TOKEN_SECONDS, TOKENS_PER_SECOND
from store.core.models import Job

Ask = Callable[..., GenerationRun]
DONE = Outcome(state=GenerationRun.State.DONE, texts=["text"], new_tokens=3)


def test_a_run_ends_once(prompted: Ask, django_capture_on_commit_callbacks: Any) -> None:
    run = prompted()

    with django_capture_on_commit_callbacks(execute=True):
        assert end(run.pk, DONE) is True
        assert end(run.pk, Outcome(state=GenerationRun.State.FAILED, error="late")) is False
    assert end(987654, DONE) is False

    run.refresh_from_db()
    assert (run.state, run.texts, run.error) == ("done", ["text"], "")
    assert [event.kind for event in streams.read(run.public_id)] == ["done"]


def test_nobody_is_told_of_an_end_that_was_rolled_back(
    prompted: Ask, django_capture_on_commit_callbacks: Any
) -> None:
    from django.db import transaction

    run = prompted()

    with (
        django_capture_on_commit_callbacks(execute=True),
        pytest.raises(ZeroDivisionError),
        transaction.atomic(),
    ):
        end(run.pk, DONE)
        1 / 0  # noqa: B018

    run.refresh_from_db()
    assert run.state == "queued"
    assert streams.read(run.public_id) == []


def test_the_end_is_written_even_when_nobody_can_be_told(
    prompted: Ask, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    run = prompted()

    def refuse(*_args: Any) -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(streams, "publish", refuse)

    with django_capture_on_commit_callbacks(execute=True):
        assert end(run.pk, DONE) is True

    run.refresh_from_db()
    assert run.state == "done"


def test_the_run_of_a_failed_job_fails_with_its_reason(
    prompted: Ask, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.ENV = settings.ENV.model_copy(update={"rate_limits": "on", "user_tokens_per_day": 100})
    run = prompted(max_new_tokens=50)
    data = {"sequence": 0, "text": "so far", "new_tokens": 2}
    streams.publish(run.public_id, [Event("token", data, 1)])
    Job.objects.update(state="failed", error_code="gave_up", error="The worker stopped.")

    with django_capture_on_commit_callbacks(execute=True):
        settle(run.job_id or 0)

    run.refresh_from_db()
    assert (run.state, run.error_code, run.error) == ("failed", "gave_up", "The worker stopped.")
    assert (run.texts, run.new_tokens) == (["so far"], 2)
    assert quotas.left_of(run.asker, now=run.created_at) == 98
    assert last_event(run).data["error"] == "The worker stopped."


def test_an_open_job_keeps_its_run_open(prompted: Ask) -> None:
    run = prompted()

    settle(run.job_id or 0)

    assert settle_all() == 0
    run.refresh_from_db()
    assert run.state == "queued"


def test_the_sweeper_ends_every_lost_run(prompted: Ask) -> None:
    open_run, cancelled, pruned, ended = (prompted() for _ in range(4))
    Job.objects.filter(pk=cancelled.job_id).update(state="cancelled")
    Job.objects.filter(pk=pruned.job_id).delete()
    end(ended.pk, DONE)
    Job.objects.filter(pk=ended.job_id).update(state="done")

    assert settle_all() == 2
    assert settle_all() == 0

    states = {run.pk: (run.state, run.error_code) for run in GenerationRun.objects.all()}
    assert states == {
        open_run.pk: ("queued", ""),
        cancelled.pk: ("cancelled", ""),
        pruned.pk: ("failed", "lost"),
        ended.pk: ("done", ""),
    }


def test_text_that_valkey_lost_is_no_reason_to_stay_open(
    prompted: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prompted()
    Job.objects.update(state="failed", error_code="x", error="y")

    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(endings.streams, "transcript", refuse)

    assert settle_all() == 1

    run.refresh_from_db()
    assert (run.state, run.texts) == ("failed", [])


def test_prompts_are_not_kept_for_ever(prompted: Ask) -> None:
    def aged(days: float, *, user: bool, state: str = "done") -> int:
        run = prompted()
        at = timezone.now() - timedelta(days=days)
        row = GenerationRun.objects.filter(pk=run.pk)
        row.update(state=state, finished_at=None if state == "running" else at)
        if not user:
            row.update(user=None)
        return run.pk

    kept = {
        aged(29, user=True),
        aged(0.9, user=False),
        aged(40, user=True, state="running"),
        aged(40, user=False, state="running"),
    }
    aged(31, user=True)
    aged(1.1, user=False, state="failed")

    assert forget_old() == 2

    assert set(GenerationRun.objects.values_list("pk", flat=True)) == kept


def test_how_fast_it_was_is_counted_for_the_monitoring(
    prompted: Ask, django_capture_on_commit_callbacks: Any
) -> None:
    run = prompted()
    asked = run.created_at
    GenerationRun.objects.filter(pk=run.pk).update(started_at=asked + timedelta(seconds=2))
    outcome = Outcome(
        state=GenerationRun.State.DONE,
        texts=["a"],
        new_tokens=30,
        load_s=0.5,
        first_token_s=0.3,
        generate_s=2.0,
    )

    with django_capture_on_commit_callbacks(execute=True):
        assert endings.end(run.pk, outcome)
        assert not endings.end(run.pk, outcome)  # once

    (waited,) = FIRST_TOKEN_SECONDS.series()
    assert (waited.labels, sum(waited.counts)) == ({"queue": "inference"}, 1)
    assert waited.total == pytest.approx(2.8, abs=0.01)
    (speed,) = TOKENS_PER_SECOND.series()
    assert (speed.total, sum(speed.counts)) == (15, 1)

"""Asking, reading, stopping: who may, and what is refused."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisConnectionError

from accounts.models import User
from accounts.viewer import VISITOR, Viewer
from catalog.access import RepoDisabledError
from catalog.history.errors import RevisionNotFoundError
from catalog.models import Listing, ModelRepo, Ref
from inference.models import GenerationRun
from inference.services import queueing, quotas, runs, streams
from inference.services.params import InvalidParamsError, read_params
from inference.services.queueing import QueueFullError, TooManyRunsError
from inference.services.quotas import QuotaExceededError
from inference.services.runs import (
    RunNotFoundError,
    cancel,
    read,
    standing,
    submit,
)
from inference.services.streams import Event
from inference.services.weights import NotRunnableError
from store.core import jobs
from store.core.errors import TransientError
from store.core.models import Job
from tests.catalog.formats.files import gg_model, gg_tensor
from tests.factories import make_repo, proved_viewer
from tests.inference.conftest import forget_news

Ask = Callable[..., GenerationRun]


def nothing_queued() -> bool:
    """Neither a run nor a job is there, and nobody lost tokens."""
    from store.core.valkey import valkey

    spent = [int(valkey().get(key) or 0) for key in valkey().keys("tokens:*")]  # type: ignore[arg-type,union-attr]
    return not GenerationRun.objects.exists() and not Job.objects.exists() and not any(spent)


@pytest.fixture
def limits_on(settings: Any) -> None:
    """Limits with quotas a test can use up."""
    changed = {"rate_limits": "on", "visitor_tokens_per_day": 100, "user_tokens_per_day": 300}
    settings.ENV = settings.ENV.model_copy(update=changed)


def test_a_question_is_frozen_and_queued(
    prompted: Ask, tiny_repo: ModelRepo, bob: User, limits_on: None
) -> None:
    run = prompted("Once", max_new_tokens=8, seed=5, stop=["."])

    run.refresh_from_db()
    head = Ref.objects.get(repo=tiny_repo, name="refs/heads/main").commit_oid
    assert (run.state, run.prompt, run.commit_oid, run.user) == ("queued", "Once", head, bob)
    assert run.params == {
        "max_new_tokens": 8,
        "temperature": 0.8,
        "top_p": 0.95,
        "top_k": 50,
        "repetition_penalty": 1.0,
        "seed": 5,
        "num_sequences": 1,
        "stop": ["."],
        "frequency_penalty": 0.0,
        "presence_penalty": 0.0,
        "logit_bias": {},
        "logprobs": None,
        "prompt_logprobs": None,
        "score_only": False,
        "num_beams": 1,
        "length_penalty": 1.0,
        "early_stopping": False,
    }
    assert run.job is not None
    assert (run.job.name, run.job.args) == ("inference.generate", {"run_id": run.pk})
    assert (run.asker, run.reserved_tokens) == (f"user:{bob.pk}", 8)
    assert quotas.left_of(run.asker, now=run.created_at) == 292


def test_the_prompt_is_nowhere_but_in_its_row(prompted: Ask) -> None:
    run = prompted("canary 7261")

    assert run.job is not None
    assert "canary" not in str(run.job.args) + run.job.log + str(run)


def test_any_revision_can_be_asked(tiny_repo: ModelRepo, as_bob: Viewer) -> None:
    head = Ref.objects.get(repo=tiny_repo, name="refs/heads/main").commit_oid

    run = submit(as_bob, tiny_repo, head[:8], "Once", {})

    assert run.commit_oid == head


def test_new_tokens_are_bounded_by_the_context_of_the_head(
    tiny_repo: ModelRepo, as_bob: Viewer
) -> None:
    Listing.objects.update(context_length=64)

    run = submit(as_bob, tiny_repo, "", "Once", {"max_new_tokens": 500})

    assert run.params["max_new_tokens"] == 63


def test_bad_values_queue_nothing(tiny_repo: ModelRepo, as_bob: Viewer, limits_on: None) -> None:
    with pytest.raises(InvalidParamsError):
        submit(as_bob, tiny_repo, "", "Once", {"temperature": 9})
    with pytest.raises(InvalidParamsError):
        submit(as_bob, tiny_repo, "", "", {})
    with pytest.raises(RevisionNotFoundError):
        submit(as_bob, tiny_repo, "no-such-branch", "Once", {})

    assert nothing_queued()


def test_a_listing_that_cannot_run_says_why(alice: User, as_bob: Viewer) -> None:
    repo = make_repo(alice, "words", files={"README.md": b"# Words\n"})
    forget_news()

    with pytest.raises(NotRunnableError, match="no weights to run") as caught:
        submit(as_bob, repo, "", "Once", {})

    assert caught.value.extra["reason"] == "no_weights"
    assert caught.value.status == 409
    assert nothing_queued()


def test_a_model_that_is_too_large_says_so(
    tiny_repo: ModelRepo, as_bob: Viewer, settings: Any
) -> None:
    settings.ENV = settings.ENV.model_copy(update={"box_memory_bytes": 10_000})

    with pytest.raises(NotRunnableError, match="runs models of up to 10\u202fkB"):
        submit(as_bob, tiny_repo, "", "Once", {})

    assert nothing_queued()


def test_a_packed_gguf_is_judged_by_what_it_takes_unpacked(
    alice: User, as_bob: Viewer, client: Client, settings: Any
) -> None:
    elements = 4096 * 256
    tensors = [gg_tensor("w", [256, 4096], 12, 0)]  # Q4_K: 144 bytes for 256 weights
    packed = gg_model(tensors=tensors, data=bytes(4096 * 144))
    repo = make_repo(alice, "packed", files={"packed-Q4_K_M.gguf": packed})
    forget_news()
    assert len(packed) < 700_000
    settings.ENV = settings.ENV.model_copy(update={"box_memory_bytes": 2_000_000})

    with pytest.raises(NotRunnableError, match=r"takes 4\.2\s?MB of memory") as caught:
        submit(as_bob, repo, "", "Once", {})

    assert caught.value.extra["size_bytes"] == 4 * elements
    assert nothing_queued()
    page = client.get("/alice/packed/playground").text
    assert "takes 4.2\u202fMB of memory; this store runs models of up to 2\u202fMB" in page
    assert "data-playground" not in page
    settings.ENV = settings.ENV.model_copy(update={"box_memory_bytes": 5_000_000})
    assert "data-playground" in client.get("/alice/packed/playground").text
    run = submit(as_bob, repo, "", "Once", {})
    assert run.job is not None
    assert run.job.memory_bytes == 4 * elements


def test_a_repository_that_was_taken_down_runs_for_nobody(
    tiny_repo: ModelRepo, as_bob: Viewer
) -> None:
    tiny_repo.disabled_reason = "malware"
    tiny_repo.save()

    with pytest.raises(RepoDisabledError):
        submit(as_bob, tiny_repo, "", "Once", {})

    assert nothing_queued()


def test_the_quota_is_kept_and_a_refusal_costs_nothing(
    tiny_repo: ModelRepo, as_bob: Viewer, limits_on: None
) -> None:
    first = submit(as_bob, tiny_repo, "", "Once", {"max_new_tokens": 100, "num_sequences": 2})

    with pytest.raises(QuotaExceededError, match="You have 100 of 300 tokens left today"):
        submit(as_bob, tiny_repo, "", "Once", {"max_new_tokens": 101})

    assert list(GenerationRun.objects.all()) == [first]
    assert Job.objects.count() == 1
    assert submit(as_bob, tiny_repo, "", "Once", {"max_new_tokens": 100}).reserved_tokens == 100


def test_visitors_of_one_address_share_a_quota(tiny_repo: ModelRepo, limits_on: None) -> None:
    here, there = Viewer(address="192.0.2.1"), Viewer(address="192.0.2.2")
    submit(here, tiny_repo, "", "Once", {"max_new_tokens": 80}, visitor_key="one")

    with pytest.raises(QuotaExceededError):
        submit(here, tiny_repo, "", "Once", {"max_new_tokens": 30}, visitor_key="two")

    assert submit(there, tiny_repo, "", "Once", {"max_new_tokens": 30}, visitor_key="two").pk


def test_only_a_few_runs_of_a_person_are_open(prompted: Ask, tiny_repo: ModelRepo) -> None:
    for _ in range(queueing.MAX_OPEN_OF_PERSON):
        prompted()
    visitor = Viewer(address="192.0.2.1")
    for _ in range(queueing.MAX_OPEN_OF_VISITOR):
        submit(visitor, tiny_repo, "", "Once", {}, visitor_key="v")

    with pytest.raises(TooManyRunsError, match="You have 4 requests open") as caught:
        prompted()
    with pytest.raises(TooManyRunsError, match="You have 2 requests open"):
        submit(visitor, tiny_repo, "", "Once", {}, visitor_key="w")

    assert (caught.value.status, caught.value.retry_after_s) == (429, 10)
    assert GenerationRun.objects.count() == Job.objects.count() == 6
    GenerationRun.objects.filter(user=None).delete()
    assert submit(visitor, tiny_repo, "", "Once", {}, visitor_key="w").pk


def test_a_full_queue_asks_everybody_to_come_back(
    prompted: Ask, as_alice: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueing, "MAX_WAITING", 1)
    prompted()

    with pytest.raises(QueueFullError):
        prompted(viewer=as_alice)

    assert GenerationRun.objects.count() == Job.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_eight_requests_at_once_stay_within_the_limit(
    tiny_repo: ModelRepo, as_bob: Viewer, in_threads: Callable[..., list[Any]]
) -> None:
    def ask(_number: int) -> bool:
        try:
            submit(as_bob, tiny_repo, "", "Once", {})
        except TooManyRunsError:
            return False
        else:
            return True
        finally:
            connection.close()

    assert sum(in_threads(ask, 8)) == queueing.MAX_OPEN_OF_PERSON
    assert GenerationRun.objects.count() == queueing.MAX_OPEN_OF_PERSON


def test_without_valkey_nothing_is_queued(
    tiny_repo: ModelRepo, as_bob: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(quotas, "reserve", refuse)

    with pytest.raises(TransientError, match="cannot be reached"):
        submit(as_bob, tiny_repo, "", "Once", {})

    assert nothing_queued()


def test_tokens_come_back_when_the_row_cannot_be_written(
    tiny_repo: ModelRepo, as_bob: Viewer, limits_on: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(queueing, "enqueue", fail)

    with pytest.raises(ZeroDivisionError):
        submit(as_bob, tiny_repo, "", "Once", {"max_new_tokens": 300})

    assert nothing_queued()


def test_a_call_of_several_prompts_is_queued_whole_or_not_at_all(
    tiny_repo: ModelRepo, as_bob: Viewer, limits_on: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, made = queueing.enqueue, []

    def fail_at_the_third(*args: Any, **kwargs: Any) -> Job:
        made.append(1)
        if len(made) == 3:
            raise ZeroDivisionError
        return plain(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(queueing, "enqueue", fail_at_the_third)
        with pytest.raises(ZeroDivisionError):
            runs.submit_all(as_bob, tiny_repo, "", ["a", "b", "c"], {"max_new_tokens": 100})
    assert nothing_queued()

    queued = runs.submit_all(as_bob, tiny_repo, "", ["a", "b", "c"], {"max_new_tokens": 100})

    assert [run.prompt for run in queued] == ["a", "b", "c"]
    assert [run.reserved_tokens for run in queued] == [100, 100, 100]
    assert quotas.left_of(queued[0].payer, now=queued[0].created_at) == 0


# ── reading ─────────────────────────────────────────────────────────────────────────────────────


def test_only_the_asker_reads_a_run(
    prompted: Ask, as_alice: Viewer, as_bob: Viewer, staff: User
) -> None:
    run = prompted()

    assert read(as_bob, run.public_id).pk == run.pk
    for other in (as_alice, proved_viewer(staff), VISITOR):
        with pytest.raises(RunNotFoundError) as hidden:
            read(other, run.public_id, "guess")
        with pytest.raises(RunNotFoundError) as absent:
            read(other, "0" * 24, "guess")
        assert (hidden.value.message, hidden.value.extra) == (
            absent.value.message,
            absent.value.extra,
        )


def test_a_visitor_reads_with_the_key_of_the_session(tiny_repo: ModelRepo, as_bob: Viewer) -> None:
    visitor = Viewer(address="192.0.2.1")
    run = submit(visitor, tiny_repo, "", "Once", {}, visitor_key="secret")

    assert run.visitor_key != "secret"
    assert read(visitor, run.public_id, "secret").pk == run.pk
    assert read(as_bob, run.public_id, "secret").pk == run.pk  # signed in meanwhile
    for key in ("", "Secret", run.visitor_key):
        with pytest.raises(RunNotFoundError):
            read(visitor, run.public_id, key)


def test_a_run_without_any_key_opens_to_nobody(tiny_repo: ModelRepo) -> None:
    run = submit(VISITOR, tiny_repo, "", "Once", {})

    with pytest.raises(RunNotFoundError):
        read(VISITOR, run.public_id, "")


# ── stopping ────────────────────────────────────────────────────────────────────────────────────


def test_a_waiting_run_is_taken_back(
    prompted: Ask, as_bob: Viewer, limits_on: None, django_capture_on_commit_callbacks: Any
) -> None:
    run = prompted(max_new_tokens=100)

    with django_capture_on_commit_callbacks(execute=True):
        assert cancel(as_bob, run) is True

    assert (run.state, run.texts, run.reserved_tokens) == ("cancelled", [], 0)
    assert run.finished_at is not None
    assert Job.objects.get().state == "cancelled"
    assert quotas.left_of(run.asker, now=run.created_at) == 300
    assert [event.kind for event in streams.read(run.public_id)] == ["done"]
    assert jobs.claim(run.job_id or 0) is None


def test_a_running_run_keeps_what_it_wrote(
    prompted: Ask, as_bob: Viewer, limits_on: None, django_capture_on_commit_callbacks: Any
) -> None:
    run = prompted(max_new_tokens=100)
    GenerationRun.objects.update(state="running")
    data = {"sequence": 0, "text": "so far", "new_tokens": 2}
    streams.publish(run.public_id, [Event("token", data, 1)])

    with django_capture_on_commit_callbacks(execute=True):
        assert cancel(as_bob, run) is True

    assert (run.texts, run.finish_reasons, run.new_tokens) == (["so far"], ["cancelled"], 2)
    assert streams.is_asked_to_stop(run.public_id)
    assert quotas.left_of(run.asker, now=run.created_at) == 298


def test_an_ended_run_is_not_stopped_again(prompted: Ask, as_bob: Viewer) -> None:
    run = prompted()
    GenerationRun.objects.update(state="done", texts=["all of it"])
    run.refresh_from_db()

    assert cancel(as_bob, run) is False

    assert (run.state, run.texts) == ("done", ["all of it"])


def test_strangers_and_staff_stop_nothing(prompted: Ask, as_alice: Viewer, staff: User) -> None:
    run = prompted()

    for other in (as_alice, proved_viewer(staff), VISITOR):
        with pytest.raises(RunNotFoundError):
            cancel(other, run, "guess")

    run.refresh_from_db()
    assert run.state == "queued"
    assert not streams.is_asked_to_stop(run.public_id)


def test_a_run_cannot_be_stopped_without_valkey(
    prompted: Ask, as_bob: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prompted()

    def refuse(*_args: Any) -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(streams, "ask_to_stop", refuse)

    with pytest.raises(TransientError):
        cancel(as_bob, run)

    run.refresh_from_db()
    assert run.state == "queued"


# ── waiting ─────────────────────────────────────────────────────────────────────────────────────


def ended(run: GenerationRun, took_s: float) -> None:
    """Make ``run`` one that took so long."""
    now = timezone.now()
    GenerationRun.objects.filter(pk=run.pk).update(
        state="done", started_at=now - timedelta(seconds=took_s), finished_at=now
    )
    Job.objects.filter(pk=run.job_id).update(state="done", finished_at=now)


def test_the_wait_is_worked_out_from_recent_runs(prompted: Ask, as_alice: Viewer) -> None:
    for took_s in (1, 2, 30):
        ended(prompted(), took_s)
    running, first, second = prompted(), prompted(), prompted(viewer=as_alice)
    Job.objects.filter(pk=running.job_id).update(state="running")
    GenerationRun.objects.filter(pk=running.pk).update(state="running")
    for run in (running, first, second):
        run.refresh_from_db()

    places = [standing(run) for run in (running, first, second)]

    assert [(place.state, place.ahead) for place in places] == [
        ("running", 0),
        ("queued", 0),
        ("queued", 1),
    ]
    assert places[0].expected_wait_s is None
    assert places[1].expected_wait_s == pytest.approx(2)  # the one that runs
    assert places[2].expected_wait_s == pytest.approx(4)


def test_with_a_free_worker_the_next_one_starts_at_once(prompted: Ask) -> None:
    for took_s in (3, 3, 3):
        ended(prompted(), took_s)
    first, second = prompted(), prompted()

    assert standing(first).expected_wait_s == 0
    assert standing(second).expected_wait_s == pytest.approx(3)


def test_nothing_is_promised_without_experience(prompted: Ask) -> None:
    ended(prompted(), 3)

    place = standing(prompted())

    assert (place.state, place.ahead, place.expected_wait_s) == ("queued", 0, None)


def test_a_run_whose_job_is_gone_stands_nowhere(prompted: Ask) -> None:
    run = prompted()
    Job.objects.all().delete()
    run.refresh_from_db()

    assert standing(run).ahead == 0


def test_parameters_may_come_checked(tiny_repo: ModelRepo, as_bob: Viewer) -> None:
    run = submit(as_bob, tiny_repo, "", "Once", read_params({"seed": 9}))

    assert run.params["seed"] == 9

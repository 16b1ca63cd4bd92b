"""Asking for evaluations: who may, what is kept, whose turn it is, and what nobody can undo."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client, RequestFactory
from django.utils import timezone

from accounts.models import User
from accounts.services.profile import delete_account
from accounts.viewer import VISITOR, Viewer
from catalog.access import GatedRepoError, PurchaseRequiredError
from catalog.models import Grant, GrantedRepo, ModelRepo
from inference.models import EvaluationNote, EvaluationRun, EvaluationShard, Sample, Score, Suite
from inference.services import (
    datasets,
    evaluation_queue,
    evaluations,
    store_runs,
    suites,
    weights,
)
from inference.services.evaluation_progress import progress_of
from inference.services.evaluations import (
    EvaluationNotFoundError,
    EvaluationOpenError,
    ScoresOnlyError,
    TooManyEvaluationsError,
)
from inference.services.suites import SuiteNotFoundError
from inference.services.weights import NotRunnableError
from licensing.services import trials
from store.core import jobs, placing
from store.core.errors import ForbiddenError, InvalidError, UnauthenticatedError
from store.core.jobs import JobName
from store.core.models import Job
from store.core.presence import Worker
from tests.factories import PASSWORD, add_files, make_repo, make_user, proved_viewer
from tests.inference.conftest import forget_news
from tests.inference.test_trials import sell

Bearer = Callable[..., dict[str, str]]
DATA = b'{"prompt": "Once", "answer": "upon"}\n{"prompt": "A", "answer": "b"}\n'


@pytest.fixture
def quick(db: None) -> Suite:
    """The suite every revision gets."""
    return suites.builtin("quick")


@pytest.fixture
def own(as_bob: Viewer) -> Suite:
    """Bob's own data set."""
    return datasets.add_dataset(as_bob, "mine", DATA)


def ended(run: EvaluationRun, state: str = "done") -> EvaluationRun:
    """Let a run end without any work."""
    Job.objects.filter(pk=run.job_id).update(state="done")
    EvaluationRun.objects.filter(pk=run.pk).update(state=state, finished_at=timezone.now())
    run.refresh_from_db()
    return run


def test_a_run_is_asked_for_once_in_public(
    as_bob: Viewer, as_alice: Viewer, tiny_repo: ModelRepo, quick: Suite
) -> None:
    run, is_new = evaluations.ask(as_bob, tiny_repo, quick)
    again, is_again_new = evaluations.ask(as_alice, tiny_repo, quick)

    assert (is_new, is_again_new, again) == (True, False, run)
    assert (run.is_public, run.asked_by, run.state) == (True, as_bob.user, "queued")
    job = Job.objects.get()
    assert (job.name, job.args, run.job) == (JobName.EVALUATE, {"run_id": run.pk}, job)
    ended(run)
    assert evaluations.ask(as_alice, tiny_repo, quick) == (run, False)
    ended(run, "failed")
    assert evaluations.ask(as_alice, tiny_repo, quick)[1]


def test_an_own_data_set_makes_a_private_run(
    as_bob: Viewer, as_alice: Viewer, staff: User, tiny_repo: ModelRepo, own: Suite
) -> None:
    run, is_new = evaluations.ask(as_bob, tiny_repo, own)

    assert (is_new, run.is_public) == (True, False)
    assert evaluations.ask(as_bob, tiny_repo, own) == (run, False)
    assert evaluations.read(as_bob, run.public_id) == run
    for other in (as_alice, VISITOR, proved_viewer(staff)):
        assert not evaluations.visible_runs(other, tiny_repo).exists()
        with pytest.raises(EvaluationNotFoundError) as hidden:
            evaluations.read(other, run.public_id)
        with pytest.raises(EvaluationNotFoundError) as absent:
            evaluations.read(other, "nothing")
        assert hidden.value.message == absent.value.message
    with pytest.raises(SuiteNotFoundError):
        evaluations.ask(as_alice, tiny_repo, own)
    assert EvaluationRun.objects.count() == 1


@pytest.mark.parametrize("who", ["visitor", "stranger"])
def test_a_gate_and_a_closed_door_hold(
    who: str, as_bob: Viewer, tiny_repo: ModelRepo, quick: Suite
) -> None:
    ModelRepo.objects.update(gate=ModelRepo.Gate.MANUAL)
    tiny_repo.refresh_from_db()

    with pytest.raises(UnauthenticatedError if who == "visitor" else GatedRepoError):
        evaluations.ask(VISITOR if who == "visitor" else as_bob, tiny_repo, quick)

    assert not EvaluationRun.objects.exists()
    assert not Job.objects.exists()


def test_a_public_run_of_a_private_model_is_as_hidden_as_the_model(
    as_alice: Viewer, as_bob: Viewer, tiny_repo: ModelRepo, quick: Suite
) -> None:
    ModelRepo.objects.update(is_private=True)
    tiny_repo.refresh_from_db()
    run, _ = evaluations.ask(as_alice, tiny_repo, quick)

    assert evaluations.read(as_alice, run.public_id) == run
    with pytest.raises(EvaluationNotFoundError):
        evaluations.read(as_bob, run.public_id)


def test_a_sold_model_is_judged_by_a_buyers_data_set_in_scores_only(
    as_bob: Viewer, as_alice: Viewer, tiny_repo: ModelRepo, quick: Suite, own: Suite
) -> None:
    offer = sell(tiny_repo, 0)
    tiny_repo.refresh_from_db()
    with pytest.raises(PurchaseRequiredError):
        evaluations.ask(as_bob, tiny_repo, own)  # its seller lets nobody try it
    assert not EvaluationRun.objects.exists()
    type(offer).objects.update(trial_tokens=200)
    with pytest.raises(PurchaseRequiredError):
        evaluations.ask(as_bob, tiny_repo, quick)

    run, _ = evaluations.ask(as_bob, tiny_repo, own)

    run.state = EvaluationRun.State.DONE
    with pytest.raises(ScoresOnlyError):
        evaluations.samples(run)
    hers, _ = evaluations.ask(as_alice, tiny_repo, datasets.add_dataset(as_alice, "a", DATA))
    hers.state = EvaluationRun.State.DONE
    assert evaluations.samples(hers).count() == 0


def test_a_trial_takes_demo_tokens_as_its_rows_cost_and_gives_them_back(
    client: Client, bearer: Bearer, bob: User, as_bob: Viewer, tiny_repo: ModelRepo, own: Suite
) -> None:
    sell(tiny_repo, 130)
    choices = datasets.add_dataset(
        as_bob, "c", b'{"prompt": "Once", "choices": ["a", "b", "c"], "answer": 0}'
    )
    headers, asker = bearer(bob, "write"), f"user:{bob.pk}"

    def ask(suite: Suite) -> Any:
        return client.post(
            "/api/v1/models/alice/tiny/evaluations",
            {"suite": suite.key},
            content_type="application/json",
            headers=headers,
        )

    first = ask(own)
    assert (first.status_code, trials.left(tiny_repo, asker)) == (201, 2)  # 64 for an answer
    refused = ask(choices)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "trial_used_up")
    assert EvaluationRun.objects.count() == Job.objects.count() == 1
    assert trials.left(tiny_repo, asker) == 2

    run = EvaluationRun.objects.get()
    Job.objects.update(state="failed", error_code="broken", error="No.")
    evaluation_queue.settle(run.job_id or 0)
    evaluation_queue.settle(run.job_id or 0)
    assert trials.left(tiny_repo, asker) == 130
    url = f"/api/v1/evaluations/{run.public_id}"
    assert ask(choices).status_code == 201
    assert trials.left(tiny_repo, asker) == 127
    again = client.post(f"{url}/retry", headers=headers)
    assert again.json()["error"]["code"] == "trial_used_up"
    run.refresh_from_db()
    assert (run.state, trials.left(tiny_repo, asker)) == ("failed", 127)


def test_a_trial_that_is_stopped_or_used_up(
    as_bob: Viewer, bob: User, tiny_repo: ModelRepo, own: Suite
) -> None:
    sell(tiny_repo, 128)
    asker = f"user:{bob.pk}"
    run, _ = evaluations.ask(as_bob, tiny_repo, own)

    assert evaluations.cancel(as_bob, run)
    assert trials.left(tiny_repo, asker) == 128
    evaluations.retry(as_bob, run)
    assert trials.left(tiny_repo, asker) == 0
    ended(run)
    with pytest.raises(PurchaseRequiredError):
        evaluations.ask(as_bob, tiny_repo, own)

    assert EvaluationRun.objects.count() == 1


def test_a_holder_may_have_a_sold_model_judged(
    as_bob: Viewer, bob: User, tiny_repo: ModelRepo, quick: Suite
) -> None:
    sell(tiny_repo, 0)
    grant = Grant.objects.create(holder=bob.namespace)
    GrantedRepo.objects.create(grant=grant, repo=tiny_repo)
    tiny_repo.refresh_from_db()

    assert evaluations.ask(Viewer(user=bob), tiny_repo, quick)[1]


def test_what_cannot_run_is_refused_and_nothing_is_queued(
    as_alice: Viewer, alice: User, quick: Suite
) -> None:
    repo = make_repo(alice, "words")
    add_files(alice, repo, {"README.md": b"hello"})
    forget_news()

    with pytest.raises(NotRunnableError):
        evaluations.ask(as_alice, repo, quick)

    assert not EvaluationRun.objects.exists()


def test_nobody_asks_for_too_much(
    as_bob: Viewer, tiny_repo: ModelRepo, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluations, "MAX_OPEN_OF_PERSON", 2)
    first = evaluations.ask(as_bob, tiny_repo, suites.builtin("quick"))[0]
    evaluations.ask(as_bob, tiny_repo, suites.builtin("bias"))
    with pytest.raises(TooManyEvaluationsError):
        evaluations.ask(as_bob, tiny_repo, suites.builtin("text"))
    ended(first)
    settings.ENV = settings.ENV.model_copy(update={"user_evaluations_per_day": 2})
    with pytest.raises(TooManyEvaluationsError) as refused:
        evaluations.ask(as_bob, tiny_repo, suites.builtin("text"))
    assert refused.value.extra["limit"] == 2
    assert EvaluationRun.objects.count() == 2

    EvaluationRun.objects.update(created_at=timezone.now() - timedelta(days=2))
    assert evaluations.ask(as_bob, tiny_repo, suites.builtin("text"))[1]


def test_one_runs_at_a_time_people_first_and_in_turn(
    as_bob: Viewer, as_alice: Viewer, tiny_repo: ModelRepo
) -> None:
    keys = [suite.key for suite in suites.sync()]
    commit = evaluations.ask(as_bob, tiny_repo, suites.builtin(keys[0]))[0].commit_oid
    store = evaluations.ask_for_store(tiny_repo, commit, suites.builtin(keys[1]))
    bobs = [evaluations.ask(as_bob, tiny_repo, suites.builtin(key))[0] for key in keys[2:4]]
    alices = evaluations.ask(as_alice, tiny_repo, suites.builtin(keys[4]))[0]
    assert [evaluation_queue.place_of(run) for run in (*bobs, alices, store)] == [0, 1, 2, 3]

    order = []
    while (
        run := EvaluationRun.objects.filter(state="queued", job__isnull=False).first()
    ) is not None:
        EvaluationRun.objects.filter(pk=run.pk).update(started_at=timezone.now())
        order.append(ended(run).pk)
        evaluation_queue.dispatch()

    assert order[1:] == [alices.pk, bobs[0].pk, bobs[1].pk, store.pk]


def test_its_worker_has_memory_for_the_model(
    as_bob: Viewer, tiny_repo: ModelRepo, quick: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = [
        Worker("small", ("inference",), memory_bytes=1),
        Worker("large", ("inference-gpu",), memory_bytes=10**12),
    ]
    monkeypatch.setattr(placing, "present", lambda: there)

    run, _ = evaluations.ask(as_bob, tiny_repo, quick)

    assert run.job is not None
    assert run.job.memory_bytes == weights.least_memory(tiny_repo, run.commit_oid) > 1
    assert run.job.queue == "inference-gpu"


def test_the_place_is_kept_when_a_job_is_lost(
    as_bob: Viewer, tiny_repo: ModelRepo, quick: Suite
) -> None:
    run, _ = evaluations.ask(as_bob, tiny_repo, quick)
    other, _ = evaluations.ask(as_bob, tiny_repo, suites.builtin("bias"))
    Job.objects.filter(pk=run.job_id).update(state="failed", error_code="gave_up", error="Why.")

    assert evaluation_queue.settle_all() == 1

    run.refresh_from_db()
    other.refresh_from_db()
    assert (run.state, run.error_code, run.error) == ("failed", "gave_up", "Why.")
    assert other.job is not None
    Job.objects.filter(pk=other.job_id).delete()
    EvaluationRun.objects.filter(pk=other.pk).update(state="running")
    assert evaluation_queue.settle_all() == 1
    other.refresh_from_db()
    assert (other.state, other.error_code) == ("failed", "lost")


def test_a_publisher_cannot_stop_or_change_a_run_of_the_store(
    as_alice: Viewer, as_bob: Viewer, staff: User, tiny_repo: ModelRepo, quick: Suite
) -> None:
    commit = evaluations.ask(as_bob, tiny_repo, suites.builtin("bias"))[0].commit_oid
    run = evaluations.ask_for_store(tiny_repo, commit, quick)

    with pytest.raises(ForbiddenError):
        evaluations.cancel(as_alice, run)
    with pytest.raises(EvaluationOpenError):
        evaluations.retry(as_alice, run)
    with pytest.raises(ForbiddenError):
        evaluations.retry(as_bob, run)

    run.refresh_from_db()
    assert run.state == "queued"
    assert evaluations.cancel(proved_viewer(staff), run)
    assert run.state == "cancelled"
    assert not evaluations.cancel(proved_viewer(staff), run)


def test_what_its_publisher_asked_for_first_becomes_the_stores_own(
    client: Client, bearer: Bearer, alice: User, as_alice: Viewer, tiny_repo: ModelRepo,
    quick: Suite,
) -> None:  # fmt: skip
    run, _ = evaluations.ask(as_alice, tiny_repo, quick)
    waiting, _ = evaluations.ask(as_alice, tiny_repo, suites.builtin("bias"))
    job = Job.objects.get(pk=run.job_id)
    headers = bearer(alice, "write")

    for each in (run, waiting):
        assert evaluations.ask_for_store(tiny_repo, each.commit_oid, each.suite) == each
        refused = client.post(f"/api/v1/evaluations/{each.public_id}/cancel", headers=headers)
        assert refused.status_code == 403
    hidden = client.post(f"/api/v1/jobs/{job.pk}/cancel", headers=headers)

    assert hidden.status_code == 404
    for each in (run, waiting):
        each.refresh_from_db()
    job.refresh_from_db()
    assert run.state == waiting.state == job.state == "queued"
    assert (run.asked_by, run.job, job.asker) == (None, job, "")
    assert client.get(f"/api/v1/evaluations/{run.public_id}").json()["by_store"]


def test_what_a_person_stopped_is_no_run_of_the_stores(
    as_alice: Viewer, tiny_repo: ModelRepo, quick: Suite
) -> None:
    stopped, _ = evaluations.ask(as_alice, tiny_repo, quick)
    assert evaluations.cancel(as_alice, stopped)
    asked, _ = evaluations.ask(as_alice, tiny_repo, quick)
    jobs.cancel(asked.job_id or 0)  # over the jobs page, a moment before its run is told

    taken = evaluations.ask_for_store(tiny_repo, asked.commit_oid, quick)
    evaluation_queue.settle(asked.job_id or 0)

    taken.refresh_from_db()
    assert taken == asked != stopped
    assert (taken.state, taken.asked_by) == ("queued", None)
    assert taken.job is not None
    assert taken.job.is_open


def test_a_failed_run_is_done_again_from_where_it_was(
    as_alice: Viewer, as_bob: Viewer, tiny_repo: ModelRepo, quick: Suite
) -> None:
    run = ended(evaluations.ask(as_bob, tiny_repo, quick)[0], "failed")
    EvaluationShard.objects.create(
        run=run, number=0, task="novels", first=0, count=4, done_at=timezone.now()
    )

    again = evaluations.retry(as_alice, run)

    assert (again.pk, again.state, again.error, again.finished_at) == (run.pk, "queued", "", None)
    assert (again.job is not None, again.shards.filter(done_at=None).count()) == (True, 0)
    ended(again, "failed")
    evaluations.ask(as_bob, tiny_repo, quick)
    with pytest.raises(EvaluationOpenError):
        evaluations.retry(as_alice, run)


def test_only_publisher_and_staff_note_something_on_a_public_run(
    as_alice: Viewer, as_bob: Viewer, staff: User, tiny_repo: ModelRepo, quick: Suite, own: Suite
) -> None:
    run, _ = evaluations.ask(as_bob, tiny_repo, quick)
    private, _ = evaluations.ask(as_bob, tiny_repo, own)

    evaluations.add_note(as_alice, run, "It expects a chat template.")
    evaluations.add_note(proved_viewer(staff), run, "Noted.")

    for viewer, about, text, error in (
        (as_bob, run, "no", ForbiddenError),
        (VISITOR, run, "no", UnauthenticatedError),
        (as_bob, private, "no", ForbiddenError),
        (as_alice, run, "  ", InvalidError),
        (as_alice, run, "x" * 4001, InvalidError),
    ):
        with pytest.raises(error):
            evaluations.add_note(viewer, about, text)
    notes = EvaluationNote.objects.order_by("pk").values_list("author__username", "text")
    assert list(notes) == [("alice", "It expects a chat template."), ("carol", "Noted.")]


def test_the_administration_only_reads_and_sees_no_private_run(
    as_bob: Viewer, staff: User, tiny_repo: ModelRepo, quick: Suite, own: Suite
) -> None:
    run, _ = evaluations.ask(as_bob, tiny_repo, quick)
    evaluations.ask(as_bob, tiny_repo, own)
    request = RequestFactory().get("/")
    request.user = staff

    for model, shown in (
        (EvaluationRun, {run}),
        (Suite, set(Suite.objects.filter(is_public=True))),
    ):
        page = admin.site._registry[model]
        assert set(page.get_queryset(request)) == shown
        assert not page.has_change_permission(request)
        assert not page.has_delete_permission(request)
        assert not page.has_add_permission(request)


def test_who_leaves_takes_private_runs_along_and_leaves_public_ones(
    as_bob: Viewer, bob: User, tiny_repo: ModelRepo, quick: Suite, own: Suite
) -> None:
    public, _ = evaluations.ask(as_bob, tiny_repo, quick)
    evaluations.ask(as_bob, tiny_repo, own)
    Score.objects.create(run=public, task="t", metric="m", value=1.0)

    delete_account(bob, confirmation="bob", password=PASSWORD)

    run = EvaluationRun.objects.get()
    assert (run.pk, run.asked_by, run.scores.count()) == (public.pk, None, 1)
    assert not Suite.objects.filter(kind="dataset").exists()


def test_progress_tells_what_is_left(as_bob: Viewer, tiny_repo: ModelRepo, quick: Suite) -> None:
    run, _ = evaluations.ask(as_bob, tiny_repo, quick)
    assert progress_of(run).seconds_left is None
    for number, (task, count, took) in enumerate(
        [("a", 10, 5.0), ("a", 10, None), ("b", 20, None)]
    ):
        EvaluationShard.objects.create(
            run=run,
            number=number,
            task=task,
            first=0,
            count=count,
            seconds=took,
            done_at=timezone.now() if took else None,
        )

    found = progress_of(run)

    assert (found.done, found.total, found.share, found.seconds_left) == (10, 40, 0.25, 15.0)


# ── by the store itself ─────────────────────────────────────────────────────────────────────────


@pytest.fixture
def by_store(settings: Any) -> None:
    """The site measures each new revision."""
    settings.ENV = settings.ENV.model_copy(update={"evaluate_on_publish": ("quick", "absent")})


def test_each_new_revision_is_measured_by_the_store(
    by_store: None, alice: User, tiny_folder: Any, run_news: Callable[[], None]
) -> None:
    from catalog.services.folders import files_of, publish_files

    repo = make_repo(alice, "tiny")
    add_files(alice, repo, {"README.md": b"soon"})
    run_news()
    assert not EvaluationRun.objects.exists()  # there is nothing to run yet

    publish_files(Viewer(user=alice), repo, files_of(tiny_folder), title="Add the model")
    run_news()

    run = EvaluationRun.objects.get()
    assert (run.asked_by, run.is_public, run.suite.key) == (None, True, "quick")
    assert run.commit_oid == repo.listing.head_oid or run.commit_oid
    store_runs.evaluate_head(repo.pk)
    assert EvaluationRun.objects.count() == 1


def test_a_newer_revision_takes_the_waiting_run_of_the_older_back(
    by_store: None, alice: User, tiny_repo: ModelRepo, as_bob: Viewer
) -> None:
    evaluations.ask(as_bob, tiny_repo, suites.builtin("bias"))  # the one whose turn it is
    store_runs.evaluate_head(tiny_repo.pk)
    old = EvaluationRun.objects.get(asked_by=None)

    add_files(alice, tiny_repo, {"README.md": b"newer"})
    store_runs.evaluate_head(tiny_repo.pk)

    old.refresh_from_db()
    assert (old.state, old.error_code) == ("cancelled", "superseded")
    assert EvaluationRun.objects.filter(asked_by=None, state="queued").count() == 1


@pytest.fixture
def run_news() -> Callable[[], None]:
    """Let what happened be told, as the workers do."""
    from workers.runner import run_job

    def run() -> None:
        for job in Job.objects.filter(name=JobName.SPREAD_EVENT, state="queued"):
            run_job(job.pk)

    return run


def test_samples_come_in_order_and_by_task(
    as_bob: Viewer, tiny_repo: ModelRepo, quick: Suite
) -> None:
    run, _ = evaluations.ask(as_bob, tiny_repo, quick)
    for task, index in (("b", 0), ("a", 0), ("a", 1)):
        Sample.objects.create(run=run, task=task, index=index, prompt="p")
    run.state = EvaluationRun.State.DONE

    assert [(row.task, row.index) for row in evaluations.samples(run)] == [
        ("b", 0),
        ("a", 0),
        ("a", 1),
    ]
    assert evaluations.samples(run, "a").count() == 2
    assert make_user("dora")

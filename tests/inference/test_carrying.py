"""A new README is no new model: what was measured is carried over, and says so; else anew."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import VISITOR, Viewer
from catalog.models import Listing, ModelRepo
from inference.models import EvaluationNote, EvaluationRun, EvaluationShard, Sample, Score, Suite
from inference.services import (
    comparing,
    datasets,
    evaluation_queue,
    evaluations,
    leaderboards,
    scoreboards,
    store_runs,
    suites,
)
from inference.services.carrying import file_facts
from inference.services.evaluation_progress import progress_of
from inference.services.weights import needed_files
from tests.factories import add_files
from tests.inference.measured import add_samples, add_shards, make_run

BASE = "/alice/tiny/evaluations"


@pytest.fixture
def suite(db: None) -> Suite:
    return suites.builtin("copying")


def measured(repo: ModelRepo, suite: Suite, value: float = 0.5, **changes: Any) -> EvaluationRun:
    """A finished run of the head, with the record a worker leaves."""
    head = Listing.objects.get(repo=repo).head_oid
    record = {"revision": head, "files": file_facts(needed_files(repo, head)), "seed": 7}
    return make_run(repo, suite, value, samples=2, record=record, **changes)


@pytest.fixture
def first(tiny_repo: ModelRepo, suite: Suite) -> EvaluationRun:
    """What was measured of the first revision."""
    run = measured(tiny_repo, suite)
    add_samples(run, [1.0, 0.0])
    add_shards(run, done=1, total=1, count=2)
    return run


def changed(alice: User, repo: ModelRepo, **files: bytes) -> str:
    """The commit with these files anew; ``__`` stands for a dot."""
    return add_files(alice, repo, {name.replace("__", "."): body for name, body in files.items()})


def test_a_new_readme_carries_the_result_over(
    alice: User, tiny_repo: ModelRepo, suite: Suite, first: EvaluationRun
) -> None:
    oid = changed(alice, tiny_repo, README__md=b"# Better words\n")

    run = evaluations.ask_for_store(tiny_repo, oid, suite)

    assert (run.state, run.commit_oid, run.job, run.carried_from) == ("done", oid, None, first)
    assert (run.finished_at, run.record) == (first.finished_at, first.record)
    (copy,) = run.scores.all()
    (score,) = first.scores.all()
    names = [field.name for field in Score._meta.fields if field.name not in {"id", "run"}]
    assert [getattr(copy, name) for name in names] == [getattr(score, name) for name in names]
    assert (Sample.objects.count(), EvaluationShard.objects.count()) == (2, 1)  # none was copied
    assert list(evaluations.samples(run)) == list(first.samples.order_by("pk"))
    assert (progress_of(run).done, progress_of(run).total) == (2, 2)
    assert evaluations.ask_for_store(tiny_repo, oid, suite) == run
    third = changed(alice, tiny_repo, README__md=b"# Best words\n")
    assert evaluations.ask_for_store(tiny_repo, third, suite).carried_from == first  # not a chain


@pytest.mark.parametrize(
    "name",
    ["config.json", "generation_config.json", "tokenizer_config.json", "chat_template.jinja"],
)
def test_whatever_the_model_is_loaded_from_is_measured_anew(
    alice: User,
    tiny_repo: ModelRepo,
    tiny_folder: Path,
    suite: Suite,
    first: EvaluationRun,
    name: str,
) -> None:
    body, other = b"{{ messages[0].content }}", b"{{ messages[-1].content }}"
    if name.endswith(".json"):
        path = tiny_folder / name
        known = json.loads(path.read_text()) if path.exists() else {}
        body, other = (json.dumps(known | {"max_new_tokens": n}).encode() for n in (7, 8))
    oid = add_files(alice, tiny_repo, {name: body})

    run = evaluations.ask_for_store(tiny_repo, oid, suite)

    assert (run.state, run.carried_from) == ("queued", None)
    assert run.job is not None
    assert not run.scores.exists()
    back = add_files(alice, tiny_repo, {name: other, "README.md": b"other"})
    assert evaluations.ask_for_store(tiny_repo, back, suite).carried_from is None


def test_a_changed_tokenizer_is_measured_anew(
    alice: User, tiny_repo: ModelRepo, tiny_folder: Path, suite: Suite, first: EvaluationRun
) -> None:
    words = json.loads((tiny_folder / "tokenizer.json").read_text())
    oid = changed(alice, tiny_repo, tokenizer__json=json.dumps(words, indent=3).encode())

    run = evaluations.ask_for_store(tiny_repo, oid, suite)

    assert (run.state, run.carried_from, run.scores.count()) == ("queued", None, 0)


def test_what_is_done_while_another_waits_ends_that_in_its_turn(
    alice: User, as_bob: Viewer, tiny_repo: ModelRepo, suite: Suite
) -> None:
    other, _ = evaluations.ask(as_bob, tiny_repo, suites.builtin("bias"))  # whose turn it is
    oid = changed(alice, tiny_repo, README__md=b"# Better words\n")
    waiting = evaluations.ask_for_store(tiny_repo, oid, suite)
    assert (waiting.state, waiting.job) == ("queued", None)
    add_shards(waiting, done=1, total=2)  # it was begun once
    old = measured(tiny_repo, suite, commit_oid="0" * 40)

    evaluations.cancel(as_bob, other)

    waiting.refresh_from_db()
    assert (waiting.state, waiting.carried_from, waiting.job) == ("done", old, None)
    assert waiting.scores.count() == 1
    assert not waiting.shards.exists()
    assert evaluation_queue.dispatch() == 0


def test_private_results_and_failures_are_not_carried_over(
    alice: User, as_bob: Viewer, tiny_repo: ModelRepo, suite: Suite
) -> None:
    own = datasets.add_dataset(as_bob, "mine", b'{"prompt": "Once", "answer": "upon"}\n')
    measured(tiny_repo, own, asked_by=as_bob.user, is_public=False)
    measured(tiny_repo, suite, state=EvaluationRun.State.FAILED)
    changed(alice, tiny_repo, README__md=b"# Better words\n")

    mine, _ = evaluations.ask(as_bob, tiny_repo, own)
    anew, is_new = evaluations.ask(as_bob, tiny_repo, suite)

    assert (mine.state, mine.carried_from) == ("queued", None)
    assert (anew.state, anew.carried_from, is_new) == ("queued", None, True)


def test_it_is_shown_as_what_it_is(
    alice: User, tiny_repo: ModelRepo, suite: Suite, first: EvaluationRun, client: Client
) -> None:
    note = evaluations.add_note(Viewer(user=alice), first, "The prompt lacks a space.")
    oid = changed(alice, tiny_repo, README__md=b"# Better words\n")
    run = evaluations.ask_for_store(tiny_repo, oid, suite)
    other = evaluations.add_note(Viewer(user=alice), run, "It still does.")

    (line,) = scoreboards.score_card(tiny_repo, oid)
    said = comparing.answers_side_by_side(comparing.compare(VISITOR, ["alice/tiny"]).columns)

    assert (line.run, line.is_head, len(line.history)) == (run, True, 2)
    assert said is not None
    assert [answer.outputs for answer in said.answers] == [["1"], ["8"]]
    assert list(EvaluationNote.objects.filter(run=first)) == [note, other]
    where = f"measured at {first.commit_oid[:8]}, same model files"
    assert where in client.get("/alice/tiny").content.decode()
    assert where in client.get(BASE).content.decode()
    page = client.get(f"{BASE}/{run.public_id}").content.decode()
    assert "whose model files are the same" in page
    assert f'href="{BASE}/{first.public_id}"' in page
    assert "The prompt lacks a space." in page
    assert "What is 1 + 1?" in page
    told = client.get(f"/api/v1/evaluations/{run.public_id}").json()
    assert told["carried_from"] == {"id": first.public_id, "revision": first.commit_oid}
    samples = client.get(f"/api/v1/evaluations/{run.public_id}/samples").json()["results"]
    assert len(samples) == 2
    notes = client.get(f"/api/v1/evaluations/{run.public_id}/notes").json()["results"]
    assert len(notes) == 2


def test_a_board_has_it_as_a_result_of_the_head(
    alice: User, tiny_repo: ModelRepo, suite: Suite, first: EvaluationRun, settings: Any
) -> None:
    settings.ENV = settings.ENV.model_copy(update={"evaluate_on_publish": (suite.key,)})
    oid = changed(alice, tiny_repo, README__md=b"# Better words\n")

    assert store_runs.evaluate_head(tiny_repo.pk) == 1

    from catalog.search.query import SearchQuery

    (row,) = leaderboards.board(suite.key, SearchQuery()).rows
    assert (row.commit_oid, row.is_head, row.value) == (oid, True, 0.5)

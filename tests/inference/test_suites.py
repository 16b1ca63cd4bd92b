"""Suites: shipped ones are what they say, data sets are read strictly, tasks need leave."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accounts.models import Scope, User
from accounts.viewer import VISITOR, MissingScopeError, Viewer
from inference.models import EvaluationRun, Suite
from inference.runners.probes.base import ProbeSpec
from inference.runners.probes.catalog import PROBES
from inference.services import datasets, evaluations, suite_specs, suites
from inference.services.datasets import BadDatasetError, DatasetInUseError, read_rows
from inference.services.suite_specs import (
    DataFile,
    SuiteDamagedError,
    Task,
    builtin_files,
    digest_of,
)
from inference.services.suites import SuiteNotFoundError, TaskNotAllowedError
from store.core.errors import UnauthenticatedError

PINNED = Path(__file__).parent / "suite_digests.json"
GOOD = b'{"prompt": "The capital of France is", "answer": "Paris"}\n'


def test_a_shipped_suite_never_changes_without_a_new_version() -> None:
    """Whoever changes one raises its version, and adds a line here."""
    now = {
        f"{file.key} v{file.version}": digest_of(file.spec().to_json()) for file in builtin_files()
    }

    assert now.items() <= json.loads(PINNED.read_text()).items()


@pytest.mark.parametrize("file", builtin_files(), ids=lambda file: file.key)
def test_a_shipped_suite_is_whole(file: suite_specs.SuiteFile) -> None:
    names = [task.name for task in file.tasks]
    pooled = {(pool.task, pool.metric): pool.of for pool in file.pooled}
    assert len(names) == len(set(names))
    assert file.primary is not None
    assert file.primary.task in names or (file.primary.task, file.primary.metric) in pooled
    assert all(set(of) <= set(names) for of in pooled.values())
    assert not set(names) & {pool.task for pool in file.pooled}
    for task in file.tasks:
        rows = task.data.rows() if task.data else []
        if task.probe:
            about = ProbeSpec(task.seed, task.count, task.options, rows)
            probe, same = PROBES[task.probe](about), PROBES[task.probe](about)
            assert len(probe) == len(same) > 0
        elif rows:
            assert all(isinstance(row, dict) for row in rows)


def test_rows_are_written_once_and_shared(db: None) -> None:
    first, second = suites.sync(), suites.sync()

    assert [row.pk for row in first] == [row.pk for row in second]
    assert Suite.objects.count() == len(builtin_files())
    row = suites.builtin("next-word")
    assert (row.version, row.digest) == (1, digest_of(row.spec))
    assert suites.spec_of(row).to_json() == row.spec
    with pytest.raises(SuiteNotFoundError):
        suites.builtin("absent")


def test_a_data_file_that_is_not_the_one_is_refused() -> None:
    with pytest.raises(SuiteDamagedError):
        DataFile(file="novels.jsonl", sha256="0" * 64).rows()


@pytest.mark.parametrize(
    "values",
    [
        {"runner": "probe"},
        {"runner": "probe", "config": {}},
        {"runner": "harness", "probe": "copying"},
        {"runner": "harness", "known": "x", "config": {}},
    ],
)
def test_a_task_is_of_one_kind(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="one of config, known and probe"):
        Task(name="x", **values)


# ── tasks of the harness by name ────────────────────────────────────────────────────────────────


def test_only_allowed_tasks_are_run_by_name(as_bob: Viewer, settings: Any) -> None:
    for name in ("arc_easy", "../etc", "", "x" * 101):
        with pytest.raises(TaskNotAllowedError):
            suites.suite_for(as_bob, f"lm-eval/{name}")
    assert not Suite.objects.exists()

    settings.ENV = settings.ENV.model_copy(update={"eval_tasks": ("arc_easy",), "eval_samples": 7})
    suite = suites.suite_for(as_bob, "lm-eval/arc_easy")

    assert (suite.kind, suite.is_public, suite.version) == ("harness", True, 1)
    assert suites.suite_for(as_bob, "lm-eval/arc_easy") == suite
    (task,) = suites.spec_of(suite).tasks
    assert (task.known, task.limit) == ("arc_easy", 7)
    settings.ENV = settings.ENV.model_copy(update={"eval_tasks": ("*",), "eval_samples": 0})
    assert suites.suite_for(as_bob, "lm-eval/arc_easy").version == 2
    assert suites.suite_for(as_bob, "lm-eval/arc_easy", 1) == suite


# ── data sets ───────────────────────────────────────────────────────────────────────────────────


def test_a_data_set_is_its_owners_and_versioned_by_content(
    as_bob: Viewer, as_alice: Viewer
) -> None:
    first = datasets.add_dataset(as_bob, "capitals", GOOD)
    same = datasets.add_dataset(as_bob, "capitals", GOOD)
    other = datasets.add_dataset(as_bob, "capitals", GOOD, match="contains")

    assert (first.key, first.version, first.is_public) == ("bob/capitals", 1, False)
    assert same == first
    assert other.version == 2
    assert suites.suite_for(as_bob, "bob/capitals") == other
    assert suites.own_of(as_bob) == [other, first]
    for viewer in (as_alice, VISITOR):
        with pytest.raises(SuiteNotFoundError):
            suites.suite_for(viewer, "bob/capitals")
        with pytest.raises(SuiteNotFoundError):
            suites.read(viewer, first.public_id)
    spec = suites.spec_of(first)
    assert spec.tasks[0].rows == ({"prompt": "The capital of France is", "answer": "Paris"},)


def test_choices_are_named_by_text_or_place() -> None:
    lines = [
        {"prompt": "a", "choices": ["x", "y"], "answer": "y"},
        {"prompt": "b", "choices": ["x", "y"], "answer": 0},
    ]

    rows = read_rows("\n\n".join(json.dumps(line) for line in lines).encode())

    assert [row["answer"] for row in rows] == [1, 0]


def test_a_number_is_an_answer_too() -> None:
    assert read_rows(b'\xef\xbb\xbf{"prompt": "1 + 1 =", "answer": 2}')[0]["answer"] == "2"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", 0),
        (b"\xff\xfe", 0),
        (b" " * (2 * 1024 * 1024 + 1), 0),
        (GOOD * 2001, 0),
        (GOOD + b'{"prompt": "a", "choices": ["x", "y"], "answer": 0}', 0),
        (b"nonsense", 1),
        (GOOD + b"[1]", 2),
        (b'{"prompt": "a"}', 1),
        (b'{"prompt": "", "answer": "b"}', 1),
        (b'{"prompt": 3, "answer": "b"}', 1),
        (b'{"prompt": "a", "answer": true}', 1),
        (b'{"prompt": "a\\u0000", "answer": "b"}', 1),
        (b'{"prompt": "\\ud800", "answer": "b"}', 1),
        (b'{"prompt": "a", "choices": ["x"], "answer": 0}', 1),
        (b'{"prompt": "a", "choices": ["x", "x"], "answer": "x"}', 1),
        (b'{"prompt": "a", "choices": ["x", "y"], "answer": 2}', 1),
        (b'{"prompt": "a", "choices": ["x", "y"], "answer": true}', 1),
        (b"[" * 100_000, 1),
    ],
)
def test_a_bad_data_set_is_refused_with_its_line(as_bob: Viewer, content: bytes, line: int) -> None:
    with pytest.raises(BadDatasetError) as refused:
        datasets.add_dataset(as_bob, "mine", content)

    assert refused.value.extra["line"] == line
    assert not Suite.objects.exists()


def test_only_whole_persons_keep_data_sets(
    as_bob: Viewer, bob: User, token_for: Callable[..., str]
) -> None:
    from accounts.models import AccessToken

    token_for(bob, "read")
    reader = Viewer(user=bob, token=AccessToken.objects.get())
    assert not reader.may(Scope.WRITE)
    for viewer, name, error in (
        (VISITOR, "mine", UnauthenticatedError),
        (reader, "mine", MissingScopeError),
        (as_bob, "No Name", BadDatasetError),
    ):
        with pytest.raises(error):
            datasets.add_dataset(viewer, name, GOOD)
    assert not Suite.objects.exists()


def test_a_data_set_is_deleted_with_its_runs(
    as_bob: Viewer, as_alice: Viewer, tiny_repo: Any
) -> None:
    suite = datasets.add_dataset(as_bob, "mine", GOOD)
    run, _ = evaluations.ask(as_bob, tiny_repo, suite)
    with pytest.raises(DatasetInUseError):
        datasets.delete_dataset(as_bob, suite.public_id)
    with pytest.raises(SuiteNotFoundError):
        datasets.delete_dataset(as_alice, suite.public_id)
    with pytest.raises(SuiteNotFoundError):
        datasets.delete_dataset(as_bob, suites.builtin("quick").public_id)
    assert EvaluationRun.objects.count() == 1

    evaluations.cancel(as_bob, run)
    datasets.delete_dataset(as_bob, suite.public_id)

    assert not EvaluationRun.objects.exists()
    assert not Suite.objects.filter(kind="dataset").exists()

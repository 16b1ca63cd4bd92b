"""The harness's process: its own environment, its own failures, tasks of the site by name."""

import json
import os
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from accounts.viewer import Viewer
from catalog.models import ModelRepo
from inference.box.pool import BoxPool
from inference.harness import client as harness_client
from inference.harness.client import Harness, HarnessLostError, HarnessTask, TaskFailedError
from inference.models import EvaluationRun
from inference.runners.evaluation_tasks import ready_tasks
from inference.services import datasets, evaluations, suites
from store.core.models import Job

pytestmark = pytest.mark.timeout(600)


def answer(ask: str, requests: list[Any]) -> list[Any]:
    """A model that finds everything as likely, and says A."""
    if ask == "loglikelihood":
        return [[-1.0, False] for _ in requests]
    return [-1.0] * len(requests) if ask == "loglikelihood_rolling" else ["A"] * len(requests)


def task(path: Path, **config: Any) -> HarnessTask:
    """A task over a file."""
    where = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(path)}}}
    return HarnessTask("mine", {"task": "mine", "test_split": "test", **where, **config})


def environment_of(harness: Harness) -> dict[str, str]:
    """What its process was given; the kernel shows nothing of it in its first instant."""
    process = psutil.Process(harness._process.pid)
    until = time.monotonic() + 10
    while not (found := process.environ()) and time.monotonic() < until:
        time.sleep(0.01)
    return found


def test_its_environment_holds_no_secret_and_its_end_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STORE_SECRET_KEY", "secret")
    monkeypatch.setenv("DATABASE_URL", "postgres://secret")
    monkeypatch.setenv("HF_TOKEN", "secret")

    with Harness() as harness:
        process = psutil.Process(harness._process.pid)
        environment = environment_of(harness)
        folder = harness.folder
        assert folder.is_dir()

    assert "secret" not in str(environment)
    assert environment["HF_HUB_OFFLINE"] == environment["HF_DATASETS_OFFLINE"] == "1"
    assert environment["HOME"] == str(folder)
    assert not folder.exists()
    assert not process.is_running()
    with Harness(cache_dir=tmp_path, may_fetch=True) as harness:
        told = environment_of(harness)
    assert (told["HF_HUB_OFFLINE"], told["HF_HOME"]) == ("0", str(tmp_path))


def test_a_harness_that_is_taken_over_reaches_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(harness_client, "_MODULE", "tests.inference.harness_probe")
    limits = harness_client.LIMITS.model_copy(update={"cpu_s": 3})

    with Harness(limits=limits) as harness:
        tried = harness._receive(60.0)["tried"]
        with pytest.raises(HarnessLostError):  # its time on the processor is over
            harness._receive(60.0)

    assert tried.pop("write into its own folder") == "done"
    assert tried.pop("take all memory") == "MemoryError"
    assert set(tried.values()) == {"PermissionError"}, tried
    assert not (harness_client.ROOT / "inference/left.py").exists()


def test_only_where_data_may_be_fetched_is_the_network_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(harness_client, "_MODULE", "tests.inference.harness_probe")

    with Harness(cache_dir=tmp_path / "hub", may_fetch=True) as harness:
        tried = harness._receive(60.0)["tried"]

    assert tried["open a socket"] == "done"
    for what in ("read the users", "read the settings", "fork", "start a program"):
        assert tried[what] == "PermissionError"


def test_a_hostile_data_set_is_read_as_text(as_bob: Viewer, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    evil = (
        "{{ cycler.__init__.__globals__.os.system('touch " + str(trap) + "') }}"
        " !function os.system !!python/object/apply:os.system"
    )
    row = json.dumps({"prompt": evil, "answer": f"__import__('os').system('touch {trap}')"})
    choice = json.dumps({"prompt": evil, "choices": [evil, "b"], "answer": 0})

    for number, line in enumerate((row, choice)):
        suite = datasets.add_dataset(as_bob, f"evil{number}", line.encode())
        with ready_tasks(suites.spec_of(suite), lambda: None) as tasks:
            assert tasks.harness is not None
            (sample,) = tasks.harness.run("dataset", 0, 1, answer)
            assert sample["prompt"] == evil

    assert not trap.exists()


def test_a_task_of_the_site_that_names_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evil.yaml").write_text(
        "task: evil\ndataset_path: json\ntest_split: test\noutput_type: loglikelihood\n"
        'doc_to_text: !function evil.text\ndoc_to_target: " a"\n'
    )
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\n")

    with Harness(readable=[tmp_path]) as harness:
        with pytest.raises(TaskFailedError, match=r"evil\.yaml names Python code"):
            harness.load([HarnessTask("evil", known="evil")], include_path=tmp_path)

    assert not (tmp_path / "sprung").exists()


def test_failures_of_a_task_are_told_and_the_process_goes_on(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({"q": f"{n}", "a": "A"}) + "\n" for n in range(5)))
    good = task(
        data,
        output_type="generate_until",
        doc_to_text="{{q}}",
        doc_to_target="{{a}}",
        generation_kwargs={"until": ["\n"], "max_gen_toks": 4},
        metric_list=[{"metric": "exact_match"}],
    )
    with Harness(readable=[tmp_path]) as harness:
        for bad in (
            HarnessTask("x", known="arc_easy"),  # its data is not here
            HarnessTask("x", known="no_such_task"),
            task(tmp_path / "absent.jsonl", output_type="loglikelihood"),
        ):
            with pytest.raises(TaskFailedError) as refused:
                harness.load([bad])
            assert refused.value.message.startswith("lm-evaluation-harness cannot do this.")
        facts = harness.load([good])
        assert facts["tasks"]["mine"]["samples"] == 5
        parts = [harness.run("mine", first, 2, answer) for first in (0, 2, 4)]
        assert [sample["index"] for part in parts for sample in part] == [0, 1, 2, 3, 4]
        assert parts[0][0]["answers"] == ["A"]
        assert harness.score("mine", {"exact_match": [1.0, 0.0]}) == {"exact_match": 0.5}

        os.kill(harness._process.pid, 9)
        with pytest.raises(HarnessLostError):
            harness.run("mine", 0, 1, answer)


def test_waiting_for_it_can_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    class StopError(Exception):
        """Asked to."""

    def check() -> None:
        raise StopError

    with Harness(check=check) as harness:
        with pytest.raises(StopError):
            harness.load([HarnessTask("x", known="arc_easy")])
    monkeypatch.setattr(harness_client, "_LOAD_S", 0.0)
    with Harness() as slow:
        with pytest.raises(HarnessLostError):
            slow.load([HarnessTask("x", known="arc_easy")])


def test_a_task_of_the_site_is_run_by_name(
    tiny_repo: ModelRepo,
    as_bob: Viewer,
    real_pool: BoxPool,
    run_jobs: Callable[[], list[Job]],
    settings: Any,
    tmp_path: Path,
) -> None:
    settings.EVAL_DATA_DIR = tmp_path / "evaluations"
    settings.ENV = settings.ENV.model_copy(update={"eval_tasks": ("house", "gone")})
    tasks = tmp_path / "evaluations/tasks"
    tasks.mkdir(parents=True)
    rows = [{"q": f"{n} and {n + 1}", "c": ["one", "two"], "a": n % 2} for n in range(9)]
    (tasks / "house.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = f"""
        task: house
        dataset_path: json
        dataset_kwargs: {{data_files: {{test: {tasks / "house.jsonl"}}}}}
        test_split: test
        output_type: multiple_choice
        doc_to_text: "{{{{q}}}} is"
        doc_to_choice: c
        doc_to_target: a
        num_fewshot: 0
        metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
        """
    (tasks / "house.yaml").write_text(textwrap.dedent(text))

    run, _ = evaluations.ask(as_bob, tiny_repo, suites.suite_for(as_bob, "lm-eval/house"))
    lost, _ = evaluations.ask(as_bob, tiny_repo, suites.suite_for(as_bob, "lm-eval/gone"))
    run_jobs()

    run.refresh_from_db()
    lost.refresh_from_db()
    assert (run.state, run.error) == ("done", "")
    score = run.scores.get(is_primary=True)
    assert (score.task, score.metric, score.samples, score.method) == ("house", "acc", 9, "wilson")
    assert (lost.state, lost.error_code) == ("failed", "task_failed")
    assert "gone" in lost.error


@pytest.mark.parametrize("match", ["exact", "contains"])
def test_answers_that_look_like_dates_are_texts(
    tiny_repo: ModelRepo,
    as_bob: Viewer,
    real_pool: BoxPool,
    run_jobs: Callable[[], list[Job]],
    tiny_folder: Path,
    match: Any,
) -> None:
    rows = [{"prompt": "Once upon", "answer": "2024-01-01"}]
    suite = datasets.add_dataset(as_bob, "days", json.dumps(rows[0]).encode(), match=match)
    choices = b'{"prompt": "2024-01-01", "choices": ["2024-01-01", "2025-02-02"], "answer": 1}'
    chosen = datasets.add_dataset(as_bob, "choices", choices)

    runs = [evaluations.ask(as_bob, tiny_repo, each)[0] for each in (suite, chosen)]
    run_jobs()

    found = [EvaluationRun.objects.get(pk=run.pk) for run in runs]
    assert [(run.state, run.error) for run in found] == [("done", "")] * 2
    written, picked = (run.samples.get() for run in found)
    assert (written.prompt, written.expected) == ("Once upon", "2024-01-01")
    assert (picked.prompt, picked.expected) == ("2024-01-01", "2025-02-02")
    assert picked.facts["choices"] == [" 2024-01-01", " 2025-02-02"]


def test_a_buyers_samples_of_a_sold_model_are_not_kept(
    tiny_repo: ModelRepo,
    as_bob: Viewer,
    real_pool: BoxPool,
    run_jobs: Callable[[], list[Job]],
) -> None:
    from tests.inference.test_trials import sell

    sell(tiny_repo, 128)
    tiny_repo.refresh_from_db()
    content = b'{"prompt": "Once upon a", "answer": "e"}\n{"prompt": "It was", "answer": "zz"}\n'
    suite = datasets.add_dataset(as_bob, "mine", content, match="contains")

    run, _ = evaluations.ask(as_bob, tiny_repo, suite)
    run_jobs()

    done = EvaluationRun.objects.get(pk=run.pk)
    assert (done.state, done.error) == ("done", "")
    assert done.scores.get().samples == 2
    kept = done.samples.values_list("prompt", "expected", "output", "facts")
    assert set(map(str, kept)) == {"('', '', '', {})"}

"""A whole run with a real box: samples, scores, record; equal to the harness run by hand."""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from accounts.viewer import Viewer
from catalog.models import Listing, ModelRepo
from inference.box.client import Box
from inference.box.params import SamplingParams
from inference.box.pool import BoxPool
from inference.models import EvaluationRun, Suite
from inference.runners import generation
from inference.runners.evaluation_machine import peak_bytes
from inference.runners.folders import box_key, model_folder
from inference.services import datasets, evaluations, suites
from store.core.models import Job
from tests.inference.box import card_child
from workers.runner import run_job

pytestmark = pytest.mark.timeout(600)
SHARDED = 2


@pytest.fixture
def evaluated(
    tiny_repo: ModelRepo, as_bob: Viewer, real_pool: BoxPool, run_jobs: Callable[[], list[Job]]
) -> Callable[..., EvaluationRun]:
    """Ask for a suite and do it, as bob."""

    def run(suite: Suite, viewer: Viewer = as_bob) -> EvaluationRun:
        asked, is_new = evaluations.ask(viewer, tiny_repo, suite)
        assert is_new
        run_jobs()
        asked.refresh_from_db()
        assert (asked.state, asked.error) == ("done", "")
        return asked

    return run


def values(run: EvaluationRun) -> dict[str, float]:
    """Its scores as ``task metric``."""
    return {f"{score.task} {score.metric}": score.value for score in run.scores.all()}


def by_hand(folder: Path, config: dict[str, Any]) -> Any:
    """What lm-evaluation-harness itself says, with its own model class."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    return lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": str(folder), "dtype": "float32"},
        tasks=[config],
        device="cpu",
        batch_size=1,
        bootstrap_iters=0,
        task_manager=TaskManager(include_defaults=False),
    )


def config_of(suite: Suite, task: str, path: Path) -> dict[str, Any]:
    """A task of a suite as the harness takes it."""
    found = suites.spec_of(suite).task(task)
    if found.data is not None:
        path = found.data.path()
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in found.rows))
    where = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(path)}}}
    return {**(found.config or {}), "task": task, **where}


@pytest.mark.filterwarnings("ignore")  # of the harness and its libraries, in this process
@pytest.mark.parametrize(
    ("key", "task", "metrics"),
    [
        ("text", "rights_de", ("bits_per_byte", "byte_perplexity")),
        ("next-word", "scripture", ("acc", "perplexity")),
        ("arithmetic", "arithmetic", ("exact_match",)),
    ],
)
def test_a_builtin_task_equals_the_harness_run_by_hand(
    evaluated: Callable[..., EvaluationRun],
    tiny_folder: Path,
    tmp_path: Path,
    key: str,
    task: str,
    metrics: tuple[str, ...],
) -> None:
    whole = suites.builtin(key)
    one = [each for each in whole.spec["tasks"] if each["name"] == task]
    spec = {"tasks": one, "primary": {"task": task, "metric": metrics[0]}}
    suite = suites.keep("one", Suite.Kind.BUILTIN, "One", spec, owner=None, is_public=True)

    run = evaluated(suite)
    hand = by_hand(tiny_folder, config_of(whole, task, tmp_path / "data.jsonl"))

    ours = values(run)
    for metric in metrics:
        assert ours[f"{task} {metric}"] == hand["results"][task][f"{metric},none"]
    samples = {sample["doc_id"]: sample for sample in hand["samples"][task]}
    assert run.samples.count() == len(samples)
    for sample in run.samples.all():
        told = samples[sample.index]
        if task == "arithmetic":
            said = told["resps"][0][0].replace("\0", "\ufffd")  # no database takes NUL
            assert sample.output == said
        else:
            logprob = told["resps"][0][0]
            logprob = logprob[0] if isinstance(logprob, tuple | list) else logprob
            assert sample.facts.get("logprob", (sample.facts.get("logprobs") or [0])[0]) == logprob


@pytest.mark.filterwarnings("ignore")
def test_a_data_set_with_choices_equals_the_harness_run_by_hand(
    evaluated: Callable[..., EvaluationRun], as_bob: Viewer, tiny_folder: Path, tmp_path: Path
) -> None:
    rows = [
        {
            "prompt": f"Once upon a {word}",
            "choices": ["time there", "store", word],
            "answer": at % 3,
        }
        for at, word in enumerate(["time", "story", "model", "truth", "visitor", "want"] * 2)
    ]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    suite = datasets.add_dataset(as_bob, "mine", content)

    run = evaluated(suite)
    hand = by_hand(tiny_folder, config_of(suite, "dataset", tmp_path / "data.jsonl"))

    for metric in ("acc", "acc_norm"):
        assert values(run)[f"dataset {metric}"] == hand["results"]["dataset"][f"{metric},none"]
    assert not run.is_public
    score = run.scores.get(metric="acc")
    assert (score.is_primary, score.method, score.unit, score.samples) == (
        True,
        "wilson",
        "share",
        12,
    )
    first = run.samples.get(index=0)
    assert first.expected == "time there"
    assert first.output in first.facts["choices"]
    assert len(first.facts["logprobs"]) == 3


def test_all_probes_run_and_leave_scores_with_intervals(
    evaluated: Callable[..., EvaluationRun],
) -> None:
    for key in ("copying", "repetition", "instructions", "bias", "memorization"):
        run = evaluated(suites.builtin(key))
        spec = suites.spec_of(run.suite)
        primary = run.scores.get(is_primary=True)
        assert (primary.task, primary.metric) == (spec.primary.task, spec.primary.metric)
        for score in run.scores.all():
            assert score.low <= score.value <= score.high
            assert score.method in {"wilson", "bootstrap"}
        assert run.shards.filter(done_at=None).count() == 0
        assert sum(run.shards.values_list("count", flat=True)) == run.samples.count()


def test_the_quick_suite_records_all_that_is_needed_to_repeat_it(
    evaluated: Callable[..., EvaluationRun], tiny_repo: ModelRepo
) -> None:
    run = evaluated(suites.builtin("quick"))

    record = run.record
    assert record["suite"] == {
        "key": "quick",
        "version": 1,
        "digest": run.suite.digest,
    }
    assert record["model"]["dtype"] == "float32"
    assert (record["batch"], record["seed"], record["engine"]) == (1, 1234, "transformers")
    assert {"torch", "transformers", "tokenizers", "lm_eval", "python"} <= set(record["libraries"])
    (weights,) = [file for file in record["files"] if file["path"] == "model.safetensors"]
    assert len(weights.get("sha256", weights.get("git_oid"))) in {40, 64}
    assert record["hardware"]["cores"] >= 1
    assert record["hardware"]["processor"]
    assert record["harness"]["version"] == "0.4.13"
    pooled = run.scores.get(task="english", metric="bits_per_byte")
    texts = run.samples.filter(task__in=["novels", "scripture", "rights_en"])
    items = [sample.facts["items"]["bits_per_byte"] for sample in texts]
    assert pooled.is_primary
    assert pooled.value == pytest.approx(
        -sum(top for top, _ in items) / sum(under for _, under in items) / math.log(2)
    )
    assert (pooled.samples, pooled.method) == (12, "bootstrap")
    assert pooled.low < pooled.value < pooled.high


def test_speed_is_measured_with_load_time_and_memory(
    evaluated: Callable[..., EvaluationRun],
) -> None:
    run = evaluated(suites.builtin("speed"))

    scores = {score.metric: score for score in run.scores.all()}
    assert set(scores) == {
        "single_tokens_per_s",
        "saturated_tokens_per_s",
        "first_token_s",
        "load_s",
        "peak_memory_bytes",
    }
    assert scores["saturated_tokens_per_s"].value > scores["single_tokens_per_s"].value > 0
    assert scores["peak_memory_bytes"].value > 50 * 1024**2
    assert 0 < scores["load_s"].value < 200
    (place,) = run.record["environments"]
    assert place["pieces"] == [{"task": "speed", "first": 0, "count": 8}]
    assert [scores[name].unit for name in ("load_s", "first_token_s")] == ["s", "s"]
    assert scores["single_tokens_per_s"].is_primary


def test_speed_is_measured_in_a_new_box_beside_a_warm_one(
    evaluated: Callable[..., EvaluationRun],
    real_pool: BoxPool,
    tiny_repo: ModelRepo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: list[Box] = []
    real_fresh = real_pool.fresh

    @contextmanager
    def fresh(key: str, folder: Path) -> Iterator[Box]:
        with real_fresh(key, folder) as box:
            used.append(box)
            yield box

    monkeypatch.setattr(real_pool, "fresh", fresh)
    commit_oid = Listing.objects.get(repo=tiny_repo).head_oid
    with model_folder(tiny_repo, commit_oid, lambda: None) as folder:
        with real_pool.use(box_key(folder), folder) as warm:
            long_text = SamplingParams(max_new_tokens=600, temperature=1.0, seed=0, num_sequences=4)
            assert list(warm.generate("Once upon a time", long_text))
        resident = real_pool.resident
        warm_load_s = warm.facts.load_s

        run = evaluated(suites.builtin("speed"))

        scores = {score.metric: score.value for score in run.scores.all()}
        assert [box.pid for box in used] != [warm.pid]
        assert scores["load_s"] == used[0].facts.load_s != warm_load_s
        assert scores["load_s"] > 0.5  # torch is imported, too
        assert scores["peak_memory_bytes"] != peak_bytes(warm.pid)
        assert [box.is_alive for box in used] == [False]
        assert warm.is_alive
        assert set(real_pool.resident) == set(resident)


def test_memory_of_a_graphics_card_is_recorded_beside_the_host_s(
    tiny_repo: ModelRepo, as_bob: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = partial(Box.start, module="tests.inference.box.card_child")
    pool = BoxPool(starter=start, wait_s=60)
    monkeypatch.setattr(pool, "fresh", partial(pool.fresh, starter=start))
    monkeypatch.setattr(generation, "box_pool", lambda: pool)
    task = {"name": "speed", "runner": "probe", "probe": "speed", "shard": 3}
    task["options"] = {"tokens": 4, "single_rounds": 1, "saturated_rounds": 1}
    suite = suites.keep(
        "fast", Suite.Kind.BUILTIN, "Fast", {"tasks": [task]}, owner=None, is_public=True
    )
    run, _is_new = evaluations.ask(as_bob, tiny_repo, suite)

    run_job(run.job_id)

    run.refresh_from_db()
    assert (run.state, run.error) == ("done", "")
    scores = {score.metric: (score.value, score.unit) for score in run.scores.all()}
    assert scores["peak_card_allocated_bytes"] == (card_child.ALLOCATED_BYTES, "bytes")
    assert scores["peak_card_reserved_bytes"] == (card_child.RESERVED_BYTES, "bytes")
    assert scores["peak_memory_bytes"][0] > 50 * 1024**2
    assert pool.resident == {}

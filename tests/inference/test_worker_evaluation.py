"""Evaluations by the real worker program, which dies in the middle."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from accounts.models import User
from accounts.viewer import Viewer
from catalog.services.folders import files_of, publish_files
from inference.models import EvaluationRun, EvaluationShard, Sample, Suite, UsageRecord
from inference.services import evaluation_queue, evaluations, suites
from inference.services.evaluation_progress import progress_of
from store.core.jobs import JobName, enqueue
from store.core.models import Job
from tests.factories import make_repo
from tests.inference.conftest import inference_workers
from tests.workers.real_worker import RealWorker, sweep_until, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]
SAMPLES, PIECE = 30, 2


def probe_suite() -> Suite:
    """Many short pieces of our own probes."""
    task = {"runner": "probe", "shard": PIECE, "count": SAMPLES}
    spec = {
        "tasks": [
            {"name": "copying", "probe": "copying", "seed": 3, **task},
            {"name": "counting", "probe": "counting", "seed": 4, **task},
        ],
        "primary": {"task": "copying", "metric": "share_copied"},
    }
    return suites.keep("many", Suite.Kind.BUILTIN, "Many", spec, owner=None, is_public=True)


@pytest.fixture
def asked(
    alice: User, as_bob: Viewer, tiny_folder: Path, settings: Any, tmp_path: Path
) -> Callable[[Suite], EvaluationRun]:
    """Ask for an evaluation; the files lie where the worker looks for them."""
    settings.BLOB_DIR = tmp_path / "data" / "blobs"
    repo = make_repo(alice, "tiny")
    publish_files(Viewer(user=alice), repo, files_of(tiny_folder), title="Add the model")
    return lambda suite: evaluations.ask(as_bob, repo, suite)[0]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], RealWorker]]:
    """Start inference workers; none outlives the test."""
    with inference_workers(tmp_path, JobName.EVALUATE) as run:
        yield run


def done_shards() -> dict[int, Any]:
    """Number of each shard that is done, and when."""
    rows = EvaluationShard.objects.filter(done_at__isnull=False)
    return dict(rows.values_list("number", "done_at"))


def test_a_run_survives_kill_9_twice_and_counts_no_sample_twice(
    asked: Callable[[Suite], EvaluationRun], start: Callable[[], RealWorker]
) -> None:
    run = asked(probe_suite())
    kept: dict[int, Any] = {}
    for least in (3, 10):
        worker = start()
        sweep_until(lambda least=least: len(done_shards()) >= least, within_s=200)
        boxes = psutil.Process(worker.process.pid).children(recursive=True)
        worker.kill()
        _gone, alive = psutil.wait_procs(boxes, timeout=20)
        assert alive == []
        before = done_shards()
        assert kept.items() <= before.items()  # what was done is not done again
        kept = before
        assert Sample.objects.count() == PIECE * len(kept)
        assert progress_of(run).done == PIECE * len(kept)
    assert EvaluationRun.objects.get().state == "running"

    start()
    sweep_until(lambda: EvaluationRun.objects.get().has_ended, within_s=300)

    run.refresh_from_db()
    assert (run.state, run.error) == ("done", "")
    assert Job.objects.get(name=JobName.EVALUATE).attempts == 3
    assert kept.items() <= done_shards().items()
    for task in ("copying", "counting"):
        indices = Sample.objects.filter(task=task).order_by("pk").values_list("index", flat=True)
        assert sorted(indices) == list(range(SAMPLES))
    primary = run.scores.get(is_primary=True)
    values = [row.metrics["share_copied"] for row in Sample.objects.filter(task="copying")]
    assert (primary.samples, primary.value) == (SAMPLES, sum(values) / SAMPLES)
    assert run.record["attempts"] == 3
    used = UsageRecord.objects.get()  # once, though three workers were at it
    assert (used.kind, used.run, used.user_id) == ("evaluation", run.public_id, run.asked_by_id)
    assert (used.state, used.model) == ("done", "alice/tiny")
    assert used.new_tokens == run.record["work"]["new_tokens"] > 0
    assert used.prompt_tokens == run.record["work"]["prompt_tokens"] > 0
    took_s = sum(run.shards.values_list("seconds", flat=True))
    assert used.seconds == pytest.approx(took_s)


def test_a_run_that_is_stopped_leaves_the_worker_to_the_next(
    asked: Callable[[Suite], EvaluationRun], start: Callable[[], RealWorker], as_bob: Viewer
) -> None:
    first, second = asked(probe_suite()), asked(suites.builtin("memorization"))
    assert (first.job is not None, second.job, evaluation_queue.place_of(second)) == (True, None, 0)
    start()
    until(lambda: len(done_shards()) >= 1, within_s=200)

    assert evaluations.cancel(as_bob, first)
    sweep_until(lambda: EvaluationRun.objects.get(pk=second.pk).has_ended, within_s=300)

    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state, second.error) == ("cancelled", "done", "")
    assert first.scores.count() == 0
    assert UsageRecord.objects.get().run == second.public_id  # what has no scores costs nothing


def test_a_person_does_not_wait_for_the_end_of_a_piece_even_with_one_slot(
    asked: Callable[[Suite], EvaluationRun], start: Callable[[], RealWorker]
) -> None:
    task = {"runner": "probe", "probe": "copying", "name": "copying", "seed": 3}
    spec = {"tasks": [task | {"count": 300, "shard": 300}]}
    long_one = suites.keep("long", Suite.Kind.BUILTIN, "Long", spec, owner=None, is_public=True)
    run = asked(long_one)
    start()
    sweep_until(EvaluationShard.objects.exists, within_s=200)

    began = time.monotonic()
    wanted = enqueue(JobName.GENERATE, asker="user:1", run_id=0)
    sweep_until(lambda: Job.objects.get(pk=wanted.pk).state == "done", within_s=60)
    waited_s = time.monotonic() - began

    left = EvaluationShard.objects.filter(done_at=None).values_list("count", flat=True)
    print(f"a person waited {waited_s:.2f} s for the only slot; {sum(left)} samples were left")
    assert sum(left) > 0
    assert waited_s < 15  # a second where nothing else runs; the piece would take a minute
    assert Sample.objects.filter(run=run).count() == 300 - sum(left)

"""Generation by the real worker program, which dies in the middle."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from accounts.models import User
from accounts.viewer import Viewer
from catalog.services.folders import files_of, publish_files
from inference.models import GenerationRun
from inference.services import streams
from inference.services.runs import submit
from store.core.jobs import JobName
from store.core.models import Job
from tests.factories import make_repo
from tests.inference.conftest import inference_workers
from tests.workers.real_worker import RealWorker, sweep_until, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]


@pytest.fixture
def ask(
    alice: User, as_bob: Viewer, tiny_folder: Path, settings: Any, tmp_path: Path
) -> Callable[[], GenerationRun]:
    """Ask for a text that takes seconds; the files lie where the worker looks for them."""
    settings.BLOB_DIR = tmp_path / "data" / "blobs"
    repo = make_repo(alice, "tiny")
    publish_files(Viewer(user=alice), repo, files_of(tiny_folder), title="Add the model")
    asked = {"max_new_tokens": 1000, "num_sequences": 4, "seed": 7}
    return lambda: submit(as_bob, repo, "", "Once upon a time", asked)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], RealWorker]]:
    """Start inference workers; none outlives the test."""
    with inference_workers(tmp_path, JobName.GENERATE) as run:
        yield run


def test_a_generation_survives_its_worker_and_is_written_once(
    ask: Callable[[], GenerationRun], start: Callable[[], RealWorker]
) -> None:
    first = start()
    assert b"models run in a box: no network" in first.log.read_bytes()
    run = ask()
    until(lambda: streams.transcript(run.public_id).new_tokens > 20, within_s=120)
    boxes = psutil.Process(first.process.pid).children(recursive=True)
    first.kill()
    _gone, alive = psutil.wait_procs(boxes, timeout=10)
    assert alive == []  # a box does not outlive its worker
    before = streams.transcript(run.public_id)

    start()
    sweep_until(lambda: GenerationRun.objects.get().has_ended, within_s=120)

    run.refresh_from_db()
    assert (run.state, run.error) == ("done", "")
    assert Job.objects.get(name=JobName.GENERATE).attempts == 2
    after = streams.transcript(run.public_id)
    assert (before.attempt, after.attempt) == (1, 2)
    assert after.texts == run.texts
    assert all(whole.startswith(part) for whole, part in zip(run.texts, before.texts, strict=False))
    kinds = [event.kind for event in streams.read(run.public_id)]
    assert (kinds.count("restart"), kinds.count("done")) == (1, 1)
    assert run.new_tokens == after.new_tokens > before.new_tokens

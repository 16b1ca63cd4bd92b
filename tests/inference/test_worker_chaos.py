"""The broker is flushed, doubled and killed while models write and are measured."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db.models import QuerySet

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from catalog.services.folders import files_of, publish_files
from inference.models import (
    EvaluationRun,
    EvaluationShard,
    GenerationRun,
    Sample,
    Suite,
    UsageRecord,
)
from inference.services import evaluations, runs, suites
from store.core import jobs
from store.core.jobs import JobName
from store.core.models import Job
from tests.factories import make_repo
from tests.inference.conftest import inference_workers
from tests.workers.broker import Broker, own_broker
from tests.workers.real_worker import RealWorker, sweep_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]
SAMPLES, PIECE = 24, 2
NAMES = (JobName.EVALUATE, JobName.GENERATE)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    with own_broker(monkeypatch) as own:
        yield own


@pytest.fixture
def start(tmp_path: Path, broker: Broker) -> Iterator[Callable[[], RealWorker]]:
    """Start inference workers on the broker; none outlives the test."""
    with inference_workers(tmp_path, *NAMES, REDIS_URL=broker.url) as run:
        yield run


@pytest.fixture
def repo(alice: User, tiny_folder: Path, settings: Any, tmp_path: Path) -> ModelRepo:
    settings.BLOB_DIR = tmp_path / "data" / "blobs"
    made = make_repo(alice, "tiny")
    publish_files(Viewer(user=alice), made, files_of(tiny_folder), title="Add the model")
    return made


def test_texts_and_scores_come_once_whatever_the_broker_loses(
    repo: ModelRepo, as_bob: Viewer, start: Callable[[], RealWorker], broker: Broker
) -> None:
    start()
    texts = [_ask(repo, as_bob)]  # this one in peace
    sweep_until(lambda: GenerationRun.objects.get().has_ended, within_s=120)
    alone = GenerationRun.objects.get().texts
    task = {"runner": "probe", "probe": "copying", "name": "copying", "seed": 3}
    spec = {"tasks": [task | {"count": SAMPLES, "shard": PIECE}]}
    suite = suites.keep("many", Suite.Kind.BUILTIN, "Many", spec, owner=None, is_public=True)
    measured, _is_new = evaluations.ask(as_bob, repo, suite)
    texts += [_ask(repo, as_bob) for _ in range(2)]

    sweep_until(lambda: _done() >= 2, within_s=200)
    broker.flush()
    sweep_until(lambda: _done() >= 4, within_s=200)
    for job in _open():
        for _ in range(3):
            jobs.nudge(job)
    sweep_until(lambda: _done() >= 6, within_s=200)
    broker.restart()
    texts.append(_ask(repo, as_bob))
    sweep_until(lambda: not _open().exists(), within_s=200)

    for run in texts:
        run.refresh_from_db()
        assert (run.state, run.error, run.texts) == ("done", "", alone)
    measured.refresh_from_db()
    assert (measured.state, measured.error) == ("done", "")
    indices = Sample.objects.order_by("index").values_list("index", flat=True)
    assert list(indices) == list(range(SAMPLES))
    used = UsageRecord.objects.values_list("run", flat=True)
    assert sorted(used) == sorted([measured.public_id, *(run.public_id for run in texts)])
    assert set(Job.objects.filter(name__in=NAMES).values_list("attempts", flat=True)) == {1}
    assert EvaluationRun.objects.count() == 1


def _ask(repo: ModelRepo, viewer: Viewer) -> GenerationRun:
    """Ask for texts that take a while."""
    asked = {"max_new_tokens": 600, "num_sequences": 2, "seed": 7}
    return runs.submit(viewer, repo, "", "Once upon a time", asked)


def _open() -> "QuerySet[Job]":
    return Job.objects.filter(name__in=NAMES, state__in=Job.OPEN)


def _done() -> int:
    return EvaluationShard.objects.filter(done_at__isnull=False).count()

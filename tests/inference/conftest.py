"""Models to run and boxes to run them in."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from catalog.services.folders import files_of, publish_files
from inference.box.pool import BoxPool
from inference.runners import generation
from store.core import presence
from store.core.jobs import JobName
from store.core.models import Job
from store.core.presence import Worker
from tests.factories import make_repo
from tests.inference import tiny
from tests.inference.fakes import FakeBox
from tests.threads import at_once
from tests.workers.real_worker import RealWorker
from workers.runner import run_job


@pytest.fixture(autouse=True)
def a_worker() -> Worker:
    """A worker for models is there, with one place."""
    worker = Worker("tests@here", ("inference",))
    presence.announce(worker)
    return worker


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a very small model."""
    return tiny.build(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def tiny_repo(alice: User, tiny_folder: Path) -> ModelRepo:
    """Alice's public repository with the very small model."""
    repo = make_repo(alice, "tiny")
    publish_files(Viewer(user=alice), repo, files_of(tiny_folder), title="Add the model")
    forget_news()
    return repo


def forget_news() -> None:
    """Drop the jobs that tell of new models and cut their files: these tests count the others."""
    Job.objects.filter(name__in=[JobName.SPREAD_EVENT, JobName.CONVERT_OBJECT]).delete()


@pytest.fixture
def fake_box(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBox]:
    """A box that says what the test tells it; everything around it is real."""
    box = FakeBox()

    def start(_folder: Path, **_limits: Any) -> Any:
        return box.started()

    pool = BoxPool(starter=start, wait_s=5)
    monkeypatch.setattr(generation, "box_pool", lambda: pool)
    yield box
    pool.close()


@contextmanager
def jobs_done(*, join_s: float) -> Iterator[None]:
    """Do jobs as they come, in a thread of this process, while the block runs.

    Args:
        join_s: How long the one under way may take to end after the block, in seconds.
    """
    over = threading.Event()

    def work() -> None:
        try:
            while not over.wait(0.1):
                for job in Job.objects.filter(state="queued"):
                    run_job(job.pk)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=join_s)
    assert not thread.is_alive(), "a job of this test goes on in the next one"


@contextmanager
def inference_workers(
    folder: Path, *real: JobName, **environment: str
) -> Iterator[Callable[[], RealWorker]]:
    """Start inference workers that really do some kinds of job; none outlives the block."""
    started: list[RealWorker] = []
    environment |= {"STORE_DATA_DIR": str(folder / "data"), "STORE_SECRET_KEY": "tests"}

    def run() -> RealWorker:
        worker = RealWorker(
            folder,
            queues="inference",
            policy={"lease_s": 3},
            real=tuple(each.value for each in real),
            environment=environment,
        )
        started.append(worker)
        return worker.ready()

    yield run
    for worker in started:
        worker.kill()


class OneModelPool(BoxPool):
    """Real boxes; the repositories of these tests differ in their tokenizer's settings at most."""

    def use(
        self, key: str, model_dir: Path, *, gguf_file: str | None = None, alone: bool = False
    ) -> Any:
        """See ``BoxPool.use``."""
        assert key == "/".join(model_dir.parts[-2:])
        settings = (model_dir / "tokenizer_config.json").read_text()
        return super().use(settings, model_dir, gguf_file=gguf_file, alone=alone)


@pytest.fixture(scope="session")
def shared_pool() -> Iterator[BoxPool]:
    """Boxes that outlive a test: a start takes seconds."""
    pool = OneModelPool(wait_s=60)
    yield pool
    pool.close()


@pytest.fixture
def real_pool(monkeypatch: pytest.MonkeyPatch, shared_pool: BoxPool) -> Iterator[BoxPool]:
    """Real boxes, which this test gives back: who holds one on meets the next test's kill."""
    monkeypatch.setattr(generation, "box_pool", lambda: shared_pool)
    yield shared_pool
    assert all(slot.users == 0 for slot in shared_pool._slots.values())


@pytest.fixture
def prompted(tiny_repo: ModelRepo, as_bob: Viewer) -> Callable[..., Any]:
    """Ask the very small model for text, as bob."""
    from inference.services.runs import submit

    def ask(prompt: str = "Once upon", *, viewer: Viewer = as_bob, **params: Any) -> Any:
        return submit(viewer, tiny_repo, "", prompt, {"max_new_tokens": 8, **params})

    return ask


@pytest.fixture
def in_threads() -> Callable[..., list[Any]]:
    """Call a function from many threads at the same instant."""
    return at_once

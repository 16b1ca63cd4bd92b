"""Models to run and boxes to run them in."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

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
    """Drop the jobs that tell of new models: these tests count the others."""
    Job.objects.filter(name=JobName.SPREAD_EVENT).delete()


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


class OneModelPool(BoxPool):
    """Real boxes; every repository of these tests holds the same files, so one box does."""

    def use(
        self, key: str, model_dir: Path, *, gguf_file: str | None = None, alone: bool = False
    ) -> Any:
        """See ``BoxPool.use``."""
        assert key == "/".join(model_dir.parts[-2:])
        return super().use("tiny", model_dir, gguf_file=gguf_file, alone=alone)


@pytest.fixture(scope="session")
def shared_pool() -> Iterator[BoxPool]:
    """Boxes that outlive a test: a start takes seconds."""
    pool = OneModelPool(wait_s=60)
    yield pool
    pool.close()


@pytest.fixture
def real_pool(monkeypatch: pytest.MonkeyPatch, shared_pool: BoxPool) -> BoxPool:
    """Real boxes."""
    monkeypatch.setattr(generation, "box_pool", lambda: shared_pool)
    return shared_pool


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

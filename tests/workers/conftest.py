"""Fixtures for background work."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from catalog.services.folders import files_of, publish_files
from store.core.jobs import POLICIES, JobName
from store.core.work import JobContext
from tests.factories import make_repo
from tests.inference import tiny
from tests.threads import at_once
from workers.handlers import HANDLERS


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a very small model."""
    return tiny.build(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def tiny_repo(alice: User, tiny_folder: Path) -> ModelRepo:
    """Alice's public repository with the very small model."""
    repo = make_repo(alice, "tiny")
    publish_files(Viewer(user=alice), repo, files_of(tiny_folder), title="Add the model")
    return repo


@pytest.fixture
def in_threads() -> Callable[..., list[Any]]:
    """Call a function from many threads at the same instant."""
    return at_once


@pytest.fixture
def handle(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let a function of the test do the jobs of one name: ``handle(name, function)``."""

    def install(name: JobName, function: Callable[[JobContext], Any]) -> None:
        monkeypatch.setitem(cast("dict[JobName, Any]", HANDLERS), name, function)

    return install


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change how jobs of one name are run: ``policy(name, lease_s=0.3)``."""

    def change(name: JobName, **values: Any) -> None:
        changed = replace(POLICIES[name], **values)
        monkeypatch.setitem(cast("dict[JobName, Any]", POLICIES), name, changed)

    return change

"""Fixtures for background work."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from store.core.jobs import POLICIES, JobName
from store.core.work import JobContext
from tests.threads import at_once
from workers.handlers import HANDLERS


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

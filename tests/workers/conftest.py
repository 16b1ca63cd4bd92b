"""Fixtures for background work."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any, cast

import pytest

from store.core.jobs import POLICIES, JobName
from store.core.work import JobContext
from workers.handlers import HANDLERS


@pytest.fixture
def in_threads() -> Callable[..., list[Any]]:
    """Call a function from many threads at the same instant."""

    def run(work: Callable[[int], Any], count: int) -> list[Any]:
        start = Barrier(count)

        def wait_and_work(number: int) -> Any:
            start.wait(timeout=30)
            return work(number)

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(wait_and_work, range(count), timeout=60))

    return run


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

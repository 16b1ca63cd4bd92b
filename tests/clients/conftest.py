"""Real clients against a real store."""

from collections.abc import Iterator

import pytest
from huggingface_hub import HfApi

from tests import live


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests with a live store share one: they run in one worker."""
    for item in items:
        if {"store", "publisher"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group("live"))


@pytest.fixture(scope="session")
def store() -> Iterator[live.LiveStore]:
    """A running store; one for all tests of the session."""
    running = live.start()
    yield running
    live.discard(running)


@pytest.fixture
def publisher(store: live.LiveStore) -> HfApi:
    """The hub's own client, signed in as a new person."""
    name, token = store.person()
    api = HfApi(endpoint=store.url, token=token)
    assert api.whoami()["name"] == name
    return api

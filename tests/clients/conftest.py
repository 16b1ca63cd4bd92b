"""Real clients against a real store."""

import pytest
from huggingface_hub import HfApi

from tests import live


@pytest.fixture
def publisher(store: live.LiveStore) -> HfApi:
    """The hub's own client, signed in as a new person."""
    name, token = store.person()
    api = HfApi(endpoint=store.url, token=token)
    assert api.whoami()["name"] == name
    return api

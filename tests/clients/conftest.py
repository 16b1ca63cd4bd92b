"""Real clients against a real store."""

from collections.abc import Iterator

import boto3
import pytest
from huggingface_hub import HfApi

from tests import live
from tests.s3_server import KEY, SECRET, moto_server


@pytest.fixture
def publisher(store: live.LiveStore) -> HfApi:
    """The hub's own client, signed in as a new person."""
    name, token = store.person()
    api = HfApi(endpoint=store.url, token=token)
    assert api.whoami()["name"] == name
    return api


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    """An object store of its own, with the bucket ``weights``."""
    with moto_server() as address:
        client = boto3.client(
            "s3",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        )
        client.create_bucket(Bucket="weights")
        yield address


@pytest.fixture(scope="session")
def s3_store(s3_address: str) -> Iterator[live.LiveStore]:
    """A second store: its weights lie in the object store, and clients fetch them there."""
    running = live.start(
        STORE_STORAGE="s3",
        STORE_DELIVERY="redirect",
        STORE_S3_BUCKET="weights",
        STORE_S3_ENDPOINT=s3_address,
        STORE_S3_ACCESS_KEY=KEY,
        STORE_S3_SECRET_KEY=SECRET,
    )
    yield running
    live.discard(running)

"""Real clients against a real store."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from huggingface_hub import HfApi

from tests import live
from tests.clients.javascript import installed
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


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

    def log_message(self, *_args: Any) -> None:
        pass


@pytest.fixture
def other_site() -> Iterator[str]:
    """The folder of clients on a port of its own: another origin than the store's."""
    handler = partial(Quiet, directory=str(installed()))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()

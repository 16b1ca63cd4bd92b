"""Both storages, as one fixture: a test that takes ``store`` runs on each."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import RLock
from typing import Any

import boto3
import pytest
from moto.s3.exceptions import NoSuchUpload
from moto.s3.models import S3Backend
from moto.s3.responses import S3Response
from moto.server import ThreadedMotoServer

from store.storage import BlobStore, LocalConfig, S3Config, storage_from
from tests.store.storage.lab import s3_keys
from tests.store.storage.ways import Way

KEY, SECRET = "AKIATEST", "not a secret"


def _make_moto_behave() -> None:
    """Correct two things in which moto is not like S3."""
    upload_part, lock = S3Backend.upload_part, RLock()

    def refuse(self: S3Backend, bucket_name: str, multipart_id: str, *rest: Any) -> Any:
        if multipart_id not in self.get_bucket(bucket_name).multiparts:
            raise NoSuchUpload(upload_id=multipart_id)  # moto answers 500
        return upload_part(self, bucket_name, multipart_id, *rest)

    def atomic(respond: Callable[..., Any]) -> Callable[..., Any]:
        def one_at_a_time(*args: Any) -> Any:
            with lock:  # moto closes an object's file while another thread still reads it
                return respond(*args)

        return one_at_a_time

    patched: Any = S3Backend
    patched.upload_part = refuse
    patched = S3Response
    patched.key_response = atomic(S3Response.key_response)
    patched.bucket_response = atomic(S3Response.bucket_response)


@pytest.fixture(scope="session")
def moto_address() -> Iterator[str]:
    """A real HTTP server that speaks S3, on a free port."""
    _make_moto_behave()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def raw_s3(moto_address: str):
    """A client beside the store's own, to look behind its back."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=moto_address,
        region_name="us-east-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )


@pytest.fixture(scope="session")
def s3_config(moto_address: str) -> S3Config:
    return S3Config(bucket="blobs", endpoint=moto_address, access_key=KEY, secret_key=SECRET)


@pytest.fixture(scope="session")
def _s3_store(s3_config: S3Config) -> BlobStore:
    return storage_from(s3_config)  # making boto3's client takes a third of a second


@pytest.fixture
def bucket(raw_s3) -> str:
    """The name of the bucket, which is empty."""
    raw_s3.create_bucket(Bucket="blobs")  # the same one again is no error in us-east-1
    for key in s3_keys(raw_s3):
        raw_s3.delete_object(Bucket="blobs", Key=key)
    for upload in raw_s3.list_multipart_uploads(Bucket="blobs").get("Uploads", []):
        where = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
        raw_s3.abort_multipart_upload(Bucket="blobs", **where)
    return "blobs"


@pytest.fixture
def s3(bucket: str, _s3_store: BlobStore) -> BlobStore:
    return _s3_store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the local storage keeps its files."""
    return tmp_path / "storage"


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, root: Path) -> BlobStore:
    if request.param == "local":
        return storage_from(LocalConfig(root))
    s3: BlobStore = request.getfixturevalue("s3")
    return s3


@pytest.fixture
def local(root: Path) -> BlobStore:
    return storage_from(LocalConfig(root))


@pytest.fixture(params=["local", "s3-app", "s3-link"])
def way(request: pytest.FixtureRequest) -> Way:
    name, _, by = request.param.partition("-")
    return Way(request.getfixturevalue(name), by_link=by == "link")

"""Both storages, as one fixture: a test that takes ``store`` runs on each."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from store.storage import BlobStore, LocalConfig, S3Config, storage_from
from tests.s3_server import KEY, SECRET, moto_server
from tests.store.storage.lab import s3_keys
from tests.store.storage.ways import Way


@pytest.fixture(scope="session")
def moto_address() -> Iterator[str]:
    """A real HTTP server that speaks S3, on a free port."""
    with moto_server() as address:
        yield address


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

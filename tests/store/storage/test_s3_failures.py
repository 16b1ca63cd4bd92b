"""S3 that breaks off, does not answer, refuses or is full."""

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from store.storage import (
    BlobNotFoundError,
    BlobStore,
    DigestMismatchError,
    S3Config,
    StorageFullError,
    StorageUnavailableError,
    UploadNotFoundError,
    UploadPlan,
    storage_from,
)
from store.storage.s3_client import s3_errors
from tests.store.storage.lab import MIB, digest_of, noise, put, read, s3_keys

PART = 5 * MIB
DATA = noise(2 * PART + 7)
METHODS: tuple[Literal["GET"], Literal["HEAD"]] = ("GET", "HEAD")


class CuttingProxy:
    """Forwards to S3 and breaks every connection after so many bytes of answers."""

    def __init__(self, address: str, cut_after: int, cuts: int) -> None:
        target = urlsplit(address)
        self._target = (target.hostname or "", target.port or 80)
        self._cut_after, self.cuts_left = cut_after, cuts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            threading.Thread(target=self._up, args=(client, server), daemon=True).start()
            threading.Thread(target=self._down, args=(client, server), daemon=True).start()

    @staticmethod
    def _up(client: socket.socket, server: socket.socket) -> None:
        with closing(server):
            try:
                while data := client.recv(65536):
                    server.sendall(data)
            except OSError:
                pass

    def _down(self, client: socket.socket, server: socket.socket) -> None:
        sent = 0
        with closing(client):
            try:
                while data := server.recv(65536):
                    sent += len(data)
                    if sent > self._cut_after and self.cuts_left > 0:
                        self.cuts_left -= 1
                        client.shutdown(socket.SHUT_RDWR)
                        return
                    client.sendall(data)
            except OSError:
                pass

    def close(self) -> None:
        self._listener.close()


@contextmanager
def cutting(
    config: S3Config, cut_after: int, cuts: int
) -> Iterator[tuple[BlobStore, CuttingProxy]]:
    proxy = CuttingProxy(config.endpoint, cut_after, cuts)
    try:
        yield storage_from(replace(config, endpoint=proxy.address)), proxy
    finally:
        proxy.close()


def test_reading_goes_on_where_the_connection_broke(s3: BlobStore, s3_config: S3Config) -> None:
    data = noise(9 * MIB)
    digest = put(s3, data)

    with cutting(s3_config, cut_after=4 * MIB, cuts=2) as (store, proxy):
        assert read(store, digest) == data
        assert proxy.cuts_left == 0


def test_reading_a_span_is_repeated_when_the_connection_broke(s3, s3_config) -> None:
    data = noise(3 * MIB)
    digest = put(s3, data)

    with cutting(s3_config, cut_after=MIB, cuts=2) as (store, proxy):
        assert store.read_at(digest, 1, 2 * MIB) == data[1 : 2 * MIB + 1]
        assert proxy.cuts_left == 0


def test_reading_gives_up_when_the_connection_keeps_breaking(s3, s3_config) -> None:
    data = noise(3 * MIB)
    digest = put(s3, data)

    with cutting(s3_config, cut_after=50_000, cuts=10**6) as (store, _):
        with pytest.raises(StorageUnavailableError), store.open(digest) as file:
            file.read()
        with pytest.raises(StorageUnavailableError):
            store.read_at(digest, 0, 2 * MIB)


def test_a_blob_deleted_under_a_reader_is_not_found(s3: BlobStore) -> None:
    digest = put(s3, noise(3 * MIB))

    with s3.open(digest) as file:
        file.seek(2 * MIB)
        s3.delete(digest)
        with pytest.raises(BlobNotFoundError):
            file.read()


def test_an_object_that_lost_its_end_is_a_failure_not_an_end(s3, raw_s3) -> None:
    digest = put(s3, noise(3 * MIB))

    with s3.open(digest) as file:
        file.seek(2 * MIB)
        key = f"sha256/{digest[:2]}/{digest[2:4]}/{digest}"
        raw_s3.put_object(Bucket="blobs", Key=key, Body=b"short")
        with pytest.raises(StorageUnavailableError):
            file.read()


def test_s3_that_does_not_answer_is_503_within_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    store = storage_from(
        S3Config("blobs", endpoint=f"http://127.0.0.1:{port}", access_key="A", secret_key="B")
    )
    digest = digest_of(b"hello")
    plan = UploadPlan("a" * 32 + ".x", digest, 2 * PART, PART)
    calls: list[Callable[[], object]] = [
        store.check,
        lambda: put(store, b"hello"),
        lambda: store.exists(digest),
        lambda: store.open(digest),
        lambda: store.read_at(digest, 0, 1),
        lambda: list(store.blobs()),
        lambda: store.delete(digest),
        lambda: store.start(digest, 2 * PART, part_size_bytes=PART),
        lambda: store.put_part(plan, 1, io.BytesIO(noise(PART))),
        lambda: store.complete(plan),
        lambda: store.abort(plan),
        lambda: store.sweep(older_than_s=60),
    ]

    for call in calls:
        started = time.monotonic()
        with pytest.raises(StorageUnavailableError) as caught:
            call()
        assert caught.value.status == 503
        assert time.monotonic() - started < 15


def test_a_missing_bucket_is_our_fault_not_the_callers(s3: BlobStore, s3_config) -> None:
    store = storage_from(replace(s3_config, bucket="not-there"))

    for call in (store.check, lambda: put(store, b"hello"), lambda: list(store.blobs())):
        with pytest.raises(StorageUnavailableError):
            call()


@pytest.mark.parametrize(
    ("code", "status", "missing", "expected"),
    [
        ("NoSuchKey", 404, BlobNotFoundError("x"), BlobNotFoundError),
        ("NoSuchUpload", 404, UploadNotFoundError("x"), UploadNotFoundError),
        ("404", 404, BlobNotFoundError("x"), BlobNotFoundError),
        ("NoSuchKey", 404, None, StorageUnavailableError),
        ("NoSuchBucket", 404, BlobNotFoundError("x"), StorageUnavailableError),
        ("XMinioStorageFull", 507, None, StorageFullError),
        ("QuotaExceeded", 403, None, StorageFullError),
        ("Whatever", 507, None, StorageFullError),
        ("SlowDown", 503, None, StorageUnavailableError),
        ("AccessDenied", 403, BlobNotFoundError("x"), StorageUnavailableError),
        ("SignatureDoesNotMatch", 403, None, StorageUnavailableError),
        ("InternalError", 500, None, StorageUnavailableError),
    ],
)
def test_says_whose_fault_a_refusal_is(code, status, missing, expected) -> None:
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}

    with pytest.raises(expected) as caught, s3_errors(missing=missing):
        raise ClientError(answer, "GetObject")

    assert type(caught.value) is expected
    assert isinstance(caught.value.__cause__, ClientError)


def test_an_upload_refused_in_the_middle_keeps_nothing(s3: BlobStore, raw_s3) -> None:
    with pytest.raises(DigestMismatchError):
        s3.put(io.BytesIO(noise(30 * MIB)), digest_of(b"other"), 30 * MIB)

    assert s3_keys(raw_s3) == []
    assert "Uploads" not in raw_s3.list_multipart_uploads(Bucket="blobs")

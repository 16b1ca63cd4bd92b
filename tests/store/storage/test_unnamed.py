"""Content that comes without its digest: named by what it is, dropped by link, read by span."""

import io
from urllib.parse import parse_qs, urlsplit

import pytest
from blake3 import blake3

from store.storage import BlobStore, ByteSource, Digest, UploadNotFoundError
from tests.store.storage.lab import MIB, Source, noise, put, read, send

NAME = "0123456789abcdef" * 2


class RefusingError(Exception):
    pass


class Refusing(io.BytesIO):
    """A source that finds out at its end that it is not what it should be."""

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        if not piece:
            raise RefusingError
        return piece


@pytest.mark.parametrize("size_bytes", [0, 5, MIB + 1, 20 * MIB + 3])
def test_it_is_named_by_its_blake3(store: BlobStore, size_bytes: int) -> None:
    data = noise(size_bytes)

    digest, size = store.put_unnamed(Source(data, step=65_537))
    again, _ = store.put_unnamed(io.BytesIO(data))

    assert digest == again == f"blake3-{blake3(data).hexdigest()}"
    assert size == size_bytes
    assert read(store, digest) == data


def test_a_source_that_refuses_leaves_nothing(store: BlobStore) -> None:
    with pytest.raises(RefusingError):
        store.put_unnamed(Refusing(noise(9 * MIB)))

    assert list(store.blobs()) == []
    assert store.sweep(older_than_s=-60) == 0


def test_both_kinds_of_names_are_listed_and_deleted(store: BlobStore) -> None:
    named = put(store, b"by sha256")
    unnamed, _ = store.put_unnamed(io.BytesIO(b"by blake3"))

    assert {blob.digest for blob in store.blobs()} == {named, unnamed}

    store.delete(unnamed)
    assert [blob.digest for blob in store.blobs()] == [named]


def test_nothing_dropped_is_nothing_taken(store: BlobStore) -> None:
    for name in (NAME, "../etc/passwd"):
        with pytest.raises(UploadNotFoundError):
            store.take_drop(name, lambda source: source)


def test_a_drop_is_checked_before_it_is_anything(s3: BlobStore) -> None:
    data = noise(100_000)
    url = s3.drop_url(NAME, len(data), expires_s=60)
    assert url is not None
    assert send("PUT", url, data)[0] == 200
    assert list(s3.blobs()) == []

    digest, size_bytes = s3.take_drop(NAME, lambda source: source)

    assert (size_bytes, read(s3, digest)) == (100_000, data)
    with pytest.raises(UploadNotFoundError):
        s3.take_drop(NAME, lambda source: source)


def test_a_drop_that_is_refused_is_gone(s3: BlobStore) -> None:
    url = s3.drop_url(NAME, 5, expires_s=60)
    send("PUT", url or "", b"wrong")

    def refuse(source: ByteSource) -> ByteSource:
        return Refusing(source.read(100))

    with pytest.raises(RefusingError):
        s3.take_drop(NAME, refuse)

    assert list(s3.blobs()) == []
    with pytest.raises(UploadNotFoundError):
        s3.take_drop(NAME, lambda source: source)


def test_drops_nobody_took_are_swept(s3: BlobStore) -> None:
    send("PUT", s3.drop_url(NAME, 5, expires_s=60) or "", b"12345")

    assert s3.sweep(older_than_s=-60) == 1


def test_a_link_to_a_span_signs_the_range(s3: BlobStore) -> None:
    digest = put(s3, noise(1000))
    url = s3.download_url(
        digest, filename="x", content_type="application/octet-stream", expires_s=60, span=(10, 19)
    )

    query = parse_qs(urlsplit(url or "").query)
    status, _, body = send("GET", url or "", headers={"Range": "bytes=10-19"})

    assert query["X-Amz-SignedHeaders"] == ["host;range"]
    assert (status, body) == (206, noise(1000)[10:20])


def test_local_disk_has_no_links(local: BlobStore) -> None:
    digest = Digest(put(local, b"hello"))

    assert local.drop_url(NAME, 5, expires_s=60) is None
    assert (
        local.download_url(digest, filename="x", content_type="x/y", expires_s=60, span=(0, 1))
        is None
    )

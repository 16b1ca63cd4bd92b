"""Content that comes without its digest: named by what it is, dropped by link, read by span."""

import hashlib
import io
from urllib.parse import parse_qs, urlsplit

import pytest

from store.storage import BlobStore, ByteSource, Digest, InvalidDigestError, UploadNotFoundError
from tests.store.storage.lab import MIB, Source, noise, put, read, send

NAME = "0123456789abcdef" * 2


class RefusingError(Exception):
    pass


class Naming:
    """A source that knows its name at its end."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._hash = hashlib.blake2s()

    def read(self, size: int, /) -> bytes:
        piece = self._source.read(size)
        self._hash.update(piece)
        return piece

    @property
    def digest(self) -> Digest:
        return Digest(f"xorb-{self._hash.hexdigest()}")


class Refusing(io.BytesIO):
    """A source that finds out at its end that it is not what it should be."""

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        if not piece:
            raise RefusingError
        return piece


@pytest.mark.parametrize("size_bytes", [0, 5, MIB + 1, 20 * MIB + 3])
def test_it_goes_by_the_name_it_says(store: BlobStore, size_bytes: int) -> None:
    data = noise(size_bytes)

    digest, size = store.put_unnamed(Naming(Source(data, step=65_537)))
    again, _ = store.put_unnamed(Naming(io.BytesIO(data)))

    assert digest == again == f"xorb-{hashlib.blake2s(data).hexdigest()}"
    assert size == size_bytes
    assert read(store, digest) == data


def test_a_name_that_is_none_leaves_nothing(store: BlobStore) -> None:
    class Climbing(Naming):
        digest = Digest("xorb-../../../outside")

    with pytest.raises(InvalidDigestError):
        store.put_unnamed(Climbing(io.BytesIO(b"content")))

    assert list(store.blobs()) == []


def test_a_source_that_refuses_leaves_nothing(store: BlobStore) -> None:
    with pytest.raises(RefusingError):
        store.put_unnamed(Naming(Refusing(noise(9 * MIB))))

    assert list(store.blobs()) == []
    assert store.sweep(older_than_s=-60) == 0


def test_both_kinds_of_names_are_listed_and_deleted(store: BlobStore) -> None:
    named = put(store, b"by sha256")
    unnamed, _ = store.put_unnamed(Naming(io.BytesIO(b"by its own")))

    assert {blob.digest for blob in store.blobs()} == {named, unnamed}

    store.delete(unnamed)
    assert [blob.digest for blob in store.blobs()] == [named]


def test_nothing_dropped_is_nothing_taken(store: BlobStore) -> None:
    for name in (NAME, "../etc/passwd"):
        with pytest.raises(UploadNotFoundError):
            store.take_drop(name, Naming)


def test_a_drop_is_checked_before_it_is_anything(s3: BlobStore) -> None:
    data = noise(100_000)
    url = s3.drop_url(NAME, len(data), expires_s=60)
    assert url is not None
    assert send("PUT", url, data)[0] == 200
    assert list(s3.blobs()) == []

    digest, size_bytes = s3.take_drop(NAME, Naming)

    assert (size_bytes, read(s3, digest)) == (100_000, data)
    with pytest.raises(UploadNotFoundError):
        s3.take_drop(NAME, Naming)


def test_a_drop_that_is_refused_is_gone(s3: BlobStore) -> None:
    url = s3.drop_url(NAME, 5, expires_s=60)
    send("PUT", url or "", b"wrong")

    def refuse(source: ByteSource) -> Naming:
        return Naming(Refusing(source.read(100)))

    with pytest.raises(RefusingError):
        s3.take_drop(NAME, refuse)

    assert list(s3.blobs()) == []
    with pytest.raises(UploadNotFoundError):
        s3.take_drop(NAME, Naming)


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

"""What every storage promises for whole objects; each test runs on local disk and on S3."""

import io
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from store.storage import (
    BlobNotFoundError,
    BlobStore,
    Digest,
    DigestMismatchError,
    InvalidDigestError,
    SizeMismatchError,
    StoredBlob,
)
from tests.store.storage.lab import MIB, Source, digest_of, noise, put, read

EMPTY = Digest("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")

SIZES = [0, 1, 5, MIB - 1, MIB, MIB + 1, 8 * MIB, 8 * MIB + 1, 20 * MIB + 3]


@pytest.mark.parametrize("size_bytes", SIZES)
def test_gives_back_what_was_put(store: BlobStore, size_bytes: int) -> None:
    data = noise(size_bytes)

    digest = put(store, data)

    assert read(store, digest) == data
    assert store.size(digest) == size_bytes
    assert store.exists(digest)


def test_takes_sources_that_answer_in_small_pieces(store: BlobStore) -> None:
    data = noise(9 * MIB + 7)

    store.put(Source(data, step=65_537), digest_of(data), len(data))

    assert read(store, digest_of(data)) == data


def test_the_empty_blob_has_its_known_digest(store: BlobStore) -> None:
    store.put(io.BytesIO(), EMPTY, 0)

    assert read(store, EMPTY) == b""
    assert store.read_at(EMPTY, 0, 10) == b""


@pytest.mark.parametrize("size_bytes", [100, MIB, 9 * MIB])
@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda data: data[:-1], SizeMismatchError),
        (lambda data: data + b"x", SizeMismatchError),
        (lambda data: data[: len(data) // 2], SizeMismatchError),
        (lambda _: b"", SizeMismatchError),
        (lambda data: data * 2, SizeMismatchError),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), DigestMismatchError),
        (lambda data: data[: len(data) // 2] + b"\0" + data[len(data) // 2 + 1 :], None),
    ],
    ids=["short", "long", "half", "empty", "twice", "last-bit", "middle"],
)
def test_refuses_other_bytes_and_keeps_nothing(store, size_bytes, change, error) -> None:
    data = noise(size_bytes)
    digest = digest_of(data)

    with pytest.raises(error or DigestMismatchError):
        store.put(io.BytesIO(change(data)), digest, size_bytes)

    assert not store.exists(digest)
    assert list(store.blobs()) == []
    assert store.sweep(older_than_s=-60) == 0


def test_refuses_a_right_body_with_a_wrong_size(store: BlobStore) -> None:
    for announced in (99, 101):
        with pytest.raises(SizeMismatchError) as caught:
            store.put(io.BytesIO(noise(100)), digest_of(noise(100)), announced)
        assert caught.value.extra["expected_bytes"] == announced

    assert list(store.blobs()) == []


def test_refuses_a_body_under_the_digest_of_the_empty_file(store: BlobStore) -> None:
    with pytest.raises(SizeMismatchError):
        store.put(io.BytesIO(b"body"), EMPTY, 0)
    with pytest.raises(DigestMismatchError):
        store.put(io.BytesIO(b"body"), EMPTY, 4)

    assert not store.exists(EMPTY)


def test_a_too_long_body_is_not_read_to_its_end(store: BlobStore) -> None:
    taken: list[int] = []
    endless = Source(noise(40 * MIB), before=taken.append)

    with pytest.raises(SizeMismatchError):
        store.put(endless, digest_of(b""), 2 * MIB)

    assert max(taken) <= 3 * MIB


def test_knowing_a_digest_is_not_enough_when_it_is_stored(store: BlobStore) -> None:
    digest = put(store, b"the victim's weights")

    with pytest.raises(SizeMismatchError):
        store.put(io.BytesIO(), digest, 20)
    with pytest.raises(DigestMismatchError):
        store.put(io.BytesIO(b"a thief's other text"), digest, 20)

    assert read(store, digest) == b"the victim's weights"


def test_putting_twice_reads_the_source_and_changes_nothing(store: BlobStore) -> None:
    data = noise(3 * MIB)
    put(store, data)
    again = io.BytesIO(data)

    store.put(again, digest_of(data), len(data))

    assert again.read() == b""
    assert [blob.digest for blob in store.blobs()] == [digest_of(data)]


def test_putting_again_renews_the_age(store: BlobStore) -> None:
    digest = put(store, b"old")
    first_s = next(store.blobs()).modified_s
    time.sleep(1.1)  # S3 dates objects to the second

    put(store, b"old")

    assert next(store.blobs()).modified_s >= first_s + 1
    assert read(store, digest) == b"old"


def test_what_the_source_raises_reaches_the_caller_and_nothing_stays(store: BlobStore) -> None:
    def hang_up(position: int) -> None:
        if position >= 9 * MIB:
            raise ConnectionResetError("client went away")

    data = noise(10 * MIB)

    with pytest.raises(ConnectionResetError, match="client went away"):
        store.put(Source(data, before=hang_up), digest_of(data), len(data))

    assert list(store.blobs()) == []
    assert store.sweep(older_than_s=-60) == 0


HOSTILE = [
    "",
    "a",
    "../x",
    "../../../../etc/passwd",
    "/etc/passwd",
    "0" * 63,
    "0" * 65,
    "A" * 64,
    EMPTY.upper(),
    f"sha256:{EMPTY}",
    f"sha256-{EMPTY}",
    EMPTY + "\n",
    "\n" + EMPTY,
    EMPTY[:-1] + "g",
    EMPTY[:-1] + "/",
    EMPTY[:-1] + "\0",
    "." * 64,
    "../" * 21 + "x",
    "\N{FULLWIDTH DIGIT ONE}" * 64,
    "\N{ARABIC-INDIC DIGIT ONE}" * 64,
    f"{EMPTY}/../{EMPTY}",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_refuses_what_is_not_a_digest_everywhere(store: BlobStore, text: str) -> None:
    digest = Digest(text)
    calls = [
        lambda: store.put(io.BytesIO(b"x"), digest, 1),
        lambda: store.exists(digest),
        lambda: store.size(digest),
        lambda: store.open(digest),
        lambda: store.read_at(digest, 0, 1),
        lambda: store.read_at(digest, 0, 0),
        lambda: store.local_path(digest),
        lambda: store.download_url(digest, filename="f", content_type="a/b", expires_s=60),
        lambda: store.delete(digest),
        lambda: store.start(digest, 1, part_size_bytes=1),
    ]

    for call in calls:
        with pytest.raises(InvalidDigestError) as caught:
            call()
        assert len(str(caught.value.extra["digest"])) <= 80

    assert list(store.blobs()) == []


def test_an_absent_digest_is_not_found_everywhere(store: BlobStore) -> None:
    digest = digest_of(b"never sent")

    assert not store.exists(digest)
    for call in (
        lambda: store.size(digest),
        lambda: store.open(digest),
        lambda: store.open(digest, offset=7),
        lambda: store.read_at(digest, 0, 4),
        lambda: store.read_at(digest, 0, 0),
        lambda: store.local_path(digest),
    ):
        with pytest.raises(BlobNotFoundError):
            call()
    store.delete(digest)


def test_opens_at_an_offset_and_seeks(store: BlobStore) -> None:
    data = noise(3 * MIB)
    digest = put(store, data)

    with store.open(digest, offset=MIB + 5) as file:
        assert file.tell() == MIB + 5
        assert file.read(10) == data[MIB + 5 : MIB + 15]
        assert file.seek(2) == 2
        assert file.read(3) == data[2:5]
        assert file.seek(-4, io.SEEK_END) == len(data) - 4
        assert file.read() == data[-4:]
        assert file.read(1) == b""
        assert file.seek(0) == 0
        assert file.seek(MIB, io.SEEK_CUR) == MIB
        assert file.read() == data[MIB:]
        with pytest.raises((ValueError, OSError)):
            file.seek(-1)
    assert file.closed


@pytest.mark.parametrize("offset", [10, 11, 10**12])
def test_opening_at_the_end_or_past_it_reads_nothing(store: BlobStore, offset: int) -> None:
    digest = put(store, b"0123456789")

    with store.open(digest, offset=offset) as file:
        assert file.read() == b""
        assert file.seek(8) == 8
        assert file.read() == b"89"


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, 4, b"0123"),
        (3, 4, b"3456"),
        (8, 4, b"89"),
        (9, 1, b"9"),
        (10, 1, b""),
        (11, 5, b""),
        (0, 0, b""),
        (0, 10, b"0123456789"),
        (0, 10**9, b"0123456789"),
    ],
)
def test_reads_a_span(store: BlobStore, offset: int, length: int, expected: bytes) -> None:
    digest = put(store, b"0123456789")

    assert store.read_at(digest, offset, length) == expected


def test_negative_positions_are_a_mistake_of_the_program(store: BlobStore) -> None:
    digest = put(store, b"0123456789")

    for call in (
        lambda: store.open(digest, offset=-1),
        lambda: store.read_at(digest, -1, 1),
        lambda: store.read_at(digest, 0, -1),
    ):
        with pytest.raises(ValueError, match="negative"):
            call()


def test_delete_removes_one_and_can_be_repeated(store: BlobStore) -> None:
    gone, kept = put(store, b"gone"), put(store, b"kept")

    store.delete(gone)
    store.delete(gone)

    assert not store.exists(gone)
    assert [blob.digest for blob in store.blobs()] == [kept]
    assert put(store, b"gone") == gone
    assert read(store, gone) == b"gone"


def test_lists_all_in_order_with_size_and_age(store: BlobStore) -> None:
    before_s = time.time()
    digests = sorted(put(store, bytes([n]) * n) for n in range(40))

    listed = list(store.blobs())

    assert [blob.digest for blob in listed] == digests
    assert {blob.digest: blob.size_bytes for blob in listed} == {
        digest_of(bytes([n]) * n): n for n in range(40)
    }
    assert all(before_s - 2 <= blob.modified_s <= time.time() + 2 for blob in listed)
    assert isinstance(listed[0], StoredBlob)


def test_check_passes_on_a_working_storage_and_leaves_nothing(store: BlobStore) -> None:
    store.check()

    assert list(store.blobs()) == []
    assert store.sweep(older_than_s=-60) == 0


def test_many_writers_of_one_digest_and_a_liar_among_them(store: BlobStore) -> None:
    data = noise(2 * MIB + 1)
    digest = digest_of(data)
    wrong = data[:-1] + b"\0"
    together = Barrier(8)

    def write(body: bytes) -> str:
        together.wait(timeout=30)
        try:
            store.put(Source(body, step=100_000), digest, len(data))
        except DigestMismatchError:
            return "refused"
        return "stored"

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(write, [data, wrong] * 4))

    assert results == ["stored", "refused"] * 4
    assert read(store, digest) == data
    assert len(list(store.blobs())) == 1
    assert store.sweep(older_than_s=-60) == 0


def test_a_blob_is_absent_until_its_writer_is_done(store: BlobStore) -> None:
    data = noise(10 * MIB)
    digest = digest_of(data)
    seen: list[bool] = []

    store.put(Source(data, before=lambda _: seen.append(store.exists(digest))), digest, len(data))

    assert len(seen) >= 10
    assert not any(seen)
    assert store.exists(digest)


def test_a_reader_goes_on_after_the_blob_was_written_again(store: BlobStore) -> None:
    data = noise(5 * MIB)
    digest = put(store, data)

    with store.open(digest) as file:
        head = file.read(MIB)
        put(store, data)
        rest = file.read()

    assert head + rest == data

"""What only S3 has: staging, copies on the server, keys of others."""

import io
from typing import Literal

import pytest

from store.storage import (
    BlobStore,
    PartListError,
    SizeMismatchError,
    StorageUnavailableError,
    UploadNotFoundError,
    UploadPlan,
)
from tests.store.storage.lab import MIB, Source, digest_of, noise, put, read, s3_keys, send

PART = 5 * MIB
DATA = noise(2 * PART + 7)
METHODS: tuple[Literal["GET"], Literal["HEAD"]] = ("GET", "HEAD")


def test_a_piece_of_another_size_ends_the_upload(s3: BlobStore, raw_s3) -> None:
    for body in (b"hell", b"hello!"):
        plan = s3.start(digest_of(b"hello"), 5, part_size_bytes=PART)
        url = s3.part_url(plan, 1, expires_s=60)
        assert url
        assert send("PUT", url, body)[0] == 200  # moto does not check signatures, S3 would

        with pytest.raises(SizeMismatchError):
            s3.complete(plan)
        assert s3_keys(raw_s3) == []


def test_a_part_of_another_size_counts_as_missing(s3: BlobStore, raw_s3) -> None:
    plan = s3.start(digest_of(DATA), len(DATA), part_size_bytes=PART)
    bodies = {1: DATA[:PART], 2: DATA[PART : 2 * PART + 1], 3: DATA[2 * PART :], 4: b"more"}
    for number, body in bodies.items():
        url = s3.part_url(plan, min(number, 3), expires_s=60)
        assert url
        send("PUT", url.replace("partNumber=3", f"partNumber={number}"), body)

    with pytest.raises(PartListError) as caught:
        s3.complete(plan)

    assert caught.value.extra["missing"] == [2]
    assert s3_keys(raw_s3) == []


def test_bytes_exchanged_while_they_are_verified_do_no_harm(s3, raw_s3, monkeypatch) -> None:
    """The link stays good: its holder sends other bytes just when the right ones were hashed."""
    plan = s3.start(digest_of(b"good!"), 5, part_size_bytes=PART)
    url = s3.part_url(plan, 1, expires_s=60)
    send("PUT", url, b"good!")
    verify = s3._verify

    def exchange_after(*args) -> None:
        verify(*args)
        assert send("PUT", url, b"evil!")[0] == 200

    monkeypatch.setattr(s3, "_verify", exchange_after)
    s3.complete(plan)

    assert read(s3, plan.digest) == b"good!"


def test_a_link_used_after_completion_changes_nothing(s3: BlobStore) -> None:
    for data in (DATA, b"small"):
        plan = s3.start(digest_of(data), len(data), part_size_bytes=PART)
        url = s3.part_url(plan, 1, expires_s=60)
        assert url
        for n in range(1, plan.part_count + 1):
            s3.put_part(plan, n, io.BytesIO(data[(n - 1) * PART : n * PART]))
        s3.complete(plan)

        send("PUT", url, noise(min(PART, len(data)), seed=7))
        s3.complete(plan)

        assert read(s3, plan.digest) == data


def test_what_a_client_claims_of_its_bytes_is_not_kept(s3: BlobStore, raw_s3) -> None:
    plan = s3.start(digest_of(b"<script>"), 8, part_size_bytes=PART)
    raw_s3.put_object(
        Bucket="blobs",
        Key=f"staging/{plan.id}/sent",
        Body=b"<script>",
        ContentType="text/html",
        ContentEncoding="gzip",
        CacheControl="public",
        Metadata={"x": "y"},
    )

    s3.complete(plan)

    (key,) = [key for key in s3_keys(raw_s3) if key.startswith("sha256/")]
    head = raw_s3.head_object(Bucket="blobs", Key=key)
    assert head["ContentType"] == "application/octet-stream"
    assert head["Metadata"] == {}
    assert "ContentEncoding" not in head
    assert "CacheControl" not in head


def test_only_the_blob_and_a_sign_stay_after_an_upload(s3: BlobStore, raw_s3) -> None:
    for data in (DATA, b"small"):
        plan = s3.start(digest_of(data), len(data), part_size_bytes=PART)
        for n in range(1, plan.part_count + 1):
            s3.put_part(plan, n, io.BytesIO(data[(n - 1) * PART : n * PART]))
        s3.complete(plan)
        digest = plan.digest

        assert s3_keys(raw_s3) == [
            f"sha256/{digest[:2]}/{digest[2:4]}/{digest}",
            f"staging/{plan.id[:32]}/done-{digest}",
        ]
        s3.delete(digest)
        s3.abort(plan)
        assert s3.sweep(older_than_s=-60) == 1


def sent_upload(s3: BlobStore, data: bytes = DATA) -> UploadPlan:
    plan = s3.start(digest_of(data), len(data), part_size_bytes=PART)
    for n in range(1, plan.part_count + 1):
        s3.put_part(plan, n, io.BytesIO(data[(n - 1) * PART : n * PART]))
    return plan


@pytest.mark.parametrize("step", ["_verify", "_discard"])
@pytest.mark.parametrize("data", [DATA, b"small"], ids=["parts", "piece"])
def test_a_completion_that_broke_off_is_finished_by_the_next(s3, monkeypatch, step, data) -> None:
    plan = sent_upload(s3, data)

    def fail(*_: object) -> None:
        raise StorageUnavailableError("down")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(s3, step, fail)
        with pytest.raises(StorageUnavailableError):
            s3.complete(plan)
    s3.complete(plan)

    assert read(s3, plan.digest) == data
    assert len(list(s3.blobs())) == 1


def test_a_completion_overtaken_by_another_succeeds(s3, monkeypatch) -> None:
    for data in (DATA, b"small"):
        plan = sent_upload(s3, data)
        verify = s3._verify
        overtaken: list[bool] = []

        def be_overtaken(*args, plan=plan, verify=verify, overtaken=overtaken) -> None:
            verify(*args)
            if not overtaken:
                overtaken.append(True)
                s3.complete(plan)

        monkeypatch.setattr(s3, "_verify", be_overtaken)
        s3.complete(plan)

        assert overtaken
        assert read(s3, plan.digest) == data


def test_a_piece_deleted_while_it_is_frozen_is_missing(s3, monkeypatch) -> None:
    plan = sent_upload(s3, b"small")
    copy = s3._bucket.copy
    monkeypatch.setattr(
        s3._bucket, "copy", lambda *args, **kwargs: (s3._discard(plan), copy(*args, **kwargs))
    )

    with pytest.raises(UploadNotFoundError):
        s3.complete(plan)

    assert list(s3.blobs()) == []


def test_parts_are_at_least_5_mib(s3: BlobStore) -> None:
    with pytest.raises(ValueError, match="S3 takes no parts of 5242879 bytes"):
        s3.start(digest_of(DATA), len(DATA), part_size_bytes=PART - 1)


def test_large_objects_are_copied_in_pieces(s3, raw_s3, monkeypatch) -> None:
    monkeypatch.setattr("store.storage.bucket._COPY_PIECE_BYTES", 6 * MIB)
    plan = sent_upload(s3)

    s3.complete(plan)

    assert read(s3, plan.digest) == DATA
    key = f"sha256/{plan.digest[:2]}/{plan.digest[2:4]}/{plan.digest}"
    head = raw_s3.head_object(Bucket="blobs", Key=key)
    assert head["ETag"].endswith('-2"')
    assert head["ContentType"] == "application/octet-stream"


def test_sweep_spares_an_upload_to_which_parts_still_come(s3, raw_s3) -> None:
    plan = s3.start(digest_of(DATA), len(DATA), part_size_bytes=PART)
    s3.put_part(plan, 1, io.BytesIO(DATA[:PART]))  # moto dates every start to 2010

    assert s3.sweep(older_than_s=3600) == 0
    assert s3.sweep(older_than_s=-60) == 1

    with pytest.raises(UploadNotFoundError):
        s3.put_part(plan, 1, io.BytesIO(DATA[:PART]))


def test_sweep_ends_what_a_killed_server_left(s3, raw_s3) -> None:
    key = f"sha256/aa/bb/{'a' * 64}"
    raw_s3.create_multipart_upload(Bucket="blobs", Key=key)
    raw_s3.create_multipart_upload(Bucket="blobs", Key="somebody/else")
    raw_s3.put_object(Bucket="blobs", Key="staging/x/frozen-1", Body=b"x")
    raw_s3.put_object(Bucket="blobs", Key="backups/1", Body=b"x")

    assert s3.sweep(older_than_s=-60) == 2

    assert s3_keys(raw_s3) == ["backups/1"]
    assert raw_s3.list_multipart_uploads(Bucket="blobs")["Uploads"][0]["Key"] == "somebody/else"


def test_an_upload_that_ends_under_the_sweeper_is_no_trouble(s3, raw_s3, monkeypatch) -> None:
    raw_s3.create_multipart_upload(Bucket="blobs", Key="staging/x/sent")
    monkeypatch.setattr(s3._bucket, "open_uploads", lambda _: iter([("staging/x/sent", "gone", 0)]))

    assert s3.sweep(older_than_s=60) == 0


def test_lists_only_its_own_keys(s3: BlobStore, raw_s3) -> None:
    digest = put(s3, b"hello")
    for key in (
        "sha256/README",
        f"sha256/{digest}",
        f"sha256/00/00/{digest}",
        f"sha256/{digest[:2]}/{digest[2:4]}/{digest.upper()}",
        f"sha256/{digest[:2]}/{digest[2:4]}/{digest}/more",
    ):
        raw_s3.put_object(Bucket="blobs", Key=key, Body=b"x")

    assert [blob.digest for blob in s3.blobs()] == [digest]


def test_a_large_part_passes_through_a_temporary_file(s3: BlobStore) -> None:
    data = noise(21 * MIB)
    plan = s3.start(digest_of(data), len(data), part_size_bytes=11 * MIB)

    s3.put_part(plan, 1, Source(data[: 11 * MIB], step=100_000))
    s3.put_part(plan, 2, Source(data[11 * MIB :]))
    s3.complete(plan)

    assert read(s3, plan.digest) == data

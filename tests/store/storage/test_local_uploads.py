"""Uploads on local disk that meet power cuts, each other and the sweeper."""

import io
import os
from pathlib import Path

import pytest

from store.storage import (
    BlobStore,
    DigestMismatchError,
    PartListError,
    UploadNotFoundError,
)
from tests.store.storage.lab import MIB, Source, digest_of, files_below, noise, read


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda data: data[:3],
        lambda data: data[:5],
        lambda data: data[:40],
        lambda data: data[:-1],
        lambda data: data + b"0",
        lambda data: b"\0" * len(data),
    ],
)
def test_a_part_cut_short_by_a_power_cut_counts_as_missing(local, root, damage) -> None:
    plan = local.start(digest_of(b"hello"), 5, part_size_bytes=5)
    local.put_part(plan, 1, io.BytesIO(b"hello"))
    path = root / "uploads" / plan.id / "00001"
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(PartListError) as caught:
        local.complete(plan)
    assert caught.value.extra["missing"] == [1]
    local.put_part(plan, 1, io.BytesIO(b"hello"))
    local.complete(plan)

    assert read(local, plan.digest) == b"hello"


def test_a_part_whose_bytes_rotted_is_found_out(local: BlobStore, root: Path) -> None:
    plan = local.start(digest_of(b"hello"), 5, part_size_bytes=5)
    local.put_part(plan, 1, io.BytesIO(b"hello"))
    path = root / "uploads" / plan.id / "00001"
    path.write_bytes(b"j" + path.read_bytes()[1:])

    with pytest.raises(DigestMismatchError):
        local.complete(plan)

    assert files_below(root) == []


@pytest.mark.parametrize("vanish", ["part", "shorter", "all"])
def test_parts_that_vanish_while_they_are_joined(local, root, vanish) -> None:
    data = noise(3 * MIB)
    plan = local.start(digest_of(data), len(data), part_size_bytes=MIB)
    for n in (1, 2, 3):
        local.put_part(plan, n, io.BytesIO(data[(n - 1) * MIB : n * MIB]))
    folder = root / "uploads" / plan.id
    real, count = os.write, 0

    def write(fd: int, piece: bytes) -> int:
        nonlocal count
        count += 1
        if count == 1 and vanish == "part":
            (folder / "00003").unlink()
        if count == 1 and vanish == "shorter":
            os.truncate(folder / "00003", 1000)
        if count == 1 and vanish == "all":
            local.abort(plan)
        return real(fd, piece)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", write)
        with pytest.raises(UploadNotFoundError):
            local.complete(plan)

    assert list(local.blobs()) == []
    assert not any(name.startswith("tmp/") for name in files_below(root))


def test_a_completion_overtaken_by_another_succeeds(local: BlobStore, root: Path) -> None:
    data = noise(3 * MIB)
    plan = local.start(digest_of(data), len(data), part_size_bytes=MIB)
    for n in (1, 2, 3):
        local.put_part(plan, n, io.BytesIO(data[(n - 1) * MIB : n * MIB]))
    real = os.write
    overtaken: list[bool] = []

    def write(fd: int, piece: bytes) -> int:
        if not overtaken:
            overtaken.append(True)
            local.complete(plan)  # the parts are gone when this returns
        return real(fd, piece)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", write)
        local.complete(plan)

    assert overtaken
    assert read(local, plan.digest) == data
    assert len(list(local.blobs())) == 1


def test_a_part_arriving_after_the_abort_is_refused(local: BlobStore, root: Path) -> None:
    plan = local.start(digest_of(b"hello"), 5, part_size_bytes=5)

    with pytest.raises(UploadNotFoundError):
        local.put_part(plan, 1, Source(b"hello", before=lambda _: local.abort(plan)))

    assert files_below(root) == []


def test_a_completion_aborted_at_its_end_has_stored_the_blob(local, root, monkeypatch) -> None:
    plan = local.start(digest_of(b"hello"), 5, part_size_bytes=5)
    local.put_part(plan, 1, io.BytesIO(b"hello"))
    real = os.link

    def link(*args, **kwargs) -> None:
        real(*args, **kwargs)
        local.abort(plan)

    monkeypatch.setattr(os, "link", link)
    local.complete(plan)

    assert read(local, plan.digest) == b"hello"
    assert len(files_below(root)) == 1


def test_sweep_spares_an_upload_whose_part_is_still_arriving(local, root) -> None:
    plan = local.start(digest_of(b"hello"), 5, part_size_bytes=5)
    folder = root / "uploads" / plan.id
    os.utime(folder, (1, 1))
    assert local.sweep(older_than_s=3600) == 1

    plan = local.start(digest_of(b"hello"), 5, part_size_bytes=5)
    folder = root / "uploads" / plan.id
    swept = []

    def sweep(_: int) -> None:
        os.utime(folder, (1, 1))
        swept.append(local.sweep(older_than_s=3600))

    local.put_part(plan, 1, Source(b"hello", before=sweep))
    local.complete(plan)

    assert swept == [0, 0]
    assert read(local, plan.digest) == b"hello"

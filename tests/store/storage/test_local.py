"""The local storage as files: places, modes, real descriptors, listing."""

import fcntl
import os
import stat
from pathlib import Path

import pytest

from store.storage import (
    BlobNotFoundError,
    BlobStore,
    LocalConfig,
    storage_from,
)
from tests.store.storage.lab import MIB, Source, digest_of, files_below, noise, put


def test_blobs_lie_in_sharded_folders_that_others_may_read(root: Path) -> None:
    old = os.umask(0o077)
    try:
        store = storage_from(LocalConfig(root))
        digest = put(store, b"hello")
    finally:
        os.umask(old)

    path = root / "sha256" / digest[:2] / digest[2:4] / digest
    assert store.local_path(digest) == path
    assert files_below(root) == [str(path.relative_to(root))]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    for folder in (root, root / "sha256", path.parent.parent, path.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert path.stat().st_nlink == 1


def test_what_is_not_verified_is_for_nobody_else(local: BlobStore, root: Path) -> None:
    modes = {}

    def look(_: int) -> None:
        (file,) = (root / "tmp").iterdir()
        modes[stat.S_IMODE(file.stat().st_mode)] = stat.S_IMODE((root / "tmp").stat().st_mode)

    local.put(Source(b"hello", before=look), digest_of(b"hello"), 5)
    plan = local.start(digest_of(b"x"), 1, part_size_bytes=1)

    assert modes == {0o600: 0o700}
    assert stat.S_IMODE((root / "uploads").stat().st_mode) == 0o700
    assert stat.S_IMODE((root / "uploads" / plan.id).stat().st_mode) == 0o700


def test_open_gives_a_real_file_for_sendfile(local: BlobStore, root: Path) -> None:
    digest = put(local, noise(3 * MIB))

    with local.open(digest, offset=MIB) as file, (root / "out").open("wb") as out:
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == MIB
        sent = os.sendfile(out.fileno(), file.fileno(), None, 1000)

    assert sent == 1000
    assert (root / "out").read_bytes() == noise(3 * MIB)[MIB : MIB + 1000]


def test_open_files_do_not_leak_into_child_processes(local: BlobStore) -> None:
    digest = put(local, b"hello")

    with local.open(digest) as file:
        flags = fcntl.fcntl(file.fileno(), fcntl.F_GETFD)

    assert flags & fcntl.FD_CLOEXEC


def test_an_open_reader_outlives_a_delete(local: BlobStore) -> None:
    digest = put(local, b"hello")

    with local.open(digest) as file:
        local.delete(digest)
        assert file.read() == b"hello"

    with pytest.raises(BlobNotFoundError):
        local.open(digest)


def test_has_no_links(local: BlobStore) -> None:
    digest = put(local, b"hello")
    plan = local.start(digest, 5, part_size_bytes=5)

    assert local.part_url(plan, 1, expires_s=60) is None
    url = local.download_url(digest, filename="f", content_type="text/plain", expires_s=60)
    assert url is None


def test_lists_only_its_own_files(local: BlobStore, root: Path) -> None:
    digest = put(local, b"hello")
    shard = root / "sha256" / digest[:2] / digest[2:4]
    (shard / "README").write_text("not a blob")
    (shard / digest_of(b"elsewhere")).write_text("a blob's name in the wrong place")
    (shard / digest.upper()).write_text("not a digest")
    (root / "sha256" / "loose").write_text("no folder")
    (root / "sha256" / "zz").mkdir()

    assert [blob.digest for blob in local.blobs()] == [digest]


def test_listing_passes_over_what_is_deleted_meanwhile(local: BlobStore) -> None:
    digests = sorted(put(local, bytes([n])) for n in range(30))
    seen = []

    for blob in local.blobs():
        seen.append(blob.digest)
        for other in digests[1:-1]:
            local.delete(other)

    assert seen == [digests[0], digests[-1]]

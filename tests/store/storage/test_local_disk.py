"""The local storage on disks that are full or broken, or know no hard links."""

import errno
import io
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from store.storage import (
    BlobStore,
    LocalConfig,
    StorageFullError,
    StorageUnavailableError,
    storage_from,
)
from tests.store.storage.lab import (
    MIB,
    ROOT,
    digest_of,
    files_below,
    noise,
    put,
    python,
    read,
)


@contextmanager
def failing(name: str, code: int, nth: int = 1) -> Iterator[None]:
    """Let the ``nth`` call of ``os.<name>`` and all after it fail."""
    real, count = getattr(os, name), 0

    def call(*args, **kwargs):
        nonlocal count
        count += 1
        if count >= nth:
            raise OSError(code, os.strerror(code))
        return real(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, name, call)
        yield


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize(
    ("name", "nth"), [("open", 1), ("write", 1), ("write", 3), ("fsync", 1), ("link", 1)]
)
def test_a_full_disk_is_507_and_leaves_nothing(local, root, code, name, nth) -> None:
    kept = put(local, b"kept")
    before = files_below(root)

    with failing(name, code, nth), pytest.raises(StorageFullError) as caught:
        put(local, noise(5 * MIB))

    assert caught.value.status == 507
    assert files_below(root) == before
    assert [blob.digest for blob in local.blobs()] == [kept]


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("name", ["open", "write", "fsync", "link"])
def test_a_broken_disk_is_503_and_leaves_nothing(local, root, code, name) -> None:
    with failing(name, code), pytest.raises(StorageUnavailableError) as caught:
        put(local, b"hello")

    assert caught.value.status == 503
    assert files_below(root) == []


def test_a_really_full_disk_recovers_by_itself(tmp_path: Path) -> None:
    program = f"""
        import io
        from pathlib import Path
        from store.storage import LocalConfig, StorageFullError, storage_from
        from tests.store.storage.lab import MIB, Source, digest_of, files_below, noise, put, read
        root = Path({str(tmp_path)!r}, "disk", "storage")
        store = storage_from(LocalConfig(root))
        kept = put(store, noise(5 * MIB))
        plan = store.start(digest_of(noise(12 * MIB)), 12 * MIB, part_size_bytes=6 * MIB)
        store.put_part(plan, 1, io.BytesIO(noise(12 * MIB)[: 6 * MIB]))
        before = files_below(root)
        for refused in (
            lambda: put(store, noise(12 * MIB)),
            lambda: store.put_part(plan, 2, io.BytesIO(noise(12 * MIB)[6 * MIB :])),
        ):
            try:
                refused()
            except StorageFullError:
                assert files_below(root) == before, files_below(root)
            else:
                raise AssertionError("16 MB held more than 16 MB")
        assert read(store, kept) == noise(5 * MIB)
        store.abort(plan)
        assert put(store, noise(10 * MIB))
        print("recovered")
    """
    (tmp_path / "disk").mkdir()
    mount = f"mount -t tmpfs -o size=16m none {tmp_path / 'disk'}"
    inside = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    if subprocess.run([*inside, mount], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a tmpfs; the tests above simulate it")

    done = subprocess.run(
        [*inside, f'{mount} && exec "$@"', "sh", *python(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("recovered\n", "")


def test_a_part_is_refused_by_a_full_disk_and_the_earlier_one_stays(local, root) -> None:
    plan = local.start(digest_of(b"hello"), 5, part_size_bytes=5)
    tag = local.put_part(plan, 1, io.BytesIO(b"hello"))

    with failing("write", errno.ENOSPC, 2), pytest.raises(StorageFullError):
        local.put_part(plan, 1, io.BytesIO(b"jello"))
    assert len(files_below(root)) == 1
    local.complete(plan, [(1, tag)])

    assert read(local, digest_of(b"hello")) == b"hello"


def test_a_completion_that_finds_no_room_can_be_repeated(local, root) -> None:
    data = noise(3 * MIB)
    plan = local.start(digest_of(data), len(data), part_size_bytes=MIB)
    for n in (1, 2, 3):
        local.put_part(plan, n, io.BytesIO(data[(n - 1) * MIB : n * MIB]))
    before = files_below(root)

    with failing("write", errno.ENOSPC, 2), pytest.raises(StorageFullError):
        local.complete(plan)
    assert files_below(root) == before
    local.complete(plan)

    assert read(local, plan.digest) == data


def test_short_writes_are_continued(local: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:70_001]))

    digest = put(local, noise(2 * MIB))

    assert read(local, digest) == noise(2 * MIB)


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
def test_works_where_there_are_no_hard_links(local, root, code) -> None:
    with failing("link", code):
        digest = put(local, b"hello")
        age_s = next(local.blobs()).modified_s
        put(local, b"hello")

    assert read(local, digest) == b"hello"
    assert len(files_below(root)) == 1
    assert next(local.blobs()).modified_s > age_s


def test_an_unreadable_file_fails_alone(local: BlobStore, root: Path) -> None:
    bad, good = put(local, b"bad"), put(local, b"good")
    path = root / "sha256" / bad[:2] / bad[2:4] / bad
    path.unlink()
    path.symlink_to(path)  # the kernel answers ELOOP, to root too

    with pytest.raises(StorageUnavailableError):
        local.open(bad)

    assert read(local, good) == b"good"


def test_a_root_that_cannot_be_made_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StorageUnavailableError):
        storage_from(LocalConfig(tmp_path / "file" / "storage"))


def test_check_reports_a_full_and_a_broken_disk(local) -> None:
    with failing("write", errno.ENOSPC), pytest.raises(StorageFullError):
        local.check()
    with failing("fsync", errno.EIO), pytest.raises(StorageUnavailableError):
        local.check()

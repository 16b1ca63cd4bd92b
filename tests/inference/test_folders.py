"""Model files laid out for a box."""

import fcntl
import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from django.conf import settings as django_settings
from django.db import connection

from accounts.models import User
from accounts.viewer import Viewer
from catalog.content import reading
from catalog.content.stores import storage
from catalog.models import FileScan, LfsObject, ModelRepo, Ref
from catalog.services.folders import LocalFile, files_of, publish_files
from catalog.services.publishing import AddFile, publish
from inference.runners import folders
from inference.runners.folders import DamagedFileError, NoRoomError, make_room, model_folder
from inference.services.weights import NotRunnableError, needed_files
from store.core.work import JobStoppedError
from store.storage import Digest
from tests.factories import make_repo

NAMES = {"config.json", "generation_config.json", "model.safetensors"} | {
    "tokenizer.json",
    "tokenizer_config.json",
}


def places(repo: ModelRepo) -> set[str]:
    """Return where the files of the newest commit are laid out."""
    return {part.place for part in needed_files(repo, head_of(repo)).parts}


def go_on() -> None:
    """Nobody wants to stop."""


def head_of(repo: ModelRepo) -> str:
    """Return the newest commit."""
    return Ref.objects.get(repo=repo, name="refs/heads/main").commit_oid


def root() -> Path:
    """Return the folder of all model folders."""
    folder: Path = django_settings.MODEL_DIR
    return folder


def laid_out() -> list[str]:
    """Return what is there, by repository and commit."""
    return sorted("/".join(path.parts[-2:]) for path in root().glob("*/*") if len(path.name) == 40)


def test_exactly_the_needed_files_are_laid_out(tiny_repo: ModelRepo, tiny_folder: Path) -> None:
    commit = head_of(tiny_repo)

    with model_folder(tiny_repo, commit, go_on) as folder:
        found = {path.name: path for path in folder.iterdir()}
        assert folder == root() / tiny_repo.public_id / commit
        assert set(found) == NAMES
        for name, path in found.items():
            assert path.read_bytes() == (tiny_folder / name).read_bytes()
            assert path.stat().st_mode & 0o444 == 0o444
        assert folder.stat().st_mode & 0o777 == 0o755

    assert laid_out() == [f"{tiny_repo.public_id}/{commit}"]
    assert list((root() / "new").iterdir()) == []


def test_local_weights_take_no_room_of_their_own(tiny_repo: ModelRepo) -> None:
    blob = storage().local_path(Digest(LfsObject.objects.get().sha256))
    assert blob is not None

    with model_folder(tiny_repo, head_of(tiny_repo), go_on) as folder:
        assert blob.samefile(folder / "model.safetensors")


def test_a_folder_is_built_once(tiny_repo: ModelRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    with model_folder(tiny_repo, head_of(tiny_repo), go_on) as folder:
        os.utime(folder, (1, 1))

    monkeypatch.setattr(folders, "_build", lambda *_args: pytest.fail("built again"))

    with model_folder(tiny_repo, head_of(tiny_repo), go_on) as again:
        assert again == folder
        assert time.time() - again.stat().st_mtime < 60  # it counts as used now


class RemoteStorage:
    """A storage without files, as an object store is one."""

    def __init__(self, spoil: Callable[[bytes], bytes] = lambda data: data) -> None:
        self.inner = storage()
        self.spoil = spoil

    def local_path(self, _digest: Digest) -> None:
        return None

    def open(self, digest: Digest, *, offset: int = 0) -> BinaryIO:
        with self.inner.open(digest) as file:
            return io.BytesIO(self.spoil(file.read())[offset:])


def test_weights_of_an_object_store_are_fetched_and_verified(
    tiny_repo: ModelRepo, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = RemoteStorage()
    monkeypatch.setattr(reading, "storage", lambda: remote)

    with model_folder(tiny_repo, head_of(tiny_repo), go_on) as folder:
        written = folder / "model.safetensors"
        assert written.read_bytes() == (tiny_folder / "model.safetensors").read_bytes()
        assert written.stat().st_mode & 0o777 == 0o444


@pytest.mark.parametrize(
    "spoil",
    [lambda data: data[:-1], lambda data: data[:-1] + b"\1"],
    ids=["shorter", "changed"],
)
def test_damaged_weights_are_never_laid_out(
    tiny_repo: ModelRepo, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[bytes], bytes]
) -> None:
    remote = RemoteStorage(spoil)
    monkeypatch.setattr(reading, "storage", lambda: remote)

    with (
        pytest.raises(DamagedFileError, match=r"model\.safetensors is damaged"),
        model_folder(tiny_repo, head_of(tiny_repo), go_on),
    ):
        pytest.fail("the block must not run")

    assert laid_out() == []
    assert list((root() / "new").iterdir()) == []


def test_a_bit_that_flipped_on_disk_is_found(tiny_repo: ModelRepo) -> None:
    blob = storage().local_path(Digest(LfsObject.objects.get().sha256))
    assert blob is not None
    data = bytearray(blob.read_bytes())
    data[-5] ^= 1
    blob.write_bytes(data)

    with (
        pytest.raises(DamagedFileError),
        model_folder(tiny_repo, head_of(tiny_repo), go_on),
    ):
        pytest.fail("the block must not run")

    assert laid_out() == []


def test_a_blob_others_cannot_read_is_copied(tiny_repo: ModelRepo) -> None:
    blob = storage().local_path(Digest(LfsObject.objects.get().sha256))
    assert blob is not None
    blob.chmod(0o600)

    with model_folder(tiny_repo, head_of(tiny_repo), go_on) as folder:
        weights = folder / "model.safetensors"
        assert not blob.samefile(weights)
        assert weights.stat().st_mode & 0o777 == 0o444


def test_a_blob_on_another_disk_is_copied(
    tiny_repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Path, _target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)

    with model_folder(tiny_repo, head_of(tiny_repo), go_on) as folder:
        assert (folder / "model.safetensors").stat().st_nlink == 1


def test_a_full_disk_is_worth_another_try(
    tiny_repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders, "_write", refuse)

    with (
        pytest.raises(NoRoomError),
        model_folder(tiny_repo, head_of(tiny_repo), go_on),
    ):
        pytest.fail("the block must not run")

    assert laid_out() == []


def test_laying_out_can_be_stopped(tiny_repo: ModelRepo) -> None:
    steps: Iterator[int] = iter(range(100))

    def stop_at_third() -> None:
        if next(steps) == 3:
            raise JobStoppedError("Stop.")

    with pytest.raises(JobStoppedError), model_folder(tiny_repo, head_of(tiny_repo), stop_at_third):
        pytest.fail("the block must not run")

    assert laid_out() == []
    assert list((root() / "new").iterdir()) == []


def test_waiting_for_another_builder_can_be_stopped(tiny_repo: ModelRepo) -> None:
    commit = head_of(tiny_repo)
    lock = root() / "locks" / f"{tiny_repo.public_id}-{commit}"
    lock.parent.mkdir(parents=True)
    steps: Iterator[int] = iter(range(100))

    def stop_at_third() -> None:
        if next(steps) == 3:
            raise JobStoppedError("Stop.")

    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(JobStoppedError), model_folder(tiny_repo, commit, stop_at_third):
            pytest.fail("the block must not run")

    assert laid_out() == []


@pytest.mark.django_db(transaction=True)
def test_two_workers_build_a_folder_once(
    tiny_repo: ModelRepo,
    in_threads: Callable[..., list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commit = head_of(tiny_repo)
    real, built = folders._build, []

    def build(*args: Any) -> None:
        built.append(1)
        real(*args)

    monkeypatch.setattr(folders, "_build", build)

    def use(_number: int) -> bytes:
        try:
            with model_folder(tiny_repo, commit, go_on) as folder:
                return (folder / "config.json").read_bytes()
        finally:
            connection.close()

    assert len(set(in_threads(use, 4))) == 1
    assert built == [1]


# ── room ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def three_commits(tiny_repo: ModelRepo, as_alice: Viewer) -> list[str]:
    """Three laid-out commits of one repository, the first the longest unused."""
    commits = []
    for number in range(3):
        publish(
            as_alice,
            tiny_repo,
            revision="main",
            operations=[AddFile("note.txt", str(number).encode())],
            title="Note",
        )
        commits.append(head_of(tiny_repo))
        with model_folder(tiny_repo, commits[-1], go_on) as folder:
            os.utime(folder, (1000 + number, 1000 + number))
    return commits


def allow(settings: Any, size_bytes: int) -> None:
    """Set how much may be laid out."""
    settings.ENV = settings.ENV.model_copy(update={"model_folder_bytes": size_bytes})


def folder_bytes() -> int:
    """Return the size of one laid-out commit."""
    folder = next(path for path in root().glob("*/*") if len(path.name) == 40)
    return sum(path.stat().st_size for path in folder.iterdir())


def test_the_longest_unused_folder_makes_room(
    tiny_repo: ModelRepo, three_commits: list[str], settings: Any
) -> None:
    one = folder_bytes()
    allow(settings, 3 * one)

    make_room(root(), one)

    assert laid_out() == sorted(f"{tiny_repo.public_id}/{commit}" for commit in three_commits[1:])
    assert len(list((root() / "locks").iterdir())) == 2

    make_room(root(), 10 * one)

    assert laid_out() == []
    assert not (root() / tiny_repo.public_id).exists()


def test_a_folder_in_use_stays(
    tiny_repo: ModelRepo, three_commits: list[str], settings: Any
) -> None:
    allow(settings, 0)

    with model_folder(tiny_repo, three_commits[0], go_on) as folder:
        make_room(root(), 1)
        assert (folder / "config.json").exists()

    assert laid_out() == [f"{tiny_repo.public_id}/{three_commits[0]}"]


def test_folders_of_deleted_repositories_go_first(
    tiny_repo: ModelRepo, three_commits: list[str]
) -> None:
    orphan = root() / ("0" * 24) / ("a" * 40)
    orphan.mkdir(parents=True)
    (orphan / "config.json").write_text("{}")

    make_room(root(), 1)

    assert not orphan.parent.exists()
    assert len(laid_out()) == 3


def test_what_a_killed_worker_left_is_cleared_away(tiny_repo: ModelRepo) -> None:
    old, young = root() / "new" / "old", root() / "new" / "young"
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    os.utime(old, (1, 1))

    make_room(root(), 1)

    assert [path.name for path in (root() / "new").iterdir()] == ["young"]


def test_a_lock_that_was_evicted_while_waiting_is_taken_anew(
    tiny_repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = head_of(tiny_repo)
    lock = root() / "locks" / f"{tiny_repo.public_id}-{commit}"
    real, seen = folders._wait_for, []

    def evicted_meanwhile(descriptor: int, check: Callable[[], None], kind: int) -> None:
        real(descriptor, check, kind)
        seen.append(1)
        if len(seen) == 1:
            lock.unlink()
        if len(seen) == 2:
            lock.unlink()
            lock.touch()

    monkeypatch.setattr(folders, "_wait_for", evicted_meanwhile)

    with model_folder(tiny_repo, commit, go_on) as folder:
        assert folder.is_dir()

    assert len(seen) == 3 + 2  # the third is there to look; then one to build, one to use it


def test_many_use_a_folder_at_the_same_time(tiny_repo: ModelRepo) -> None:
    commit = head_of(tiny_repo)

    def at_most_once() -> Callable[[], None]:
        steps = iter(range(40))

        def check() -> None:
            if next(steps) > 30:
                raise JobStoppedError("It waits for whoever uses the folder.")

        return check

    with (
        model_folder(tiny_repo, commit, go_on) as first,
        model_folder(tiny_repo, commit, at_most_once()) as second,
        model_folder(tiny_repo, commit, at_most_once()) as third,
    ):
        assert first == second == third
        make_room(root(), 10**15)
        assert (first / "config.json").exists()


# ── which files ─────────────────────────────────────────────────────────────────────────────────


def test_nothing_but_the_model_is_named(
    tiny_repo: ModelRepo, as_alice: Viewer, tmp_path: Path
) -> None:
    evil = tmp_path / "evil"
    evil.mkdir()
    (evil / "modeling_evil.py").write_text("print('hello')")
    (evil / "README.md").write_text("# Tiny")
    (evil / "training_args.bin").write_bytes(b"\x80\x04.")
    (evil / "sub").mkdir()
    (evil / "sub" / "config.json").write_text("{}")
    publish_files(as_alice, tiny_repo, files_of(evil), title="More")

    assert places(tiny_repo) == NAMES


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("config.json", '{"auto_map": {"AutoModel": "m.M"}, "model_type": "gpt2"}', "remote_code"),
        ("config.json", '{"model_type": "sphinx"}', "unknown_architecture"),
        ("adapter_config.json", '{"base_model_name_or_path": "/srv/other"}', "adapter"),
        ("tokenizer.json", "{", "file_refused"),
    ],
)
def test_what_asks_for_more_is_refused_at_every_commit(
    tiny_repo: ModelRepo, as_alice: Viewer, name: str, text: str, reason: str
) -> None:
    good = head_of(tiny_repo)
    operation = AddFile(name, text.encode())
    publish(as_alice, tiny_repo, revision="main", operations=[operation], title="Change")

    with pytest.raises(NotRunnableError) as caught:
        needed_files(tiny_repo, head_of(tiny_repo))

    assert caught.value.extra["reason"] == reason
    assert len(needed_files(tiny_repo, good).parts) == len(NAMES)


def test_shards_outside_the_repository_are_never_reached(
    alice: User, as_alice: Viewer, tiny_folder: Path
) -> None:
    repo = make_repo(alice, "shards")
    index = b'{"metadata": {}, "weight_map": {"a": "../tiny/model.safetensors"}}'
    publish_files(
        as_alice,
        repo,
        [LocalFile(tiny_folder / name, name) for name in ("config.json", "tokenizer.json")],
        title="Parts",
    )
    operation = AddFile("model.safetensors.index.json", index)
    publish(as_alice, repo, revision="main", operations=[operation], title="Index")

    with pytest.raises(NotRunnableError):
        needed_files(repo, head_of(repo))


def test_a_file_nobody_judged_yet_is_not_loaded(tiny_repo: ModelRepo) -> None:
    FileScan.objects.filter(path="model.safetensors").delete()

    with pytest.raises(NotRunnableError, match="still being checked") as caught:
        needed_files(tiny_repo, head_of(tiny_repo))

    assert caught.value.extra["reason"] == "still_checked"


def test_what_is_not_clean_and_not_needed_stays_behind(
    tiny_repo: ModelRepo, as_alice: Viewer
) -> None:
    operation = AddFile("merges.txt", b"\x00\x01\x02\xff" * 50)
    publish(as_alice, tiny_repo, revision="main", operations=[operation], title="Merges")
    verdict = FileScan.objects.get(path="merges.txt").verdict

    assert verdict != "clean"
    assert places(tiny_repo) == NAMES

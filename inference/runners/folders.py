"""Model files of one commit as a folder a box can read; kept while there is room.

``<root>/<repository>/<key>/`` is complete or absent: it is built aside, every weight's digest is
checked, and a rename makes it visible. The key is the commit, of an adapter a digest over its own
and its base's. Whoever uses a folder holds a shared lock on it, so that making room for another
never pulls it away.
"""

import fcntl
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from catalog.content.reading import content_of
from catalog.history.trees import Entry, read_blob
from catalog.models import ModelRepo
from inference.box.footprint import folder_bytes
from inference.services.weights import Part, needed_files
from store.core.errors import StoreError, TransientError

_CHUNK_BYTES = 1024 * 1024
_PAUSE_S = 0.05
_STALE_S = 6 * 3600
"""What a killed worker left half built is cleared away after this time, in seconds."""


class DamagedFileError(StoreError):
    """Stored bytes are not what their digest promises; staff must look at the storage."""

    code = "damaged_file"
    status = 500


class NoRoomError(TransientError):
    """The disk is full, or every folder is in use."""

    code = "no_room"


@contextmanager
def model_folder(
    repo: ModelRepo, commit_oid: str, check: Callable[[], None], gguf_file: str = ""
) -> Iterator[Path]:
    """Give the folder with the model of a commit, complete and read-only, while the block runs.

    Args:
        repo: The repository.
        commit_oid: Full commit id.
        check: Called between steps; raises to stop.
        gguf_file: See ``needed_files``.

    Raises:
        NotRunnableError: the revision has no model that may be loaded.
        DamagedFileError: a stored file is broken.
        NoRoomError, TransientError: disk or storage fail now.
    """
    root: Path = settings.MODEL_DIR
    files = needed_files(repo, commit_oid, gguf_file)
    folder = root / repo.public_id / files.key
    lock = _lock_path(root, repo.public_id, files.key)
    while True:
        with _held(lock, check, fcntl.LOCK_SH):  # beside others who use it
            if folder.is_dir():
                os.utime(folder)
                yield folder
                return
        with _held(lock, check, fcntl.LOCK_EX):
            if not folder.is_dir():  # nobody has built it while we waited
                try:
                    make_room(root, files.size_bytes)
                    _build(files.parts, folder, check)
                except OSError as error:
                    raise NoRoomError("The model's files cannot be laid out now.") from error


def box_key(folder: Path) -> str:
    """Return what names a model folder's box: the same files share one."""
    return "/".join(folder.parts[-2:])


def make_room(root: Path, needed_bytes: int) -> None:
    """Delete the folders that were not used for the longest time until ``needed_bytes`` fit.

    Folders in use stay; those of deleted repositories go first.
    """
    _clear_stale(root)
    folders = [path for path in root.glob("*/*") if len(path.name) == 40 and path.is_dir()]
    alive = set(
        ModelRepo.objects.filter(public_id__in={path.parent.name for path in folders}).values_list(
            "public_id", flat=True
        )
    )
    folders.sort(key=lambda path: (path.parent.name in alive, path.stat().st_mtime))
    sizes = {path: folder_bytes(path) for path in folders}
    total = sum(sizes.values())
    for folder in folders:
        is_orphan = folder.parent.name not in alive
        if not is_orphan and total + needed_bytes <= settings.ENV.model_folder_bytes:
            break
        if _evict(root, folder):
            total -= sizes[folder]


def _evict(root: Path, folder: Path) -> bool:
    lock = _lock_path(root, folder.parent.name, folder.name)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        shutil.rmtree(folder)
        with suppress(OSError):  # other commits of the repository are still there
            folder.parent.rmdir()
        lock.unlink(missing_ok=True)
        return True
    finally:
        os.close(descriptor)


@contextmanager
def _held(lock: Path, check: Callable[[], None], kind: int) -> Iterator[None]:
    """Hold ``lock``, shared (``fcntl.LOCK_SH``) or alone (``fcntl.LOCK_EX``)."""
    while True:
        lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _wait_for(descriptor, check, kind)
            if _is_current(lock, descriptor):  # else it was evicted while we waited
                yield
                return
        finally:
            os.close(descriptor)


def _wait_for(descriptor: int, check: Callable[[], None], kind: int) -> None:
    while True:
        check()
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_S)
        else:
            return


def _is_current(lock: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(lock.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _build(parts: list[Part], folder: Path, check: Callable[[], None]) -> None:
    aside = settings.MODEL_DIR / "new" / uuid.uuid4().hex
    aside.mkdir(parents=True)
    try:
        for part in parts:
            check()
            target = aside / part.place
            target.parent.mkdir(exist_ok=True)
            target.parent.chmod(0o755)
            _place(part.repo, part.entry, target, check)
        folder.parent.mkdir(exist_ok=True)
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _place(repo: ModelRepo, file: Entry, target: Path, check: Callable[[], None]) -> None:
    if file.lfs is None:
        _write(target, iter([read_blob(repo, file)]))
        return
    content = content_of(repo, file.lfs.sha256)
    source = content.local_path()
    if source is None or not _link(source, target):
        _write(target, _checked(content.blocks(), check))
    with target.open("rb") as written:
        _verify(file, _chunks(written, check))


def _link(source: Path, target: Path) -> bool:
    """Make ``target`` another name of ``source``. ``False``: not on one disk, or not readable."""
    if not source.stat().st_mode & 0o004:
        return False
    try:
        target.hardlink_to(source)
    except OSError:
        return False
    return True


def _checked(blocks: Iterator[bytes], check: Callable[[], None]) -> Iterator[bytes]:
    for block in blocks:
        check()
        yield block


def _chunks(reader: BinaryIO, check: Callable[[], None]) -> Iterator[bytes]:
    while chunk := reader.read(_CHUNK_BYTES):
        check()
        yield chunk


def _write(target: Path, chunks: Iterator[bytes]) -> None:
    with target.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())  # a folder that is there is complete, power cut or not
    target.chmod(0o444)


def _verify(file: Entry, chunks: Iterator[bytes]) -> None:
    """Compare size and sha256 with what the commit says.

    Raises:
        DamagedFileError: they differ.
    """
    digest, size_bytes = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size_bytes += len(chunk)
    if file.lfs is None or (digest.hexdigest(), size_bytes) != (
        file.lfs.sha256,
        file.lfs.size_bytes,
    ):
        raise DamagedFileError(
            f"{file.name} is damaged in the store's own storage. Please tell its staff.",
            path=file.name,
        )


def _clear_stale(root: Path) -> None:
    for left in root.glob("new/*"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _STALE_S:
                shutil.rmtree(left, ignore_errors=True)


def _lock_path(root: Path, public_id: str, key: str) -> Path:
    return root / "locks" / f"{public_id}-{key}"

"""Writing to disk so that a name never stands for less than all of its bytes.

The order is the whole secret: write a temporary file, fsync it, give it its name, fsync the
folders that lead to the name. Without the first fsync a power cut leaves an empty file under the
final name, without the last ones it takes the name away again.
"""

import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from store.core.errors import StoreError
from store.storage.errors import StorageFullError, StorageUnavailableError

FILE_MODE = 0o644
"""nginx and the model box run as other users and read blobs."""
FOLDER_MODE = 0o755
PRIVATE_FOLDER_MODE = 0o700
"""For what is not verified yet: nobody else has business there."""

_ABSENT = {errno.ENOENT, errno.ENOTDIR}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}


@contextmanager
def disk_errors(*, missing: StoreError | None = None) -> Iterator[None]:
    """Turn what the disk reports into the storage's own errors.

    Args:
        missing: Raised where a file or folder is not there; ``None``: that is a failure.

    Raises:
        StorageFullError: no room, or the quota is used up.
        StorageUnavailableError: anything else.
    """
    try:
        yield
    except OSError as exc:
        if missing is not None and exc.errno in _ABSENT:
            raise missing from exc
        if exc.errno in _FULL:
            raise StorageFullError("The storage is full. Try again later.") from exc
        raise StorageUnavailableError("The storage failed. Try again in a minute.") from exc


class TemporaryFile:
    """A file being written under a random name, gone when the ``with`` block ends.

    Its methods raise as ``disk_errors`` says.

    Args:
        folder: On the file system of the final place.
        missing: What it means that the folder is not there, if that can be.
    """

    def __init__(self, folder: Path, *, missing: StoreError | None = None) -> None:
        self.path = folder / f".{secrets.token_hex(16)}"
        self._missing = missing
        self._fd = -1

    def __enter__(self) -> Self:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with disk_errors(missing=self._missing):
            self._fd = os.open(self.path, flags, 0o600)
        return self

    def __exit__(self, *_: object) -> None:
        # Renamed, or swept away: no file. And a failure here must not hide the one before.
        with suppress(OSError):
            self.path.unlink()
        with suppress(OSError):
            os.close(self._fd)

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``."""
        view = memoryview(data)
        with disk_errors():
            while view:
                view = view[os.write(self._fd, view) :]

    def write_all(self, pieces: Iterable[bytes | memoryview]) -> int:
        """Append ``pieces``, each as it comes, and return how many bytes they had.

        What their iterator raises goes to the caller as it is.
        """
        size_bytes = 0
        for piece in pieces:
            self.write(piece)
            size_bytes += len(piece)
        return size_bytes

    def sync(self, mode: int = FILE_MODE) -> None:
        """Make content and mode survive a power cut."""
        with disk_errors():
            os.fchmod(self._fd, mode)
            os.fsync(self._fd)

    def move_to(self, final: Path) -> None:
        """Rename to ``final``, in place of what has that name."""
        with disk_errors(missing=self._missing):
            self.path.rename(final)


def link_into_place(temporary: Path, final: Path) -> bool:
    """Give a synced file its final name; ``False`` if the name is taken, which stays as it is."""
    try:
        os.link(temporary, final)
    except FileExistsError:
        return False
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        # File systems without hard links (exFAT, some network ones). Both files were verified
        # against the same digest, so replacing one by the other changes nothing.
        if final.exists():
            return False
        temporary.rename(final)
    return True


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` survive a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path, mode: int = FOLDER_MODE) -> None:
    """Create ``folder`` with exactly this mode, whatever the umask, if it is not there."""
    try:
        folder.mkdir(mode)
    except FileExistsError:
        return
    folder.chmod(mode)

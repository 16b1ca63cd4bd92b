"""Blobs as files of the local disk (or of a network file system with POSIX manners).

```
sha256/ab/cd/<digest>   the blobs, mode 0644; the only places a web server needs to see
xorb/ab/cd/<digest>     those that go by another hash
tmp/                    being written, mode 0700
uploads/<id>/           parts of open uploads, mode 0700
```
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Literal

from store.storage.base import (
    FAMILIES,
    Digest,
    StoredBlob,
    UploadPlan,
    blob_path,
    check_parts,
    checked_digest,
    digest_of,
)
from store.storage.durable import (
    PRIVATE_FOLDER_MODE,
    TemporaryFile,
    disk_errors,
    link_into_place,
    make_folder,
    sync_folder,
)
from store.storage.errors import (
    BlobNotFoundError,
    DigestMismatchError,
    PartListError,
    UploadNotFoundError,
)
from store.storage.parts import PartFolders
from store.storage.sources import ByteSource, NamedSource, blocks_of
from store.storage.verify import VerifyingReader


class LocalBlobStore:
    """``BlobStore`` in a folder.

    Args:
        root: The folder; created if absent. Everything below it belongs to this class.

    Raises:
        StorageUnavailableError: the folder cannot be created.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._temporary = root / "tmp"
        self._uploads = PartFolders(root / "uploads")
        with disk_errors():
            root.parent.mkdir(parents=True, exist_ok=True)
            make_folder(root)
            for family in FAMILIES:
                make_folder(root / family)
            make_folder(self._temporary, PRIVATE_FOLDER_MODE)
            make_folder(root / "uploads", PRIVATE_FOLDER_MODE)

    def check(self) -> None:
        """See ``BlobStore.check``: writes and syncs a file of one byte."""
        with disk_errors(), TemporaryFile(self._temporary) as file:
            file.write(b"\0")
            file.sync()

    def put(self, source: ByteSource, digest: Digest, size_bytes: int) -> None:
        """See ``BlobStore.put``."""
        reader = VerifyingReader(source, size_bytes, checked_digest(digest))
        with TemporaryFile(self._temporary) as file:
            file.write_all(reader.pieces())
            file.sync()
            with disk_errors():
                self._publish(file.path, digest)

    def put_unnamed(self, source: NamedSource) -> tuple[Digest, int]:
        """See ``BlobStore.put_unnamed``."""
        with TemporaryFile(self._temporary) as file:
            size_bytes = file.write_all(blocks_of(source))
            file.sync()
            digest = checked_digest(source.digest)
            with disk_errors():
                self._publish(file.path, digest)
        return digest, size_bytes

    def _publish(self, temporary: Path, digest: Digest) -> None:
        final = self._path(digest)
        make_folder(final.parent.parent)
        make_folder(final.parent)
        if not link_into_place(temporary, final):
            with suppress(FileNotFoundError):  # deleted this moment: see ``BlobStore``
                os.utime(final)
        # Always all of them: another writer may have made a folder, or the name itself, an
        # instant ago and not have synced it yet. Costs nothing when there is nothing to do.
        for folder in list(final.parents)[:3]:
            sync_folder(folder)

    def _path(self, digest: Digest) -> Path:
        return self._root / blob_path(digest)

    def exists(self, digest: Digest) -> bool:
        """See ``BlobStore.exists``."""
        try:
            self.size(digest)
        except BlobNotFoundError:
            return False
        return True

    def size(self, digest: Digest) -> int:
        """See ``BlobStore.size``."""
        path = self._path(digest)
        with disk_errors(missing=_absent(digest)):
            return path.stat().st_size

    def open(self, digest: Digest, *, offset: int = 0) -> BinaryIO:
        """See ``BlobStore.open``: a real file."""
        if offset < 0:
            raise ValueError(f"offset {offset} is negative")
        path = self._path(digest)
        with disk_errors(missing=_absent(digest)):
            file = path.open("rb")
        file.seek(offset)
        return file

    def read_at(self, digest: Digest, offset: int, length: int) -> bytes:
        """See ``BlobStore.read_at``."""
        if length < 0:
            raise ValueError(f"length {length} is negative")
        with self.open(digest, offset=offset) as file, disk_errors():
            return file.read(length)

    def local_path(self, digest: Digest) -> Path | None:
        """See ``BlobStore.local_path``."""
        self.size(digest)
        return self._path(digest)

    def download_url(
        self,
        digest: Digest,
        *,
        filename: str,
        content_type: str,
        expires_s: int,
        method: Literal["GET", "HEAD"] = "GET",
        span: tuple[int, int] | None = None,
    ) -> str | None:
        """Return ``None``: the app sends local files itself."""
        checked_digest(digest)
        return None

    def delete(self, digest: Digest) -> None:
        """See ``BlobStore.delete``. Folders stay: a writer may be about to use them."""
        path = self._path(digest)
        with disk_errors():
            try:
                path.unlink()
            except FileNotFoundError:
                return
            sync_folder(path.parent)

    def blobs(self) -> Iterator[StoredBlob]:
        """See ``BlobStore.blobs``. Files with other names than blobs have are passed over."""
        for family in FAMILIES:
            folder = self._root / family
            for first in _sorted_names(folder):
                for second in _sorted_names(folder / first):
                    for name in _sorted_names(folder / first / second):
                        digest = digest_of(family, name)
                        if digest is not None and name.startswith(first + second):
                            yield from self._stored(digest)

    def _stored(self, digest: Digest) -> Iterator[StoredBlob]:
        try:
            with disk_errors(missing=_absent(digest)):
                status = self._path(digest).stat()
        except BlobNotFoundError:
            return  # deleted while we walk
        yield StoredBlob(digest, status.st_size, status.st_mtime)

    def start(self, digest: Digest, size_bytes: int, *, part_size_bytes: int) -> UploadPlan:
        """See ``BlobStore.start``."""
        return self._uploads.start(checked_digest(digest), size_bytes, part_size_bytes)

    def part_url(self, plan: UploadPlan, number: int, *, expires_s: int) -> str | None:
        """Return ``None``: the app receives parts itself."""
        plan.size_of(number)
        return None

    def put_part(self, plan: UploadPlan, number: int, source: ByteSource) -> str:
        """See ``BlobStore.put_part``."""
        return self._uploads.receive(plan, number, source)

    def complete(self, plan: UploadPlan, parts: Iterable[tuple[int, str]] | None = None) -> None:
        """See ``BlobStore.complete``. Needs room for the whole file a second time."""
        if self._uploads.is_done(plan):
            return
        try:
            check_parts(plan, self._uploads.tags(plan), parts)
            with self._uploads.joined(plan) as source:
                self.put(source, plan.digest, plan.size_bytes)
        except (UploadNotFoundError, PartListError):
            if self._uploads.is_done(plan):
                return  # two completed at once and the other was faster
            raise
        except DigestMismatchError:
            self._uploads.abort(plan)
            raise
        self._uploads.finish(plan)

    def abort(self, plan: UploadPlan) -> None:
        """See ``BlobStore.abort``."""
        self._uploads.abort(plan)

    def drop_url(self, name: str, size_bytes: int, *, expires_s: int) -> str | None:
        """Return ``None``: the app receives everything itself."""
        return None

    def take_drop(
        self, name: str, check: Callable[[ByteSource], NamedSource]
    ) -> tuple[Digest, int]:
        """Find nothing: there are no links to drop anything by."""
        raise UploadNotFoundError("Nothing was sent by this link. Start again.")

    def sweep(self, *, older_than_s: float) -> int:
        """See ``BlobStore.sweep``."""
        before_s = time.time() - older_than_s
        swept = self._uploads.sweep(before_s)
        with disk_errors():
            for name in _sorted_names(self._temporary):
                path = self._temporary / name
                with suppress(FileNotFoundError):  # its writer has just finished
                    if path.stat().st_mtime < before_s:
                        path.unlink()
                        swept += 1
        return swept


def _sorted_names(folder: Path) -> list[str]:
    """Return the names in ``folder``, none if it is no folder."""
    with disk_errors():
        try:
            return sorted(path.name for path in folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []


def _absent(digest: Digest) -> BlobNotFoundError:
    return BlobNotFoundError("These bytes are not stored here.", digest=digest)

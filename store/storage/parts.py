"""Parts of open uploads as files of the local disk.

``<id>/00001`` holds the bytes of a part, followed by their sha256 in hexadecimal: its tag. So one
rename replaces both together, and two senders of one part cannot mix them up. Parts are not
synced; whatever a power cut leaves of them, the whole is verified before it becomes a blob.
``<id>/done-<digest>`` stands for a completed upload until it is swept away, so that completing
twice succeeds twice. A client cannot bring it about otherwise than by sending the bytes.
"""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from store.storage.base import Digest, UploadPlan, is_digest, part_size_for
from store.storage.durable import (
    PRIVATE_FOLDER_MODE,
    TemporaryFile,
    disk_errors,
    make_folder,
)
from store.storage.errors import UploadNotFoundError
from store.storage.sources import ByteSource
from store.storage.verify import VerifyingReader

_ID = re.compile(r"[0-9a-f]{32}")
_TAG_BYTES = 64


class PartFolders:
    """Open uploads, a folder each.

    Args:
        root: Where the folders are; has to exist.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def start(self, digest: Digest, size_bytes: int, part_size_bytes: int) -> UploadPlan:
        """See ``BlobStore.start``."""
        part_size_bytes = part_size_for(size_bytes, part_size_bytes)
        plan = UploadPlan(secrets.token_hex(16), digest, size_bytes, part_size_bytes)
        with disk_errors():
            make_folder(self._folder(plan), PRIVATE_FOLDER_MODE)
        return plan

    def receive(self, plan: UploadPlan, number: int, source: ByteSource) -> str:
        """See ``BlobStore.put_part``."""
        folder = self._folder(plan)
        reader = VerifyingReader(source, plan.size_of(number), None)
        if self.is_done(plan):
            raise _over()
        with TemporaryFile(folder, missing=_over()) as file:
            file.write_all(reader.pieces())
            file.write(reader.hexdigest.encode())
            file.move_to(folder / _name(number))
        return reader.hexdigest

    def tags(self, plan: UploadPlan) -> dict[int, str]:
        """Return the tags of the parts that arrived, by number.

        Raises:
            UploadNotFoundError: the upload is over.
        """
        folder = self._folder(plan)
        with disk_errors(missing=_over()):
            names = {path.name for path in folder.iterdir()}
        tags = {}
        for number in range(1, plan.part_count + 1):
            if _name(number) in names and (tag := self._tag(plan, number)):
                tags[number] = tag
        return tags

    def _tag(self, plan: UploadPlan, number: int) -> str:
        """Return the tag of a part, empty if a power cut left less than all of its file."""
        with _part(self._folder(plan), number) as file, disk_errors():
            tag = os.pread(file.fileno(), _TAG_BYTES + 1, plan.size_of(number))
        text = tag.decode("ascii", "replace")
        return text if is_digest(text) else ""

    @contextmanager
    def joined(self, plan: UploadPlan) -> Iterator[ByteSource]:
        """Give a source of all parts in order, to be read once."""
        source = _JoinedParts(self._folder(plan), plan)
        try:
            yield source
        finally:
            source.close()

    def is_done(self, plan: UploadPlan) -> bool:
        """Tell whether the upload was completed."""
        return self._marker(plan).exists()

    def finish(self, plan: UploadPlan) -> None:
        """Remember that the upload was completed, and free the space of its parts."""
        marker = self._marker(plan)
        # Aborted meanwhile, or no room even for a name: the blob is stored all the same, only
        # completing once more will not find out.
        with suppress(OSError):
            marker.touch()
            for path in self._folder(plan).iterdir():
                if path != marker:
                    path.unlink(missing_ok=True)

    def abort(self, plan: UploadPlan) -> None:
        """See ``BlobStore.abort``."""
        with suppress(UploadNotFoundError):
            _remove(self._folder(plan))

    def sweep(self, before_s: float) -> int:
        """Remove uploads in which nothing was written since ``before_s`` and return how many."""
        swept = 0
        for folder in self._root.iterdir():
            try:
                touched_s = [folder.stat().st_mtime, *(p.stat().st_mtime for p in folder.iterdir())]
            except OSError:
                continue  # a part was just replaced, or the upload has just ended
            if max(touched_s) < before_s:
                _remove(folder)
                swept += 1
        return swept

    def _folder(self, plan: UploadPlan) -> Path:
        if not _ID.fullmatch(plan.id):
            raise _over()
        return self._root / plan.id

    def _marker(self, plan: UploadPlan) -> Path:
        return self._folder(plan) / f"done-{plan.digest}"


class _JoinedParts:
    """Reads parts one after the other, one file open at a time."""

    def __init__(self, folder: Path, plan: UploadPlan) -> None:
        self._folder = folder
        self._plan = plan
        self._number = 0
        self._left = 0
        self._file: BinaryIO | None = None

    def read(self, size: int, /) -> bytes:
        while self._left == 0:
            if self._number == self._plan.part_count:
                return b""
            self._next()
        assert self._file is not None  # noqa: S101
        with disk_errors():
            piece = self._file.read(min(size, self._left))
        if not piece:
            raise _over()  # cut short under our eyes
        self._left -= len(piece)
        return piece

    def _next(self) -> None:
        self.close()
        self._number += 1
        self._left = self._plan.size_of(self._number)
        self._file = _part(self._folder, self._number)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _part(folder: Path, number: int) -> BinaryIO:
    with disk_errors(missing=_over()):
        return (folder / _name(number)).open("rb", buffering=0)


def _name(number: int) -> str:
    return f"{number:05d}"


def _remove(folder: Path) -> None:
    """Take a folder away at once: what is being written into it can no longer arrive."""
    gone = folder.with_name(f".{secrets.token_hex(16)}")
    with suppress(OSError):
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)  # what cannot be removed, ``sweep`` meets again


def _over() -> UploadNotFoundError:
    return UploadNotFoundError("This upload is over or has expired. Start it again.")

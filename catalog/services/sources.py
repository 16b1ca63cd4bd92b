"""Bytes of a repository's file as the format readers want them: by range, wherever they lie."""

from catalog.content.stores import storage
from catalog.formats.sources import ByteSource, BytesSource
from catalog.history.objects import ObjectStore
from catalog.history.trees import Entry
from catalog.models import ModelRepo
from store.core.errors import StoreError
from store.storage import Digest


class StoredSource:
    """A large file in the storage. Each read is one range request there."""

    def __init__(self, sha256: str, size_bytes: int) -> None:
        self.digest = Digest(sha256)
        self.size_bytes = size_bytes

    def read_at(self, offset: int, length: int) -> bytes:
        """See ``ByteSource.read_at``."""
        try:
            return storage().read_at(self.digest, offset, length)
        except StoreError as exc:  # a finding about the storage, never about the file
            raise OSError(exc.message) from exc


def source_of(repo: ModelRepo, entry: Entry) -> ByteSource:
    """Return the content of a file, of an LFS file the content and not the pointer."""
    if entry.lfs is not None:
        return StoredSource(entry.lfs.sha256, entry.lfs.size_bytes)
    return BytesSource(ObjectStore(repo.pk).blob(entry.oid))

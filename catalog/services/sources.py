"""Bytes of a repository's file as the format readers want them: by range, wherever they lie."""

from functools import cached_property

from catalog.content.reading import Content, content_of
from catalog.formats.sources import ByteSource, BytesSource
from catalog.history.objects import ObjectStore
from catalog.history.trees import Entry
from catalog.models import ModelRepo
from store.core.errors import StoreError


class StoredSource:
    """A large file in the storage. Each read is a few range requests there."""

    def __init__(self, repo: ModelRepo, sha256: str, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._repo, self._sha256 = repo, sha256

    @cached_property
    def _content(self) -> Content:
        return content_of(self._repo, self._sha256)

    def read_at(self, offset: int, length: int) -> bytes:
        """See ``ByteSource.read_at``."""
        try:
            return self._content.read_at(offset, length)
        except StoreError as exc:  # a finding about the storage, never about the file
            raise OSError(exc.message) from exc


def source_of(repo: ModelRepo, entry: Entry) -> ByteSource:
    """Return the content of a file, of an LFS file the content and not the pointer."""
    if entry.lfs is not None:
        return StoredSource(repo, entry.lfs.sha256, entry.lfs.size_bytes)
    return BytesSource(ObjectStore(repo.pk).blob(entry.oid))

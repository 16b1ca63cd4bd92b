"""Reading large files: from one whole object or out of xorbs, and nobody can tell which."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from catalog.content.recipes import Recipe, chunk_span
from catalog.content.stores import storage
from catalog.content.tables import KnownXorb, forget, known_xorbs
from catalog.content.unpacked import kept_raw
from catalog.content.xet.errors import XetFormatError
from catalog.content.xet.packing import HEADER_BYTES, Unpacker, read_header
from catalog.content.xet.shards import Term
from catalog.models import LfsObject, ModelRepo, RepoLfsObject, XetClaim, XetFile
from store.core.errors import StoreError
from store.core.pieces import gathered
from store.storage import BlobNotFoundError, Digest

_BLOCK_BYTES = 1024 * 1024
_SENT_BYTES = 256 * 1024
"""Chunks are put together up to this before they are sent: that takes a quarter less of the
processor than chunk by chunk, and less than in larger pieces, which leave its cache."""


class DamagedContentError(StoreError):
    """Stored bytes are not what their row says; staff must look at the storage (``fsck``)."""

    code = "damaged_content"
    status = 500


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of one large file."""

    sha256: str
    size_bytes: int
    is_whole: bool
    """The storage has them as one object."""
    recipe: Recipe | None
    xet_hash: bytes | None
    """What Xet clients fetch it by."""

    @property
    def digest(self) -> Digest | None:
        """The name of the one object; ``None``: there is none."""
        return Digest(self.sha256) if self.is_whole else None

    def local_path(self) -> Path | None:
        """Return the file with the bytes; ``None`` if there is no such one."""
        return storage().local_path(Digest(self.sha256)) if self.is_whole else None

    def read_at(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``, fewer at the end. All of it is in memory."""
        if self.is_whole:
            return storage().read_at(Digest(self.sha256), offset, length)
        return b"".join(self.blocks(offset, length))

    def blocks(self, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield ``length`` bytes from ``offset`` on (``None``: to the end), at most 1 MiB a time.

        Raises:
            DamagedContentError: the stored bytes are broken.
            StorageUnavailableError, BlobNotFoundError: the storage failed.
        """
        length = self.size_bytes - offset if length is None else length
        if self.is_whole:
            yield from read_blocks(storage().open(Digest(self.sha256), offset=offset), length)
        elif self.recipe is not None:
            yield from gathered(cooked(self.recipe, offset, length), _SENT_BYTES)


def recipe_of(found: LfsObject) -> Recipe:
    """Return the recipe of an object that has one."""
    file = found.xet_file
    if file is None:
        raise ValueError(f"{found} has no recipe")
    return Recipe.from_bytes(bytes(file.terms))


def read_blocks(source: BinaryIO, length: int) -> Iterator[bytes]:
    """Yield the next ``length`` bytes, at most 1 MiB a time, and close the file."""
    with source:
        while length > 0 and (block := source.read(min(length, _BLOCK_BYTES))):
            length -= len(block)
            yield block


def content_of(repo: ModelRepo, sha256: str) -> Content:
    """Return the bytes of a large file of ``repo``. Whether a caller may have them is not asked.

    Raises:
        BlobNotFoundError: the repository owns no such file.
    """
    rows = LfsObject.objects.filter(pk=sha256, owners__repo=repo).select_related("xet_file")
    found = rows.first()
    if found is not None:
        return of_object(found)
    claims = XetClaim.objects.filter(repo=repo, sha256=sha256, is_false=False)
    claim = claims.select_related("file").order_by("-by_writer", "pk").first()
    if claim is None:
        raise BlobNotFoundError("These bytes are not stored here.", digest=sha256)
    return _of_file(sha256, claim.file, is_whole=False)


def of_object(found: LfsObject) -> Content:
    """Return the bytes of an object."""
    if found.xet_file is None:
        return Content(found.sha256, found.size_bytes, is_whole=True, recipe=None, xet_hash=None)
    return _of_file(found.sha256, found.xet_file, is_whole=found.is_whole)


def xet_hashes(repo: ModelRepo, digests: set[str]) -> dict[str, bytes]:
    """Return what Xet clients fetch large files of ``repo`` by, for those that have it. One query.

    Claims nobody has verified have none: their content is not handed out that way.
    """
    rows = RepoLfsObject.objects.filter(
        repo=repo, lfs_object_id__in=digests, lfs_object__xet_file__isnull=False
    )
    return {
        sha256: bytes(name)
        for sha256, name in rows.values_list("lfs_object_id", "lfs_object__xet_file__hash")
    }


def _of_file(sha256: str, file: XetFile, *, is_whole: bool) -> Content:
    recipe = Recipe.from_bytes(bytes(file.terms))
    return Content(sha256, file.size_bytes, is_whole, recipe, bytes(file.hash))


def cooked(recipe: Recipe, offset: int, length: int) -> Iterator[bytes]:
    """Yield ``length`` bytes of a file from ``offset`` on, chunk by chunk.

    Only the records of chunks that are wanted are read, those of one term in one go, and no more
    than one is in memory.
    """
    unpacker = Unpacker()
    for term, first, last in recipe.covering(offset, length):
        yield from _term_bytes(_known(term.xorb), term, first, last, unpacker)


def warmed(recipe: Recipe) -> Iterator[bytes | memoryview]:
    """Yield a whole file, at most 1 MiB a time, out of what ``unpacked`` keeps, where it does.

    Only for a caller that checks the digest of the whole.
    """
    unpacker = Unpacker()
    for term, first, last in recipe.covering(0, recipe.size_bytes):
        known = _known(term.xorb)
        raw = kept_raw(term.xorb, known.table.raw_ends[-1])
        if raw is None:
            yield from _term_bytes(known, term, first, last, unpacker)
        else:
            begin = known.table.raw_start(term.start)
            yield from raw.blocks(begin + first, begin + last)


def _known(name: bytes) -> KnownXorb:
    """Return a xorb whose bytes are there, looking twice: they may have been sent anew."""
    for _ in range(2):
        known = known_xorbs([name]).get(name)
        if known is not None and storage().exists(known.blob):
            return known
        forget(name)
    raise DamagedContentError("A part of this file is missing in the store.")


def _term_bytes(
    known: KnownXorb, term: Term, first: int, last: int, unpacker: Unpacker
) -> Iterator[bytes]:
    span = chunk_span(term, known.table, first, last)
    begin, _ = known.table.stored_span(span.start, span.end)
    skip, left = span.skip_bytes, last - first
    with storage().open(known.blob, offset=begin) as source:
        for place in range(span.start, span.end):
            end = known.table.chunks[place].end
            raw = _chunk(source, end - begin, unpacker)
            begin = end
            piece = raw[skip : skip + left] if skip or len(raw) > left else raw
            skip = 0
            left -= len(piece)
            yield piece


def _chunk(source: BinaryIO, record_bytes: int, unpacker: Unpacker) -> bytes:
    record = source.read(record_bytes)
    try:
        packed_bytes, scheme, size_bytes = read_header(record[:HEADER_BYTES])
        raw = bytes(unpacker.unpack(scheme, memoryview(record)[HEADER_BYTES:], size_bytes))
    except XetFormatError as exc:
        raise DamagedContentError("A part of this file is damaged in the store.") from exc
    if HEADER_BYTES + packed_bytes != record_bytes:
        raise DamagedContentError("A part of this file is damaged in the store.")
    return raw


__all__ = [
    "Content",
    "DamagedContentError",
    "content_of",
    "cooked",
    "of_object",
    "read_blocks",
    "recipe_of",
    "warmed",
    "xet_hashes",
]

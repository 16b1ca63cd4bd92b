"""The contract of every storage: immutable bytes, named by their own hash.

Three rules hold for each implementation, and one test suite checks them on all:

* A digest is visible only with exactly its bytes. They are hashed on the way in, whatever is
  stored already, so nobody gains a digest by knowing it.
* Writing a digest again is harmless and renews its age (``StoredBlob.modified_s``), so that a
  garbage collector's period of grace protects a file that has just been sent once more.
* What a failed write leaves is never visible, and ``sweep`` clears it away.

``delete`` does not wait for a ``put`` of the same digest: whoever collects garbage excludes that
by a lock on the digest's own row.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from store.storage.errors import InvalidDigestError, PartListError, PartNumberError
from store.storage.sources import CHUNK_BYTES, MIB, ByteSource, Digest, NamedSource

MAX_PARTS = 10_000
"""Parts of one upload; the limit of S3."""
MAX_PART_BYTES = 5 * 1024**3
"""Size of one part, in bytes; the limit of S3."""

SHA256, XORB = "sha256", "xorb"
FAMILIES = (SHA256, XORB)
"""The kinds of digests, each in a folder of its name."""

_DIGEST = re.compile(r"(?:xorb-)?[0-9a-f]{64}")


def is_digest(text: str) -> bool:
    """Tell whether ``text`` is a sha256 or, behind ``xorb-``, the like."""
    return _DIGEST.fullmatch(text) is not None


def checked_digest(text: str) -> Digest:
    """Return ``text`` as a digest. Every path and key is built from what this lets through.

    Raises:
        InvalidDigestError: it is none.
    """
    if not is_digest(text):
        raise InvalidDigestError(
            "A digest is the sha256 of the content as 64 lower-case hexadecimal characters.",
            digest=text[:80],
        )
    return Digest(text)


def blob_path(digest: Digest) -> str:
    """Return where the bytes lie below the root of a storage: ``sha256/ab/cd/abcd…``, ``xorb/…``.

    The same on disk and in a bucket, so one can be copied onto the other as it is.

    Raises:
        InvalidDigestError: see ``checked_digest``.
    """
    family, _, name = checked_digest(digest).rpartition("-")
    return f"{family or SHA256}/{name[:2]}/{name[2:4]}/{name}"


def digest_of(family: str, name: str) -> Digest | None:
    """Return the digest that a file or key ``name`` of a family stands for, if it is one."""
    text = name if family == SHA256 else f"{family}-{name}"
    return Digest(text) if is_digest(text) else None


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """One stored object, as ``BlobStore.blobs`` lists it."""

    digest: Digest
    size_bytes: int
    modified_s: float
    """When it was last written or written again, seconds since 1970."""


@dataclass(frozen=True, slots=True)
class UploadPlan:
    """A file on its way in, in ``part_count`` parts. The caller keeps it, and who may use it.

    Every part has ``part_size_bytes`` but the last. A file in one piece is an upload of one part.
    """

    id: str
    """Opaque, up to 1024 characters. Only for the server: it is no proof of anything."""
    digest: Digest
    size_bytes: int
    part_size_bytes: int

    @property
    def part_count(self) -> int:
        """How many parts there are, 1 to ``MAX_PARTS``. An empty file is one empty part."""
        return max(1, -(-self.size_bytes // self.part_size_bytes))

    def size_of(self, number: int) -> int:
        """Return the size of part ``number`` (from 1) in bytes.

        Raises:
            PartNumberError: there is no such part.
        """
        if not 1 <= number <= self.part_count:
            raise PartNumberError(
                f"This upload has parts 1 to {self.part_count}.",
                number=number,
                part_count=self.part_count,
            )
        if number < self.part_count:
            return self.part_size_bytes
        return self.size_bytes - (self.part_count - 1) * self.part_size_bytes


def part_size_for(size_bytes: int, wanted_bytes: int) -> int:
    """Return the part size for a file: as wanted, but never over 10,000 parts or 5 GiB each.

    Args:
        size_bytes: Size of the file, 0 to 10,000 x 5 GiB.
        wanted_bytes: Wanted size of a part, at least 1. On S3 at least 5 MiB, if more than one.

    Raises:
        ValueError: a number is out of range.
    """
    if not 0 <= size_bytes <= MAX_PARTS * MAX_PART_BYTES or wanted_bytes < 1:
        raise ValueError(f"no parts of {wanted_bytes} bytes for a file of {size_bytes} bytes")
    least = -(-size_bytes // MAX_PARTS)
    if wanted_bytes < least:
        wanted_bytes = -(-least // MIB) * MIB
    return min(wanted_bytes, MAX_PART_BYTES)


def check_parts(
    plan: UploadPlan, received: Mapping[int, str], listed: Iterable[tuple[int, str]] | None
) -> None:
    """Compare the parts a client lists with those that arrived.

    Args:
        plan: Which parts there have to be.
        received: Tag by number of what is stored.
        listed: Number and tag as listed, quotes around a tag do not count; ``None``: no list.

    Raises:
        PartListError: ``extra`` holds up to 20 numbers each of ``missing`` (never arrived, or not
            listed), ``changed`` (listed with a tag that the stored one does not have, or unknown)
            and ``repeated`` (listed twice).
    """
    due = range(1, plan.part_count + 1)
    pairs = [*received.items()] if listed is None else [(n, tag.strip('"')) for n, tag in listed]
    tags = dict(pairs)
    counts = Counter(number for number, _ in pairs)
    missing = [number for number in due if number not in tags or number not in received]
    changed = [n for n, tag in tags.items() if n not in due or received.get(n, tag) != tag]
    repeated = [number for number, count in counts.items() if count > 1]
    if missing or changed or repeated:
        raise PartListError(
            "The list of parts does not fit those that arrived. Send the missing ones, "
            "list each once with the tag its upload answered, and complete again.",
            missing=missing[:20],
            changed=sorted(changed)[:20],
            repeated=sorted(repeated)[:20],
        )


class BlobStore(Protocol):
    """Immutable bytes by digest. Safe to use from many threads and processes at once.

    Every method raises ``InvalidDigestError`` for a digest that is none, and
    ``StorageUnavailableError`` when disk or object store fail.
    """

    def check(self) -> None:
        """Prove that the storage can be written to now (for ``/readyz``).

        Raises:
            StorageFullError: no room is left.
            StorageUnavailableError: it cannot be reached, or refuses us.
        """

    def put(self, source: ByteSource, digest: Digest, size_bytes: int) -> None:
        """Store the whole of ``source``. When this returns, the bytes survive a power cut.

        Reads ``source`` to its end even if the digest is stored already.

        Args:
            source: Read from where it stands; what it raises goes to the caller.
            digest: What its bytes must hash to.
            size_bytes: How many there must be, at least 0.

        Raises:
            SizeMismatchError: there are more or fewer bytes; nothing is kept.
            DigestMismatchError: they hash to something else; nothing is kept.
            StorageFullError: no room is left; nothing is kept.
        """

    def put_unnamed(self, source: NamedSource) -> tuple[Digest, int]:
        """Store the whole of ``source`` under the digest it has at its end.

        For content that ``source`` itself checks: it raises at its end instead of ending, and
        nothing is kept then. Of two of one digest either may be kept.

        Returns:
            The digest and the size in bytes. The bytes survive a power cut.

        Raises:
            StorageFullError: no room is left; nothing is kept.
        """

    def exists(self, digest: Digest) -> bool:
        """Tell whether the bytes are stored. Not who may have them."""

    def size(self, digest: Digest) -> int:
        """Return the size in bytes.

        Raises:
            BlobNotFoundError: not stored.
        """

    def open(self, digest: Digest, *, offset: int = 0) -> BinaryIO:
        """Return a seekable reader that stands at ``offset`` (0 or more, also past the end).

        On local disk it is a real file, good for ``sendfile``.

        Raises:
            BlobNotFoundError: not stored.
        """

    def read_at(self, digest: Digest, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``, fewer at the end. All of it is in memory.

        Raises:
            BlobNotFoundError: not stored.
        """

    def local_path(self, digest: Digest) -> Path | None:
        """Return the file that holds the bytes; ``None`` if this storage has no files.

        Raises:
            BlobNotFoundError: not stored.
        """

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
        """Return a signed link to the bytes; ``None`` if the app has to send them itself.

        The object is not looked up: the link of an absent one answers 403 or 404.

        Args:
            digest: Which bytes; the link is good for no other.
            filename: Name to save them under, from a stranger; made safe here.
            content_type: Sent as ``Content-Type``. Choose one that browsers do not execute.
            expires_s: Life of the link in seconds, 1 to 604,800.
            method: The one HTTP method the link is good for.
            span: First and last byte: the link is good only for requests with exactly this
                ``Range``; ``None``: for any.
        """

    def delete(self, digest: Digest) -> None:
        """Remove the bytes; nothing happens if they are not there. Open readers go on."""

    def blobs(self) -> Iterator[StoredBlob]:
        """Yield everything stored, family by family in ascending order (for gc and fsck)."""

    def start(self, digest: Digest, size_bytes: int, *, part_size_bytes: int) -> UploadPlan:
        """Begin an upload. Keep what it returns: its part size can be above the wanted one.

        Args:
            digest: What the whole must hash to.
            size_bytes: Size of the whole, 0 to 10,000 x 5 GiB.
            part_size_bytes: Wanted size of a part; see ``part_size_for``.

        Raises:
            ValueError: a size is out of range.
            StorageFullError: no room is left.
        """

    def part_url(self, plan: UploadPlan, number: int, *, expires_s: int) -> str | None:
        """Return a signed link that takes one part by ``PUT``; ``None``: the app receives it.

        The client needs no header: no authorization, no checksum, no content type. The link is
        bound to the part's exact size.

        Raises:
            PartNumberError: there is no such part.
        """

    def put_part(self, plan: UploadPlan, number: int, source: ByteSource) -> str:
        """Receive one part and return its tag (for ``ETag``, without quotes).

        Sending a number again replaces it; the same bytes give the same tag.

        Raises:
            PartNumberError: there is no such part.
            SizeMismatchError: not the size of this part; an earlier one stays.
            UploadNotFoundError: the upload is over.
            StorageFullError: no room is left; an earlier one stays.
        """

    def complete(self, plan: UploadPlan, parts: Iterable[tuple[int, str]] | None = None) -> None:
        """Verify the whole and make it visible. Repeated or run twice at once, both succeed.

        Takes as long as reading the whole file once takes.

        Args:
            plan: What ``start`` returned.
            parts: Number and tag of every part as the client lists them, in any order;
                ``None``: those that arrived.

        Raises:
            PartListError: parts are missing, listed twice or changed; the upload stays open.
            SizeMismatchError: parts sent by link have other sizes; the upload is over.
            DigestMismatchError: the whole has another digest; the upload is over.
            UploadNotFoundError: the upload is over.
            StorageFullError: no room is left; the upload stays open.
        """

    def abort(self, plan: UploadPlan) -> None:
        """End an upload and free its space. Nothing happens if it is over."""

    def drop_url(self, name: str, size_bytes: int, *, expires_s: int) -> str | None:
        """Return a signed link that takes one object by ``PUT``, whatever it is.

        What lies there is seen by nobody until ``take_drop``, and swept like an idle upload.
        ``None``: the app receives the bytes itself, so it can check and store them at once.

        Args:
            name: 32 lower-case hexadecimal characters of the caller's choice, never used twice.
            size_bytes: The link is bound to this size.
            expires_s: Life of the link in seconds.
        """

    def take_drop(
        self, name: str, check: Callable[[ByteSource], NamedSource]
    ) -> tuple[Digest, int]:
        """Read what was dropped through ``check`` and keep what comes out; see ``put_unnamed``.

        The drop is gone afterwards, whether it passed or not.

        Raises:
            UploadNotFoundError: nothing was dropped under this name.
            What ``check`` raises; nothing is kept then.
        """

    def sweep(self, *, older_than_s: float) -> int:
        """Clear away what crashed writes and idle uploads left, and return how many things.

        Args:
            older_than_s: Only what nobody touched for so many seconds. More than the life of an
                upload link, or uploads under way end.
        """


__all__ = [
    "CHUNK_BYTES",
    "FAMILIES",
    "MAX_PARTS",
    "MAX_PART_BYTES",
    "MIB",
    "BlobStore",
    "Digest",
    "StoredBlob",
    "UploadPlan",
    "blob_path",
    "check_parts",
    "checked_digest",
    "digest_of",
    "is_digest",
    "part_size_for",
]

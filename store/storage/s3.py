"""Blobs in an S3 bucket, or in anything that speaks S3 (MinIO, Ceph, R2, Garage …).

```
sha256/ab/cd/<digest>         the blobs
xorb/ab/cd/<digest>           those that go by another hash
staging/<id>/sent             what a client sent by signed links, not verified yet
staging/<id>/frozen-<random>  the same where no link reaches it, while it is hashed
staging/<id>/done-<digest>    this upload was completed
```

Clients send no header at all with an upload (hub clients cannot), so S3 cannot be told the digest
to check. Instead ``complete`` reads what arrived, and only a server-side copy of verified bytes
gets the blob's key. Between hashing and copying nobody may exchange the bytes:

* Uploads in parts are S3 multipart uploads. Once completed, which only the server can do, their
  part links are dead and the object stays as it is.
* Uploads in one piece are a signed ``PUT``: no round trip before the client may start, which
  matters for a batch of hundreds of files. Its link stays good until it expires, so the object is
  first copied to a random key, and that copy is hashed.

Give the bucket a life-cycle rule that aborts incomplete multipart uploads after some days; it
backs up ``sweep`` where that cannot list them. Browsers that upload need CORS exposing ``ETag``.
"""

import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Literal

from store.storage.base import (
    FAMILIES,
    MIB,
    Digest,
    StoredBlob,
    UploadPlan,
    blob_path,
    check_parts,
    checked_digest,
    digest_of,
    part_size_for,
)
from store.storage.bucket import Bucket
from store.storage.config import S3Config
from store.storage.disposition import content_disposition
from store.storage.durable import disk_errors
from store.storage.errors import (
    BlobNotFoundError,
    DigestMismatchError,
    PartListError,
    SizeMismatchError,
    UploadNotFoundError,
)
from store.storage.sources import ByteSource, NamedSource, blocks_of
from store.storage.verify import VerifyingReader

_SPOOL_BYTES = 8 * MIB
_MIN_PART_BYTES = 5 * MIB
"""S3 refuses smaller parts, but for the last."""
_ID = re.compile(r"([0-9a-f]{32})(?:\.([\x21-\x7e]{1,960}))?")
"""Our own random id and, for more than one part, S3's id of the multipart upload."""


class S3BlobStore:
    """``BlobStore`` in a bucket.

    Args:
        config: Which bucket, and how to get in. Nothing is connected yet.
    """

    def __init__(self, config: S3Config) -> None:
        self._bucket = Bucket(config)

    def check(self) -> None:
        """See ``BlobStore.check``."""
        self._bucket.check()

    def put(self, source: ByteSource, digest: Digest, size_bytes: int) -> None:
        """See ``BlobStore.put``. S3 shows an object only once all of it is there."""
        reader = VerifyingReader(source, size_bytes, checked_digest(digest))
        self._bucket.upload(blob_path(digest), reader, size_bytes)

    def put_unnamed(self, source: NamedSource) -> tuple[Digest, int]:
        """See ``BlobStore.put_unnamed``. By way of a temporary file: a key needs the digest."""
        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as spool:
            for piece in blocks_of(source):
                with disk_errors():
                    spool.write(piece)
            size_bytes = spool.tell()
            spool.seek(0)
            body = VerifyingReader(spool, size_bytes, None)
            self._bucket.upload(blob_path(source.digest), body, size_bytes)
        return source.digest, size_bytes

    def exists(self, digest: Digest) -> bool:
        """See ``BlobStore.exists``."""
        try:
            self.size(digest)
        except BlobNotFoundError:
            return False
        return True

    def size(self, digest: Digest) -> int:
        """See ``BlobStore.size``."""
        return self._bucket.head(blob_path(digest), missing=_absent(digest)).size_bytes

    def open(self, digest: Digest, *, offset: int = 0) -> BinaryIO:
        """See ``BlobStore.open``."""
        if offset < 0:
            raise ValueError(f"offset {offset} is negative")
        return self._bucket.open(blob_path(digest), offset, missing=_absent(digest))

    def read_at(self, digest: Digest, offset: int, length: int) -> bytes:
        """See ``BlobStore.read_at``."""
        if offset < 0 or length < 0:
            raise ValueError(f"offset {offset} or length {length} is negative")
        if length == 0:
            self.size(digest)
            return b""
        key = blob_path(digest)
        return self._bucket.read(key, offset, length, missing=_absent(digest))

    def local_path(self, digest: Digest) -> Path | None:
        """Return ``None``: there are no files."""
        self.size(digest)
        return None

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
        """See ``BlobStore.download_url``. Browsers are told to save, never to show.

        A span is signed as a header, so that S3 refuses every other range, and none.
        """
        ranged = {"Range": f"bytes={span[0]}-{span[1]}"} if span else {}
        return self._bucket.link(
            "get_object" if method == "GET" else "head_object",
            blob_path(digest),
            expires_s=expires_s,
            **ranged,
            ResponseContentDisposition=content_disposition(filename, inline=False),
            ResponseContentType=content_type,
        )

    def delete(self, digest: Digest) -> None:
        """See ``BlobStore.delete``."""
        self._bucket.delete(blob_path(digest))

    def blobs(self) -> Iterator[StoredBlob]:
        """See ``BlobStore.blobs``. Keys that blobs do not have are passed over."""
        for family in FAMILIES:
            for item in self._bucket.keys(f"{family}/"):
                digest = digest_of(family, item.key.rpartition("/")[2])
                if digest is not None and blob_path(digest) == item.key:
                    yield StoredBlob(digest, item.size_bytes, item.modified_s)

    def start(self, digest: Digest, size_bytes: int, *, part_size_bytes: int) -> UploadPlan:
        """See ``BlobStore.start``. In one piece: no round trip to S3."""
        part_size_bytes = part_size_for(size_bytes, part_size_bytes)
        id_ = secrets.token_hex(16)
        plan = UploadPlan(id_, checked_digest(digest), size_bytes, part_size_bytes)
        if plan.part_count == 1:
            return plan
        if part_size_bytes < _MIN_PART_BYTES:
            raise ValueError(f"S3 takes no parts of {part_size_bytes} bytes")
        upload_id = self._bucket.start_parts(f"staging/{id_}/sent")
        return UploadPlan(f"{id_}.{upload_id}", digest, size_bytes, part_size_bytes)

    def part_url(self, plan: UploadPlan, number: int, *, expires_s: int) -> str | None:
        """See ``BlobStore.part_url``."""
        size_bytes = plan.size_of(number)
        folder, upload_id = _staging(plan)
        if upload_id is None:
            return self._bucket.link(
                "put_object", f"{folder}sent", expires_s=expires_s, ContentLength=size_bytes
            )
        return self._bucket.link(
            "upload_part",
            f"{folder}sent",
            expires_s=expires_s,
            UploadId=upload_id,
            PartNumber=number,
            ContentLength=size_bytes,
        )

    def put_part(self, plan: UploadPlan, number: int, source: ByteSource) -> str:
        """See ``BlobStore.put_part``. Above 8 MiB by way of a temporary file."""
        reader = VerifyingReader(source, plan.size_of(number), None)
        folder, upload_id = _staging(plan)
        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as spool:
            while piece := reader.read_some():
                with disk_errors():
                    spool.write(piece)
            spool.seek(0)
            if self._bucket.has(_marker(plan)):
                raise _over()
            if upload_id is None:
                return self._bucket.write(f"{folder}sent", spool)
            key = f"{folder}sent"
            return self._bucket.write_part(key, upload_id, number, spool, missing=_over())

    def complete(self, plan: UploadPlan, parts: Iterable[tuple[int, str]] | None = None) -> None:
        """See ``BlobStore.complete``. S3 itself copies; the bytes pass here to be hashed."""
        if self._bucket.has(_marker(plan)):
            return
        listed = None if parts is None else list(parts)
        try:
            frozen = self._freeze(plan, listed)
            self._verify(plan, frozen)
            self._bucket.copy(frozen, blob_path(plan.digest), missing=_over())
        except (UploadNotFoundError, PartListError):
            if self._bucket.has(_marker(plan)):
                return  # two completed at once and the other was faster
            raise
        except (DigestMismatchError, SizeMismatchError):
            self._discard(plan)
            raise
        self._bucket.write(_marker(plan), b"")
        self._discard(plan)

    def _freeze(self, plan: UploadPlan, listed: list[tuple[int, str]] | None) -> str:
        """Return the key of what arrived, where no client can change it any more."""
        folder, upload_id = _staging(plan)
        sent = f"{folder}sent"
        if upload_id is not None:
            self._join(plan, sent, upload_id, listed)
            return sent
        arrived = {}
        with suppress(UploadNotFoundError):
            arrived[1] = self._bucket.head(sent, missing=_over()).etag
        check_parts(plan, arrived, listed)
        frozen = f"{folder}frozen-{secrets.token_hex(16)}"
        self._bucket.copy(sent, frozen, missing=_over())
        return frozen

    def _join(
        self, plan: UploadPlan, key: str, upload_id: str, listed: list[tuple[int, str]] | None
    ) -> None:
        try:
            stored = self._bucket.parts(key, upload_id, missing=_over())
            tags = {
                number: part.etag
                for number, part in stored.items()
                if number <= plan.part_count and part.size_bytes == plan.size_of(number)
            }
            check_parts(plan, tags, listed)
            self._bucket.join_parts(key, upload_id, tags, missing=_over())
        except UploadNotFoundError:
            if not self._bucket.has(key):  # else joined before, by one that did not finish
                raise

    def _verify(self, plan: UploadPlan, key: str) -> None:
        with self._bucket.open(key, 0, missing=_over()) as source:
            reader = VerifyingReader(source, plan.size_bytes, plan.digest)
            while reader.read_some():
                pass

    def abort(self, plan: UploadPlan) -> None:
        """See ``BlobStore.abort``."""
        with suppress(UploadNotFoundError):
            folder, upload_id = _staging(plan)
            if upload_id is not None:
                with suppress(UploadNotFoundError):
                    self._bucket.abort_parts(f"{folder}sent", upload_id, missing=_over())
            self._discard(plan)

    def _discard(self, plan: UploadPlan) -> None:
        """Remove what an upload left, but not the sign that it was completed."""
        folder, _ = _staging(plan)
        for item in self._bucket.keys(folder):
            if item.key != _marker(plan):
                self._bucket.delete(item.key)

    def drop_url(self, name: str, size_bytes: int, *, expires_s: int) -> str | None:
        """See ``BlobStore.drop_url``."""
        return self._bucket.link(
            "put_object", _drop(name), expires_s=expires_s, ContentLength=size_bytes
        )

    def take_drop(
        self, name: str, check: Callable[[ByteSource], NamedSource]
    ) -> tuple[Digest, int]:
        """See ``BlobStore.take_drop``. Its link stays good, so a copy is taken first."""
        frozen = f"staging/{checked_name(name)}/frozen-{secrets.token_hex(16)}"
        self._bucket.copy(_drop(name), frozen, missing=_over())
        try:
            with self._bucket.open(frozen, 0, missing=_over()) as source:
                return self.put_unnamed(check(source))
        finally:
            self._bucket.delete(frozen)
            self._bucket.delete(_drop(name))

    def sweep(self, *, older_than_s: float) -> int:
        """See ``BlobStore.sweep``."""
        before_s = time.time() - older_than_s
        swept = 0
        for prefix in ("staging/", *(f"{family}/" for family in FAMILIES)):
            for key, upload_id, started_s in self._bucket.open_uploads(prefix):
                if started_s < before_s:
                    swept += self._end_idle(key, upload_id, before_s)
        for item in self._bucket.keys("staging/"):
            if item.modified_s < before_s:
                self._bucket.delete(item.key)
                swept += 1
        return swept

    def _end_idle(self, key: str, upload_id: str, before_s: float) -> bool:
        """End a multipart upload, unless a part arrived since ``before_s``."""
        try:
            parts = self._bucket.parts(key, upload_id, missing=_over())
            if any(part.modified_s >= before_s for part in parts.values()):
                return False
            self._bucket.abort_parts(key, upload_id, missing=_over())
        except UploadNotFoundError:
            return False  # has just ended by itself
        return True


def _staging(plan: UploadPlan) -> tuple[str, str | None]:
    """Return the prefix of an upload's keys, and S3's id if it comes in several parts."""
    match = _ID.fullmatch(plan.id)
    if match is None:
        raise _over()
    return f"staging/{match[1]}/", match[2]


def checked_name(name: str) -> str:
    """Return the name of a drop.

    Raises:
        UploadNotFoundError: it is anything but 32 lower-case hexadecimal characters.
    """
    if not re.fullmatch(r"[0-9a-f]{32}", name):
        raise _over()
    return name


def _drop(name: str) -> str:
    return f"staging/{checked_name(name)}/sent"


def _marker(plan: UploadPlan) -> str:
    return f"{_staging(plan)[0]}done-{checked_digest(plan.digest)}"


def _absent(digest: Digest) -> BlobNotFoundError:
    return BlobNotFoundError("These bytes are not stored here.", digest=digest)


def _over() -> UploadNotFoundError:
    return UploadNotFoundError("This upload is over or has expired. Start it again.")

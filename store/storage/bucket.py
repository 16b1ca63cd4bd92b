"""One S3 bucket: keys, bytes and signed links; knows nothing of digests."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, Literal, cast

from boto3.s3.transfer import TransferConfig

from store.core.errors import NotFoundError, StoreError
from store.storage.base import CHUNK_BYTES, MAX_PARTS, MIB
from store.storage.config import S3Config
from store.storage.errors import StorageUnavailableError
from store.storage.s3_client import TRIES, KeyReader, get_range, make_client, s3_errors
from store.storage.verify import VerifyingReader

_OCTETS = "application/octet-stream"
_UPLOAD_CHUNK_BYTES = 8 * MIB
_UPLOAD_THREADS = 3  # with the chunks waiting for them about 60 MB of memory an upload
_COPY_PIECE_BYTES = 1024 * MIB
"""Larger objects are copied in pieces of this size, ``_COPY_THREADS`` at a time."""
_COPY_THREADS = 8


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One object of a bucket."""

    key: str
    size_bytes: int
    modified_s: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class StoredPart:
    """One part of an open multipart upload, or a whole object."""

    etag: str
    """Without quotes."""
    size_bytes: int
    modified_s: float
    """Seconds since 1970."""


class Bucket:
    """A bucket. Where ``missing`` is a parameter, it is raised for an absent key or upload.

    Args:
        config: Which one, and how to get in.
    """

    def __init__(self, config: S3Config) -> None:
        self._name = config.bucket
        self._client = make_client(config, config.endpoint)
        public = config.public_endpoint or config.endpoint
        self._signer = self._client if public == config.endpoint else make_client(config, public)

    def check(self) -> None:
        """Prove that the bucket is there and lets us in."""
        with s3_errors():
            self._client.head_bucket(Bucket=self._name)

    def has(self, key: str) -> bool:
        """Tell whether there is such an object."""
        absent = NotFoundError("No such key.")
        try:
            self.head(key, missing=absent)
        except NotFoundError:
            return False
        return True

    def head(self, key: str, *, missing: StoreError) -> StoredPart:
        """Return tag and size of an object."""
        with s3_errors(missing=missing):
            answer = self._client.head_object(Bucket=self._name, Key=key)
        modified_s = answer["LastModified"].timestamp()
        return StoredPart(answer["ETag"].strip('"'), answer["ContentLength"], modified_s)

    def upload(self, key: str, reader: VerifyingReader, size_bytes: int) -> None:
        """Store all of ``reader``, in parts if large. If it raises, nothing becomes visible."""
        config = TransferConfig(
            multipart_threshold=_UPLOAD_CHUNK_BYTES,
            multipart_chunksize=max(_UPLOAD_CHUNK_BYTES, -(-size_bytes // MAX_PARTS)),
            max_concurrency=_UPLOAD_THREADS,
            preferred_transfer_client="classic",
        )
        config.max_in_memory_upload_chunks = _UPLOAD_THREADS
        with s3_errors():
            self._client.upload_fileobj(
                cast("IO[bytes]", reader),  # all it uses is ``read``
                self._name,
                key,
                ExtraArgs={"ContentType": _OCTETS},
                Config=config,
            )

    def write(self, key: str, body: bytes | IO[bytes]) -> str:
        """Store a small object and return its tag."""
        with s3_errors():
            answer = self._client.put_object(
                Bucket=self._name, Key=key, Body=body, ContentType=_OCTETS
            )
        return answer["ETag"].strip('"')

    def open(self, key: str, offset: int, *, missing: StoreError) -> BinaryIO:
        """Return a seekable reader at ``offset``."""
        raw = KeyReader(self._client, self._name, key, offset, missing)
        return io.BufferedReader(raw, CHUNK_BYTES)

    def read(self, key: str, offset: int, length: int, *, missing: StoreError) -> bytes:
        """Return ``length`` (at least 1) bytes from ``offset``, fewer at the end."""
        for left in reversed(range(TRIES)):
            with s3_errors(missing=missing):
                answer = get_range(self._client, self._name, key, offset, length)
            if answer is None:
                break
            try:
                with s3_errors():
                    return answer["Body"].read()
            except StorageUnavailableError:  # broke off; all before it botocore itself repeats
                if left == 0:
                    raise
        return b""

    def copy(self, source: str, target: str, *, missing: StoreError) -> None:
        """Copy within the bucket, on the server. What the source claims to be is not copied."""
        config = TransferConfig(
            multipart_threshold=_COPY_PIECE_BYTES + 1,
            multipart_chunksize=_COPY_PIECE_BYTES,
            max_concurrency=_COPY_THREADS,
            preferred_transfer_client="classic",
        )
        with s3_errors(missing=missing):
            self._client.copy(
                {"Bucket": self._name, "Key": source},
                self._name,
                target,
                ExtraArgs={"ContentType": _OCTETS, "MetadataDirective": "REPLACE"},
                Config=config,
            )

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens if it is not there."""
        with s3_errors():
            self._client.delete_object(Bucket=self._name, Key=key)

    def keys(self, prefix: str) -> Iterator[StoredKey]:
        """Yield the objects below ``prefix`` in ascending order of keys."""
        with s3_errors():
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._name, Prefix=prefix):
                for item in page.get("Contents", []):
                    modified_s = item["LastModified"].timestamp()
                    yield StoredKey(item["Key"], item["Size"], modified_s)

    def start_parts(self, key: str) -> str:
        """Begin a multipart upload and return its id."""
        with s3_errors():
            answer = self._client.create_multipart_upload(
                Bucket=self._name, Key=key, ContentType=_OCTETS
            )
        return answer["UploadId"]

    def write_part(
        self, key: str, upload_id: str, number: int, body: IO[bytes], *, missing: StoreError
    ) -> str:
        """Store one part and return its tag."""
        with s3_errors(missing=missing):
            answer = self._client.upload_part(
                Bucket=self._name, Key=key, UploadId=upload_id, PartNumber=number, Body=body
            )
        return answer["ETag"].strip('"')

    def parts(self, key: str, upload_id: str, *, missing: StoreError) -> dict[int, StoredPart]:
        """Return the parts that arrived, by number."""
        found = {}
        with s3_errors(missing=missing):
            pages = self._client.get_paginator("list_parts")
            for page in pages.paginate(Bucket=self._name, Key=key, UploadId=upload_id):
                for part in page.get("Parts", []):
                    modified_s = part["LastModified"].timestamp()
                    stored = StoredPart(part["ETag"].strip('"'), part["Size"], modified_s)
                    found[part["PartNumber"]] = stored
        return found

    def join_parts(
        self, key: str, upload_id: str, etags: dict[int, str], *, missing: StoreError
    ) -> None:
        """Complete a multipart upload: from now on its part links are dead."""
        parts = [{"PartNumber": n, "ETag": f'"{etags[n]}"'} for n in sorted(etags)]
        with s3_errors(missing=missing):
            self._client.complete_multipart_upload(
                Bucket=self._name,
                Key=key,
                UploadId=upload_id,
                MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
            )

    def abort_parts(self, key: str, upload_id: str, *, missing: StoreError) -> None:
        """End a multipart upload and free its space."""
        with s3_errors(missing=missing):
            self._client.abort_multipart_upload(Bucket=self._name, Key=key, UploadId=upload_id)

    def open_uploads(self, prefix: str) -> Iterator[tuple[str, str, float]]:
        """Yield key, id and start (seconds since 1970) of unfinished multipart uploads."""
        with s3_errors():
            pages = self._client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self._name, Prefix=prefix):
                for item in page.get("Uploads", []):
                    yield item["Key"], item["UploadId"], item["Initiated"].timestamp()

    def link(
        self,
        operation: Literal["get_object", "head_object", "put_object", "upload_part"],
        key: str,
        *,
        expires_s: int,
        **params: Any,
    ) -> str:
        """Return a signed link for one operation on one key, at the public address."""
        with s3_errors():
            return self._signer.generate_presigned_url(
                operation,
                Params={"Bucket": self._name, "Key": key, **params},
                ExpiresIn=expires_s,
            )

"""One S3 bucket: keys, bytes and signed links; knows nothing of digests.

Every call has a time-out and is retried by botocore. Every failure is an error of the storage:
``ClientError`` (S3 said no) and ``BotoCoreError`` (it did not answer) alike.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Literal, cast

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from store.core.errors import NotFoundError, StoreError
from store.storage.base import CHUNK_BYTES, MAX_PARTS, MIB
from store.storage.config import S3Config
from store.storage.errors import StorageFullError, StorageUnavailableError
from store.storage.verify import VerifyingReader

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

_OCTETS = "application/octet-stream"
_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 60  # a server-side copy of 1 GiB takes some ten seconds
_TRIES = 4
_CONNECTIONS = 64  # as many as a web process has threads (STORE_WEB_THREADS)

_UPLOAD_CHUNK_BYTES = 8 * MIB
_UPLOAD_THREADS = 3  # with the chunks waiting for them about 50 MiB of memory an upload
_COPY_PIECE_BYTES = 1024 * MIB
"""Larger objects are copied in pieces of this size, ``_COPY_THREADS`` at a time."""
_COPY_THREADS = 8

_ABSENT = {"404", "NotFound", "NoSuchKey", "NoSuchUpload"}
_PAST_END = {"416", "InvalidRange"}
_FULL = {"InsufficientStorage", "QuotaExceeded", "StorageFull", "XMinioStorageFull"}


@contextmanager
def s3_errors(*, missing: StoreError | None = None) -> Iterator[None]:
    """Turn what S3 reports, and its silence, into the storage's own errors.

    Args:
        missing: Raised where a key or an upload is not there; ``None``: that is a failure.

    Raises:
        StorageFullError: it has no room left.
        StorageUnavailableError: anything else, wrong credentials and permissions included.
    """
    try:
        yield
    except ClientError as exc:
        code = exc.response.get("Error", {}).get("Code", "")
        status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if missing is not None and code in _ABSENT:
            raise missing from exc
        if code in _FULL or status == 507:
            raise StorageFullError("The storage is full. Try again later.") from exc
        raise _unavailable() from exc
    except (BotoCoreError, HTTPError) as exc:
        raise _unavailable() from exc


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One object of a bucket."""

    key: str
    size_bytes: int
    modified_s: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class StoredPart:
    """One part of an open multipart upload."""

    etag: str
    """Without quotes."""
    size_bytes: int


class Bucket:
    """A bucket. Where ``missing`` is a parameter, it is raised for an absent key or upload.

    Args:
        config: Which one, and how to get in.
    """

    def __init__(self, config: S3Config) -> None:
        self._name = config.bucket
        self._client = _client(config, config.endpoint)
        public = config.public_endpoint or config.endpoint
        self._signer = self._client if public == config.endpoint else _client(config, public)

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
        return StoredPart(answer["ETag"].strip('"'), answer["ContentLength"])

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
        raw = _KeyReader(self._client, self._name, key, offset, missing)
        return io.BufferedReader(raw, CHUNK_BYTES)

    def read(self, key: str, offset: int, length: int, *, missing: StoreError) -> bytes:
        """Return ``length`` (at least 1) bytes from ``offset``, fewer at the end."""
        span = f"bytes={offset}-{offset + length - 1}"
        for attempt in range(1, _TRIES + 1):
            try:
                with s3_errors(missing=missing):
                    answer = _get(self._client, self._name, key, span)
                    return answer["Body"].read() if answer else b""
            except StorageUnavailableError:  # botocore itself repeats what fails before the body
                if attempt == _TRIES:
                    raise
        raise AssertionError  # not reached

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
                    stored = StoredPart(part["ETag"].strip('"'), part["Size"])
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


class _KeyReader(io.RawIOBase):
    """Reads an object, and goes on where it was when the connection breaks.

    That needs no check whether the object has changed: keys that are read never change content.
    """

    def __init__(
        self, client: "S3Client", bucket: str, key: str, offset: int, missing: StoreError
    ) -> None:
        super().__init__()
        self._client, self._bucket, self._key = client, bucket, key
        self._missing = missing
        self._position = offset
        self._size_bytes = offset  # until ``_connect`` knows better
        self._body: StreamingBody | None = None
        with s3_errors(missing=missing):
            self._connect()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}
        position = base[whence] + offset
        if position < 0:
            raise ValueError(f"position {position} is negative")
        if position != self._position:
            self._hang_up()
            self._position = position
        return position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        if self._position >= self._size_bytes or not view:
            return 0
        for attempt in range(1, _TRIES + 1):
            try:
                piece = self._read(len(view))
            except StorageUnavailableError:
                self._hang_up()
                if attempt == _TRIES:
                    raise
            else:
                break
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _read(self, size: int) -> bytes:
        with s3_errors(missing=self._missing):
            if self._body is None:
                self._connect()
            piece = self._body.read(size) if self._body else b""
        if not piece:
            raise _unavailable()  # the end, before the end
        return piece

    def _connect(self) -> None:
        answer = _get(self._client, self._bucket, self._key, f"bytes={self._position}-")
        if answer is None:  # nothing from here on
            head = self._client.head_object(Bucket=self._bucket, Key=self._key)
            self._size_bytes = head["ContentLength"]
            return
        self._body = answer["Body"]
        self._size_bytes = self._position + answer["ContentLength"]

    def close(self) -> None:
        self._hang_up()
        super().close()

    def _hang_up(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None


def _get(client: "S3Client", bucket: str, key: str, span: str) -> "GetObjectOutputTypeDef | None":
    """Return the answer for a range of bytes, ``None`` if it starts at or past the end."""
    try:
        return client.get_object(Bucket=bucket, Key=key, Range=span)
    except ClientError as exc:
        if exc.response.get("Error", {}).get("Code") in _PAST_END:
            return None
        raise


def _client(config: S3Config, endpoint: str) -> "S3Client":
    return boto3.session.Session().client(
        "s3",
        region_name=config.region,
        endpoint_url=endpoint or None,
        aws_access_key_id=config.access_key or None,
        aws_secret_access_key=config.secret_key or None,
        config=Config(
            signature_version="s3v4",
            connect_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=_READ_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": _TRIES},
            max_pool_connections=_CONNECTIONS,
            tcp_keepalive=True,
            # the bucket in the path needs no DNS; Amazon itself wants it in the name
            s3={"addressing_style": "path" if endpoint else "virtual"},
            # boto3's newer defaults add checksums that S3-likes refuse and clients cannot send
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _unavailable() -> StorageUnavailableError:
    return StorageUnavailableError("The object store failed. Try again in a minute.")

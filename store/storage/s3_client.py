"""How the store talks to S3: one client, its failures, and reading that survives a broken line.

Every call has a time-out and is retried by botocore. Every failure is an error of the storage:
``ClientError`` (S3 said no) and ``BotoCoreError`` (it did not answer) alike.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from store.core.errors import StoreError
from store.storage.config import S3Config
from store.storage.errors import StorageFullError, StorageUnavailableError

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

TRIES = 3
_CONNECT_TIMEOUT_S = 3
_READ_TIMEOUT_S = 60  # a server-side copy of 1 GiB takes some ten seconds
_CONNECTIONS = 64  # as many as a web process has threads (STORE_WEB_THREADS)

_ABSENT = {"404", "NotFound", "NoSuchKey", "NoSuchUpload"}
_PAST_END = {"416", "InvalidRange"}
_FULL = {"InsufficientStorage", "QuotaExceeded", "StorageFull", "XMinioStorageFull"}


def make_client(config: S3Config, endpoint: str) -> "S3Client":
    """Return a client for ``endpoint`` (empty: Amazon's)."""
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
            retries={"mode": "standard", "total_max_attempts": TRIES},
            max_pool_connections=_CONNECTIONS,
            tcp_keepalive=True,
            # the bucket in the path needs no DNS; Amazon itself wants it in the name
            s3={"addressing_style": "path" if endpoint else "virtual"},
            # boto3's newer defaults add checksums that S3-likes refuse and clients cannot send
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


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


def get_range(
    client: "S3Client", bucket: str, key: str, offset: int, length: int | None = None
) -> "GetObjectOutputTypeDef | None":
    """Return the answer for ``length`` bytes from ``offset`` (``None``: all the rest).

    ``None`` if that starts at or past the end.
    """
    last = "" if length is None else offset + length - 1
    try:
        if offset == 0 and length is None:  # an empty object has no range, not even this one
            return client.get_object(Bucket=bucket, Key=key)
        return client.get_object(Bucket=bucket, Key=key, Range=f"bytes={offset}-{last}")
    except ClientError as exc:
        if exc.response.get("Error", {}).get("Code") in _PAST_END:
            return None
        raise


class KeyReader(io.RawIOBase):
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
        for left in reversed(range(TRIES)):
            if self._body is None:
                with s3_errors(missing=self._missing):
                    self._connect()
            try:
                piece = self._read(len(view))
                break
            except StorageUnavailableError:
                self._hang_up()
                if left == 0:
                    raise
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _read(self, size: int) -> bytes:
        with s3_errors():
            piece = self._body.read(size) if self._body else b""
        if not piece:
            raise _unavailable()  # the end, before the end
        return piece

    def _connect(self) -> None:
        answer = get_range(self._client, self._bucket, self._key, self._position)
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


def _unavailable() -> StorageUnavailableError:
    return StorageUnavailableError("The object store failed. Try again in a minute.")

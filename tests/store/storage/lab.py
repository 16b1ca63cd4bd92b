"""What the storage tests share: bytes, sources that misbehave, and a bare HTTP client."""

import hashlib
import io
import sys
import textwrap
from collections.abc import Callable
from functools import lru_cache
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from store.storage import BlobStore, Digest

MIB = 1024**2
ROOT = Path(__file__).resolve().parents[3]


def digest_of(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).hexdigest())


@lru_cache(maxsize=16)
def noise(size_bytes: int, seed: int = 0) -> bytes:
    """Bytes that look random and are the same every time."""
    return hashlib.shake_128(seed.to_bytes(4, "big")).digest(size_bytes)


def put(store: BlobStore, data: bytes) -> Digest:
    digest = digest_of(data)
    store.put(io.BytesIO(data), digest, len(data))
    return digest


def read(store: BlobStore, digest: Digest) -> bytes:
    with store.open(digest) as file:
        return file.read()


def files_below(root: Path) -> list[str]:
    """Every file of a local storage, blobs and all else."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def s3_keys(raw_s3, bucket: str = "blobs") -> list[str]:
    """Every key of a bucket, blobs and all else (up to 1,000)."""
    return [item["Key"] for item in raw_s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


class Source:
    """Hands out at most ``step`` bytes a read and calls ``before`` each time."""

    def __init__(self, data: bytes, step: int = MIB, before: Callable[[int], None] | None = None):
        self._file = io.BytesIO(data)
        self._step = step
        self._before = before

    def read(self, size: int = -1, /) -> bytes:
        if self._before:
            self._before(self._file.tell())
        return self._file.read(self._step if size < 0 else min(size, self._step))


def send(
    method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Use a link as hub clients do: by default with no header that HTTP does not ask for."""
    address = urlsplit(url)
    assert address.hostname
    connection = HTTPConnection(address.hostname, address.port, timeout=20)
    try:
        connection.request(method, f"{address.path}?{address.query}", body, headers or {})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def python(program: str) -> list[str]:
    """The command line that runs ``program``; start it in ``ROOT``."""
    return [sys.executable, "-c", textwrap.dedent(program)]

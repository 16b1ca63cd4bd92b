"""Bytes by digest. What other rooms use of this package is named here."""

from store.storage.base import (
    MAX_PART_BYTES,
    MAX_PARTS,
    BlobStore,
    Digest,
    StoredBlob,
    UploadPlan,
    checked_digest,
    is_digest,
    part_size_for,
)
from store.storage.config import LocalConfig, S3Config, storage_from
from store.storage.disposition import content_disposition
from store.storage.errors import (
    BlobNotFoundError,
    DigestMismatchError,
    InvalidDigestError,
    PartListError,
    PartNumberError,
    SizeMismatchError,
    StorageFullError,
    StorageUnavailableError,
    UploadNotFoundError,
)
from store.storage.sources import ByteSource, NamedSource

__all__ = [
    "MAX_PARTS",
    "MAX_PART_BYTES",
    "BlobNotFoundError",
    "BlobStore",
    "ByteSource",
    "Digest",
    "DigestMismatchError",
    "InvalidDigestError",
    "LocalConfig",
    "NamedSource",
    "PartListError",
    "PartNumberError",
    "S3Config",
    "SizeMismatchError",
    "StorageFullError",
    "StorageUnavailableError",
    "StoredBlob",
    "UploadNotFoundError",
    "UploadPlan",
    "checked_digest",
    "content_disposition",
    "is_digest",
    "part_size_for",
    "storage_from",
]

"""What a storage needs to know, and the one place that chooses one."""

from dataclasses import dataclass, field
from pathlib import Path

from store.storage.base import BlobStore
from store.storage.local import LocalBlobStore


@dataclass(frozen=True, slots=True)
class LocalConfig:
    """Blobs in a folder of this machine, or one that several machines mount."""

    root: Path
    """The folder. Give it to nothing else."""


@dataclass(frozen=True, slots=True)
class S3Config:
    """Blobs in a bucket."""

    bucket: str
    region: str = "us-east-1"
    """Name that signatures use."""
    endpoint: str = ""
    """Address as this server reaches it. Empty: Amazon's."""
    public_endpoint: str = ""
    """Address as clients reach it, in signed links. Empty: ``endpoint``."""
    access_key: str = ""
    """Empty: boto3's own search (environment, instance role)."""
    secret_key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not self.bucket or bool(self.access_key) != bool(self.secret_key):
            raise ValueError("S3 needs a bucket, and both keys or neither")


def storage_from(config: LocalConfig | S3Config) -> BlobStore:
    """Return the storage that ``config`` describes. Make one per process and keep it.

    Raises:
        StorageUnavailableError: the folder cannot be created.
    """
    if isinstance(config, LocalConfig):
        return LocalBlobStore(config.root)
    from store.storage.s3 import S3BlobStore  # boto3: 30 MB that a site on local disk saves

    return S3BlobStore(config)

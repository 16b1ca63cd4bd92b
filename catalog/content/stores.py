"""The storage this site is configured for."""

from functools import lru_cache
from pathlib import Path

from django.conf import settings

from store.storage import BlobStore, LocalStore, S3Config, S3Store


def storage() -> BlobStore:
    """Return the store of large files."""
    if settings.ENV.storage == "s3":
        return _s3()
    return _local(settings.BLOB_DIR)


@lru_cache(maxsize=4)
def _local(folder: Path) -> BlobStore:
    return LocalStore(folder)


@lru_cache(maxsize=1)
def _s3() -> BlobStore:
    env = settings.ENV
    return S3Store(
        S3Config(
            bucket=env.s3_bucket,
            endpoint=env.s3_endpoint,
            public_endpoint=env.s3_public_endpoint or env.s3_endpoint,
            region=env.s3_region,
            access_key=env.s3_access_key.get_secret_value(),
            secret_key=env.s3_secret_key.get_secret_value(),
        )
    )

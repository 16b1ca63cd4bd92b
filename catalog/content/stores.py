"""The storage this site is configured for."""

from functools import lru_cache

from django.conf import settings

from store.storage import BlobStore, LocalConfig, S3Config, storage_from


def storage() -> BlobStore:
    """Return the store of large files; one instance a process."""
    env = settings.ENV
    if env.storage == "local":
        return _made(LocalConfig(settings.BLOB_DIR))
    return _made(
        S3Config(
            bucket=env.s3_bucket,
            region=env.s3_region,
            endpoint=env.s3_endpoint,
            public_endpoint=env.s3_public_endpoint,
            access_key=env.s3_access_key.get_secret_value(),
            secret_key=env.s3_secret_key.get_secret_value(),
        )
    )


@lru_cache(maxsize=4)
def _made(config: LocalConfig | S3Config) -> BlobStore:
    return storage_from(config)

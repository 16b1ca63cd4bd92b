"""What can go wrong with stored bytes; every class says whose fault it is by its status."""

from typing import ClassVar

from store.core.errors import (
    InvalidError,
    NotFoundError,
    StoreError,
    TransientError,
    UnprocessableError,
)


class InvalidDigestError(UnprocessableError):
    """The text is not 64 lower-case hexadecimal characters; nothing was looked up."""

    code = "invalid_digest"


class DigestMismatchError(UnprocessableError):
    """The bytes do not hash to the promised digest; nothing of them is kept."""

    code = "digest_mismatch"


class SizeMismatchError(UnprocessableError):
    """There are more or fewer bytes than promised; nothing of them is kept."""

    code = "size_mismatch"


class PartNumberError(InvalidError):
    """The upload has no part of this number."""

    code = "invalid_part_number"


class PartListError(UnprocessableError):
    """Parts are missing, listed twice or changed since. The upload stays open: send and retry."""

    code = "incomplete_upload"


class BlobNotFoundError(NotFoundError):
    """No bytes of this digest are stored."""

    code = "blob_not_found"


class UploadNotFoundError(NotFoundError):
    """The upload was never started, or is finished, aborted or expired. Start a new one."""

    code = "upload_not_found"


class StorageFullError(StoreError):
    """No room is left. Nothing of the failed write is kept; reading goes on."""

    code = "storage_full"
    status: ClassVar[int] = 507


class StorageUnavailableError(TransientError):
    """The disk or the object store failed or did not answer."""

    code = "storage_unavailable"

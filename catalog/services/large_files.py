"""Which files become LFS objects: one rule, whichever way a file comes in."""

from django.conf import settings

from catalog.history.attributes import Attributes

SAMPLE_BYTES = 512
"""What a client sends of a file to be judged by; more tells nothing more."""
BINARY_BYTES = 1_000_000
"""A binary file above it becomes an LFS object whatever its name."""


def is_large(rules: Attributes, path: str, size_bytes: int, sample: bytes) -> bool:
    """Whether a file belongs among the LFS objects.

    Args:
        rules: The ``.gitattributes`` that will hold.
        path: Where the file goes.
        size_bytes: Its length.
        sample: Its first bytes, ``SAMPLE_BYTES`` of them where there are so many.
    """
    if size_bytes == 0:  # git keeps it as it is, and no chunk of it could travel by Xet
        return False
    return (
        rules.is_lfs(path)
        or size_bytes >= settings.ENV.max_regular_file_bytes
        or (size_bytes > BINARY_BYTES and is_binary(sample))
    )


def is_binary(sample: bytes) -> bool:
    """Whether the first bytes are no UTF-8 text; the last character may be cut."""
    try:
        sample.decode()
    except UnicodeDecodeError as exc:
        return exc.start < len(sample) - 3
    return b"\0" in sample

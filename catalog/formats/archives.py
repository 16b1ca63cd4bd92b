"""Look into containers for pickles, without unpacking them.

Whatever is found, an archive is never ``clean``: what lies inside has no verdict of its own.
"""

import re
from collections.abc import Callable

from catalog.formats import zips
from catalog.formats.errors import PickleError, shown
from catalog.formats.kinds import Kind
from catalog.formats.sniff import is_pickle_head
from catalog.formats.sources import KIB, BytesSource, MeteredSource

_HEAD_BYTES = 4 * KIB
_TAR_BLOCK = 512
_OBJECT_DTYPE = re.compile(rb"'[<>|=]?O\d*'|object")


def check_zip(source: MeteredSource) -> None:
    """Look at the beginning of every member.

    Raises:
        PickleError: One is a pickle, or a numpy array that holds pickles.
        ZipError: The container is damaged, so that other readers may see other members.
    """
    for member in zips.members(source):
        source.spend(1)
        _check_member(member.name, zips.head(source, member, _HEAD_BYTES))


def check_tar(source: MeteredSource) -> None:
    """Look at the beginning of every member.

    Raises:
        PickleError: One is a pickle, or the members cannot be told apart.
    """
    at = 0
    while at < source.size_bytes:
        source.spend(1)
        header = source.read_at(at, _TAR_BLOCK)
        if not header.strip(b"\0"):
            return
        octal = header[124:136].strip(b" \0")
        if not re.fullmatch(rb"[0-7]*", octal):  # sizes above 8 GiB are written in another way
            raise PickleError(
                "tar_damaged",
                "The tar container cannot be read safely; upload the files themselves.",
                where=f"byte {at}",
            )
        size = int(octal or b"0", 8)
        start = at + _TAR_BLOCK
        name = header[:100].rstrip(b"\0").decode("utf-8", "replace")
        _check_member(name, source.read_at(start, min(size, _HEAD_BYTES)))
        at = start + (size + _TAR_BLOCK - 1) // _TAR_BLOCK * _TAR_BLOCK


def _check_member(name: str, head: bytes) -> None:
    if head and is_pickle_head(head):
        raise PickleError(
            "archive_holds_pickle",
            f"The container holds a pickle, {shown(name)}, which can run code when loaded; upload "
            "the weights as safetensors.",
        )
    if head.startswith(b"\x93NUMPY"):
        check_numpy(BytesSource(head))


def check_numpy(source: BytesSource | MeteredSource) -> None:
    """Refuse an array of Python objects, which is a pickle behind a header.

    Raises:
        PickleError: It is one, or its header cannot be read.
    """
    head = source.read_at(0, 12)
    wide = head[6:7] > b"\x01"  # version 2 and 3 have a length of four bytes
    length = int.from_bytes(head[8:12] if wide else head[8:10], "little")
    text = source.read_at(12 if wide else 10, min(length, 64 * KIB))
    if not text.startswith(b"{'descr':") or length > 64 * KIB:
        raise PickleError(
            "numpy_header", "The numpy header is not as numpy writes it; save the array again."
        )
    if _OBJECT_DTYPE.search(text):
        raise PickleError(
            "numpy_objects",
            "The numpy array holds Python objects, that is a pickle; save it as safetensors.",
        )


CHECKS: dict[Kind, Callable[[MeteredSource], None]] = {
    Kind.ZIP: check_zip,
    Kind.NPZ: check_zip,
    Kind.KERAS: check_zip,
    Kind.TAR: check_tar,
    Kind.NUMPY: check_numpy,
}
"""What is looked at before a container is called ``unknown``."""

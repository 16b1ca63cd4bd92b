"""Git-LFS pointer files (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md)."""

import re
from dataclasses import dataclass

MAX_POINTER_BYTES = 1024
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n"
    rb"(?:ext-\d-[^\n]*\n)*"
    rb"oid sha256:([0-9a-f]{64})\n"
    rb"size (\d{1,18})\n"
)


@dataclass(frozen=True, slots=True)
class LfsPointer:
    """What a pointer file says: the content's sha256 (hex) and its size in bytes."""

    sha256: str
    size_bytes: int

    def text(self) -> bytes:
        """Return the three lines git stores."""
        return b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (
            self.sha256.encode(),
            self.size_bytes,
        )


def parse_pointer(data: bytes) -> LfsPointer | None:
    """Return the pointer in ``data``, or ``None`` when it is an ordinary file."""
    if len(data) > MAX_POINTER_BYTES:
        return None
    match = _POINTER.fullmatch(data)
    return LfsPointer(match[1].decode(), int(match[2])) if match else None

"""List the members of a zip and look into them, without unpacking anything.

The central directory must stand alone at the end of the file. ``check_sealed`` adds what torch's
own writer guarantees: members follow each other without a gap and each local header says what the
central directory says, so that two readers cannot see two different archives.
Layout: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from catalog.formats.errors import ZipError, shown
from catalog.formats.sources import KIB, MIB, ByteSource

MAX_MEMBERS = 100_000
MAX_DIRECTORY_BYTES = 16 * MIB
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_IN_EXTRA_32 = 0xFFFFFFFF
_UNSAID = (0, _IN_EXTRA_32)
_ENCRYPTED = 0x1
_DESCRIPTOR = 0x8
STORED, DEFLATED = 0, 8


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of the central directory."""

    name: str
    method: int
    """``STORED``, ``DEFLATED`` or another number of the specification."""
    flags: int
    crc: int
    packed_bytes: int
    size_bytes: int
    header_at: int
    """Offset of the local header in the file."""


def members(source: ByteSource) -> tuple[Member, ...]:
    """Return the members in the order of the central directory.

    Raises:
        ZipError: The directory is missing, damaged, too large, or bytes follow it.
    """
    count, size, start = _locate(source)
    if count > MAX_MEMBERS or size > MAX_DIRECTORY_BYTES:
        raise ZipError(
            "zip_too_many_members",
            f"It lists {count:,} members; at most {MAX_MEMBERS:,} are read. Upload the files "
            "themselves.",
        )
    directory = source.read_at(start, size)
    found = []
    at = 0
    for _ in range(count):
        member, at = _member(directory, at)
        found.append(member)
    if at != len(directory):
        raise _damaged("bytes stand behind the last entry of its directory")
    return tuple(found)


def _damaged(how: str) -> ZipError:
    return ZipError("zip_damaged", f"The zip container is damaged: {how}. Upload it again.")


def _locate(source: ByteSource) -> tuple[int, int, int]:
    """Return number of members, size and offset of the central directory."""
    # the end record has 22 bytes and a comment of at most 64 KiB
    tail_bytes = min(source.size_bytes, 22 + 64 * KIB)
    tail_at = source.size_bytes - tail_bytes
    tail = source.read_at(tail_at, tail_bytes)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END.size > len(tail):
        raise _damaged("its directory is missing, the upload was cut short")
    _, disk, start_disk, here, count, size, start, comment = _END.unpack_from(tail, at)
    if at + _END.size + comment != len(tail):
        raise _damaged("bytes stand behind its end")
    if disk or start_disk or here != count:
        raise _damaged("it is one part of several")
    directory_end = tail_at + at
    locator = tail[:at][-_LOCATOR64.size :]
    if len(locator) == _LOCATOR64.size and locator.startswith(b"PK\x06\x07"):
        end64 = _LOCATOR64.unpack(locator)[2]
        count, size, start = _read_end64(source, end64, directory_end - _LOCATOR64.size)
        directory_end = end64
    if start + size != directory_end:
        raise _damaged("its directory is not where its end says")
    return count, size, start


def _read_end64(source: ByteSource, at: int, end: int) -> tuple[int, int, int]:
    raw = source.read_at(at, _END64.size) if at + _END64.size == end else b""
    if not raw.startswith(b"PK\x06\x06"):
        raise _damaged("its 64-bit end record is not where it should be")
    _, _, _, _, disk, start_disk, here, count, size, start = _END64.unpack(raw)
    if disk or start_disk or here != count:
        raise _damaged("it is one part of several")
    return count, size, start


def _member(directory: bytes, at: int) -> tuple[Member, int]:
    if at + _CENTRAL.size > len(directory) or directory[at : at + 4] != b"PK\x01\x02":
        raise _damaged("an entry of its directory is cut off")
    fields = _CENTRAL.unpack_from(directory, at)
    flags, method = fields[3:5]
    crc, packed, size, name_length, extra_length, comment = fields[7:13]
    name_at = at + _CENTRAL.size
    end = name_at + name_length + extra_length + comment  # checked by the next entry, or at last
    name = directory[name_at : name_at + name_length].decode("utf-8", "replace")
    extra = directory[name_at + name_length : name_at + name_length + extra_length]
    size, packed, header_at = _wide_fields(extra, [size, packed, fields[16]])
    return Member(name, method, flags, crc, packed, size, header_at), end


def _wide_fields(extra: bytes, values: list[int]) -> list[int]:
    """Replace each value of all ones by the 64-bit one in the extra field, in their order."""
    missing = [index for index, value in enumerate(values) if value == _IN_EXTRA_32]
    at = 0
    while missing and at + 4 <= len(extra):
        tag, length = struct.unpack_from("<2H", extra, at)
        if tag == 1 and length >= 8 * len(missing) and at + 4 + length <= len(extra):
            for place, index in enumerate(missing):
                values[index] = struct.unpack_from("<Q", extra, at + 4 + 8 * place)[0]
            return values
        at += 4 + length
    if missing:
        raise _damaged("a 64-bit size is missing")
    return values


def locate(source: ByteSource, member: Member) -> int:
    """Return the offset of a member's first data byte.

    Raises:
        ZipError: The local header differs from the central directory, or is not there.
    """
    raw = source.read_at(member.header_at, _LOCAL.size)
    where = f"member {shown(member.name)}"
    if len(raw) != _LOCAL.size or raw[:4] != b"PK\x03\x04":
        raise ZipError(
            "zip_local_header", "A member is not where the directory says; upload it again.",
            where=where,
        )  # fmt: skip
    _, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack(raw)
    name = source.read_at(member.header_at + _LOCAL.size, name_length)
    told = (crc, packed, size)
    known = (member.crc, member.packed_bytes, member.size_bytes)
    is_later = bool(flags & _DESCRIPTOR) and crc == 0 and packed == size and size in _UNSAID
    # sizes of all ones stand in the extra field; the directory's are used
    is_wide = crc == member.crc and packed == size == _IN_EXTRA_32
    if (
        name.decode("utf-8", "replace") != member.name
        or (flags, method) != (member.flags, member.method)
        or not (told == known or is_later or is_wide)
        or flags & _ENCRYPTED
    ):
        raise ZipError(
            "zip_header_mismatch",
            "A member's own header differs from the directory, or it is encrypted; write the file "
            "again with torch.save, or better as safetensors.",
            where=where,
        )
    return member.header_at + _LOCAL.size + int(name_length) + int(extra_length)


def check_sealed(
    source: ByteSource, found: tuple[Member, ...], spend: Callable[[int], None]
) -> dict[str, int]:
    """Check that members are stored and fill the file up to the directory, as torch writes them.

    Returns:
        The offset of each member's data, by name.

    Raises:
        ZipError: A member is packed, named twice, or bytes belong to no member.
    """
    starts: dict[str, int] = {}
    reached = 0
    for member in sorted(found, key=lambda m: m.header_at):
        spend(1)
        where = f"member {shown(member.name)}"
        if member.method != STORED or member.packed_bytes != member.size_bytes:
            raise ZipError(
                "zip_compressed",
                "A member is compressed; torch never does that. Write the file again.",
                where=where,
            )
        if member.header_at != reached or member.name in starts:
            raise ZipError(
                "zip_hidden_bytes",
                "Bytes belong to no member, or two members share a name or bytes; write the file "
                "again with torch.save, or better as safetensors.",
                where=where,
            )
        starts[member.name] = locate(source, member)
        reached = _member_end(source, member, starts[member.name])
    if reached != _locate(source)[2]:
        raise _damaged("bytes stand between its last member and its directory")
    return starts


def _member_end(source: ByteSource, member: Member, start: int) -> int:
    end = start + member.size_bytes
    if not member.flags & _DESCRIPTOR:
        return end
    layout = "<4s3L" if member.size_bytes < _IN_EXTRA_32 else "<4sL2Q"
    told = struct.pack(layout, b"PK\x07\x08", member.crc, member.packed_bytes, member.size_bytes)
    if source.read_at(end, len(told)) == told:
        return end + len(told)
    raise ZipError(
        "zip_header_mismatch",
        "The size behind a member differs from the directory; write the file again.",
        where=f"member {shown(member.name)}",
    )


def check_crc(source: ByteSource, member: Member, start: int) -> None:
    """Compare a stored member with its checksum.

    Raises:
        ZipError: It differs.
    """
    crc = 0
    for at in range(start, start + member.size_bytes, MIB):
        crc = zlib.crc32(source.read_at(at, min(MIB, start + member.size_bytes - at)), crc)
    if crc != member.crc:
        raise ZipError(
            "zip_checksum",
            "A member does not match its checksum; upload it again.",
            where=f"member {shown(member.name)}",
        )


def head(source: ByteSource, member: Member, length: int) -> bytes:
    """Return up to ``length`` bytes from the beginning of a member, unpacked.

    Raises:
        ZipError: It cannot be found or unpacked.
    """
    start = locate(source, member)
    raw = source.read_at(start, min(length, member.packed_bytes))
    if member.method == STORED:
        return raw
    if member.method != DEFLATED:
        return b""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(raw, length)
    except zlib.error as exc:
        raise _damaged("a member cannot be unpacked") from exc

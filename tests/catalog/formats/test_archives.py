import io
import struct
import zipfile

import numpy as np
import pytest

from catalog.formats import archives, zips
from catalog.formats.errors import FormatError, ZipError
from catalog.formats.kinds import Kind
from catalog.formats.sources import AT_ONCE, FULL, MIB, BytesSource, MeteredSource
from catalog.formats.verdicts import Verdict
from tests.catalog.formats.files import Watched, case_name, judged, seconds, zipped
from tests.catalog.formats.hostile import tarred
from tests.catalog.formats.test_sniff import numpy_file


def metered(data: bytes) -> MeteredSource:
    return MeteredSource(BytesSource(data), FULL)


def test_lists_members_without_reading_them() -> None:
    source = Watched(zipped({"a": bytes(5 * MIB), "b/c.txt": b"x" * 10}))

    found = zips.members(MeteredSource(source, AT_ONCE))

    assert [(m.name, m.size_bytes, m.method) for m in found] == [
        ("a", 5 * MIB, zips.STORED), ("b/c.txt", 10, zips.STORED),
    ]  # fmt: skip
    assert source.read_bytes < 200_000


def test_reads_sizes_of_64_bits() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        with archive.open(zipfile.ZipInfo("a"), "w", force_zip64=True) as member:
            member.write(b"12345")
        archive.writestr("b", b"x")
    data = buffer.getvalue()

    found = zips.members(metered(data))

    assert [(m.name, m.size_bytes) for m in found] == [("a", 5), ("b", 1)]
    assert [zips.head(metered(data), m, 10) for m in found] == [b"12345", b"x"]


def wide_entry(size: int) -> bytes:
    """A directory whose one member has its sizes in the extra field."""
    extra = struct.pack("<2H3Q", 1, 24, size, size, 0)
    ones = 2**32 - 1
    entry = struct.pack(
        "<4s6H3L5H2L",
        b"PK\x01\x02",
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        ones,
        ones,
        1,
        len(extra),
        0,
        0,
        0,
        0,
        ones,
    )
    entry += b"a" + extra
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), 0, 0)
    return entry + end


def test_reads_wide_sizes_from_the_extra_field() -> None:
    assert zips.members(metered(wide_entry(2**40)))[0].size_bytes == 2**40


@pytest.mark.parametrize("field", [(2, 24), (1, 16), (1, 25), (1, 60000)])
def test_a_wide_size_that_is_missing_is_refused(field: tuple[int, int]) -> None:
    data = wide_entry(5).replace(struct.pack("<2H", 1, 24), struct.pack("<2H", *field))

    with pytest.raises(ZipError):
        zips.members(metered(data))


def test_packed_members_are_unpacked_a_little_only() -> None:
    data = zipped({"bomb": bytes(50 * MIB)}, zipfile.ZIP_DEFLATED)
    member = zips.members(metered(data))[0]

    assert zips.head(metered(data), member, 4096) == bytes(4096)
    assert seconds(lambda: zips.head(metered(data), member, 4096)) < 0.05


def test_a_method_we_do_not_know_shows_nothing() -> None:
    data = zipped({"a": b"x" * 100}, zipfile.ZIP_BZIP2)

    assert zips.head(metered(data), zips.members(metered(data))[0], 10) == b""


GOOD = zipped({"a.txt": b"hello", "b.txt": b"x"})
DIRECTORY = GOOD.index(b"PK\x01\x02")
END = GOOD.index(b"PK\x05\x06")


def put(at: int, new: bytes, data: bytes = GOOD) -> bytes:
    return data[:at] + new + data[at + len(new) :]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (GOOD[:-1], "zip_damaged"),
        (GOOD + b"\0", "zip_damaged"),
        (put(END + 20, b"\5\0"), "zip_damaged"),
        (put(END + 4, b"\1"), "zip_damaged"),
        (put(END + 6, b"\1"), "zip_damaged"),
        (GOOD[:END] + b"gap" + GOOD[END:], "zip_damaged"),
        (b"PK\x06\x07gap" + GOOD[END:], "zip_damaged"),
        (put(END + 8, b"\1"), "zip_damaged"),
        (put(END + 8, b"\1\0\1\0"), "zip_damaged"),
        (put(END + 8, b"\3\0\3\0"), "zip_damaged"),
        (put(END + 16, b"\0"), "zip_damaged"),
        (put(DIRECTORY, b"XX"), "zip_damaged"),
        (put(DIRECTORY + 28, b"\xff\xff"), "zip_damaged"),
        (put(0, b"XX"), "zip_local_header"),
        (put(DIRECTORY + 10, b"\x08"), "zip_header_mismatch"),
        (put(DIRECTORY + 46, b"z"), "zip_header_mismatch"),
    ],
    ids=case_name,
)
def test_a_damaged_zip_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(FormatError) as caught:
        archives.check_zip(metered(data))

    assert caught.value.code == code


def test_a_damaged_zip_is_unsafe() -> None:
    report = judged(GOOD[:-1], "a.zip")

    assert (report.verdict, report.code, report.kind) == (
        Verdict.UNSAFE, "zip_damaged", Kind.ZIP,
    )  # fmt: skip


@pytest.mark.parametrize("limit", ["MAX_MEMBERS", "MAX_DIRECTORY_BYTES"])
def test_a_directory_beyond_the_limits_is_refused(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zips, limit, 1)

    with pytest.raises(ZipError) as caught:
        zips.members(metered(GOOD))

    assert caught.value.code == "zip_too_many_members"


def end_of_64_bits(
    directory: bytes, *, disks: tuple[int, int] = (0, 0), here: int = 0, mark: bytes = b"PK\x06\x06"
) -> bytes:
    at = len(directory)
    end64 = struct.pack("<4sQ2H2L4Q", mark, 44, 45, 45, *disks, here, 0, at, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1)
    return directory + end64 + locator + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, 0, 0, 0)


def test_reads_an_end_of_64_bits() -> None:
    assert zips.members(metered(end_of_64_bits(b""))) == ()


@pytest.mark.parametrize(
    "data",
    [
        end_of_64_bits(b"", disks=(1, 0)),
        end_of_64_bits(b"", disks=(0, 1)),
        end_of_64_bits(b"", here=1),
        end_of_64_bits(b"", mark=b"XXXX"),
        end_of_64_bits(b"stray"),
        b"12345678" + end_of_64_bits(b""),
    ],
)
def test_a_wrong_end_of_64_bits_is_refused(data: bytes) -> None:
    with pytest.raises(ZipError):
        zips.members(metered(data))


def directory_of(entries: bytes, count: int) -> bytes:
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(entries), 0, 0)
    return entries + end


def central_entry(name: bytes, header_at: int, comment: bytes = b"", **changes: int) -> bytes:
    values = {"method": 0, "crc": 0, "packed": 0, "size": 0} | changes
    return (
        struct.pack(
            "<4s6H3L5H2L", b"PK\x01\x02", 0, 0, 0, values["method"], 0, 0, values["crc"],
            values["packed"], values["size"], len(name), 0, len(comment), 0, 0, 0, header_at,
        )
        + name
        + comment
    )  # fmt: skip


def test_a_directory_that_ends_inside_an_entry_is_refused() -> None:
    entry = central_entry(b"a", 0)

    for data in (directory_of(entry + entry[:20], 2), directory_of(entry[:-1], 1)):
        with pytest.raises(ZipError):
            zips.members(metered(data))


def test_a_local_header_at_the_very_end_is_refused() -> None:
    entry = central_entry(b"a", 46 + 1, comment=b"PK\x03\x04")
    data = directory_of(entry, 1)

    with pytest.raises(ZipError) as caught:
        archives.check_zip(metered(data))

    assert caught.value.code == "zip_local_header"


@pytest.mark.parametrize(
    "changes", [{"method": 8, "packed": 5, "size": 5}, {"packed": 5, "size": 6}]
)
def test_a_sealed_container_packs_nothing(changes: dict[str, int]) -> None:
    values = {"method": 0, "crc": 7} | changes
    local = struct.pack(
        "<4s5H3L2H", b"PK\x03\x04", 0, 0, values["method"], 0, 0, 7, values["packed"],
        values["size"], 1, 0,
    )  # fmt: skip
    head = local + b"a" + b"12345"
    entry = central_entry(b"a", 0, **values)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), len(head), 0)
    source = metered(head + entry + end)

    with pytest.raises(ZipError) as caught:
        zips.check_sealed(source, zips.members(source), source.spend)

    assert caught.value.code == "zip_compressed"


def test_a_damaged_stream_is_refused() -> None:
    data = zipped({"a": b"hello" * 100}, zipfile.ZIP_DEFLATED)
    data = put(31, b"\xff" * 5, data)

    with pytest.raises(ZipError):
        archives.check_zip(metered(data))


@pytest.mark.parametrize(
    ("data", "path", "kind"),
    [
        (GOOD, "a.zip", Kind.ZIP),
        (zipped({"a.npy": numpy_file(np.arange(4))}), "a.npz", Kind.NPZ),
        (tarred({"a": b"x" * 2000, "b": b"y", "empty": b""}), "a.tar", Kind.TAR),
        (numpy_file(np.zeros((2, 3), np.float32)), "a.npy", Kind.NUMPY),
        (numpy_file(np.zeros(2, dtype=[("a", "<f4"), ("b", "<i8")])), "a.npy", Kind.NUMPY),
    ],
    ids=["zip", "npz", "tar", "npy", "records"],
)
def test_containers_are_at_best_unknown(data: bytes, path: str, kind: Kind) -> None:
    report = judged(data, path)

    assert (report.verdict, report.kind, report.code) == (
        Verdict.UNKNOWN, kind, "unchecked_format",
    )  # fmt: skip


def numpy_header(text: bytes, version: bytes = b"\1\0") -> bytes:
    width = "<H" if version == b"\1\0" else "<L"
    return b"\x93NUMPY" + version + struct.pack(width, len(text)) + text


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (numpy_header(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"), "numpy_objects"),
        (numpy_header(b"{'descr': '|O', 'shape': (1,)}", b"\2\0"), "numpy_objects"),
        (
            numpy_header(b"{'descr': [('fortran_order', '<f4'), ('x', '|O8')], 'shape': ()}"),
            "numpy_objects",
        ),
        (numpy_header(b"{'shape': (1,), 'descr': '<f4'}"), "numpy_header"),
        (numpy_header(b"__import__('os')"), "numpy_header"),
        (numpy_header(b"{'descr':" + b" " * 70_000, b"\2\0"), "numpy_header"),
        (b"\x93NUMPY\1\0", "numpy_header"),
    ],
    ids=case_name,
)
def test_numpy_arrays_of_objects_are_unsafe(data: bytes, code: str) -> None:
    report = judged(data, "a.npy")

    assert (report.verdict, report.code) == (Verdict.UNSAFE, code)


def test_records_with_objects_are_unsafe(tmp_path: object) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([(1, [2])], dtype=[("a", "<f4"), ("b", "O")]), allow_pickle=True)

    assert judged(buffer.getvalue(), "a.npy").code == "numpy_objects"


@pytest.mark.parametrize("size", [b"-0000005 ", b"\x80\0\0\0\0\0\0\0\1", b"99999999 "])
def test_a_tar_with_odd_sizes_is_unsafe(size: bytes) -> None:
    data = put(124, size, tarred({"a": b"x"}))

    report = judged(data, "a.tar")

    assert (report.verdict, report.code) == (Verdict.UNSAFE, "tar_damaged")


def test_a_tar_without_end_is_walked_once() -> None:
    report = judged(tarred({"a": b"x"})[:600], "a.tar")

    assert report.verdict is Verdict.UNKNOWN

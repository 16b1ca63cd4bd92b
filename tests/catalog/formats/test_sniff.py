import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest

from catalog.formats.kinds import Kind, agrees, ending
from catalog.formats.sniff import sniff
from catalog.formats.sources import AT_ONCE, BytesSource, MeteredSource
from tests.catalog.formats.files import (
    Hollow,
    gg_model,
    seconds,
    st_file,
    st_raw,
    torch_file,
    zipped,
)
from tests.catalog.formats.hostile import tarred
from tests.catalog.formats.test_pictures import GIF, JPEG, PNG, WEBP

NAMES = ("model.safetensors", "model.gguf", "config.json", "README.md", "a.png", "x.bin", "LICENSE")


def kind_of(data: bytes, path: str = "x") -> Kind:
    return sniff(MeteredSource(BytesSource(data), AT_ONCE), path).kind


def numpy_file(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def old_tar() -> bytes:
    """A tar as it was before 1988: no magic number, only a checksum."""
    data = bytearray(tarred({"a": b"x"}))
    data[257:265] = bytes(8)
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


PYC = struct.pack("<H", 3495) + b"\r\n" + bytes(12) + b"\xe3\0\0\0"
PE = b"MZ\x90\0" + bytes(100) + b"PE\0\0"

SAMPLES: list[tuple[bytes, Kind]] = [
    (b"", Kind.EMPTY),
    (st_file({"a": ("U8", [1])}), Kind.SAFETENSORS),
    (gg_model(), Kind.GGUF),
    (b'{"a": 1}', Kind.JSON),
    (b"\n  [1]", Kind.JSON),
    (b'\xef\xbb\xbf{"a": 1}', Kind.JSON),
    (b"# A model\n\nText \xc3\xbc\n", Kind.TEXT),
    (b"<p align=center>a README</p>", Kind.TEXT),
    (b"GGUF is a format, says this article.\n", Kind.TEXT),
    (b"\x1b[1mcolors\x1b[0m and \x08 progress\n", Kind.TEXT),
    (b"coverage\ndist\n.env\n", Kind.TEXT),
    (b"cat\ndog\nmouse\n", Kind.TEXT),
    (b"I\nam\na\npoem.\n", Kind.TEXT),
    (b"<!DOCTYPE html><title>x</title>", Kind.HTML),
    (b"\n<!-- a --> <!-- b --><HTML>", Kind.HTML),
    (b"<script>alert(1)</script>", Kind.HTML),
    (b"<?xml version='1.0'?>\n<!-- c -->\n<svg xmlns='x'/>", Kind.SVG),
    (b"<!DOCTYPE svg PUBLIC 'x'><svg/>", Kind.SVG),
    (b"<?xml version='1.0'?><rss/>", Kind.XML),
    (b"<?xml version='1.0'?>", Kind.XML),
    (b"<!doctype plist><plist/>", Kind.XML),
    (b"<!-- never closed", Kind.TEXT),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", Kind.LFS_POINTER),
    (PNG, Kind.PNG),
    (JPEG, Kind.JPEG),
    (GIF, Kind.GIF),
    (WEBP, Kind.WEBP),
    (b"%PDF-1.7\n...", Kind.PDF),
    (zipped({"a.txt": b"x"}), Kind.ZIP),
    (zipped({}), Kind.ZIP),
    (b"PK\x03\x04 and nothing", Kind.ZIP),
    (zipped({"a.npy": b"x", "b.npy": b"y"}), Kind.NPZ),
    (zipped({"config.json": b"", "metadata.json": b"", "model.weights.h5": b""}), Kind.KERAS),
    (torch_file({}), Kind.TORCH_ZIP),
    (zipped({"a/constants.pkl": b""}), Kind.TORCH_ZIP),
    (b"\x80\x04N.", Kind.PICKLE),
    (b"\x80\x02" + b"garbage", Kind.PICKLE),
    (numpy_file(np.arange(3)), Kind.NUMPY),
    (b"\x89HDF\r\n\x1a\n" + bytes(10), Kind.HDF5),
    (b"\x08\x07\x12\x07pytorch\x1a\x032.0", Kind.ONNX),
    (b"\x1c\0\0\0TFL3" + bytes(20), Kind.TFLITE),
    (b"PAR1" + bytes(8), Kind.PARQUET),
    (b"ARROW1\0\0" + bytes(8), Kind.ARROW),
    (b"SQLite format 3\0" + bytes(8), Kind.SQLITE),
    (tarred({"a": b"x"}), Kind.TAR),
    (old_tar(), Kind.TAR),
    (b"\x1f\x8b\x08" + bytes(20), Kind.GZIP),
    (zlib.compress(b"text"), Kind.ZLIB),
    (b"\x78\x9c" + b"\xff" * 8, Kind.ZLIB),
    (b"\xfd7zXZ\0" + b"\xff" * 20, Kind.XZ),
    (b"]\0\0\x80\0" + b"\xff" * 20, Kind.XZ),
    (b"BZh91AY&SY" + bytes(20), Kind.BZIP2),
    (b"BZh is no word", Kind.TEXT),
    (b"\x28\xb5\x2f\xfd" + bytes(8), Kind.ZSTD),
    (b"\x04\x22\x4d\x18" + bytes(8), Kind.LZ4),
    (b"7z\xbc\xaf\x27\x1c\0\4", Kind.SEVEN_ZIP),
    (b"Rar!\x1a\x07\x01\0", Kind.RAR),
    (b"\x7fELF\2\1\1" + bytes(9), Kind.ELF),
    (PE, Kind.PE),
    (b"MZ is no program, says this text.\n", Kind.TEXT),
    (b"\xcf\xfa\xed\xfe" + bytes(8), Kind.MACH_O),
    (b"\xca\xfe\xba\xbe\0\0\0\x34", Kind.JAVA_CLASS),
    (b"\0asm\1\0\0\0", Kind.WASM),
    (PYC, Kind.PYTHON_BYTECODE),
    (b"a\r\r\ntext with odd line ends\n", Kind.TEXT),
    (b"tjgg" + bytes(8), Kind.GGML),
    (b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02", Kind.SENTENCEPIECE),
    (b"\x83\xa6params\x81\xa1a\xc0", Kind.MSGPACK),
    (b"\xde\x00\x10\xa1a\xc0\xff", Kind.MSGPACK),
    ("text".encode("utf-16"), Kind.BINARY),
    (b"caf\xe9\n", Kind.BINARY),
    (bytes(range(256)), Kind.BINARY),
    (b"\xff" * 100, Kind.BINARY),
    (b"\0" * 100, Kind.BINARY),
]


@pytest.mark.parametrize(
    ("data", "kind"), SAMPLES, ids=[f"{i}_{k}" for i, (_, k) in enumerate(SAMPLES)]
)
def test_goes_by_bytes_never_by_name(data: bytes, kind: Kind) -> None:
    assert {kind_of(data, path) for path in NAMES} == {kind}


def test_a_character_cut_by_the_window_is_still_text() -> None:
    assert kind_of(b"a" * 65_535 + "ü".encode() + b"b" * 10) is Kind.TEXT
    assert kind_of(b"a" * 100 + b"\xc3") is Kind.BINARY


def test_a_text_of_a_million_marks_is_followed_to_its_end() -> None:
    assert kind_of(b"(" * 100_000) is Kind.TEXT


def test_zeros_behind_a_header_are_not_searched_for_a_line_break() -> None:
    header = b'{"a":{"dtype":"U8","shape":[9000000000],"data_offsets":[0,9000000000]}}'
    head = st_raw(header.ljust(ord("V")))
    source = Hollow(head, len(head) + 9 * 10**9)

    found = sniff(MeteredSource(source, AT_ONCE), "model.safetensors")

    assert found.kind is Kind.SAFETENSORS


def test_comments_without_end_cost_little() -> None:
    data = b"<!---->" * 9000 + b"<"

    assert kind_of(data) is Kind.TEXT
    assert seconds(lambda: kind_of(data)) < 0.05


def test_a_tiny_file_with_a_large_dictionary_is_not_unpacked() -> None:
    lzma_4_gib = b"]\xff\xff\xff\xff" + b"\xff" * 8 + bytes(100)

    assert kind_of(b"]\0\0" + lzma_4_gib) is Kind.XZ


def test_a_bomb_is_unpacked_a_little_only() -> None:
    bomb = zlib.compress(bytes(50 * 2**20), 9)

    assert kind_of(bomb) is Kind.ZLIB
    assert seconds(lambda: kind_of(bomb)) < 0.05


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        (Kind.TEXT, "a/README.md", True),
        (Kind.JSON, "README.md", True),
        (Kind.PNG, "README.md", False),
        (Kind.PNG, "a.JPG", True),
        (Kind.PICKLE, "model.safetensors", False),
        (Kind.SAFETENSORS, "MODEL.SAFETENSORS", True),
        (Kind.TEXT, "x.bin", False),
        (Kind.BINARY, "x.bin", True),
        (Kind.TEXT, "tokenizer.model", False),
        (Kind.ELF, "Dockerfile", None),
        (Kind.TEXT, ".gitattributes", True),
        (Kind.TEXT, "LICENSE", True),
        (Kind.GGUF, "x.unheard-of", None),
    ],
)
def test_compares_with_the_name(kind: Kind, path: str, expected: bool | None) -> None:
    assert agrees(kind, path) is expected


def test_takes_the_ending_as_loaders_do() -> None:
    assert [ending(p) for p in ("a.b/c", "a/B.GGUF", "x.tar.gz", ".gitignore", "a.bin ")] == [
        "c", "gguf", "gz", "gitignore", "bin",
    ]  # fmt: skip


def test_reports_kind_and_name_together() -> None:
    found = sniff(MeteredSource(BytesSource(b"text"), AT_ONCE), "a.png")

    assert (found.kind, found.matches_name) == (Kind.TEXT, False)


def test_the_samples_cover_every_kind() -> None:
    seen = {kind for _, kind in SAMPLES}

    assert set(Kind) - seen == {Kind.COMPRESSED_PICKLE}  # test_pickles has these

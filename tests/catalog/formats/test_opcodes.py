"""The symbolic machine sees at least what a real unpickler does."""

import collections
import io
import pickle
import pickletools
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.formats import opcodes
from catalog.formats.opcodes import UNRESOLVED, GlobalRef, trace
from catalog.formats.sources import AT_ONCE, BytesSource, MeteredSource


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_can_be_followed(data: bytes) -> None:
    found = trace(BytesSource(data))

    assert found.end is None or found.end <= len(data)
    assert (found.end is None) == bool(found.error)


CODES = st.lists(
    st.sampled_from(
        [b"(", b".", b"0", b"1", b"2", b"N", b")", b"]", b"}", b"t", b"l", b"d", b"a", b"e", b"s",
         b"u", b"b", b"R", b"o", b"\x81", b"\x85", b"\x86", b"\x87", b"\x88", b"\x8f", b"\x90",
         b"\x91", b"\x94", b"h\x00", b"q\x00", b"g0\n", b"p0\n", b"K\x01", b"I1\n", b"U\x01a",
         b"ccollections\nOrderedDict\n", b"(icollections\nOrderedDict\n", b"\x8c\x01a"]
    ),
    max_size=14,
)  # fmt: skip


@pytest.mark.parametrize("base", [pickle.Unpickler, pickle._Unpickler], ids=["c", "python"])
@settings(max_examples=500, deadline=None)
@given(CODES)
def test_sees_every_import_that_a_real_unpickler_makes(base: Any, codes: list[bytes]) -> None:
    data = b"".join(codes)
    asked: list[tuple[str, str]] = []

    class Spy(base):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> Any:
            asked.append((module, name))
            return collections.OrderedDict

    finished = True
    try:
        Spy(io.BytesIO(data)).load()
    except Exception:  # noqa: BLE001 a hostile stream may raise anything
        finished = False
    found = trace(BytesSource(data))

    assert {GlobalRef(*pair) for pair in asked} <= set(found.imports)
    if finished:
        assert found.end is not None


def test_follows_computed_names_as_unresolved() -> None:
    long = b"X" + struct.pack("<I", 600) + b"o" * 600
    for name in (b"N", b"]", long, b"X\x01\0\0\0\xff", b"S'a\\x41'\n", b"V\\u0041\n", b"Sa\n"):
        found = trace(BytesSource(b"\x80\x04" + name + b"\x8c\x06system\x93."))
        assert set(found.imports) == {UNRESOLVED}


def test_follows_every_way_to_write_a_name() -> None:
    for name in (b"S'os'\n", b'S"os"\n', b"Vos\n", b"U\x02os", b"T\2\0\0\0os", b"\x8c\2os",
                 b"X\2\0\0\0os", b"\x8d\2\0\0\0\0\0\0\0os"):  # fmt: skip
        found = trace(BytesSource(name + b"p7\n0g7\n" + name + b"\x93."))
        assert set(found.imports) == {GlobalRef("os", "os")}


def test_knows_every_opcode_of_python() -> None:
    assert set(opcodes._OPCODES) == {ord(info.code) for info in pickletools.opcodes}


def test_long_arguments_are_not_read() -> None:
    size = 30 * 2**20
    data = b"\x80\x04B" + struct.pack("<I", size) + bytes(size) + b"0N."
    source = MeteredSource(BytesSource(data), AT_ONCE)

    found = trace(source)

    assert found.end == len(data)

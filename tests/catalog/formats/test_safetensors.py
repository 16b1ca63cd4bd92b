import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from catalog.formats import safetensors
from catalog.formats.errors import SafetensorsError
from catalog.formats.safetensors import read_header
from catalog.formats.sources import BytesSource
from tests.catalog.formats.files import (
    Hollow,
    Watched,
    case_name,
    st_entry,
    st_file,
    st_header,
    st_raw,
)

ONE = st_entry("U8", [1], 0, 1)


def code_of(data: bytes) -> str:
    with pytest.raises(SafetensorsError) as caught:
        read_header(BytesSource(data))
    assert caught.value.reason.endswith((".", ")"))
    return caught.value.code


def header_with(entry: object, name: str = "a", data: bytes = b"\0") -> bytes:
    return st_raw(json.dumps({name: entry}).encode(), data)


def test_reads_a_file_of_the_library() -> None:
    import numpy as np

    arrays: dict[str, Any] = {"b": np.zeros((2, 3), np.float32), "a": np.ones((4,), np.float16)}

    header = read_header(BytesSource(save(arrays, metadata={"format": "pt"})))

    assert {t.name: (t.dtype, t.shape, t.elements) for t in header.tensors} == {
        "a": ("F16", (4,), 4),
        "b": ("F32", (2, 3), 6),
    }
    assert header.metadata == {"format": "pt"}
    assert header.elements_by_dtype == {"F32": 6, "F16": 4}
    assert header.parameters == 10


def test_reads_only_the_header_of_fifty_gigabytes() -> None:
    size = 50 * 10**9
    raw = json.dumps({"w": st_entry("F16", [size // 2], 0, size)}).encode()

    header = read_header(Hollow(st_raw(raw), 8 + len(raw) + size))

    assert header.parameters == size // 2


def test_touches_no_byte_of_the_data() -> None:
    source = Watched(st_file({"w": ("F32", [1000])}))

    read_header(source)

    assert max(offset + length for offset, length in source.reads) == source.size_bytes - 4000


def test_counts_no_causal_mask_as_a_parameter() -> None:
    data = st_file(
        {
            "h.0.attn.bias": ("U8", [1, 1, 16, 16]),
            "h.0.attn.masked_bias": ("F32", []),
            "h.0.attn.c_attn.bias": ("F32", [24]),
            "model.layers.0.self_attn.rotary_emb.inv_freq": ("F32", [4]),
            "gpt_neox.attention.bias": ("F32", [24]),
            "w": ("F32", [8, 3]),
        }
    )

    header = read_header(BytesSource(data))

    assert header.parameters == 24 + 24 + 24
    assert sum(header.elements_by_dtype.values()) == 24 + 24 + 24 + 256 + 1 + 4


def test_accepts_empty_tensors_scalars_and_padding() -> None:
    header, size = st_header({"none": ("F32", [0, 5]), "one": ("I64", [])})

    read = read_header(BytesSource(st_raw(json.dumps(header).encode() + b"   \n", bytes(size))))

    assert [(t.name, t.elements) for t in read.tensors] == [("none", 0), ("one", 1)]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "safetensors_too_short"),
        (b"\x02\0\0\0\0\0\0\0{", "safetensors_too_short"),
        (struct.pack("<Q", 2**63) + b"{}", "safetensors_header_too_large"),
        (struct.pack("<Q", 100) + b"{}", "safetensors_header_beyond_end"),
        (st_raw(b" {}"), "safetensors_header_start"),
        (st_raw(b"[]"), "safetensors_header_start"),
        (st_raw(b"{}\0\0"), "json_syntax"),
        (st_raw(b'{"a":'), "json_syntax"),
        (st_raw(b'{"\xff":1}'), "json_not_utf8"),
        (st_raw(b'{"__metadata__":{"a":"1","a":"2"}}'), "json_duplicate_key"),
        (st_raw(b'{"__metadata__":{"a":1}}'), "safetensors_metadata"),
        (st_raw(b'{"__metadata__":null}'), "safetensors_metadata"),
        (st_raw(b'{"__metadata__":{"a":NaN}}'), "json_not_a_number"),
        (st_raw(b'{"__metadata__":' + b"[" * 70 + b"]" * 70 + b"}"), "json_too_deep"),
        (st_raw(b'{"__metadata__":' + b"[" * 70000 + b"]" * 70000 + b"}"), "json_too_deep"),
        (header_with(ONE, name=""), "safetensors_name"),
        (header_with(ONE, name="a\0b"), "safetensors_name"),
        (header_with(ONE, name="a\u202eb"), "safetensors_name"),
        (header_with(ONE, name="a" * 513), "safetensors_name"),
        (header_with([]), "safetensors_entry"),
        (header_with({**ONE, "extra": 1}), "safetensors_entry"),
        (header_with({"dtype": "U8", "shape": [1]}), "safetensors_entry"),
        (header_with({**ONE, "dtype": "F128"}), "safetensors_dtype"),
        (header_with({**ONE, "dtype": ["U8"]}), "safetensors_dtype"),
        (header_with({**ONE, "shape": 1}), "safetensors_shape"),
        (header_with({**ONE, "shape": [True]}), "safetensors_shape"),
        (header_with({**ONE, "shape": [1.0]}), "safetensors_shape"),
        (header_with({**ONE, "shape": [1] * 9}), "safetensors_shape"),
        (header_with({**ONE, "shape": [-1]}), "json_number"),
        (st_raw(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[-0,1]}}', b"\0"), "json_number"),
        (header_with({**ONE, "shape": [2**63]}), "json_number"),
        (header_with({**ONE, "shape": [10**30]}), "json_number"),
        (header_with({**ONE, "data_offsets": [0]}), "safetensors_offsets"),
        (header_with({**ONE, "data_offsets": ["0", "1"]}), "safetensors_offsets"),
        (header_with(st_entry("F4", [3], 0, 1)), "safetensors_length"),
        (header_with({**ONE, "data_offsets": [0, 1, 2]}), "safetensors_offsets"),
        (header_with({**ONE, "data_offsets": [1, 0]}), "safetensors_offsets"),
        (header_with(st_entry("U8", [2**32, 2**32], 0, 1)), "safetensors_overflow"),
        (header_with(st_entry("U8", [2**32, 2**32, 0], 0, 0), data=b""), "safetensors_overflow"),
        (header_with(st_entry("F32", [1], 0, 1)), "safetensors_length"),
        (header_with(st_entry("F4", [3], 0, 2), data=b"\0\0"), "safetensors_length"),
        (header_with(st_entry("U8", [1], 1, 2), data=b"\0\0"), "safetensors_not_contiguous"),
        (header_with(ONE, data=b""), "safetensors_wrong_size"),
        (header_with(ONE, data=b"\0PK"), "safetensors_wrong_size"),
    ],
    ids=case_name,
)
def test_refuses(data: bytes, code: str) -> None:
    assert code_of(data) == code


def test_refuses_overlaps_and_holes() -> None:
    overlap = {"a": st_entry("U8", [2], 0, 2), "b": st_entry("U8", [2], 1, 3)}
    hole = {"a": st_entry("U8", [1], 0, 1), "b": st_entry("U8", [1], 2, 3)}
    inside = {"a": st_entry("U8", [2], 0, 2), "b": st_entry("U8", [0], 1, 1)}

    for header in (overlap, hole, inside):
        data = st_raw(json.dumps(header).encode(), b"\0" * 3)
        assert code_of(data) == "safetensors_not_contiguous"


def test_refuses_too_many_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safetensors, "MAX_TENSORS", 2)

    assert len(read_header(BytesSource(st_file({n: ("U8", [1]) for n in "ab"}))).tensors) == 2
    assert code_of(st_file({n: ("U8", [1]) for n in "abc"})) == "safetensors_too_many_tensors"


def test_refuses_a_hundred_thousand_and_one() -> None:
    data = st_file({f"t{i}": ("U8", [1]) for i in range(100_001)})

    assert code_of(data) == "safetensors_too_many_tensors"


def test_refuses_a_header_of_a_million_lists_before_building_them() -> None:
    assert code_of(st_raw(b'{"a":[' + b"[]," * 1_000_000 + b"[]]}")) == "json_too_many_values"


def test_names_the_place() -> None:
    with pytest.raises(SafetensorsError) as caught:
        read_header(BytesSource(header_with({**ONE, "dtype": "F128"}, name="wte\u0301")))

    assert caught.value.where == "tensor 'wte\u0301'"
    assert str(caught.value) == "'F128' is no dtype of safetensors. (tensor 'wte\u0301')"


@pytest.mark.parametrize(("dtype", "bits"), sorted(safetensors.BITS_PER_ELEMENT.items()))
def test_knows_the_dtypes_of_the_library(dtype: str, bits: int) -> None:
    data = header_with(st_entry(dtype, [8], 0, bits), data=bytes(bits))

    assert deserialize(data)[0][0] == "a"
    assert read_header(BytesSource(data)).tensors[0].dtype == dtype


def test_the_library_knows_no_other_dtype() -> None:
    with pytest.raises(SafetensorError) as caught:
        deserialize(header_with({**ONE, "dtype": "?"}))

    for word in str(caught.value).partition("expected one of")[2].split("`")[1::2]:
        assert word in safetensors.BITS_PER_ELEMENT


# Differential: whatever we accept, the Rust library must accept and read the same.

GOOD = [
    st_file({"a": ("F32", [2, 2]), "b": ("U8", [3])}, {"format": "pt"}),
    st_file({"h.0.w": ("BF16", [4])}),
    st_file({}),
]


def agrees_with_the_library(data: bytes) -> bool:
    """Return whether we accept ``data``; fail when the library does not, or reads it otherwise."""
    try:
        ours = read_header(BytesSource(data))
    except SafetensorsError:
        return False
    theirs = {name: (info["dtype"], tuple(info["shape"])) for name, info in deserialize(data)}
    assert {t.name: (t.dtype, t.shape) for t in ours.tensors} == theirs
    return True


@pytest.mark.parametrize("data", GOOD)
def test_the_good_ones_are_accepted(data: bytes) -> None:
    assert agrees_with_the_library(data)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(GOOD),
    st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=3), st.integers(0, 3)), max_size=3),
)
def test_mutated_files_are_refused_or_agree(
    data: bytes, changes: list[tuple[int, bytes, int]]
) -> None:
    for at, new, drop in changes:
        data = data[:at] + new + data[at + drop :]

    agrees_with_the_library(data)


TOKENS = st.sampled_from(
    ['"a"', '"b"', '""', '"dtype"', '"shape"', '"data_offsets"', '"U8"', '"F32"', "0", "1", "4",
     "-0", "1.0", "1e0", "null", "true", "[", "]", "{", "}", ",", ":", " ", '"__metadata__"',
     '"\\ud800"', '"\\u0061"', "NaN", "18446744073709551616", "[1]", "[0,1]", "[0,4]"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 60), st.integers(0, 20), st.lists(TOKENS, max_size=4), st.integers(0, 5))
def test_mutated_headers_are_refused_or_agree(
    at: int, drop: int, tokens: list[str], extra: int
) -> None:
    good = '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    header = (good[:at] + "".join(tokens) + good[at + drop :]).encode()

    agrees_with_the_library(st_raw(header, bytes(extra)))


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20),
        st.tuples(
            st.sampled_from(["F32", "F16", "U8", "I64"]), st.lists(st.integers(0, 5), max_size=8)
        ),
        max_size=5,
    )
)
def test_good_files_are_accepted(tensors: dict[str, tuple[str, list[int]]]) -> None:
    assert agrees_with_the_library(st_file(tensors))

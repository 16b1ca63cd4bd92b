import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf as official
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.formats import gguf_values
from catalog.formats.errors import GgufError
from catalog.formats.ggml_types import GGML_TYPES
from catalog.formats.gguf import read_header
from catalog.formats.gguf_values import GgufArray
from catalog.formats.sources import FULL, MIB, BytesSource, MeteredSource
from tests.catalog.formats.files import (
    Hollow,
    Watched,
    case_name,
    gg_array,
    gg_file,
    gg_model,
    gg_pair,
    gg_string,
    gg_tensor,
    gg_text,
    gg_u32,
    seconds,
)

Write = Callable[[official.GGUFWriter], Any]


def code_of(data: bytes) -> str:
    with pytest.raises(GgufError) as caught:
        read_header(BytesSource(data))
    return caught.value.code


def written(path: Path, *steps: Write, architecture: str = "llama") -> bytes:
    """Write a file with the gguf package."""
    writer = official.GGUFWriter(path / "model.gguf", architecture)
    for step in steps:
        step(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return (path / "model.gguf").read_bytes()


def test_reads_what_the_package_writes(tmp_path: Path) -> None:
    tokens = [f"token {i}" for i in range(300)]
    block = official.quantize(np.ones((4, 64), np.float32), official.GGMLQuantizationType.Q8_0)
    data = written(
        tmp_path,
        lambda w: w.add_name("Written"),
        lambda w: w.add_context_length(2048),
        lambda w: w.add_block_count(3),
        lambda w: w.add_embedding_length(64),
        lambda w: w.add_head_count(8),
        lambda w: w.add_file_type(official.LlamaFileType.MOSTLY_Q8_0),
        lambda w: w.add_tokenizer_model("gpt2"),
        lambda w: w.add_token_list(tokens),
        lambda w: w.add_token_scores([0.5] * 300),
        lambda w: w.add_chat_template("{{ messages }}"),
        lambda w: w.add_tensor("small", np.zeros((3, 5), np.float32)),
        lambda w: w.add_tensor("rope_freqs.weight", np.zeros(32, np.float32)),
        lambda w: w.add_tensor("large", block, raw_dtype=official.GGMLQuantizationType.Q8_0),
    )

    header = read_header(BytesSource(data))

    assert header.version == 3
    assert header.architecture == "llama"
    assert header.text("general.name") == "Written"
    assert header.of_architecture("context_length") == 2048
    assert header.length("tokenizer.ggml.tokens") == 300
    assert header.metadata["tokenizer.ggml.tokens"] == GgufArray(
        "string", 300, ("token 0", "token 1", "token 2", "token 3")
    )
    assert header.metadata["tokenizer.ggml.scores"] == GgufArray("float32", 300, (0.5,) * 4)
    assert [(t.name, t.type_name, t.shape, t.elements) for t in header.tensors] == [
        ("small", "F32", (5, 3), 15),
        ("rope_freqs.weight", "F32", (32,), 32),
        ("large", "Q8_0", (64, 4), 256),
    ]
    assert header.parameters == 15 + 256
    assert header.elements_by_type == {"Q8_0": 256, "F32": 47}
    assert header.quantization == "Q8_0"


def test_reads_every_value_type_the_package_writes(tmp_path: Path) -> None:
    data = written(
        tmp_path,
        lambda w: w.add_uint8("k.uint8", 255),
        lambda w: w.add_int8("k.int8", -1),
        lambda w: w.add_uint16("k.uint16", 65535),
        lambda w: w.add_int16("k.int16", -2),
        lambda w: w.add_uint32("k.uint32", 2**32 - 1),
        lambda w: w.add_int32("k.int32", -3),
        lambda w: w.add_uint64("k.uint64", 2**64 - 1),
        lambda w: w.add_int64("k.int64", -4),
        lambda w: w.add_float32("k.float32", 0.5),
        lambda w: w.add_float64("k.float64", 0.25),
        lambda w: w.add_bool("k.bool", True),
        lambda w: w.add_string("k.string", "ü"),
        lambda w: w.add_array("k.bools", [True, False]),
        lambda w: w.add_array("k.ints", list(range(1000))),
    )

    header = read_header(BytesSource(data))

    assert {k: v for k, v in header.metadata.items() if k.startswith("k.")} == {
        "k.uint8": 255, "k.int8": -1, "k.uint16": 65535, "k.int16": -2, "k.uint32": 2**32 - 1,
        "k.int32": -3, "k.uint64": 2**64 - 1, "k.int64": -4, "k.float32": 0.5, "k.float64": 0.25,
        "k.bool": True, "k.string": "ü",
        "k.bools": GgufArray("bool", 2, (True, False)),
        "k.ints": GgufArray("int32", 1000, (0, 1, 2, 3)),
    }  # fmt: skip
    assert header.count("k.bool") is None
    assert header.count("k.uint64") is None
    assert header.count("k.int8") is None
    assert header.text("k.int8") == ""
    assert header.length("k.int8") is None


def test_agrees_with_the_package_on_offsets_and_alignment(tmp_path: Path) -> None:
    data = written(
        tmp_path,
        lambda w: w.add_custom_alignment(128),
        lambda w: w.add_tensor("a", np.arange(3, dtype=np.float32)),
        lambda w: w.add_tensor("b", np.arange(5, dtype=np.float16)),
    )

    header = read_header(BytesSource(data))
    theirs = official.GGUFReader(tmp_path / "model.gguf")

    assert header.alignment == 128
    assert [header.data_start + t.offset for t in header.tensors] == [
        t.data_offset for t in theirs.tensors
    ]
    assert [t.size_bytes for t in header.tensors] == [t.n_bytes for t in theirs.tensors]


def test_reads_version_two_and_no_tensors() -> None:
    header = read_header(BytesSource(gg_file([gg_text("general.architecture", "x")], version=2)))

    assert header.version == 2
    assert header.parameters == 0
    assert header.quantization == ""


def test_accepts_metadata_alone_without_padding() -> None:
    data = gg_file([gg_u32("a", 1)]).rstrip(b"\0")

    assert read_header(BytesSource(data + bytes(3))).metadata == {"a": 1}


def test_reads_only_the_header_of_fifty_gigabytes() -> None:
    rows = 10**9
    head = gg_file([], [gg_tensor("w", [12, rows], 0, 0)])

    header = read_header(Hollow(head, len(head) + 48 * rows))

    assert header.parameters == 12 * rows


def test_touches_no_byte_of_the_data() -> None:
    data = gg_model(tensors=[gg_tensor("w", [2**20], 0, 0)], data=bytes(4 * 2**20))
    source = Watched(data)

    read_header(MeteredSource(source, FULL))

    assert source.read_bytes < MIB


@pytest.mark.parametrize(
    ("file_type", "type_id", "expected"),
    [
        (15, 12, "Q4_K_M"),  # the mixture the publisher names
        (None, 12, "Q4_K"),
        (1024, 12, "Q4_K"),
        (15, 14, "Q6_K"),  # a name that does not fit the tensors
        (15, 0, ""),  # plain floats, whatever the name
        (1, 1, ""),
        (0, 8, "Q8_0"),
    ],
)
def test_names_the_quantization(file_type: int | None, type_id: int, expected: str) -> None:
    pairs = [] if file_type is None else [gg_u32("general.file_type", file_type)]
    kind = GGML_TYPES[type_id]
    size = 256 // kind.block_elements * kind.block_bytes

    header = read_header(
        BytesSource(gg_file(pairs, [gg_tensor("w", [256], type_id, 0)], bytes(size)))
    )

    assert header.quantization == expected


GOOD_KEY = gg_text("general.architecture", "llama")
BAD_TYPE = gg_pair("k", 13, b"\0" * 8)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "gguf_truncated"),
        (b"GGUF", "gguf_truncated"),
        (b"GGML" + bytes(28), "gguf_magic"),
        (gg_file([], version=1), "gguf_version"),
        (gg_file([], version=4), "gguf_version"),
        (gg_file([], version=3 << 24), "gguf_big_endian"),
        (gg_file([GOOD_KEY], counts=(0, 2**60)), "gguf_count"),
        (gg_file([GOOD_KEY], counts=(2**60, 1)), "gguf_count"),
        (gg_file([GOOD_KEY], counts=(0, 10)), "gguf_count"),
        (gg_file([GOOD_KEY, GOOD_KEY]), "gguf_duplicate_key"),
        (gg_file([gg_text("", "x")]), "gguf_name_length"),
        (gg_file([gg_text("k" * 513, "x")]), "gguf_name_length"),
        (gg_file([struct.pack("<Q", 2**63) + bytes(40)]), "gguf_name_length"),
        (gg_file([gg_text("a\0b", "x")]), "gguf_name"),
        (gg_file([gg_string(b"\xff") + struct.pack("<I", 4) + bytes(4)]), "gguf_name"),
        (gg_file([BAD_TYPE]), "gguf_value_type"),
        (gg_file([gg_array("k", 13, 1, bytes(8))]), "gguf_value_type"),
        (gg_file([gg_array("k", 9, 1, bytes(24))]), "gguf_nested_array"),
        (gg_file([gg_pair("k", 7, b"\2") + bytes(16)]), "gguf_bool"),
        (gg_file([gg_array("k", 7, 2, b"\1\2")]), "gguf_bool"),
        (gg_file([gg_text("k", b"\xff\xfe")]), "gguf_string_utf8"),
        (gg_file([gg_pair("k", 8, struct.pack("<Q", 2**63))]), "gguf_string_length"),
        (gg_file([gg_pair("k", 8, struct.pack("<Q", 1000))]), "gguf_truncated"),
        (gg_file([gg_array("k", 8, 2**60, bytes(64))]), "gguf_array_length"),
        (gg_file([gg_array("k", 4, 2**60, bytes(64))]), "gguf_array_length"),
        (gg_file([gg_array("k", 8, 1000, bytes(64))]), "gguf_array_length"),
        (gg_file([gg_array("k", 4, 1000, bytes(64))]), "gguf_array_length"),
        (
            gg_file([gg_array("k", 8, 6, gg_string("x") * 5 + struct.pack("<Q", 2**60))]),
            "gguf_truncated",
        ),
        (gg_file([gg_array("k", 0, 2**64 - 1, bytes(64))]), "gguf_array_length"),
        (gg_file([gg_array("k", 8, 1, struct.pack("<Q", 2**63))]), "gguf_truncated"),
        (gg_file([gg_u32("general.alignment", 12)]), "gguf_alignment"),
        (gg_file([gg_u32("general.alignment", 4)]), "gguf_alignment"),
        (gg_file([gg_u32("general.alignment", 0)]), "gguf_alignment"),
        (gg_file([gg_u32("general.alignment", 2**31)]), "gguf_alignment"),
        (gg_file([gg_text("general.alignment", "32")]), "gguf_alignment"),
        (gg_file([], [gg_tensor("w", [1] * 5, 0, 0)], bytes(4)), "gguf_dimensions"),
        (gg_file([], [gg_tensor("w", [0], 0, 0)], bytes(4)), "gguf_shape"),
        (gg_file([], [gg_tensor("w", [2**32, 2**32], 0, 0)], bytes(4)), "gguf_shape"),
        (gg_file([], [gg_tensor("w", [2**63], 0, 0)], bytes(4)), "gguf_shape"),
        (gg_file([], [gg_tensor("w", [1], 4, 0)], bytes(4)), "gguf_tensor_type"),
        (gg_file([], [gg_tensor("w", [1], 99, 0)], bytes(4)), "gguf_tensor_type"),
        (gg_file([], [gg_tensor("w", [31], 8, 0)], bytes(34)), "gguf_block"),
        (gg_file([], [gg_tensor("w", [], 8, 0)], bytes(34)), "gguf_block"),
        (gg_file([], [gg_tensor("w" * 129, [1], 0, 0)], bytes(4)), "gguf_name_length"),
        (gg_file([], [gg_tensor("w\n", [1], 0, 0)], bytes(4)), "gguf_name"),
        (gg_file([], [gg_tensor("w", [1], 0, 32)], bytes(64)), "gguf_offset"),
        (gg_file([], [gg_tensor("w", [1], 0, 1)], bytes(64)), "gguf_offset"),
        (gg_file([], [gg_tensor("w", [8], 0, 0)], bytes(31)), "gguf_beyond_end"),
        (gg_file([], [gg_tensor("w", [2**60], 0, 0)], bytes(64)), "gguf_beyond_end"),
        (gg_file([], [gg_tensor("w", [8], 0, 0)], bytes(33)), "gguf_trailing_bytes"),
        (gg_file([], [], b"PK\3\4" * 20), "gguf_trailing_bytes"),
        (
            gg_file([], [gg_tensor("w", [8], 0, 0), gg_tensor("w", [8], 0, 32)], bytes(64)),
            "gguf_duplicate_tensor",
        ),
        (
            gg_file([], [gg_tensor("v", [8], 0, 0), gg_tensor("w", [8], 0, 0)], bytes(64)),
            "gguf_offset",
        ),
        (
            gg_file(
                [
                    gg_array("tokenizer.ggml.tokens", 8, 2, gg_string("a") * 2),
                    gg_array("tokenizer.ggml.scores", 6, 1, bytes(4)),
                ]
            ),
            "gguf_token_arrays",
        ),
    ],
    ids=case_name,
)
def test_refuses(data: bytes, code: str) -> None:
    assert code_of(data) == code


@pytest.mark.parametrize("type_id", [0, 4, 8, 10])
def test_refuses_two_to_the_sixty_elements_at_once(type_id: int) -> None:
    data = gg_file([gg_array("tokenizer.ggml.tokens", type_id, 2**60, bytes(1000))])

    assert code_of(data) == "gguf_array_length"
    assert seconds(lambda: code_of(data)) < 0.05


def test_refuses_more_array_elements_than_any_vocabulary_has() -> None:
    count = gguf_values.MAX_ARRAY_ELEMENTS + 1
    head = gg_file([gg_array("k", 0, count, b"")])

    with pytest.raises(GgufError) as caught:
        read_header(Hollow(head, len(head) + 100 * MIB))

    assert caught.value.code == "gguf_array_length"


def test_refuses_a_header_beyond_the_limit() -> None:
    head = gg_file([gg_text(f"k{i:03}", b"x" * MIB) for i in range(65)])

    with pytest.raises(GgufError) as caught:
        read_header(BytesSource(head))

    assert caught.value.code == "gguf_header_too_large"


def test_steps_over_strings_longer_than_any_window() -> None:
    long = gg_string("x" * 700_000)
    pairs = [gg_array("k", 8, 40, long * 20 + gg_string("y") * 20), gg_u32("after", 7)]

    header = read_header(BytesSource(gg_file(pairs)))

    assert header.metadata["after"] == 7
    assert header.metadata["k"] == GgufArray("string", 40, ("x" * 64,) * 4)


@pytest.mark.parametrize("shift", range(13))
def test_strings_may_lie_across_windows_in_any_way(shift: int) -> None:
    strings = gg_string("x" * shift) + gg_string("12345") * 41_000
    pairs = [gg_array("k", 8, 41_001, strings), gg_u32("after", 7)]

    assert read_header(BytesSource(gg_file(pairs))).metadata["after"] == 7


def test_keeps_little_of_a_long_text() -> None:
    header = read_header(BytesSource(gg_file([gg_text("k", "ü" * 200_000)])))

    assert header.text("k") == "ü" * 64 * 1024


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 500), st.binary(max_size=9), st.integers(0, 9)), max_size=3)
)
def test_mutated_files_are_refused_or_read(changes: list[tuple[int, bytes, int]]) -> None:
    data = gg_model()
    for at, new, drop in changes:
        data = data[:at] + new + data[at + drop :]

    try:
        header = read_header(BytesSource(data))
    except GgufError:
        return  # any other exception is a failure
    assert header.data_start + sum(t.size_bytes for t in header.tensors) <= len(data)

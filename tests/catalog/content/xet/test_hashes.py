import json
from pathlib import Path
from typing import Any

import hf_xet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.content.xet.errors import XetFormatError
from catalog.content.xet.hashes import (
    EMPTY_ROOT,
    chunk_hash,
    file_hash,
    from_hex,
    hidden_hash,
    is_indexable,
    merkle_root,
    term_hash,
    to_hex,
)
from tests.catalog.content.xet.making import chunked, entries, lcg, noise

VECTORS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("vectors.json").read_text())
CONTENTS = {
    "ascii 'hello'": b"hello",
    "bytes 0..255 once": bytes(range(256)),
    "200000 zero bytes": bytes(200_000),
    "LCG 300000 bytes": lcg(300_000),
    "LCG 3000000 bytes": lcg(3_000_000),
}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_published_vectors(vector: dict[str, Any]) -> None:
    chunks = chunked(CONTENTS[vector["name"]])
    names = entries(chunks)

    assert len(chunks) == vector["n_chunks"]
    lengths = [length for length in vector["chunk_lengths"] if length != "..."]
    assert [len(chunk) for chunk in chunks][: len(lengths)] == lengths
    assert to_hex(names[0][0]) == vector["first_chunk_hash"]
    assert to_hex(merkle_root(names)) == vector["xorb_hash_all_chunks"]
    assert to_hex(file_hash(names)) == vector["file_hash"]
    assert to_hex(term_hash(n for n, _ in names)) == vector["term_verification_hash_all_chunks"]


contents = st.one_of(
    st.binary(min_size=1, max_size=300),
    st.builds(noise, st.integers(1, 700_000), st.integers(0, 2**32)),
    st.builds(
        lambda part, times: part * times, st.binary(min_size=1, max_size=500), st.integers(1, 2000)
    ),
    st.builds(bytes, st.sampled_from([8191, 8192, 8193, 131_071, 131_072, 131_073, 1_048_577])),
)


@settings(max_examples=60)
@given(contents)
def test_files_are_cut_and_named_as_the_client_does(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("content") / "file"
    path.write_bytes(content)

    (said,) = hf_xet.hash_files([str(path)])

    chunks = chunked(content)
    assert b"".join(chunks) == content
    assert to_hex(file_hash(entries(chunks))) == said.hash


def test_a_large_file_is_cut_the_same_across_blocks(tmp_path: Path) -> None:
    content = noise(9_000_001) + bytes(300_000) + noise(2_000_000, seed=1)
    (tmp_path / "file").write_bytes(content)

    (said,) = hf_xet.hash_files([str(tmp_path / "file")])

    assert to_hex(file_hash(entries(chunked(content)))) == said.hash


@given(st.binary(min_size=32, max_size=32))
def test_text_form_goes_both_ways(raw: bytes) -> None:
    assert from_hex(to_hex(raw)) == raw


def test_text_form_turns_each_eight_bytes_around() -> None:
    assert to_hex(bytes(range(32))) == (
        "07060504030201000f0e0d0c0b0a090817161514131211101f1e1d1c1b1a1918"
    )


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "G" * 64, "A" * 64, "0" * 63 + "\n"])
def test_anything_else_is_no_hash(text: str) -> None:
    with pytest.raises(XetFormatError):
        from_hex(text)


def test_nothing_has_the_empty_root() -> None:
    assert merkle_root([]) == file_hash([]) == EMPTY_ROOT
    assert merkle_root([(chunk_hash(b"a"), 1)]) == chunk_hash(b"a")


def test_order_and_lengths_matter() -> None:
    a, b = (chunk_hash(b"a"), 1), (chunk_hash(b"b"), 1)

    assert len({merkle_root([a, b]), merkle_root([b, a]), merkle_root([a, (b[0], 2)])}) == 3


def test_about_one_chunk_in_a_thousand_is_indexed() -> None:
    indexed = sum(is_indexable(chunk_hash(str(n).encode())) for n in range(50_000))

    assert 25 < indexed < 80


def test_hidden_hashes_depend_on_the_key() -> None:
    raw = chunk_hash(b"a")

    assert raw != hidden_hash(raw, b"k" * 32) != hidden_hash(raw, b"l" * 32)

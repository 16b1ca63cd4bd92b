import hashlib
import struct
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.content.xet.errors import XetFormatError
from catalog.content.xet.hashes import (
    chunk_hash,
    file_hash,
    hidden_hash,
    merkle_root,
    term_hash,
    to_hex,
)
from catalog.content.xet.shards import FOOTER_BYTES, Shown, Term, dedup_answer, read_shard
from tests.catalog.content.xet.making import (
    BOOKEND,
    TAG,
    chunked,
    client_output,
    entries,
    file_block,
    noise,
    shard,
    table_of,
    xorb,
    xorb_block,
)

CONTENT = noise(900_000)
CHUNKS = chunked(CONTENT)
NAME = merkle_root(entries(CHUNKS))
WHOLE = [(NAME, 0, len(CHUNKS))]


def test_files_and_their_terms() -> None:
    terms = [(NAME, 0, 2), (NAME, 2, len(CHUNKS))]
    data = shard([file_block(CHUNKS, terms, CONTENT)], [xorb_block(CHUNKS, indexed=[1, 3])])

    read = read_shard(data)

    (file,) = read.files
    assert file.hash == file_hash(entries(CHUNKS))
    assert file.sha256 == hashlib.sha256(CONTENT).hexdigest()
    sizes = [sum(map(len, CHUNKS[:2])), sum(map(len, CHUNKS[2:]))]
    assert list(file.terms()) == [
        (Term(NAME, sizes[0], 0, 2), term_hash(map(chunk_hash, CHUNKS[:2]))),
        (Term(NAME, sizes[1], 2, len(CHUNKS)), term_hash(map(chunk_hash, CHUNKS[2:]))),
    ]
    (claim,) = read.xorbs
    assert claim.hash == NAME
    assert list(claim.indexed()) == [1, 3]
    assert claim.agrees_with(table_of(xorb(CHUNKS)))


@pytest.mark.parametrize(
    "chunks", [CHUNKS[:-1], [*CHUNKS, b"more"], CHUNKS[::-1], [*CHUNKS[:-1], CHUNKS[-1][:-1]]]
)
def test_a_claim_about_a_xorb_is_compared_with_the_xorb(chunks: list[bytes]) -> None:
    (claim,) = read_shard(shard(xorbs=[xorb_block(chunks)])).xorbs

    assert not claim.agrees_with(table_of(xorb(CHUNKS)))


def test_what_the_client_writes_is_read(tmp_path: Path) -> None:
    contents = [CONTENT, noise(50_000, seed=3), CONTENT + b"more"]

    xorbs, shards, hashes = client_output(tmp_path, *contents)

    tables = {table.hash: table for table in map(table_of, xorbs)}
    files = [file for data in shards for file in read_shard(data).files]
    assert {to_hex(file.hash) for file in files} >= set(hashes)
    assert {file.sha256 for file in files} >= {hashlib.sha256(c).hexdigest() for c in contents}
    for file in files:
        parts = []
        for term, proof in file.terms():
            table = tables[term.xorb]
            kept = table.chunks[term.start : term.end]
            assert table.raw_size(term.start, term.end) == term.size_bytes
            assert term_hash(chunk.hash for chunk in kept) == proof
            parts += [(chunk.hash, chunk.size_bytes) for chunk in kept]
        assert file_hash(parts) == file.hash
    claims = [claim for data in shards for claim in read_shard(data).xorbs]
    assert claims
    assert all(claim.agrees_with(tables[claim.hash]) for claim in claims)


def test_what_follows_the_xorbs_is_not_read() -> None:
    data = shard([file_block(CHUNKS, WHOLE, CONTENT)])

    assert len(read_shard(data + b"tables of an old client" * 99).files) == 1


NO_PROOFS = struct.pack("<32sII8x", NAME, 0, 1) + struct.pack("<32sIIII", NAME, 0, 5, 0, 1)
MALFORMED = {
    "nothing": b"",
    "half a header": TAG,
    "other tag": b"x" + shard()[1:],
    "other version": TAG + struct.pack("<QQ", 3, 0) + BOOKEND + BOOKEND,
    "no bookend": shard()[:-48],
    "cut": shard([file_block(CHUNKS, WHOLE, CONTENT)])[:200],
    "four billion terms": shard([struct.pack("<32sII8x", NAME, 1 << 31, 2**32 - 1)]),
    "four billion chunks": shard(xorbs=[struct.pack("<32sIIII", NAME, 0, 2**32 - 1, 0, 0)]),
    "no proofs": shard([NO_PROOFS]),
    "no terms": shard([struct.pack("<32sII8x", NAME, 1 << 31, 0)]),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_shards_are_refused(name: str) -> None:
    with pytest.raises(XetFormatError):
        read_shard(MALFORMED[name])


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(junk: bytes) -> None:
    for data in (junk, shard()[:48] + junk):
        with suppress(XetFormatError):
            assert isinstance(read_shard(data).files, list)


def test_a_shard_costs_little_more_than_its_bytes() -> None:
    data = shard([struct.pack("<32sII8x", NAME, 1 << 31, 100_000) + bytes(2 * 48 * 100_000)])

    tracemalloc.start()
    (file,) = read_shard(data).files
    assert sum(term.size_bytes for term, _ in file.terms()) == 0
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < 1024**2


def test_an_answer_tells_only_who_knows() -> None:
    key = b"k" * 32
    table = table_of(xorb(CHUNKS))

    shown = Shown(table, [(0, len(CHUNKS))])
    data = dedup_answer([shown], key=key, blind_key=b"b" * 32, created_s=100, expires_s=200)

    read = read_shard(data)
    assert read.files == []
    (claim,) = read.xorbs
    assert claim.hash == NAME
    assert claim.count == len(CHUNKS)
    for chunk in CHUNKS:
        assert chunk_hash(chunk) not in data
        assert hidden_hash(chunk_hash(chunk), key) in data
    footer = data[-FOOTER_BYTES:]
    assert struct.unpack_from("<3Q", footer) == (1, 48, 96)
    assert footer[72:104] == key
    assert struct.unpack_from("<QQ", footer, 104) == (100, 200)
    assert struct.unpack_from("<Q", footer, 192) == (len(data) - FOOTER_BYTES,)


def test_what_is_not_to_be_known_is_blind() -> None:
    key, count = b"k" * 32, len(CHUNKS)
    table = table_of(xorb(CHUNKS))
    whole = [(chunk_hash(chunk), len(chunk)) for chunk in CHUNKS]

    def told(*runs: tuple[int, int]) -> list[tuple[bytes, int, int]]:
        shown = Shown(table, runs)
        data = dedup_answer([shown], key=key, blind_key=b"b" * 32, created_s=1, expires_s=2)
        rows = data[3 * 48 : (3 + count) * 48]
        return [struct.unpack_from("<32sII", rows, 48 * place) for place in range(count)]

    all_of_it, middle, nothing = told((0, count)), told((1, 3)), told()

    assert [size for _, _, size in all_of_it] == [size for _, size in whole]
    assert middle[1:3] == all_of_it[1:3]
    known = {hidden_hash(raw, key) for raw, _ in whole}
    for place in (0, *range(3, count)):
        assert middle[place][0] not in known
    assert nothing[0][0] == middle[0][0]  # who asks again learns nothing from what changed
    assert len({raw for raw, _, _ in nothing}) == count
    sizes = [size for _, _, size in nothing]
    assert max(sizes) - min(sizes) <= 1
    for rows in (middle, nothing):  # places and sizes agree, and add up
        ends = [start + size for _, start, size in rows]
        assert [start for _, start, _ in rows] == [0, *ends[:-1]]
        assert ends[-1] == sum(size for _, size in whole)

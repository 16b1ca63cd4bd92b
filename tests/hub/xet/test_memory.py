"""Files of very many tiny chunks: a request holds few of the lists of their chunks at a time."""

import struct
import tracemalloc
from collections.abc import Callable
from threading import BoundedSemaphore
from typing import Any

import pytest

from accounts.models import Namespace, User
from catalog.content import proving, tables
from catalog.content.proving import prove
from catalog.content.recipes import Recipe
from catalog.content.reconstruction import plan, plan_together
from catalog.content.tables import forget_all
from catalog.content.xet.errors import XetProofError
from catalog.content.xet.hashes import chunk_hash, file_hash, term_hash
from catalog.content.xet.shards import Term
from catalog.content.xet.xorbs import MAX_CHUNKS, ROW_BYTES
from catalog.models import Xorb
from tests.catalog.content.xet.making import shard
from tests.hub.xet.calling import Made, XetClient, body_of, made, stored

XORBS = 96
TABLE_BYTES = MAX_CHUNKS * ROW_BYTES
MIB = 1024**2
CHUNK = chunk_hash(b"x")
ROWS = b"".join(struct.pack("<32sII", CHUNK, 9 * (at + 1), 1) for at in range(MAX_CHUNKS))


@pytest.fixture
def names(alice: User) -> list[bytes]:
    """Xorbs of a store: each full of chunks of one byte, 30 MB of lists in all."""
    payer = Namespace.objects.get(user=alice)
    names = [number.to_bytes(32, "big") for number in range(XORBS)]
    for name in names:
        Xorb.objects.create(
            hash=name,
            blob="xorb-" + name.hex(),
            raw_bytes=MAX_CHUNKS,
            stored_bytes=9 * MAX_CHUNKS,
            table=ROWS,
            charged_to=payer,
        )
    return names


def peak_of(action: Callable[[], Any]) -> tuple[Any, int]:
    forget_all()
    tracemalloc.start()
    found = action()
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return found, peak_bytes


def naming(names: list[bytes], proof: bytes) -> bytes:
    """Return a shard of one file: the first chunk of each xorb."""
    name = file_hash([(CHUNK, 1)] * len(names))
    parts = [struct.pack("<32sII8x", name, 1 << 31, len(names))]
    parts += [struct.pack("<32sIIII", each, 0, 1, 0, 1) for each in names]
    parts += [proof + bytes(16)] * len(names)
    return shard([b"".join(parts)])


def test_a_proof_keeps_lists_out_of_memory(names: list[bytes]) -> None:
    data = naming(names, term_hash([CHUNK]))

    proven, peak_bytes = peak_of(lambda: prove(data))

    assert proven.files[0].recipe.xorbs == names
    assert proven.files[0].first_chunk == CHUNK
    assert {len(ends) for ends in proven.raw_ends.values()} == {MAX_CHUNKS}
    assert peak_bytes < XORBS * MAX_CHUNKS * 4 + 16 * MIB


def test_a_wrong_proof_is_refused_all_the_same(names: list[bytes]) -> None:
    with pytest.raises(XetProofError):
        prove(naming(names, term_hash([chunk_hash(b"y")])))


def test_a_reconstruction_holds_few_lists(names: list[bytes]) -> None:
    """Even of a file that goes back and forth between all its xorbs."""
    recipe = Recipe([Term(name, 1, at, at + 1) for at in range(3) for name in names])

    found, peak_bytes = peak_of(lambda: plan(recipe))

    assert [(term.xorb, term.start) for term in found.terms] == [
        (name, at) for at in range(3) for name in names
    ]
    assert list(found.fetches) == names
    assert {(each[0].first, each[0].last) for each in found.fetches.values()} == {(0, 26)}
    assert peak_bytes < tables._KEPT * 1.25 * TABLE_BYTES + 16 * MIB


def test_a_batch_holds_few_lists(names: list[bytes]) -> None:
    recipes = [Recipe([Term(name, MAX_CHUNKS, 0, MAX_CHUNKS)]) for name in names]

    found, peak_bytes = peak_of(lambda: plan_together(recipes))

    assert [[term.xorb for term in terms] for terms in found.terms] == [[name] for name in names]
    assert peak_bytes < tables._KEPT * 1.25 * TABLE_BYTES + 16 * MIB


def test_an_upload_by_way_of_a_file(
    mine: XetClient, visitor: XetClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read from a file proves the same as what is in memory, and nothing of it stays."""
    monkeypatch.setattr(tables, "_IN_MEMORY_CHUNKS", 0)
    weights: Made = made()

    mine.publish({"a.bin": weights})

    assert visitor.fetch(visitor.get(f"/v2/reconstructions/{weights.file}").json()) == (
        weights.content
    )
    assert body_of(visitor.resolve("a.bin")) == weights.content
    before = stored()
    answer = mine.send_shard(weights.shard(announced=b"other"))
    assert answer.status_code == 400
    monkeypatch.setattr(proving, "MAX_CHUNKS", 1)
    assert mine.send_shard(weights.shard()).status_code == 413
    assert stored() == before


def test_few_large_proofs_run_at_once(mine: XetClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits in vain is told to come again, and nothing is written down."""
    weights = made()
    assert mine.send_xorb(weights).status_code == 200
    monkeypatch.setattr(tables, "_IN_MEMORY_CHUNKS", 0)
    monkeypatch.setattr(tables, "_turns", BoundedSemaphore(1))
    monkeypatch.setattr(tables, "_TURN_S", 0.01)
    before = stored()

    with tables.spooled_tables([weights.raw_name]):
        refused = mine.send_shard(weights.shard())

    assert refused.status_code == 503
    assert "Try again in a minute" in refused["X-Error-Message"]
    assert stored() == before
    assert mine.send_shard(weights.shard()).json() == {"result": 1}

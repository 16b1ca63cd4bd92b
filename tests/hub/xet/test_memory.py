"""Files of very many tiny chunks: a request holds few of the lists of their chunks at a time."""

import json
import struct
import tracemalloc
from collections.abc import Callable
from threading import BoundedSemaphore
from typing import Any

import pytest

from accounts.models import Namespace, User
from catalog.content import proving, tables
from catalog.content.checking import check_storage
from catalog.content.proving import prove
from catalog.content.recipes import Recipe
from catalog.content.reconstruction import Plan, PlannedXorb, plan, plan_together
from catalog.content.tables import forget_all
from catalog.content.xet.errors import XetProofError
from catalog.content.xet.hashes import chunk_hash, file_hash, term_hash, to_hex
from catalog.content.xet.shards import Term
from catalog.content.xet.xorbs import MAX_CHUNKS, ROW_BYTES
from catalog.models import ModelRepo, XetFile, Xorb
from hub import streamed
from hub.views import xet_read
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


def told(found: Plan) -> tuple[Plan, list[PlannedXorb]]:
    return found, list(found.xorbs())


def test_a_reconstruction_holds_few_lists(names: list[bytes]) -> None:
    """Even of a file that goes back and forth between all its xorbs."""
    recipe = Recipe([Term(name, 1, at, at + 1) for at in range(3) for name in names])

    (found, fetched), peak_bytes = peak_of(lambda: told(plan(recipe)))

    assert [(term.xorb, term.start) for term in found.parts[0]] == [
        (name, at) for at in range(3) for name in names
    ]
    assert [xorb.name for xorb in fetched] == names
    assert {(xorb.runs[0].first, xorb.runs[0].last) for xorb in fetched} == {(0, 26)}
    assert peak_bytes < tables._KEPT * 1.25 * TABLE_BYTES + 16 * MIB


def test_a_batch_holds_few_lists(names: list[bytes]) -> None:
    recipes = [Recipe([Term(name, MAX_CHUNKS, 0, MAX_CHUNKS)]) for name in names]

    (found, _), peak_bytes = peak_of(lambda: told(plan_together(recipes)))

    assert [[term.xorb for term in part] for part in found.parts] == [[name] for name in names]
    assert peak_bytes < tables._KEPT * 1.25 * TABLE_BYTES + 16 * MIB


def test_a_check_of_the_storage_holds_few_lists(names: list[bytes]) -> None:
    """The bytes of these xorbs are nowhere, which is said; the recipe is right."""
    terms = Recipe([Term(name, 1, 0, 1) for name in names]).to_bytes()
    proven = file_hash([(CHUNK, 1)] * len(names))
    XetFile.objects.create(hash=proven, size_bytes=len(names), terms=terms)

    walk, peak_bytes = peak_of(check_storage)

    assert {each["kind"] for each in walk.findings} == {"xorb"}
    assert (walk.counts["xorbs"], walk.counts["recipes"]) == (XORBS, 1)
    assert peak_bytes < XORBS * TABLE_BYTES / 2


TERMS = 20_000


@pytest.fixture
def shredded(mine: XetClient, names: list[bytes], repo: ModelRepo) -> XetFile:
    """A file of very many terms, each one chunk, every second chunk of its xorbs."""
    terms = [
        Term(names[at // 4096 % XORBS], 1, 2 * (at % 4096), 2 * (at % 4096) + 1)
        for at in range(TERMS)
    ]
    mine.publish({"a.bin": made()})
    file = XetFile.objects.get()
    file.terms = Recipe(terms).to_bytes()
    file.size_bytes = TERMS
    file.save()
    return file


@pytest.mark.parametrize("way", ["v2", "batch"])
def test_an_answer_of_very_many_terms_is_told_piece_by_piece(
    mine: XetClient, shredded: XetFile, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xet_read, "xorb_link", lambda *_args, **_more: "x" * 300)  # signing is slow
    name = to_hex(bytes(shredded.hash))
    asked = f"/v1/reconstructions?file_id={name}"
    path = asked if way == "batch" else f"/{way}/reconstructions/{name}"
    _ = mine.read

    (answer, size), peak_bytes = peak_of(lambda: weighed(mine.get(path)))

    assert answer.status_code == 200
    assert size > 250 * TERMS
    assert peak_bytes < 4 * MIB + 4 * len(shredded.terms)  # the recipe, as it comes and is kept
    assert peak_bytes < 0.75 * size


def weighed(answer: Any) -> tuple[Any, int]:
    return answer, sum(map(len, answer.streaming_content))


def test_long_answers_say_what_short_ones_say(
    mine: XetClient, visitor: XetClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = made()
    mine.publish({"a.bin": weights})
    for path in (f"v1/reconstructions/{weights.file}", f"v2/reconstructions/{weights.file}"):
        short = visitor.get(f"/{path}", Range="bytes=7-250000")
        with monkeypatch.context() as patch:
            patch.setattr(streamed, "_AT_ONCE_BYTES", 0)
            long = visitor.get(f"/{path}", Range="bytes=7-250000")

        assert (short.streaming, long.streaming) == (False, True)
        assert unsigned(json.loads(body_of(long))) == unsigned(short.json())


def unsigned(value: Any) -> Any:
    """Leave out what differs from second to second: the links."""
    if isinstance(value, dict):
        return {name: unsigned(each) for name, each in value.items() if name != "url"}
    return [unsigned(each) for each in value] if isinstance(value, list) else value


def test_a_batch_has_a_bound(mine: XetClient, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = made(), made(seed=2)
    mine.publish({"a.bin": one, "b.bin": two})
    monkeypatch.setattr(xet_read, "MAX_TERMS", 1)

    alone = mine.get(f"/v1/reconstructions?file_id={one.file}")
    both = mine.get(f"/v1/reconstructions?file_id={one.file}&file_id={two.file}")

    assert list(alone.json()["files"]) == [one.file]
    assert (both.status_code, both.json()["code"]) == (413, "too_large")
    assert "Ask for fewer at a time" in both["X-Error-Message"]


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

"""Shards that strangers send: every claim is checked, and a wrong one leaves nothing."""

import hashlib
import io
import json
import struct
import tracemalloc
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.models import Namespace, User
from catalog.content import proving
from catalog.content.quotas import usage_of
from catalog.content.xet.hashes import (
    chunk_hash,
    file_hash,
    from_hex,
    merkle_root,
    term_hash,
    to_hex,
)
from catalog.models import XetClaim, XetFile, XetFileXorb, Xorb
from tests.catalog.content.xet.making import (
    BOOKEND,
    TAG,
    entries,
    file_block,
    record,
    shard,
    xorb_block,
)
from tests.hub.xet.calling import Made, XetClient, body_of, leave_room, made, stored
from tests.hub.xet.conftest import at_once

WEIGHTS, OTHER = made(), made(seed=2)
N = len(WEIGHTS.chunks)
BYTES = len(WEIGHTS.content)
PROOF = term_hash(map(chunk_hash, WEIGHTS.chunks))
FILE = file_hash(entries(WEIGHTS.chunks))
SHA256 = from_hex(WEIGHTS.sha256)


def block(
    *terms: tuple[bytes, int, int, int],
    proofs: tuple[bytes, ...] = (PROOF,),
    name: bytes = FILE,
    sha256: bytes = SHA256,
    flags: int = 3 << 30,
    count: int | None = None,
) -> bytes:
    """Return the records of a file, each field as asked; terms are (xorb, size, start, end)."""
    terms = terms or ((WEIGHTS.raw_name, BYTES, 0, N),)
    parts = [struct.pack("<32sII8x", name, flags, len(terms) if count is None else count)]
    parts += [struct.pack("<32sIIII", xorb, 0, size, at, end) for xorb, size, at, end in terms]
    parts += [proof + bytes(16) for proof in proofs]
    return b"".join([*parts, sha256 + bytes(16)])


def described(chunks: list[bytes], offsets: int = 0, name: bytes = WEIGHTS.raw_name) -> bytes:
    """Return a xorb's description under the name of ``WEIGHTS``'s."""
    body = xorb_block(chunks)
    if offsets:
        at = 48 + 32
        body = body[:at] + struct.pack("<I", offsets) + body[at + 4 :]
    return name + body[32:]


def swapped(chunks: list[bytes]) -> list[bytes]:
    return [chunks[1], chunks[0], *chunks[2:]]


X = WEIGHTS.raw_name
MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "half a header": TAG,
    "another tag": b"x" + WEIGHTS.shard()[1:],
    "another version": TAG + struct.pack("<QQ", 3, 0) + BOOKEND + BOOKEND,
    "no second bookend": WEIGHTS.shard()[:-48],
    "no bookend at all": WEIGHTS.shard()[:200],
    "half a record": WEIGHTS.shard()[:-10],
    "four billion terms": shard([struct.pack("<32sII8x", FILE, 1 << 31, 2**32 - 1)]),
    "more terms than there are": shard([block(count=2)]),
    "four billion chunks": shard(xorbs=[struct.pack("<32sIIII", X, 0, 2**32 - 1, 0, 0)]),
    "no terms": shard([struct.pack("<32sII8x", FILE, 3 << 30, 0) + SHA256 + bytes(16)]),
    "no proofs": shard([block(proofs=(), flags=1 << 30)]),
    "a wrong proof": shard([block(proofs=(PROOF[::-1],))]),
    "the file's hash as proof": shard([block(proofs=(FILE,))]),
    "no proof but zeros": shard([block(proofs=(bytes(32),))]),
    "a proof of fewer": shard([block(proofs=(term_hash(map(chunk_hash, WEIGHTS.chunks[:-1])),))]),
    "a chunk too many": shard([block((X, BYTES, 0, N + 1))]),
    "chunks far behind": shard([block((X, BYTES, N, N + 5))]),
    "four billion chunks of a xorb": shard([block((X, BYTES, 0, 2**32 - 1))]),
    "an empty term": shard([block((X, 0, 1, 1))]),
    "a term backwards": shard([block((X, BYTES, 2, 1))]),
    "a byte too many": shard([block((X, BYTES + 1, 0, N))]),
    "a byte too few": shard([block((X, BYTES - 1, 0, N))]),
    "no bytes": shard([block((X, 0, 0, N))]),
    "the hash of another file": shard([block(name=file_hash(entries(OTHER.chunks)))]),
    "the root for the file": shard([block(name=X)]),
    "terms in the wrong order": shard(
        [
            block(
                (X, sum(map(len, WEIGHTS.chunks[1:])), 1, N),
                (X, len(WEIGHTS.chunks[0]), 0, 1),
                proofs=(
                    term_hash(map(chunk_hash, WEIGHTS.chunks[1:])),
                    term_hash([chunk_hash(WEIGHTS.chunks[0])]),
                ),
            )
        ]
    ),
    "another sha256": WEIGHTS.shard(announced=OTHER.content),
    "no sha256 but zeros": shard([block(sha256=bytes(32))]),
    "a xorb with swapped chunks": shard([block()], [described(swapped(WEIGHTS.chunks))]),
    "a xorb with a chunk less": shard([block()], [described(WEIGHTS.chunks[:-1])]),
    "a xorb with a chunk more": shard([block()], [described([*WEIGHTS.chunks, b"x"])]),
    "a xorb with other offsets": shard([block()], [described(WEIGHTS.chunks, offsets=7)]),
    "a right file and a wrong one": shard([block(), block(proofs=(FILE,))]),
}
UNKNOWN = {
    "a file of an unknown xorb": OTHER.shard(),
    "a description of an unknown xorb": shard([block()], [xorb_block(OTHER.chunks)]),
    "a xorb of zeros": shard([block((bytes(32), BYTES, 0, N))]),
}


def events(answer: Any) -> list[dict]:
    return [json.loads(line) for line in body_of(answer).splitlines()]


@pytest.mark.parametrize("way", [*MALFORMED, *UNKNOWN])
@pytest.mark.parametrize("version", [1, 2])
def test_wrong_shards(mine: XetClient, way: str, version: int) -> None:
    mine.send_xorb(WEIGHTS)
    before = stored()

    answer = mine.post(f"/v{version}/shards", (MALFORMED | UNKNOWN)[way])

    if version == 2:
        assert answer.status_code == 200
        *_, last = events(answer)
        assert (last["type"], last["retryable"]) == ("error", False)
        assert last["message"]
    else:
        assert answer.status_code == 400, answer.content
        codes = {"unknown_xorb"} if way in UNKNOWN else {"malformed_xet", "xet_hash_mismatch"}
        assert answer.json()["code"] in codes
    assert stored() == before
    assert mine.commit({"a.bin": WEIGHTS}).status_code == 422


def test_nobody_is_refused_in_a_line(mine: XetClient) -> None:
    """Who may not upload gets a status, as every client expects it."""
    for headers, status in (({}, 401), (mine.read, 403)):
        answer = mine.post("/v2/shards", WEIGHTS.shard(), headers=headers)
        assert (answer.status_code, answer.streaming) == (status, False)


def test_no_room_is_told_in_a_line(mine: XetClient, alice: User) -> None:
    mine.send_xorb(WEIGHTS)
    leave_room(alice, 100)
    before = stored()

    first, line = events(mine.post("/v2/shards", WEIGHTS.shard()))

    assert first == {"type": "validating", "verified": 0, "total": 0}
    assert (line["type"], line["retryable"]) == ("error", False)
    assert "ask the store's staff for more room" in line["message"]
    assert stored() == before


def test_an_unknown_xorb_says_what_helps(mine: XetClient) -> None:
    answer = mine.send_shard(WEIGHTS.shard())

    assert "clear the client's Xet cache" in answer.json()["error"]


def test_a_shard_of_nothing(mine: XetClient) -> None:
    before = stored()

    assert mine.send_shard(shard()).json() == {"result": 0}
    assert stored() == before


def test_xorbs_alone(mine: XetClient) -> None:
    mine.send_xorb(WEIGHTS)

    answer = mine.send_shard(shard(xorbs=[xorb_block(WEIGHTS.chunks)]))

    assert answer.json() == {"result": 0}
    assert XetFile.objects.count() == 0
    assert not Xorb.objects.get().is_used


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("size_bytes", [64 * 1024**2 + 1, 2**40])
def test_too_large_a_shard(mine: XetClient, size_bytes: int, version: str) -> None:
    before = stored()

    answer = mine.post(f"/{version}/shards", b"x", CONTENT_LENGTH=str(size_bytes))

    assert (answer.status_code, answer.streaming) == (413, False)
    assert answer.json()["code"] == "too_large"
    assert stored() == before


def test_the_first_line_comes_before_the_shard_is_proven(
    mine: XetClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from catalog.content import registering
    from hub.views import xet_upload

    mine.send_xorb(WEIGHTS)
    proven: list[int] = []

    def prove(data):
        proven.append(len(data))
        return proving.prove(data)

    monkeypatch.setattr(xet_upload, "prove", prove)
    monkeypatch.setattr(registering, "_TOLD_EVERY_S", 0.0)
    lines = (json.loads(line) for line in mine.post("/v2/shards", WEIGHTS.shard()))

    first, seen = next(lines), list(proven)
    rest = list(lines)

    assert first == {"type": "validating", "verified": 0, "total": 0}
    assert (seen, len(proven)) == ([], 1)
    told = [line["verified"] for line in rest if line["type"] == "validating"]
    assert told == sorted(told)
    assert len(told) > 1  # by time, long before 32 MiB
    assert rest[-1] == {"type": "result", "result": 1}


def test_a_large_shard_goes_by_a_file(mine: XetClient, settings) -> None:
    mine.send_xorb(WEIGHTS)
    data = WEIGHTS.shard() + bytes(2 * 1024**2)

    answer = mine.send_shard(data)

    assert answer.json() == {"result": 1}
    assert [path for path in settings.SPOOL_DIR.iterdir() if path.is_file()] == []


def test_a_large_shard_that_does_not_come(mine: XetClient) -> None:
    gone = {"CONTENT_LENGTH": str(2 * 1024**2), "wsgi.input": io.BytesIO()}
    before = stored()

    answer = mine.post("/v1/shards", b"", **gone)

    assert answer.status_code == 400
    assert stored() == before


def repeated(content: Made, times: int, **changes: Any) -> bytes:
    """Return a file that is ``content`` many times over."""
    chunks = content.chunks * times
    term = (content.raw_name, len(content.content), 0, len(content.chunks))
    proof = term_hash(map(chunk_hash, content.chunks))
    return shard(
        [
            block(
                *[term] * times, proofs=(proof,) * times, name=file_hash(entries(chunks)), **changes
            )
        ]
    )


def test_more_than_there_is_room(mine: XetClient, alice: User) -> None:
    mine.send_xorb(WEIGHTS)
    leave_room(alice, 2 * BYTES)
    before = stored()

    answer = mine.send_shard(repeated(WEIGHTS, 3))

    assert answer.status_code == 403
    assert answer.json()["code"] == "storage_quota"
    assert stored() == before


def counted_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the size of every file that is read to be hashed."""
    from catalog.content import registering

    reads: list[int] = []

    def warmed(recipe):
        reads.append(recipe.size_bytes)
        yield b""

    monkeypatch.setattr(registering, "warmed", warmed)
    return reads


@pytest.mark.parametrize("way", ["announced", "not announced", "announced as one's own", "alike"])
def test_room_is_looked_at_before_anything_is_read(
    mine: XetClient, alice: User, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    mine.send_xorb(WEIGHTS)
    mine.upload(OTHER)
    reads = counted_reads(monkeypatch)
    leave_room(alice, 2 * BYTES)
    before = stored()
    large = repeated(WEIGHTS, 3)[48:-96]
    if way == "not announced":
        large = repeated(WEIGHTS, 3, flags=1 << 31)[48 : -96 - 48]
    if way == "announced as one's own":
        large = repeated(WEIGHTS, 3, sha256=from_hex(OTHER.sha256))[48:-96]
    files = [large]
    if way == "alike":  # a large and a small file under one sha256
        files = [large, block()]

    answer = mine.send_shard(shard(files))

    assert answer.status_code in {400, 403}
    assert reads == []
    assert stored() == before


def test_a_file_without_a_sha256_is_hashed_at_once(mine: XetClient) -> None:
    mine.send_xorb(WEIGHTS)
    data = shard([file_block(WEIGHTS.chunks, WEIGHTS.whole)])

    assert mine.send_shard(data).json() == {"result": 1}
    assert mine.commit({"a.bin": WEIGHTS}).status_code == 200


def test_a_large_file_needs_a_sha256(
    mine: XetClient, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could not be a claim, and reading it while somebody waits has to end."""
    mine.send_xorb(WEIGHTS)
    reads = counted_reads(monkeypatch)
    at_once(settings, BYTES - 1)
    before = stored()

    answer = mine.send_shard(shard([file_block(WEIGHTS.chunks, WEIGHTS.whole)]))

    assert answer.status_code == 400
    assert reads == []
    assert stored() == before


def test_too_large_a_file(mine: XetClient, settings) -> None:
    settings.ENV = settings.ENV.model_copy(update={"max_file_bytes": 2 * BYTES})
    mine.send_xorb(WEIGHTS)
    before = stored()

    answer = mine.send_shard(repeated(WEIGHTS, 3))

    assert answer.status_code == 413
    assert stored() == before


def test_too_many_chunks(mine: XetClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "MAX_CHUNKS", 3 * N)
    mine.send_xorb(WEIGHTS)
    before = stored()

    within = mine.send_shard(shard([block()] * 3))
    after = stored()
    beyond = mine.send_shard(shard([block()] * 4))

    assert within.json() == {"result": 1}
    assert beyond.status_code == 413
    assert stored() == after != before


def test_many_tables_are_not_loaded(mine: XetClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short shard can name every xorb there is, each with a table of its own."""
    monkeypatch.setattr(proving, "MAX_CHUNKS", 2 * N)
    others = [made(seed=seed) for seed in range(3, 8)]
    for each in others:
        mine.send_xorb(each)
    before = stored()

    answer = mine.send_shard(shard(xorbs=[xorb_block(each.chunks) for each in others]))

    assert answer.status_code == 413
    assert stored() == before


def test_a_short_shard_of_many_chunks_takes_little_memory(mine: XetClient) -> None:
    chunks = [bytes([number % 251, number // 251]) for number in range(8192)]
    content = Made(b"".join(chunks))
    content.__dict__["chunks"] = chunks
    body = b"".join(record(chunk, raw=2) for chunk in chunks)
    content.__dict__["xorb"] = body
    assert mine.send_xorb(content).status_code == 200
    times = 20
    term = (content.raw_name, len(content.content), 0, len(chunks))
    proof = term_hash(map(chunk_hash, chunks))
    data = shard([block(*[term] * times, proofs=(proof,) * times, name=bytes(32))])

    tracemalloc.start()
    answer = mine.send_shard(data)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert answer.json()["code"] == "xet_hash_mismatch"
    assert peak_bytes < 8 * 1024**2  # of 160,000 chunks; a list of their hashes has 13 MB


@hypothesis_settings(
    max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.data())
def test_any_damage_is_refused_or_harmless(mine: XetClient, data: st.DataObject) -> None:
    if not Xorb.objects.exists():
        mine.send_xorb(WEIGHTS)
    body = bytearray(WEIGHTS.shard())
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] ^= data.draw(st.integers(1, 255))

    answer = mine.send_shard(bytes(body))

    assert answer.status_code in {200, 400, 413}
    assert set(XetFile.objects.values_list("size_bytes", flat=True)) <= {BYTES}
    assert {bytes(row.hash) for row in XetFile.objects.all()} <= {FILE}
    assert XetClaim.objects.count() == 0


def test_many_files_in_one_shard(mine: XetClient) -> None:
    contents = [Made(bytes([number]) * 600) for number in range(60)]
    chunks = [content.content for content in contents]
    name = merkle_root(entries(chunks))
    body = b"".join(record(chunk, raw=600) for chunk in chunks)
    assert mine.post(f"/v1/xorbs/default/{to_hex(name)}", body).status_code == 200
    files = [
        file_block([chunk], [(name, place, place + 1)], chunk) for place, chunk in enumerate(chunks)
    ]

    answer = mine.send_shard(shard(files, [xorb_block(chunks)]))

    assert answer.json() == {"result": 1}
    assert mine.commit({f"{n}.bin": each for n, each in enumerate(contents)}).status_code == 200
    assert body_of(mine.resolve("59.bin")) == contents[59].content


def permuted(content: Made) -> tuple[bytes, bytes, list[tuple[bytes, int, int]]]:
    """Return a xorb of the same chunks backwards: its name, its bytes, and the same file of it."""
    chunks = content.chunks[::-1]
    name = merkle_root(entries(chunks))
    body = b"".join(record(chunk, raw=len(chunk)) for chunk in chunks)
    terms = [(name, place - 1, place) for place in range(len(chunks), 0, -1)]
    return name, body, terms


def test_xorbs_no_recipe_needs_stay_charged(mine: XetClient, alice: User) -> None:
    """Or whoever sends one file in a thousand ways fills the store for the price of one."""
    mine.publish({"a.bin": WEIGHTS})
    namespace = Namespace.objects.get(user=alice)
    before = usage_of(namespace).used_bytes
    name, body, terms = permuted(WEIGHTS)

    sent = mine.post(f"/v1/xorbs/default/{to_hex(name)}", body)
    registered = mine.send_shard(shard([file_block(WEIGHTS.chunks, terms, WEIGHTS.content)]))

    assert (sent.status_code, registered.json()) == (200, {"result": 0})
    assert XetFileXorb.objects.count() == 1
    assert usage_of(namespace).used_bytes - before == len(body)


def test_a_xorb_of_which_little_is_used_stays_charged(mine: XetClient, alice: User) -> None:
    namespace = Namespace.objects.get(user=alice)
    mine.send_xorb(WEIGHTS)
    before = usage_of(namespace).used_bytes
    part = Made(WEIGHTS.chunks[0])
    data = shard([file_block(WEIGHTS.chunks[:1], [(X, 0, 1)], part.content)])

    assert mine.send_shard(data).json() == {"result": 1}

    assert usage_of(namespace).used_bytes - before == len(part.content)


def test_a_file_of_pieces_of_several_xorbs(mine: XetClient) -> None:
    for each in (WEIGHTS, OTHER):
        mine.send_xorb(each)
    pieces = [(WEIGHTS, 1, 3), (OTHER, 0, 2), (WEIGHTS, 1, 3), (WEIGHTS, 0, 4), (OTHER, 1, 2)]
    chunks = [chunk for each, start, end in pieces for chunk in each.chunks[start:end]]
    content = Made(b"".join(chunks))
    terms = [(each.raw_name, start, end) for each, start, end in pieces]

    registered = mine.send_shard(shard([file_block(chunks, terms, content.content)]))
    mine.commit({"a.bin": content})

    assert registered.json() == {"result": 1}
    assert hashlib.sha256(body_of(mine.resolve("a.bin"))).hexdigest() == content.sha256
    name = file_hash(entries(chunks))
    recipe = mine.get(f"/v2/reconstructions/{to_hex(name)}").json()
    assert mine.fetch(recipe) == content.content

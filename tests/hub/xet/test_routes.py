"""Every address clients of the Xet service ever used (specification, routes)."""

import hashlib
import struct

import pytest

from catalog.content.xet.hashes import chunk_hash
from tests.catalog.content.xet.making import BOOKEND, entries, table_of
from tests.hub.xet.calling import JSON, Made, XetClient, body_of, made, path_of, stored

WEIGHTS, OTHER = made(), made(200_000, seed=2)
GENERATIONS = ["/xet", "/xet/1", "/xet/2", "/xet/17"]


def with_footer(content: Made) -> bytes:
    """Return its xorb as hf-xet up to 1.1.2 sends it."""
    table = table_of(content.xorb)
    count = len(table.chunks)
    hashes = b"".join(chunk.hash for chunk in table.chunks)
    ends = struct.pack(f"<{count}I", *(chunk.end for chunk in table.chunks))
    raw_ends = struct.pack(f"<{count}I", *table.raw_ends)
    bounds = b"XBLBBND\1" + struct.pack("<I", count) + ends + raw_ends
    names = b"XBLBHSH\0" + struct.pack("<I", count) + hashes
    tail = struct.pack("<III", count, len(names) + len(bounds) + 28, len(bounds) + 28) + bytes(16)
    footer = b"XETBLOB\1" + content.raw_name + names + bounds + tail
    return content.xorb + footer + struct.pack("<I", len(footer))


def old_shard(content: Made) -> bytes:
    """Return its shard as old clients and the JavaScript one send it: tables and a footer."""
    data = content.shard()
    head = data[:40] + struct.pack("<Q", 200)
    tables = b"".join(struct.pack("<QIQ", 1, 0, 0) for _ in range(3)) + BOOKEND
    return head + data[48:] + tables + struct.pack("<25Q", 1, *range(24))


@pytest.mark.parametrize("base", GENERATIONS)
@pytest.mark.parametrize(
    ("xorb", "shard", "recipe", "chunk"),
    [
        ("/xorb", "/shard/default/{hash}", "/reconstruction", "/chunk"),  # hf-xet up to 1.1.2
        ("/xorbs", "/shards", "/reconstructions", "/chunks"),  # 1.1.10 to 1.2.0
        ("/v1/xorbs", "/shards", "/v1/reconstructions", "/v1/chunks"),  # 1.3 to 1.4
        ("/v1/xorbs", "/v1/shards", "/v2/reconstructions", "/v1/chunks"),  # 1.5.2
        ("/v1/xorbs", "/v2/shards", "/v2/reconstructions", "/v1/chunks"),  # from 1.6
    ],
)
def test_the_addresses_of_every_client(
    mine: XetClient, base: str, xorb: str, shard: str, recipe: str, chunk: str
) -> None:
    mine.base = base
    first = hashlib.sha256(WEIGHTS.shard()).hexdigest()

    sent = mine.post(f"{xorb}/default/{WEIGHTS.name}", WEIGHTS.xorb)
    registered = mine.post(shard.format(hash=first), WEIGHTS.shard())
    lines = body_of(registered).splitlines()
    committed = mine.commit({"a.bin": WEIGHTS})
    found = mine.get(f"{recipe}/{WEIGHTS.file}")
    query = mine.get(f"{chunk}/default/{hex_of(WEIGHTS.chunks[0])}")

    assert sent.json() == {"was_inserted": True}
    assert registered.status_code == 200
    assert lines[-1] in {b'{"result": 1}', b'{"type": "result", "result": 1}'}
    assert committed.status_code == 200
    assert [term["hash"] for term in found.json()["terms"]] == [WEIGHTS.name]
    assert query.status_code == 200


def hex_of(chunk: bytes) -> str:
    from catalog.content.xet.hashes import to_hex

    return to_hex(chunk_hash(chunk))


@pytest.mark.parametrize("prefix", ["default", "default-merkledb"])
def test_both_prefixes(mine: XetClient, prefix: str) -> None:
    sent = mine.post(f"/v1/xorbs/{prefix}/{WEIGHTS.name}", WEIGHTS.xorb)
    registered = mine.send_shard(WEIGHTS.shard())
    query = mine.get(f"/v1/chunks/{prefix}/{hex_of(WEIGHTS.chunks[0])}")

    assert (sent.status_code, registered.status_code, query.status_code) == (200, 200, 200)


def test_sending_again_changes_nothing(mine: XetClient) -> None:
    mine.upload(WEIGHTS)
    before = stored()

    xorb, shard = mine.send_xorb(WEIGHTS), mine.send_shard(WEIGHTS.shard())
    streamed = mine.post("/v2/shards", WEIGHTS.shard())

    assert xorb.json() == {"was_inserted": False}
    assert shard.json() == {"result": 0}
    assert body_of(streamed).splitlines()[-1] == b'{"type": "result", "result": 0}'
    assert stored() == before


def test_a_shard_is_answered_line_by_line(mine: XetClient) -> None:
    mine.send_xorb(WEIGHTS)

    answer = mine.post("/v2/shards", WEIGHTS.shard())

    size = len(WEIGHTS.content)
    assert answer.streaming
    assert answer["Content-Type"] == "application/x-ndjson"
    assert answer["X-Accel-Buffering"] == "no"
    assert body_of(answer).splitlines() == [
        b'{"type": "validating", "verified": 0, "total": 0}',
        f'{{"type": "validating", "verified": {size}, "total": {size}}}'.encode(),
        b'{"type": "committing", "stage": "syncing"}',
        b'{"type": "result", "result": 1}',
    ]


def test_what_old_clients_append_is_not_kept(mine: XetClient) -> None:
    sent = mine.send_xorb(WEIGHTS, with_footer(WEIGHTS))
    registered = mine.send_shard(old_shard(WEIGHTS))
    mine.commit({"a.bin": WEIGHTS})

    assert sent.json() == {"was_inserted": True}
    assert registered.json() == {"result": 1}
    head = mine.client.head(f"/xet/v1/xorbs/default/{WEIGHTS.name}", headers=mine.write)
    assert head["Content-Length"] == str(len(WEIGHTS.xorb))
    recipe = mine.get(f"/v2/reconstructions/{WEIGHTS.file}").json()
    assert mine.fetch(recipe) == WEIGHTS.content
    assert body_of(mine.resolve("a.bin")) == WEIGHTS.content


def test_the_same_xorb_with_and_without_a_footer(mine: XetClient) -> None:
    mine.send_xorb(WEIGHTS, with_footer(WEIGHTS))
    before = stored()

    again = mine.send_xorb(WEIGHTS)

    assert again.json() == {"was_inserted": False}
    assert stored() == before


def test_heads(mine: XetClient) -> None:
    def head(path: str, headers: dict):
        return mine.client.head(f"/xet{path}", headers=headers)

    xorb, file = f"/v1/xorbs/default/{WEIGHTS.name}", f"/v1/files/{WEIGHTS.file}"
    missing = [head(xorb, mine.write), head(file, mine.read)]
    mine.publish({"a.bin": WEIGHTS})

    assert [answer.status_code for answer in missing] == [404, 404]
    assert head(xorb, mine.write)["Content-Length"] == str(len(WEIGHTS.xorb))
    assert head(file, mine.read)["Content-Length"] == str(len(WEIGHTS.content))
    assert head(xorb, mine.write).content == b""


@pytest.mark.parametrize(
    "path",
    [
        "/v1/xorbs/default/{}",
        "/v1/xorb-grants/default/{}",
        "/v1/reconstructions/{}",
        "/v2/reconstructions/{}",
        "/v1/chunks/default/{}",
    ],
)
@pytest.mark.parametrize("name", ["x", "A" * 64, "a" * 63, "a" * 65, "..", "a" * 63 + "g"])
def test_names_that_are_no_hashes(mine: XetClient, path: str, name: str) -> None:
    before = stored()

    if "xorb" in path:
        answer = mine.post(path.format(name), b'{"length": 4}')
    else:
        answer = mine.get(path.format(name))

    assert answer.status_code == 400
    assert answer.json()["code"] == "malformed_xet"
    assert stored() == before


def test_the_older_shape_of_a_recipe(mine: XetClient) -> None:
    mine.publish({"a.bin": WEIGHTS})

    body = mine.get(f"/v1/reconstructions/{WEIGHTS.file}", Range="bytes=150000-200000").json()

    newer = mine.get(f"/v2/reconstructions/{WEIGHTS.file}", Range="bytes=150000-200000").json()
    assert sorted(body) == ["fetch_info", "offset_into_first_range", "terms"]
    assert body["terms"] == newer["terms"]
    assert body["offset_into_first_range"] == newer["offset_into_first_range"]
    ((name, (info,)),) = body["fetch_info"].items()
    ((name2, (block,)),) = newer["xorbs"].items()
    assert name == name2 == WEIGHTS.name
    assert sorted(info) == ["range", "url", "url_range"]
    assert [{"chunks": info["range"], "bytes": info["url_range"]}] == block["ranges"]
    span = info["url_range"]
    part = mine.client.get(
        path_of(info["url"]), headers={"Range": f"bytes={span['start']}-{span['end']}"}
    )
    assert body_of(part) == WEIGHTS.xorb[span["start"] : span["end"] + 1]


def batch_urls(mine: XetClient, *files: str) -> list:
    """Ask for several recipes in every way."""
    query = "&".join(f"file_id={file}" for file in files)
    body = [{"prefix": "default", "hash": file} for file in files]
    return [
        mine.get(f"/v1/reconstructions?{query}"),
        mine.get(f"/reconstructions?{query}"),
        mine.client.post("/xet/v1/reconstructions", body, content_type=JSON, headers=mine.read),
    ]


def test_several_recipes_at_once(mine: XetClient) -> None:
    mine.publish({"a.bin": WEIGHTS, "b.bin": OTHER})

    for answer in batch_urls(mine, WEIGHTS.file, "ab" * 32, OTHER.file, WEIGHTS.file):
        body = answer.json()
        assert sorted(body["files"]) == sorted([WEIGHTS.file, OTHER.file])
        assert [term["hash"] for term in body["files"][OTHER.file]] == [OTHER.name]
        assert sorted(body["fetch_info"]) == sorted([WEIGHTS.name, OTHER.name])
        for content in (WEIGHTS, OTHER):
            (info,) = body["fetch_info"][content.name]
            assert info["range"] == {"start": 0, "end": len(content.chunks)}


def test_runs_of_several_recipes_do_not_touch(mine: XetClient) -> None:
    """Clients know a run by its xorb and its start alone."""
    parts = [Made(b"".join(WEIGHTS.chunks[:end])) for end in (1, 2)]
    mine.upload(WEIGHTS)
    from tests.catalog.content.xet.making import file_block, shard

    for part in parts:
        terms = [(WEIGHTS.raw_name, 0, len(part.chunks))]
        assert entries(part.chunks) == entries(WEIGHTS.chunks[: len(part.chunks)])
        assert mine.send_shard(shard([file_block(part.chunks, terms, part.content)])).status_code
    mine.commit({"a.bin": parts[0], "b.bin": parts[1]})

    for answer in batch_urls(mine, parts[0].file, parts[1].file):
        body = answer.json()
        assert len(body["files"]) == 2
        (info,) = body["fetch_info"][WEIGHTS.name]
        assert info["range"] == {"start": 0, "end": 2}


@pytest.mark.parametrize(
    "body", [b"{", b"{}", b'"x"', b"[1]", b'[{"hash": 5}]', b'[{"hash": "x"}]', b"[" * 100_000]
)
def test_wrong_batches(mine: XetClient, body: bytes) -> None:
    answer = mine.client.generic("POST", "/xet/v1/reconstructions", body, JSON, headers=mine.read)

    assert answer.status_code == 400


def test_a_batch_is_bounded(mine: XetClient) -> None:
    for answer in batch_urls(mine, *["ab" * 32] * 1001):
        assert answer.status_code == 400
    for answer in batch_urls(mine):
        assert answer.json() == {"files": {}, "fetch_info": {}}


def test_chunk_hashes_are_told_nobody(mine: XetClient) -> None:
    mine.publish({"a.bin": WEIGHTS})

    answer = mine.get(f"/v2/file-chunk-hashes/{WEIGHTS.file}")

    assert answer.status_code == 501


def test_clients_of_2025_ask_whether_to_use_it(mine: XetClient) -> None:
    path = "/api/models/alice/tiny/revision/main"

    asked = mine.client.get(f"{path}?expand=xetEnabled").json()
    other = mine.client.get(f"{path}?expand=sha").json()

    assert asked["xetEnabled"] is True
    assert "xetEnabled" not in other


def test_telemetry_is_taken_without_a_token(mine: XetClient) -> None:
    answers = [
        mine.client.post("/v1/telemetry", {"a": 1}, content_type=JSON, headers=headers)
        for headers in ({}, mine.write, {"Authorization": "Bearer whatever"})
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/shards"),
        ("PUT", "/v1/xorbs/default/{}"),
        ("GET", "/v1/xorbs/default/{}"),
        ("DELETE", "/v1/xorbs/default/{}"),
        ("POST", "/data/{}"),
        ("POST", "/v2/reconstructions/{}"),
    ],
)
def test_other_methods(mine: XetClient, method: str, path: str) -> None:
    before = stored()

    answer = mine.client.generic(method, f"/xet{path.format(WEIGHTS.name)}", headers=mine.write)

    assert answer.status_code == 405
    assert answer["Allow"]
    assert stored() == before


def test_browsers_may_call(mine: XetClient) -> None:
    asked = mine.client.options("/xet/v1/shards")
    refused = mine.post("/v1/shards", b"x")

    assert asked.status_code == 204
    assert "Authorization" in asked["Access-Control-Allow-Headers"]
    assert refused["Access-Control-Allow-Origin"] == "*"


def test_addresses_that_never_were(mine: XetClient) -> None:
    for path in ("/", "/v3/shards", "/v1/xorbs/default", "/v1/xorbs/default/a/b", "/x/v1/shards"):
        assert mine.post(path).status_code == 404

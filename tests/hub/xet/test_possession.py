"""Knowing a hash is not owning the bytes (SECURITY B3): whatever hash, by whatever way."""

import json

import pytest

from accounts.models import User
from catalog.content.xet.hashes import file_hash, from_hex
from catalog.models import FileScan, ModelRepo, RepoLfsObject
from tests.catalog.content.xet.making import entries, file_block, shard, xorb_block
from tests.hub.xet.calling import JSON, Made, XetClient, body_of, made, stored
from tests.hub.xet.test_shards import block

WEIGHTS = made()


@pytest.fixture
def theirs(hidden: XetClient) -> XetClient:
    """Alice at her private model, which has the file."""
    hidden.publish({"a.bin": WEIGHTS})
    return hidden


def test_a_commit_by_its_sha256(theirs: XetClient, bobs: XetClient) -> None:
    before = stored()

    for caller in (bobs,):
        answer = caller.commit({"a.bin": WEIGHTS})
        pointer = (
            f"version https://git-lfs.github.com/spec/v1\noid sha256:{WEIGHTS.sha256}\n"
            f"size {len(WEIGHTS.content)}\n"
        )
        lines = [
            {"key": "header", "value": {"summary": "x"}},
            {"key": "file", "value": {"path": "a.bin", "content": pointer}},
        ]
        disguised = caller.client.post(
            "/api/models/bob/own/commit/main",
            "\n".join(map(json.dumps, lines)).encode(),
            content_type="application/x-ndjson",
            headers=caller.headers,
        )
        assert (answer.status_code, disguised.status_code) == (422, 422)

    assert stored() == before


@pytest.mark.parametrize("transfers", [["basic"], ["basic", "multipart"], ["basic", "xet"]])
def test_a_batch_by_its_sha256(theirs: XetClient, bobs: XetClient, transfers: list[str]) -> None:
    unknown = made(seed=8)

    known, other = (bobs.batch(each, transfers).json() for each in (WEIGHTS, unknown))

    assert "actions" in known["objects"][0]
    assert known["transfer"] == other["transfer"]
    assert sorted(known["objects"][0]) == sorted(other["objects"][0])
    assert "actions" not in theirs.batch(WEIGHTS, transfers).json()["objects"][0]


def test_a_download_by_its_sha256(theirs: XetClient, bobs: XetClient) -> None:
    answer = bobs.batch(WEIGHTS, operation="download")

    assert answer.json()["objects"][0]["error"]["code"] == 404
    path = f"/bob/own.git/info/lfs/objects/{WEIGHTS.sha256}"
    assert bobs.client.get(path, headers=bobs.headers).status_code == 404


def test_a_recipe_by_its_file_hash(
    theirs: XetClient, mine: XetClient, bobs: XetClient, stranger: XetClient, visitor: XetClient
) -> None:
    for caller in (mine, bobs, stranger, visitor):  # mine: a token for another model of the owner
        for path in (
            f"/v1/reconstructions/{WEIGHTS.file}",
            f"/v2/reconstructions/{WEIGHTS.file}",
            f"/v2/reconstructions/{'ab' * 32}",
        ):
            assert caller.get(path).status_code == 404
        batch = caller.get(f"/v1/reconstructions?file_id={WEIGHTS.file}").json()
        assert batch == {"files": {}, "fetch_info": {}}
        head = caller.client.head(f"/xet/v1/files/{WEIGHTS.file}", headers=caller.read)
        assert head.status_code == 404


def test_an_answer_tells_nothing_of_what_there_is(theirs: XetClient, bobs: XetClient) -> None:
    there, absent = (bobs.get(f"/v2/reconstructions/{name}") for name in (WEIGHTS.file, "ab" * 32))

    def said(answer) -> list[tuple[str, str]]:
        return sorted(item for item in answer.headers.items() if item[0] != "X-Request-Id")

    assert there.json()["error"] == absent.json()["error"]
    assert there.status_code == absent.status_code
    assert said(there) == said(absent)


def test_a_shard_by_names_alone(theirs: XetClient, bobs: XetClient) -> None:
    """Who knows the xorb, its sizes, the file hash and the sha256, and not the chunks."""
    known = (WEIGHTS.raw_name, len(WEIGHTS.content), 0, len(WEIGHTS.chunks))
    name, sha256 = from_hex(WEIGHTS.file), from_hex(WEIGHTS.sha256)
    before = stored()

    for proof in (bytes(32), name, sha256, WEIGHTS.raw_name):
        data = shard([block(known, proofs=(proof,), name=name, sha256=sha256)])
        assert bobs.send_shard(data).json()["code"] == "xet_hash_mismatch"
    without = shard([block(known, proofs=(), flags=1 << 30, name=name, sha256=sha256)])
    assert bobs.send_shard(without).json()["code"] == "malformed_xet"

    assert stored() == before
    assert bobs.commit({"a.bin": WEIGHTS}).status_code == 422
    assert bobs.get(f"/v2/reconstructions/{WEIGHTS.file}").status_code == 404


def test_a_shard_that_grafts_a_neighbour(theirs: XetClient, bobs: XetClient) -> None:
    """A right first term proves nothing of a second one."""
    own = made(seed=4)
    bobs.send_xorb(own)
    chunks = own.chunks + WEIGHTS.chunks
    from catalog.content.xet.hashes import chunk_hash, term_hash

    terms = (
        (own.raw_name, len(own.content), 0, len(own.chunks)),
        (WEIGHTS.raw_name, len(WEIGHTS.content), 0, len(WEIGHTS.chunks)),
    )
    proof = term_hash(map(chunk_hash, own.chunks))
    data = shard([block(*terms, proofs=(proof, proof), name=file_hash(entries(chunks)))])
    before = stored()

    assert bobs.send_shard(data).json()["code"] == "xet_hash_mismatch"

    assert stored() == before


def test_a_xorb_hash_leads_nowhere(theirs: XetClient, bobs: XetClient) -> None:
    name = WEIGHTS.name
    for path in (f"/v1/chunks/default/{name}", f"/v2/reconstructions/{name}", f"/data/{name}"):
        assert bobs.get(path, Range="bytes=0-100").status_code in {403, 404}
    described = shard(xorbs=[xorb_block(made(seed=4).chunks)])
    before = stored()
    assert bobs.send_shard(described).status_code == 400
    assert stored() == before


def test_a_resolve_of_another_name(theirs: XetClient, bobs: XetClient, visitor: XetClient) -> None:
    for caller in (bobs, visitor):
        path = "/alice/secret/resolve/main/a.bin"
        assert caller.client.get(path, headers=caller.headers).status_code in {401, 404}


def test_who_has_the_bytes_shares_them(theirs: XetClient, bobs: XetClient, bob: User) -> None:
    blobs = stored()["blobs"]

    bobs.publish({"b.bin": WEIGHTS})

    assert stored()["blobs"] == blobs  # once, whoever has it
    assert body_of(bobs.resolve("b.bin")) == WEIGHTS.content
    assert set(RepoLfsObject.objects.values_list("created_by__username", flat=True)) == {
        "alice",
        "bob",
    }


def test_registered_and_not_committed(mine: XetClient, stranger: XetClient) -> None:
    mine.upload(WEIGHTS)

    own, others = (caller.get(f"/v2/reconstructions/{WEIGHTS.file}") for caller in (mine, stranger))

    assert (own.status_code, others.status_code) == (200, 404)


@pytest.mark.parametrize("verdict", ["pending", "unsafe", "error"])
def test_files_without_a_good_verdict(
    mine: XetClient, stranger: XetClient, visitor: XetClient, repo: ModelRepo, verdict: str
) -> None:
    mine.publish({"a.bin": WEIGHTS})
    assert stranger.get(f"/v2/reconstructions/{WEIGHTS.file}").status_code == 200
    FileScan.objects.filter(repo=repo, path="a.bin").update(verdict=verdict, reason="It runs code.")

    for caller in (stranger, visitor):
        for path in (
            f"/v1/reconstructions/{WEIGHTS.file}",
            f"/v2/reconstructions/{WEIGHTS.file}",
            f"/v1/reconstructions?file_id={WEIGHTS.file}",
        ):
            refused = caller.get(path)
            assert refused.status_code == 403, path
            assert WEIGHTS.name not in refused.content.decode()
        head = caller.client.head(f"/xet/v1/files/{WEIGHTS.file}", headers=caller.read)
        assert head.status_code == 403
    assert mine.fetch(mine.get(f"/v2/reconstructions/{WEIGHTS.file}").json()) == WEIGHTS.content


def test_the_worst_of_two_names_counts(
    mine: XetClient, stranger: XetClient, repo: ModelRepo
) -> None:
    mine.publish({"a.bin": WEIGHTS, "b.bin": WEIGHTS})
    FileScan.objects.filter(repo=repo, path="b.bin").update(verdict="unsafe")

    assert stranger.get(f"/v2/reconstructions/{WEIGHTS.file}").status_code == 403


def test_a_false_sha256_by_lfs_after_xet(mine: XetClient, bobs: XetClient) -> None:
    """Other bytes under the name of a file that lies in xorbs: nothing gained, nothing harmed."""
    mine.publish({"a.bin": WEIGHTS})
    (item,) = bobs.batch(WEIGHTS).json()["objects"]
    href = item["actions"]["upload"]["href"].split("testserver", 1)[1]
    wrong = made(len(WEIGHTS.content), seed=9)

    sent = bobs.client.generic("PUT", href, wrong.content, "application/octet-stream")

    assert sent.status_code == 422
    assert bobs.commit({"a.bin": WEIGHTS}).status_code == 422
    assert body_of(mine.resolve("a.bin")) == WEIGHTS.content


def test_whole_and_in_xorbs(mine: XetClient, bobs: XetClient) -> None:
    """One sends a file by LFS, another by Xet: each owns it, and both are served."""
    (item,) = bobs.batch(WEIGHTS).json()["objects"]
    href = item["actions"]["upload"]["href"].split("testserver", 1)[1]
    assert bobs.client.generic("PUT", href, WEIGHTS.content, JSON).status_code == 200
    assert bobs.commit({"a.bin": WEIGHTS}).status_code == 200
    assert "X-Xet-Hash" not in bobs.resolve("a.bin", "HEAD")

    mine.publish({"a.bin": WEIGHTS})

    for caller in (mine, bobs):
        assert body_of(caller.resolve("a.bin")) == WEIGHTS.content
        assert caller.resolve("a.bin", "HEAD")["X-Xet-Hash"] == WEIGHTS.file
        recipe = caller.get(f"/v2/reconstructions/{WEIGHTS.file}").json()
        assert caller.fetch(recipe) == WEIGHTS.content


def test_sizes_that_do_not_agree(mine: XetClient) -> None:
    mine.upload(WEIGHTS)

    for size in (0, len(WEIGHTS.content) - 1, len(WEIGHTS.content) + 1):
        assert mine.commit({"a.bin": WEIGHTS}, size=size).status_code == 422
    assert not FileScan.objects.filter(path="a.bin").exists()


def test_a_part_of_a_file_proves_a_part(mine: XetClient, bobs: XetClient) -> None:
    """Who has the first chunks may use them, and gets nothing of the rest."""
    mine.publish({"a.bin": WEIGHTS})
    part = Made(b"".join(WEIGHTS.chunks[:2]))
    terms = [(WEIGHTS.raw_name, 0, 2)]

    answer = bobs.send_shard(shard([file_block(WEIGHTS.chunks[:2], terms, part.content)]))
    bobs.commit({"p.bin": part})

    assert answer.json() == {"result": 1}
    recipe = bobs.get(f"/v2/reconstructions/{part.file}").json()
    assert bobs.fetch(recipe) == part.content
    ((entry,),) = recipe["xorbs"].values()
    (span,) = entry["ranges"]
    assert span["chunks"] == {"start": 0, "end": 2}


@pytest.mark.parametrize("transfers", [5, "xet", {"xet": 1}, [5], None, []])
def test_odd_transfers(mine: XetClient, transfers: object) -> None:
    body = {
        "operation": "upload",
        "transfers": transfers,
        "objects": [{"oid": WEIGHTS.sha256, "size": len(WEIGHTS.content)}],
    }

    answer = mine.client.post(
        "/alice/tiny.git/info/lfs/objects/batch", body, content_type=JSON, headers=mine.headers
    )

    assert answer.status_code in {200, 400}
    if answer.status_code == 200:
        assert answer.json()["transfer"] in {"basic", "multipart"}


def test_a_batch_that_leads_to_xet(mine: XetClient, stranger: XetClient) -> None:
    other = made(seed=3)
    mine.publish({"a.bin": WEIGHTS})
    objects = [{"oid": c.sha256, "size": len(c.content)} for c in (WEIGHTS, other)]

    answer = mine.batch(WEIGHTS, ["basic", "multipart", "xet"], objects=objects).json()

    assert answer["transfer"] == "xet"
    here, missing = answer["objects"]
    assert "actions" not in here
    upload = missing["actions"]["upload"]
    assert upload["href"] == "http://testserver/api/models/alice/tiny/xet-write-token/main"
    assert set(upload["header"]) == {
        "X-Xet-Cas-Url",
        "X-Xet-Access-Token",
        "X-Xet-Token-Expiration",
        "X-Xet-Session-Id",
    }
    assert all(isinstance(value, str) for value in upload["header"].values())
    token = {"Authorization": f"Bearer {upload['header']['X-Xet-Access-Token']}"}
    assert mine.send_xorb(other, headers=token).status_code == 200
    proposal = stranger.batch(other, ["xet"]).json()["objects"][0]["actions"]["upload"]
    assert proposal["href"].endswith("/xet-write-token/main?create_pr=1")

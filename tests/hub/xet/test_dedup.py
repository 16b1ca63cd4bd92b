"""What clients are told they need not send: nothing of content they could not read anyway."""

import time
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts.models import User
from accounts.viewer import Viewer
from catalog.content import dedup
from catalog.content.xet.hashes import chunk_hash, hidden_hash, to_hex
from catalog.content.xet.shards import FOOTER_BYTES, read_shard
from catalog.models import DedupChunk, FileScan, Grant, GrantedRepo, ModelRepo, Xorb
from catalog.services.repos import change_settings, delete_repo
from tests.catalog.content.xet.making import file_block, shard, xorb_block
from tests.factories import make_org, make_repo
from tests.hub.xet.calling import Made, XetClient, made

WEIGHTS, OTHER = made(), made(seed=2)


def ask(caller: XetClient, chunk: bytes, **more):
    return caller.get(f"/v1/chunks/default/{to_hex(chunk_hash(chunk))}", **more)


def found(answer) -> set[str]:
    """Return the names of the xorbs an answer tells of."""
    assert answer.status_code == 200
    return {to_hex(each.hash) for each in read_shard(answer.content).xorbs}


def key_of(data: bytes) -> bytes:
    return data[-FOOTER_BYTES:][72:104]


def test_public_content_is_told_everybody(
    mine: XetClient, stranger: XetClient, visitor: XetClient, bobs: XetClient
) -> None:
    mine.publish({"a.bin": WEIGHTS})

    for caller in (mine, stranger, visitor, bobs):
        assert found(ask(caller, WEIGHTS.chunks[0])) == {WEIGHTS.name}


def test_private_content_is_told_its_owners_alone(
    mine: XetClient, hidden: XetClient, stranger: XetClient, visitor: XetClient, bobs: XetClient
) -> None:
    hidden.publish({"a.bin": WEIGHTS})
    unknown = ask(stranger, OTHER.chunks[0])

    for caller in (hidden, mine):
        assert found(ask(caller, WEIGHTS.chunks[0])) == {WEIGHTS.name}
    for caller in (stranger, visitor, bobs):
        refused = ask(caller, WEIGHTS.chunks[0])
        assert refused.status_code == 404
        assert refused.content == unknown.content


def test_an_organization_is_told(
    client, bearer, alice: User, bob: User, stranger: XetClient
) -> None:
    make_org("acme", alice="admin")
    make_repo(alice, "m", namespace="acme", is_private=True)
    XetClient(client, bearer(alice), "acme/m").publish({"a.bin": WEIGHTS})
    refused = ask(stranger, WEIGHTS.chunks[0])
    from accounts.models import Organization, Role
    from accounts.services.people import set_member

    set_member(Organization.objects.get(), bob, Role.READ, actor=None)

    assert refused.status_code == 404
    assert found(ask(stranger, WEIGHTS.chunks[0])) == {WEIGHTS.name}


def test_what_is_sent_and_not_committed_is_told_who_sent_it(
    mine: XetClient, stranger: XetClient, visitor: XetClient, bobs: XetClient
) -> None:
    unknown = ask(stranger, OTHER.chunks[0])
    mine.upload(WEIGHTS)

    before = [ask(caller, WEIGHTS.chunks[0]) for caller in (stranger, visitor, bobs)]
    owners = ask(mine, WEIGHTS.chunks[0])
    assert mine.commit({"a.bin": WEIGHTS}).status_code == 200

    assert [each.content for each in before] == [unknown.content] * 3
    assert {each.status_code for each in before} == {404}
    assert found(owners) == {WEIGHTS.name}
    for caller in (mine, stranger, visitor, bobs):
        assert found(ask(caller, WEIGHTS.chunks[0])) == {WEIGHTS.name}


def test_what_a_stranger_sends_is_told_them_and_the_owners(
    mine: XetClient, stranger: XetClient, visitor: XetClient, bobs: XetClient
) -> None:
    given = stranger.ask_token("write", query="?create_pr=1").json()["accessToken"]
    stranger.__dict__["write"] = {"Authorization": f"Bearer {given}"}
    stranger.upload(WEIGHTS)

    for caller in (stranger, bobs, mine):
        assert found(ask(caller, WEIGHTS.chunks[0])) == {WEIGHTS.name}
    assert ask(visitor, WEIGHTS.chunks[0]).status_code == 404


@pytest.mark.parametrize("verdict", ["pending", "unsafe", "error"])
def test_what_is_not_served_is_told_its_owners_alone(
    mine: XetClient, stranger: XetClient, visitor: XetClient, verdict: str
) -> None:
    mine.publish({"a.bin": WEIGHTS})
    FileScan.objects.update(verdict=verdict)

    statuses = [ask(caller, WEIGHTS.chunks[0]).status_code for caller in (mine, stranger, visitor)]

    assert statuses == [200, 404, 404]


def test_buyers_are_told_what_every_one_of_their_licenses_reaches(
    mine: XetClient, stranger: XetClient, repo: ModelRepo, bob: User
) -> None:
    mine.publish({"a.bin": WEIGHTS})
    read = stranger.read
    ModelRepo.objects.update(is_for_sale=True)
    statuses = [ask(stranger, WEIGHTS.chunks[0], headers=read).status_code]
    for updates in (Grant.Updates.REVISION, Grant.Updates.ALL):
        grant = Grant.objects.create(holder=bob.namespace, updates=updates)
        GrantedRepo.objects.create(grant=grant, repo=repo, commit_oid="0" * 40)
        statuses.append(ask(stranger, WEIGHTS.chunks[0], headers=read).status_code)

    assert statuses == [404, 404, 200]


SPLIT = 2
"""Chunks of ``WEIGHTS`` that are a private file; the others are a public one."""


def share_a_xorb(mine: XetClient, hidden: XetClient) -> tuple[Made, Made]:
    """Publish one xorb as two files: its beginning in private, the rest for everybody."""
    parts = (WEIGHTS.chunks[:SPLIT], WEIGHTS.chunks[SPLIT:])
    places = ((0, SPLIT), (SPLIT, len(WEIGHTS.chunks)))
    files = []
    mine.send_xorb(WEIGHTS)
    for caller, chunks, place in zip((hidden, mine), parts, places, strict=True):
        file = Made(b"".join(chunks))
        block = file_block(chunks, [(WEIGHTS.raw_name, *place)], file.content)
        blocks = [xorb_block(WEIGHTS.chunks, indexed=range(len(WEIGHTS.chunks)))]
        assert caller.send_shard(shard([block], blocks)).status_code == 200
        assert caller.commit({"a.bin": file}).status_code == 200
        files.append(file)
    return files[0], files[1]


def told(answer) -> list[bool]:
    """Return which chunks of ``WEIGHTS`` an answer shows."""
    assert found(answer) == {WEIGHTS.name}
    key = key_of(answer.content)
    return [hidden_hash(chunk_hash(chunk), key) in answer.content for chunk in WEIGHTS.chunks]


def test_a_xorb_of_a_private_and_a_public_file(
    mine: XetClient, hidden: XetClient, stranger: XetClient, visitor: XetClient, bobs: XetClient
) -> None:
    share_a_xorb(mine, hidden)
    unknown = ask(bobs, OTHER.chunks[0])
    count = len(WEIGHTS.chunks)
    public = [False] * SPLIT + [True] * (count - SPLIT)

    for caller in (stranger, visitor, bobs):
        for chunk in WEIGHTS.chunks[:SPLIT]:
            refused = ask(caller, chunk)
            assert (refused.status_code, refused.content) == (404, unknown.content)
        for chunk in WEIGHTS.chunks[SPLIT:]:
            assert told(ask(caller, chunk)) == public
    for caller in (mine, hidden):
        for chunk in WEIGHTS.chunks:
            assert told(ask(caller, chunk)) == [True] * count


def test_every_readable_file_of_a_xorb_is_told_of(mine: XetClient, bobs: XetClient) -> None:
    """Many small files lie in one xorb: a client that sends them again asks once, not for each."""
    mine.send_xorb(WEIGHTS)
    files = [Made(chunk) for chunk in WEIGHTS.chunks[:-1]]
    blocks = [
        file_block([chunk], [(WEIGHTS.raw_name, place, place + 1)], chunk)
        for place, chunk in enumerate(WEIGHTS.chunks[:-1])
    ]
    mine.send_shard(shard(blocks, [xorb_block(WEIGHTS.chunks)]))
    mine.commit({f"{place}.bin": file for place, file in enumerate(files)})

    assert told(ask(bobs, WEIGHTS.chunks[0])) == [True] * len(files) + [False]


def test_content_that_is_not_in_a_model_any_more(
    mine: XetClient, bobs: XetClient, repo: ModelRepo, alice: User
) -> None:
    mine.publish({"a.bin": WEIGHTS})
    assert ask(bobs, WEIGHTS.chunks[0]).status_code == 200
    change_settings(Viewer(user=alice), repo, is_private=True)
    hidden = ask(bobs, WEIGHTS.chunks[0])
    delete_repo(Viewer(user=alice), repo)
    gone = ask(bobs, WEIGHTS.chunks[0])

    assert (hidden.status_code, gone.status_code) == (404, 404)


def test_what_was_sent_and_not_registered(mine: XetClient) -> None:
    mine.send_xorb(WEIGHTS)

    assert ask(mine, WEIGHTS.chunks[0]).status_code == 404


@pytest.mark.usefixtures("verify_later")
def test_claims_are_told_nobody(mine: XetClient, run_jobs) -> None:
    mine.upload(WEIGHTS)
    claimed = ask(mine, WEIGHTS.chunks[0])
    run_jobs()

    assert claimed.status_code == 404
    assert ask(mine, WEIGHTS.chunks[0]).status_code == 200


def test_hashes_are_hidden_under_one_key_of_the_site(mine: XetClient, settings) -> None:
    mine.publish({"a.bin": WEIGHTS, "b.bin": OTHER})

    answers = [ask(mine, each.chunks[0]).content for each in (WEIGHTS, OTHER)]

    key = key_of(answers[0])
    assert key == key_of(answers[1])
    assert key != bytes(32)
    for data, content in zip(answers, (WEIGHTS, OTHER), strict=True):
        for chunk in content.chunks:
            assert chunk_hash(chunk) not in data
            assert hidden_hash(chunk_hash(chunk), key) in data
    settings.SECRET_KEY = "another site"
    assert key_of(ask(mine, WEIGHTS.chunks[0], headers=mine.token("read")).content) != key


def test_an_answer_ends(mine: XetClient) -> None:
    mine.publish({"a.bin": WEIGHTS})

    footer = ask(mine, WEIGHTS.chunks[0]).content[-FOOTER_BYTES:]

    created, expires = (int.from_bytes(footer[at : at + 8], "little") for at in (104, 112))
    assert abs(created - time.time()) < 60
    assert expires - created == dedup.LIFE.total_seconds() == timedelta(days=7).total_seconds()


def test_an_answer_tells_of_the_whole_file(mine: XetClient) -> None:
    """Clients ask for one chunk in a thousand: a single xorb would leave holes."""
    contents = [made(seed=seed) for seed in range(10, 14)]
    for each in contents:
        mine.send_xorb(each)
    chunks = [chunk for each in contents for chunk in each.chunks]
    terms = [(each.raw_name, 0, len(each.chunks)) for each in contents]
    file = Made(b"".join(chunks))
    xorbs = [xorb_block(each.chunks) for each in contents]
    assert mine.send_shard(shard([file_block(chunks, terms, file.content)], xorbs)).status_code

    answer = ask(mine, chunks[0])

    assert found(answer) == {each.name for each in contents}
    tables = {to_hex(each.hash): each.count for each in read_shard(answer.content).xorbs}
    assert tables == {each.name: len(each.chunks) for each in contents}


def test_answers_are_bounded(mine: XetClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dedup, "_MAX_XORBS", 2)
    contents = [made(seed=seed) for seed in range(10, 14)]
    for each in contents:
        mine.send_xorb(each)
    chunks = [chunk for each in contents for chunk in each.chunks]
    terms = [(each.raw_name, 0, len(each.chunks)) for each in contents]
    file = Made(b"".join(chunks))
    mine.send_shard(shard([file_block(chunks, terms, file.content)]))

    assert found(ask(mine, chunks[0])) == {each.name for each in contents[:2]}


def test_marked_chunks_are_found_and_others_not(mine: XetClient) -> None:
    mine.send_xorb(WEIGHTS)
    blocks = [xorb_block(WEIGHTS.chunks, indexed=[2])]
    mine.send_shard(shard([file_block(WEIGHTS.chunks, WEIGHTS.whole, WEIGHTS.content)], blocks))

    statuses = [ask(mine, chunk).status_code for chunk in WEIGHTS.chunks]

    assert statuses == [200, 404, 200] + [404] * (len(WEIGHTS.chunks) - 3)


def test_only_so_many_marks_count(mine: XetClient) -> None:
    from tests.catalog.content.xet.making import xorb

    content = Made(b"")
    chunks = [number.to_bytes(4, "little") * 3 for number in range(200)]
    content.__dict__.update({"chunks": chunks, "xorb": xorb(chunks)})
    mine.send_xorb(content)

    mine.send_shard(shard(xorbs=[xorb_block(chunks, indexed=range(200))]))

    assert 64 <= DedupChunk.objects.count() <= 66


def test_what_clients_rely_on_is_kept(mine: XetClient) -> None:
    mine.publish({"a.bin": WEIGHTS})
    read = mine.read
    old = timezone.now() - timedelta(days=20)
    Xorb.objects.update(touched_at=old)

    ask(mine, WEIGHTS.chunks[0], headers=read)

    assert Xorb.objects.get().touched_at > timezone.now() - timedelta(minutes=5)
    Xorb.objects.update(condemned_at=timezone.now())
    assert ask(mine, WEIGHTS.chunks[0], headers=read).status_code == 404
    mine.send_shard(WEIGHTS.shard())
    assert Xorb.objects.get().condemned_at is None
    with time_machine.travel(time.time() + 600):
        assert ask(mine, WEIGHTS.chunks[0], headers=read).status_code == 200


def test_what_an_answer_tells_proves_nothing(mine: XetClient, bobs: XetClient) -> None:
    """Bob learns names, places and lengths of a public file, and still has to have the bytes."""
    import struct

    mine.publish({"a.bin": WEIGHTS})
    answer = ask(bobs, WEIGHTS.chunks[0]).content
    body = answer[96:]  # the xorb's records
    count = len(WEIGHTS.chunks)
    hidden_hashes = [body[48 * (at + 1) : 48 * (at + 1) + 32] for at in range(count)]
    from catalog.content.xet.hashes import from_hex, term_hash

    size = len(WEIGHTS.content)
    lines = [
        struct.pack("<32sII8x", from_hex(WEIGHTS.file), 3 << 30, 1),
        struct.pack("<32sIIII", WEIGHTS.raw_name, 0, size, 0, count),
        term_hash(hidden_hashes) + bytes(16),
        from_hex(WEIGHTS.sha256) + bytes(16),
    ]

    refused = bobs.send_shard(shard([b"".join(lines)]))

    assert refused.json()["code"] == "xet_hash_mismatch"
    assert bobs.commit({"a.bin": WEIGHTS}).status_code == 422

"""Gates and the Xet service: the recipe of a file is its contents, and so is what it shares."""

import pytest

from accounts.models import User
from accounts.services.tokens import NewReach, create_token, revoke_token
from accounts.token_grants import Permission
from accounts.viewer import Viewer
from catalog.content.xet.hashes import chunk_hash, to_hex
from catalog.models import FileScan, ModelRepo
from catalog.services import access_requests
from licensing.delivery import counting
from tests.hub.xet.calling import Made, XetClient, made, stored

WEIGHTS = made()


@pytest.fixture
def gated(mine: XetClient, repo: ModelRepo) -> ModelRepo:
    """Alice's model with a file, before its gate is closed."""
    mine.publish({"model.bin": WEIGHTS})
    FileScan.objects.update(verdict=FileScan.Verdict.CLEAN)
    return repo


def close(repo: ModelRepo) -> None:
    ModelRepo.objects.filter(pk=repo.pk).update(gate="manual")
    repo.refresh_from_db()


def calls(caller: XetClient) -> list:
    name = WEIGHTS.file
    url = f"{caller.base}/v1/reconstructions"
    return [
        caller.get(f"/v1/reconstructions/{name}"),
        caller.get(f"/v1/reconstructions/{name}", Range="bytes=0-9"),
        caller.get(f"/v2/reconstructions/{name}"),
        caller.get(f"/v1/reconstructions?file_id={name}"),
        caller.client.post(
            url, [{"hash": name}], content_type="application/json", headers=caller.read
        ),
        caller.client.head(f"{caller.base}/v1/files/{name}", headers=caller.read),
    ]


def ask(caller: XetClient, content: Made = WEIGHTS):
    return caller.get(
        f"/v1/chunks/default/{to_hex(chunk_hash(content.chunks[0]))}", headers=caller.write
    )


def test_a_token_from_before_the_gate_opens_nothing(
    gated: ModelRepo, stranger: XetClient, visitor: XetClient, as_alice: Viewer
) -> None:
    for caller in (stranger, visitor):
        assert {answer.status_code for answer in calls(caller)} == {200}
    counting.flush()
    close(gated)

    for caller in (stranger, visitor):
        for answer in calls(caller):  # 401: clients then ask for a new token, and hear why not
            assert (answer.status_code, answer["X-Error-Code"]) == (401, "GatedRepo")
            assert b"xorb" not in answer.content
    assert counting.flush() == 0

    access_requests.grant(as_alice, gated, "bob")
    assert {answer.status_code for answer in calls(stranger)} == {200}
    access_requests.answer(as_alice, gated, status="rejected", user="bob")
    assert {answer.status_code for answer in calls(stranger)} == {401}
    assert stranger.ask_token("read").status_code == 403


def test_nobody_is_told_what_a_gated_file_shares_with_theirs(
    gated: ModelRepo, bobs: XetClient, mine: XetClient, as_alice: Viewer
) -> None:
    assert ask(bobs).status_code == 200
    close(gated)

    assert ask(bobs).status_code == 404
    assert ask(mine).status_code == 200

    access_requests.grant(as_alice, gated, "bob")
    assert ask(bobs).status_code == 200

    ModelRepo.objects.filter(pk=gated.pk).update(disabled_reason="stolen")
    assert ask(bobs).status_code == 404
    assert ask(mine).status_code == 404


def test_being_told_costs_as_many_queries_behind_a_gate(
    gated: ModelRepo, bobs: XetClient, as_alice: Viewer, django_assert_max_num_queries
) -> None:
    close(gated)
    access_requests.grant(as_alice, gated, "bob")
    ask(bobs)

    with django_assert_max_num_queries(12):
        assert ask(bobs).status_code == 200


def test_a_write_token_ends_with_what_the_fine_grained_one_may(
    client, repo: ModelRepo, alice: User
) -> None:
    reach = NewReach(repos={repo.public_id: frozenset({Permission.WRITE})})
    token, text = create_token(alice, name="fine", scopes=[], reach=reach)
    caller = XetClient(client, {"Authorization": f"Bearer {text}"})
    assert caller.send_xorb(WEIGHTS).status_code == 200
    token.grants.update(permissions=[Permission.READ.value])
    before = stored()

    refused = caller.send_shard(WEIGHTS.shard())

    assert (refused.status_code, stored()) == (403, before)
    token.grants.update(permissions=[Permission.WRITE.value])
    assert caller.send_shard(WEIGHTS.shard()).status_code == 200
    revoke_token(alice, token.pk)
    assert caller.send_shard(WEIGHTS.shard()).status_code == 401

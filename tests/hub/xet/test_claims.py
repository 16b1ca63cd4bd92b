"""Files that are too large to hash while the client waits: claims, until a job has read them."""

import json

import pytest

from accounts.models import Namespace, User
from accounts.viewer import Viewer
from catalog.content.quotas import usage_of
from catalog.models import FileScan, LfsObject, ModelRepo, RepoLfsObject, XetClaim
from catalog.services.repos import move_repo
from store.core.models import Job
from tests.factories import make_org, make_repo, safetensors
from tests.hub.xet.calling import JSON, OCTETS, Made, XetClient, body_of, made, path_of, stored
from tests.hub.xet.conftest import at_once

pytestmark = pytest.mark.usefixtures("verify_later")
WEIGHTS = Made(safetensors(size=200))
LIE = made(len(WEIGHTS.content), seed=5)
"""As long as the real file, and something else."""


def verdict(path: str = "a.safetensors") -> str:
    return FileScan.objects.get(path=path).verdict


def publish(caller: XetClient, content: Made = WEIGHTS, **said) -> None:
    caller.send_xorb(content)
    assert caller.send_shard(content.shard(**said)).json() == {"result": 1}


def test_a_claim_is_for_its_owner_until_it_is_verified(
    mine: XetClient, stranger: XetClient, visitor: XetClient, run_jobs
) -> None:
    publish(mine)
    assert mine.commit({"a.safetensors": WEIGHTS}).status_code == 200

    assert body_of(mine.resolve("a.safetensors")) == WEIGHTS.content
    assert "X-Xet-Hash" not in mine.resolve("a.safetensors", "HEAD")
    assert (LfsObject.objects.count(), XetClaim.objects.count()) == (0, 1)
    for caller in (stranger, visitor):
        refused = caller.resolve("a.safetensors")
        assert refused.status_code == 403
        assert refused.json()["extra"]["verdict"] == "pending"
        found = mine.get(f"/v2/reconstructions/{WEIGHTS.file}", headers=caller.read)
        assert found.status_code in {403, 404}
    own = mine.get(f"/v2/reconstructions/{WEIGHTS.file}")
    assert mine.fetch(own.json()) == WEIGHTS.content

    run_jobs()

    assert verdict() == "clean"
    assert (LfsObject.objects.count(), XetClaim.objects.count()) == (1, 0)
    assert body_of(stranger.resolve("a.safetensors")) == WEIGHTS.content
    assert stranger.resolve("a.safetensors", "HEAD")["X-Xet-Hash"] == WEIGHTS.file
    found = mine.get(f"/v2/reconstructions/{WEIGHTS.file}", headers=visitor.read)
    assert mine.fetch(found.json()) == WEIGHTS.content


def test_one_that_is_verified_before_the_commit(
    mine: XetClient, stranger: XetClient, run_jobs
) -> None:
    publish(mine)
    run_jobs()

    mine.commit({"a.safetensors": WEIGHTS})
    run_jobs()

    assert verdict() == "clean"
    assert body_of(stranger.resolve("a.safetensors")) == WEIGHTS.content


def test_one_on_another_branch(mine: XetClient, stranger: XetClient, run_jobs) -> None:
    branch = mine.client.post(
        "/api/models/alice/tiny/branch/dev", {}, content_type=JSON, headers=mine.headers
    )
    assert branch.status_code in {200, 201}
    publish(mine)
    mine.commit({"a.safetensors": WEIGHTS}, rev="dev")

    run_jobs()

    assert verdict() == "clean"
    got = mine.client.get("/alice/tiny/resolve/dev/a.safetensors", headers=stranger.headers)
    assert body_of(got) == WEIGHTS.content


def lie(caller: XetClient) -> None:
    """Say that ``LIE`` has the sha256 of ``WEIGHTS``, and commit that."""
    publish(caller, LIE, announced=WEIGHTS.content)
    assert caller.commit({"a.safetensors": WEIGHTS}).status_code == 200


def test_a_false_claim_is_never_served(mine: XetClient, stranger: XetClient, run_jobs) -> None:
    lie(mine)
    assert stranger.resolve("a.safetensors").status_code == 403

    run_jobs()

    assert verdict() == "error"
    scan = FileScan.objects.get(path="a.safetensors")
    assert (scan.code, "sha256" in scan.reason) == ("wrong_sha256", True)
    assert LfsObject.objects.count() == RepoLfsObject.objects.count() == 0
    assert stranger.resolve("a.safetensors").status_code == 403
    assert mine.resolve("a.safetensors").status_code == 404  # its owner has no such bytes either
    for caller in (mine, stranger):
        for file in (LIE.file, WEIGHTS.file):
            found = mine.get(f"/v2/reconstructions/{file}", headers=caller.read)
            assert found.status_code == 404
    assert mine.commit({"b.safetensors": WEIGHTS}).status_code == 422


@pytest.mark.parametrize("way", ["at once", "by a job", "as a whole"])
def test_a_false_claim_is_healed_by_the_right_file(
    mine: XetClient, stranger: XetClient, run_jobs, settings, way: str
) -> None:
    lie(mine)
    run_jobs()
    assert verdict() == "error"

    if way == "as a whole":
        (item,) = mine.batch(WEIGHTS).json()["objects"]
        href = path_of(item["actions"]["upload"]["href"])
        assert mine.client.generic("PUT", href, WEIGHTS.content, OCTETS).status_code == 200
    else:
        at_once(settings, 10**9 if way == "at once" else 0)
        publish(mine)
    again = mine.commit({"a.safetensors": WEIGHTS})
    run_jobs()

    assert again.status_code == 200
    assert verdict() == "clean"
    assert body_of(stranger.resolve("a.safetensors")) == WEIGHTS.content
    assert not XetClaim.objects.exists()


def test_verifying_twice_changes_nothing(mine: XetClient, run_jobs) -> None:
    from catalog.services.claims import verify

    publish(mine)
    claim = XetClaim.objects.get().pk
    run_jobs()
    before = stored()

    assert verify(claim, lambda part: None) == {"verified": 0}

    assert stored() == before


def test_a_model_that_went_before_its_claim_was_verified(
    mine: XetClient, alice: User, repo: ModelRepo, run_jobs
) -> None:
    from catalog.services.repos import delete_repo

    publish(mine)
    delete_repo(Viewer(user=alice), repo)

    jobs = run_jobs()

    assert {job.state for job in jobs} <= {Job.State.DONE}
    assert not XetClaim.objects.exists()
    assert not LfsObject.objects.exists()


def test_a_claim_in_one_model_is_nothing_in_another(
    mine: XetClient, bobs: XetClient, run_jobs
) -> None:
    publish(mine)
    assert bobs.commit({"a.safetensors": WEIGHTS}).status_code == 422
    publish(bobs)  # who has the content, has it
    assert bobs.commit({"a.safetensors": WEIGHTS}).status_code == 200
    assert XetClaim.objects.count() == 2

    run_jobs()

    assert not XetClaim.objects.exists()
    assert LfsObject.objects.count() == 1
    assert RepoLfsObject.objects.count() == 2
    assert body_of(bobs.resolve("a.safetensors")) == WEIGHTS.content


def test_content_the_store_knows_is_not_claimed(mine: XetClient, bobs: XetClient, run_jobs) -> None:
    publish(mine)
    run_jobs()

    publish(bobs)

    assert not XetClaim.objects.exists()
    assert bobs.commit({"a.safetensors": WEIGHTS}).status_code == 200


def test_a_lie_about_content_the_store_knows(mine: XetClient, bobs: XetClient, run_jobs) -> None:
    publish(mine)
    run_jobs()
    before = stored()

    answer = bobs.send_shard(WEIGHTS.shard(announced=LIE.content))

    assert answer.json()["code"] == "xet_hash_mismatch"
    assert stored() == before


def propose(caller: XetClient) -> dict[str, str]:
    """Return the headers of a write token for a proposal."""
    answer = caller.ask_token("write", "None", "?create_pr=1")
    return {"Authorization": f"Bearer {answer.json()['accessToken']}"}


def test_a_stranger_claims_nothing_in_the_owners_place(
    mine: XetClient, stranger: XetClient, run_jobs
) -> None:
    """Somebody who may only propose says of other content that it is what the owner will send."""
    headers = propose(stranger)
    stranger.send_xorb(LIE, headers=headers)
    stranger.send_shard(LIE.shard(announced=WEIGHTS.content), headers=headers)

    batch = mine.batch(WEIGHTS)
    publish(mine)
    mine.commit({"a.safetensors": WEIGHTS})

    assert "actions" in batch.json()["objects"][0]  # it is not here
    assert body_of(mine.resolve("a.safetensors")) == WEIGHTS.content
    run_jobs()
    assert verdict() == "clean"
    assert body_of(mine.resolve("a.safetensors")) == WEIGHTS.content


def test_a_stranger_does_not_spoil_what_the_owner_claimed(
    mine: XetClient, stranger: XetClient, run_jobs
) -> None:
    publish(mine)
    mine.commit({"a.safetensors": WEIGHTS})

    headers = propose(stranger)
    stranger.send_xorb(LIE, headers=headers)
    stranger.send_shard(LIE.shard(announced=WEIGHTS.content), headers=headers)

    assert body_of(mine.resolve("a.safetensors")) == WEIGHTS.content
    run_jobs()
    assert verdict() == "clean"
    assert body_of(stranger.resolve("a.safetensors")) == WEIGHTS.content


def test_claims_count_and_move_with_their_model(
    mine: XetClient, alice: User, repo: ModelRepo
) -> None:
    make_org("acme", alice="admin")
    publish(mine)
    acme, own = Namespace.objects.get(organization__isnull=False), repo.namespace
    before = [usage_of(space).used_bytes for space in (own, acme)]

    move_repo(Viewer(user=alice), repo, namespace="acme", name="tiny")

    after = [usage_of(space).used_bytes for space in (own, acme)]
    size = len(WEIGHTS.content)
    assert before[0] - after[0] >= size
    assert after[1] - before[1] >= size


def test_a_shard_tells_of_claims_at_once(mine: XetClient) -> None:
    mine.send_xorb(WEIGHTS)

    *_, last = [json.loads(line) for line in mine.post("/v2/shards", WEIGHTS.shard())]

    assert last == {"type": "result", "result": 1}
    assert XetClaim.objects.count() == 1


def test_what_fits_is_verified_at_once(mine: XetClient, settings) -> None:
    small = made(1000)
    at_once(settings, 1000)
    for each in (small, WEIGHTS):
        mine.send_xorb(each)
    from tests.catalog.content.xet.making import file_block, shard

    files = [file_block(each.chunks, each.whole, each.content) for each in (WEIGHTS, small)]

    assert mine.send_shard(shard(files)).json() == {"result": 1}

    assert XetClaim.objects.count() == 1
    assert mine.commit({"b.bin": small}).status_code == 200


def test_a_proposal_of_a_stranger_is_charged_to_the_stranger(
    mine: XetClient, stranger: XetClient, alice: User, bob: User
) -> None:
    spaces = [Namespace.objects.get(user=each) for each in (alice, bob)]
    before = [usage_of(space).used_bytes for space in spaces]
    headers = propose(stranger)

    stranger.send_xorb(WEIGHTS, headers=headers)
    stranger.send_shard(WEIGHTS.shard(), headers=headers)

    after = [usage_of(space).used_bytes for space in spaces]
    assert after[0] == before[0]
    assert after[1] - before[1] == len(WEIGHTS.content)


def test_another_repository_of_the_same_owner(client, mine: XetClient, alice: User) -> None:
    make_repo(alice, "second")
    publish(mine)

    second = XetClient(client, mine.headers, "alice/second")

    assert second.commit({"a.safetensors": WEIGHTS}).status_code == 422
    assert "actions" in second.batch(WEIGHTS).json()["objects"][0]


def test_two_people_claim_the_same(mine: XetClient, stranger: XetClient, run_jobs) -> None:
    publish(mine)
    headers = propose(stranger)
    stranger.send_xorb(WEIGHTS, headers=headers)

    again = stranger.send_shard(WEIGHTS.shard(), headers=headers)
    claims = XetClaim.objects.order_by("pk").values_list("user__username", "by_writer")

    assert again.json() == {"result": 1}
    assert list(claims) == [("alice", True), ("bob", False)]
    run_jobs()
    assert not XetClaim.objects.exists()
    assert RepoLfsObject.objects.count() == 1

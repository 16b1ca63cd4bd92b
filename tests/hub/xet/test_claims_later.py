"""Claims beside what is known already: old verdicts, pull requests, who pays."""

from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import Namespace, User
from catalog.content import claims
from catalog.content.quotas import usage_of
from catalog.models import Discussion, ModelRepo, RepoLfsObject, XetClaim
from tests.hub.talk import post
from tests.hub.xet.calling import JSON, XetClient, body_of, leave_room
from tests.hub.xet.conftest import at_once
from tests.hub.xet.test_claims import LIE, WEIGHTS, propose, publish, verdict

pytestmark = pytest.mark.usefixtures("verify_later")
SIZE = len(WEIGHTS.content)


def delete_for_good(caller: XetClient) -> None:
    body = {"deletions": {"sha": [WEIGHTS.sha256], "rewriteHistory": False}}
    answer = caller.client.post(
        "/api/models/alice/tiny/lfs-files/batch", body, content_type=JSON, headers=caller.headers
    )
    assert answer.json() == {"success": True, "deleted": 1}


@pytest.fixture
def deleted(mine: XetClient, settings: Any, run_jobs: Callable[[], Any]) -> None:
    """A file was verified and found clean; then its bytes went, and its commit stayed."""
    at_once(settings, 10**9)
    mine.publish({"a.safetensors": WEIGHTS})
    run_jobs()
    assert verdict() == "clean"
    delete_for_good(mine)
    at_once(settings, 0)


def test_a_lie_does_not_inherit_the_verdict_of_what_was_deleted(
    mine: XetClient, stranger: XetClient, deleted: None, run_jobs
) -> None:
    publish(mine, LIE, announced=WEIGHTS.content)

    refused = stranger.resolve("a.safetensors")

    assert (refused.status_code, refused.json()["extra"]["verdict"]) == (403, "pending")
    mine.commit({"a.safetensors": WEIGHTS})
    assert verdict() == "pending"
    assert stranger.resolve("a.safetensors").status_code == 403
    run_jobs()
    assert verdict() == "error"
    for caller in (mine, stranger):
        assert caller.resolve("a.safetensors").status_code == 404


def test_the_right_file_has_its_verdict_still(
    mine: XetClient, stranger: XetClient, deleted: None
) -> None:
    """The store has seen these very bytes: nothing is claimed."""
    publish(mine)

    assert verdict() == "clean"
    assert body_of(stranger.resolve("a.safetensors")) == WEIGHTS.content


def test_a_claim_of_a_file_that_is_here_doubts_nothing(
    mine: XetClient, stranger: XetClient, settings, run_jobs
) -> None:
    """Neither the owner's nor a stranger's: the verified bytes are those that are served."""
    at_once(settings, 10**9)
    mine.publish({"a.safetensors": WEIGHTS})
    run_jobs()
    at_once(settings, 0)

    stranger.write = propose(stranger)
    for caller in (mine, stranger):
        publish(caller, LIE, announced=WEIGHTS.content)

    assert verdict() == "clean"
    assert body_of(stranger.resolve("a.safetensors")) == WEIGHTS.content
    run_jobs()
    assert verdict() == "clean"


def test_a_stranger_doubts_nothing_that_was_deleted(
    mine: XetClient, stranger: XetClient, deleted: None
) -> None:
    stranger.write = propose(stranger)
    publish(stranger, LIE, announced=WEIGHTS.content)

    assert verdict() == "clean"
    assert stranger.resolve("a.safetensors").status_code == 404


@pytest.fixture
def proposal(stranger: XetClient) -> Discussion:
    """Bob proposes a file nobody has verified."""
    stranger.write = propose(stranger)
    publish(stranger)
    made = stranger.commit({"p.safetensors": WEIGHTS}, rev="main?create_pr=1")
    assert made.status_code == 200, made.content
    return Discussion.objects.get()


def used(user: User) -> int:
    return usage_of(Namespace.objects.get(user=user)).used_bytes


def test_who_merges_a_claim_pays_for_it(
    mine: XetClient, proposal: Discussion, alice: User, bob: User, run_jobs
) -> None:
    before = used(bob)

    answer = post(mine.client, "/1/merge", mine.headers)

    assert answer.status_code == 200, answer.content
    assert XetClaim.objects.get().charged_to == alice.namespace
    assert used(alice) >= SIZE
    assert used(bob) <= before - SIZE
    run_jobs()
    assert RepoLfsObject.objects.get().charged_to == alice.namespace
    assert verdict("p.safetensors") == "clean"


def test_a_claim_without_room_is_not_merged(
    mine: XetClient, proposal: Discussion, alice: User
) -> None:
    leave_room(alice, SIZE - 1)

    answer = post(mine.client, "/1/merge", mine.headers)

    assert (answer.status_code, answer.json()["code"]) == (403, "storage_quota")
    proposal.refresh_from_db()
    assert proposal.status == "open"
    assert XetClaim.objects.get().charged_to != alice.namespace


def test_a_merge_while_the_claim_is_read(
    mine: XetClient, proposal: Discussion, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job began to read when Bob paid; what it writes is Alice's."""
    monkeypatch.setattr(claims, "_LOOK_UP_EVERY_BYTES", 1)
    merged: list[int] = []

    def merge(_part: float) -> None:
        if not merged:
            merged.append(post(mine.client, "/1/merge", mine.headers).status_code)

    found = claims.verify_claim(XetClaim.objects.get().pk, merge)

    assert (merged, found["is_true"]) == ([200], True)
    assert RepoLfsObject.objects.get().charged_to == alice.namespace


def test_the_room_of_a_model_has_its_claims(mine: XetClient, repo: ModelRepo) -> None:
    publish(mine)
    mine.commit({"a.safetensors": WEIGHTS})
    repo.refresh_from_db()

    info = mine.client.get("/api/models/alice/tiny?expand=usedStorage", headers=mine.headers)
    rooms = mine.client.get("/api/settings/repositories", headers=mine.headers)

    assert info.json()["usedStorage"] == SIZE + repo.git_bytes
    assert [row["storage"] for row in rooms.json()] == [SIZE + repo.git_bytes]

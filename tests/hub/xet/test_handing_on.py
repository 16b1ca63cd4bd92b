"""What was uploaded by Xet in other hands: copied, pushed by git, listed, deleted."""

import pytest
from django.test import Client

from accounts.models import Namespace, User
from catalog.content.quotas import usage_of
from catalog.history.pointers import LfsPointer
from catalog.history.refs import HEADS
from catalog.models import LfsObject, ModelRepo, RepoLfsObject, XetClaim
from catalog.services.receiving import NotOwnedError
from tests.catalog.test_receiving import head, one_file, push
from tests.factories import make_repo, safetensors
from tests.hub.wire import BASE, next_page, post, state
from tests.hub.xet.calling import Made, XetClient, body_of, leave_room, made

WEIGHTS = Made(safetensors(size=200))
PATH = "a.safetensors"


def share(caller: XetClient, source: str, content: Made = WEIGHTS):
    """Ask for a file of ``source`` to be the caller's repository's, too."""
    file = {"xetHash": content.file, "sha256": content.sha256, "filename": PATH}
    body = {"target": {"type": "model", "name": caller.repo}, "files": [file]}
    return post(caller.client, f"/api/models/{source}/lfs-files/duplicate", body, caller.headers)


def listed(caller: XetClient, query: str = "") -> list[dict]:
    url = f"/api/models/{caller.repo}/lfs-files{query}"
    return caller.client.get(url, headers=caller.headers).json()


def test_what_only_chunks_make_is_copied(mine: XetClient, bobs: XetClient) -> None:
    mine.publish({PATH: WEIGHTS})
    assert not LfsObject.objects.get().is_whole

    shared = share(bobs, mine.repo)
    again = share(bobs, mine.repo)
    named = bobs.commit({"copy.safetensors": WEIGHTS})

    assert (shared.status_code, shared.json()) == (200, {"failed": []})
    assert again.json() == {"failed": []}
    assert named.status_code == 200
    assert body_of(bobs.resolve("copy.safetensors")) == WEIGHTS.content
    assert (LfsObject.objects.count(), RepoLfsObject.objects.count()) == (1, 2)


def test_chunks_are_copied_by_nobody_who_may_not_read_them(
    hidden: XetClient, bobs: XetClient
) -> None:
    hidden.publish({PATH: WEIGHTS})
    make_repo(User.objects.get(username="alice"), "open")
    his = ModelRepo.objects.get(name="own")
    before = state(his)

    refused = share(bobs, hidden.repo)
    foreign, absent = share(bobs, "alice/open"), share(bobs, "alice/open", made(7))

    assert refused.status_code == 404
    assert foreign.json()["failed"][0]["error"] == absent.json()["failed"][0]["error"]
    assert state(his) == before
    assert bobs.commit({PATH: WEIGHTS}).status_code == 422


@pytest.mark.usefixtures("verify_later")
def test_a_claim_goes_along_with_a_copy(
    client: Client, mine: XetClient, stranger: XetClient, alice: User, run_jobs
) -> None:
    make_repo(alice, "second")
    second = XetClient(client, mine.headers, "alice/second")
    mine.publish({PATH: WEIGHTS})

    shared, named = share(second, mine.repo), second.commit({PATH: WEIGHTS})

    assert shared.json() == {"failed": []}
    assert named.status_code == 200
    assert body_of(second.resolve(PATH)) == WEIGHTS.content
    theirs = XetClient(client, stranger.headers, second.repo)
    assert theirs.resolve(PATH).status_code == 403
    run_jobs()
    assert not XetClaim.objects.exists()
    assert body_of(theirs.resolve(PATH)) == WEIGHTS.content


@pytest.mark.usefixtures("verify_later")
def test_a_false_claim_is_false_in_the_copy_too(
    client: Client, mine: XetClient, alice: User, run_jobs
) -> None:
    lie = made(len(WEIGHTS.content), seed=5)
    make_repo(alice, "second")
    second = XetClient(client, mine.headers, "alice/second")
    mine.send_xorb(lie)
    mine.send_shard(lie.shard(announced=WEIGHTS.content))
    mine.commit({PATH: WEIGHTS})
    share(second, mine.repo)
    second.commit({PATH: WEIGHTS})

    run_jobs()

    assert second.resolve(PATH).status_code == 404
    assert not LfsObject.objects.exists()


@pytest.mark.usefixtures("verify_later")
def test_a_claim_is_copied_by_its_owners_alone_and_where_it_has_room(
    client: Client, mine: XetClient, bobs: XetClient, alice: User
) -> None:
    make_repo(alice, "second")
    second = XetClient(client, mine.headers, "alice/second")
    mine.publish({PATH: WEIGHTS})
    leave_room(alice, len(WEIGHTS.content) - 1)
    repos = [ModelRepo.objects.get(name=name) for name in ("own", "second")]
    before = [state(repo) for repo in repos]

    stranger, full = share(bobs, mine.repo), share(second, mine.repo)

    assert "being checked" in stranger.json()["failed"][0]["error"]
    assert "uses" in full.json()["failed"][0]["error"]
    assert [state(repo) for repo in repos] == before
    assert XetClaim.objects.count() == 1


@pytest.mark.usefixtures("verify_later")
def test_a_duplicate_has_what_is_only_claimed(
    client: Client, mine: XetClient, alice: User, run_jobs
) -> None:
    mine.publish({PATH: WEIGHTS})
    space = Namespace.objects.get(user=alice)
    before = usage_of(space).used_bytes

    answer = post(client, f"{BASE}/duplicate", {"repository": "alice/copy"}, mine.headers)

    copy = XetClient(client, mine.headers, "alice/copy")
    assert answer.status_code == 200
    assert body_of(copy.resolve(PATH)) == WEIGHTS.content
    assert usage_of(space).used_bytes >= before + len(WEIGHTS.content)
    run_jobs()
    assert not XetClaim.objects.exists()
    assert body_of(XetClient(client, {}, "alice/copy").resolve(PATH)) == WEIGHTS.content


@pytest.mark.usefixtures("verify_later")
def test_git_pushes_pointers_to_what_is_claimed(
    mine: XetClient, bobs: XetClient, alice: User, bob: User, repo: ModelRepo
) -> None:
    mine.send_xorb(WEIGHTS)
    mine.send_shard(WEIGHTS.shard())
    his = ModelRepo.objects.get(name="own")
    pointer = LfsPointer(WEIGHTS.sha256, len(WEIGHTS.content)).text()
    pushed, objects = one_file(head(repo), name="a__safetensors", data=pointer)
    foreign, theirs = one_file(head(his), name="a__safetensors", data=pointer)
    main, before = f"{HEADS}main", state(his)

    push(alice, repo, objects, (main, head(repo), pushed))
    with pytest.raises(NotOwnedError):
        push(bob, his, theirs, (main, head(his), foreign))

    assert body_of(mine.resolve(PATH)) == WEIGHTS.content
    assert state(his) == before


@pytest.mark.usefixtures("verify_later")
def test_what_is_claimed_is_listed_and_deleted(mine: XetClient, run_jobs) -> None:
    mine.publish({PATH: WEIGHTS})

    [row] = listed(mine)
    deleted = post(
        mine.client,
        f"{BASE}/lfs-files/batch",
        {"deletions": {"sha": [WEIGHTS.sha256], "rewriteHistory": True}},
        mine.headers,
    )
    run_jobs()

    assert (row["filename"], row["ref"]) == (PATH, "main")
    assert (row["oid"], row["size"]) == (WEIGHTS.sha256, len(WEIGHTS.content))
    assert "xetHash" not in row  # nobody fetches a claim that way
    assert deleted.json() == {"success": True, "deleted": 1}
    assert listed(mine) == []
    assert not XetClaim.objects.exists()
    assert not LfsObject.objects.exists()
    assert mine.resolve(PATH).status_code == 404


def test_rows_say_what_xet_clients_fetch_them_by(mine: XetClient) -> None:
    mine.publish({PATH: WEIGHTS})

    [row] = listed(mine)

    assert row["xetHash"] == WEIGHTS.file


def test_what_was_never_committed_is_not_listed(mine: XetClient) -> None:
    mine.upload(made(9_000))
    mine.publish({PATH: WEIGHTS})

    assert [row["filename"] for row in listed(mine)] == [PATH]


@pytest.mark.usefixtures("verify_later")
def test_pages_of_files_of_both_kinds(mine: XetClient, run_jobs) -> None:
    files = [made(1000, seed) for seed in range(4)]
    for number, file in enumerate(files):
        mine.publish({f"{number}.bin": file})
        if number == 1:
            run_jobs()

    rows, url = [], f"{BASE}/lfs-files?limit=1"
    while url:
        answer = mine.client.get(url, headers=mine.headers)
        rows += answer.json()
        url = next_page(answer)
    wrong = mine.client.get(f"{BASE}/lfs-files?cursor=WzEsMl0", headers=mine.headers)

    assert {row["filename"] for row in rows} == {f"{number}.bin" for number in range(4)}
    assert len(rows) == 4
    assert wrong.status_code == 400

"""Open pull requests whose branch gave up its history: squashed, or files taken out of it."""

import hashlib
import re

import pytest
from django.test import Client

from accounts.models import User
from catalog.models import Discussion, GitObject, ModelRepo
from tests.factories import add_files, make_repo
from tests.hub.talk import BASE, commit, details, post, proposed, put
from tests.hub.test_pull_requests import heads, large, read, state
from tests.hub.test_rewriting import paths, titles
from tests.hub.wire import post as send

WEIGHTS = b"weights of a model"
SHA = hashlib.sha256(WEIGHTS).hexdigest()


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    made = make_repo(alice)
    add_files(alice, made, {"w.bin": WEIGHTS, "a.txt": b"a\n"})
    add_files(alice, made, {"b.txt": b"b\n"})
    return made


@pytest.fixture
def write(alice: User, bearer) -> dict:
    return bearer(alice, "write")


@pytest.fixture
def stranger(bob: User, bearer) -> dict:
    return bearer(bob, "write")


def squash(client: Client, headers: dict, ref: str = "main") -> str:
    answer = send(client, f"{BASE}/super-squash/{ref}", {"message": "All in one"}, headers)
    assert answer.status_code == 200, answer.content
    return answer.json()["newCommitId"]


def delete_weights(client: Client, headers: dict) -> None:
    body = {"deletions": {"sha": [SHA], "rewriteHistory": True}}
    answer = send(client, f"{BASE}/lfs-files/batch", body, headers)
    assert answer.json() == {"success": True, "deleted": 1}


def parents(oid: str) -> list[str]:
    data = bytes(GitObject.objects.get(oid=oid).data)
    return [each.decode() for each in re.findall(rb"^parent ([0-9a-f]{40})$", data, re.MULTILINE)]


def test_a_squashed_branch_takes_the_files_and_not_its_old_history(
    client: Client, repo: ModelRepo, write: dict, stranger: dict
) -> None:
    number = proposed(client, stranger, put("a.txt", "A\n"), summary="Shout")
    root = squash(client, write)

    found = details(client, number)
    answer = post(client, f"/{number}/merge", write)

    assert (found["filesWithConflicts"], found["diff"].count("diff --git")) == ([], 1)
    assert answer.status_code == 200, answer.content
    assert titles(client, "main") == ["Shout (#1)", "All in one"]
    assert parents(heads(repo)["refs/heads/main"]) == [root]
    assert read(client, "main", "a.txt").content == b"A\n"
    assert paths(client, "main") == [".gitattributes", "a.txt", "b.txt", "w.bin"]
    assert "+A" in details(client, number)["diff"]


def test_a_squashed_branch_that_changed_the_same_file_is_a_conflict(
    client: Client, repo: ModelRepo, write: dict, stranger: dict
) -> None:
    number = proposed(client, stranger, put("a.txt", "A\n"))
    squash(client, write)
    assert commit(client, write, put("a.txt", "other\n"), to="main").status_code == 200
    before = state(repo)

    answer = post(client, f"/{number}/merge", write)

    assert (answer.status_code, answer.json()["code"]) == (409, "merge_conflict")
    assert answer.json()["extra"] == {"files": ["a.txt"]}
    assert details(client, number)["filesWithConflicts"] == ["a.txt"]
    assert state(repo) == before


def test_a_squashed_proposal_is_merged(
    client: Client, repo: ModelRepo, write: dict, stranger: dict
) -> None:
    number = proposed(client, stranger, put("a.txt", "A\n"))
    commit(client, stranger, put("c.txt", "c\n"), to=f"refs/pr/{number}")
    head = squash(client, write, "refs%2Fpr%2F1")

    found = details(client, number)
    answer = post(client, f"/{number}/merge", write)

    assert found["diff"].count("diff --git") == 2
    assert answer.status_code == 200, answer.content
    assert parents(heads(repo)["refs/heads/main"])[1:] == [head]
    assert read(client, "main", "c.txt").content == b"c\n"


def test_a_proposal_does_not_seem_to_delete_what_left_its_history(
    client: Client, repo: ModelRepo, write: dict, stranger: dict
) -> None:
    number = proposed(client, stranger, put("a.txt", "A\n"))
    delete_weights(client, write)

    found = details(client, number)
    answer = post(client, f"/{number}/merge", write)

    assert found["diff"].count("diff --git") == 1
    assert "w.bin" not in found["diff"]
    assert answer.status_code == 200, answer.content
    assert len(parents(heads(repo)["refs/heads/main"])) == 2
    assert paths(client, "main") == [".gitattributes", "a.txt", "b.txt"]
    for oid in heads(repo).values():
        assert "w.bin" not in paths(client, oid)


def test_a_closed_proposal_of_a_new_version_can_come_back(
    client: Client, repo: ModelRepo, write: dict
) -> None:
    """It replaced what was deleted: now it adds the file."""
    number = proposed(client, write, large(client, write, b"better weights", "w.bin"))
    assert post(client, f"/{number}/status", write, status="closed").status_code == 200
    delete_weights(client, write)
    assert post(client, f"/{number}/status", write, status="open").status_code == 200

    found = details(client, number)
    answer = post(client, f"/{number}/merge", write)

    assert found["filesWithConflicts"] == []
    assert "--- /dev/null\n+++ b/w.bin" in found["diff"]
    assert answer.status_code == 200, answer.content
    assert paths(client, "main") == [".gitattributes", "a.txt", "b.txt", "w.bin"]


def test_what_was_merged_shows_what_it_showed(
    client: Client, repo: ModelRepo, write: dict, stranger: dict
) -> None:
    number = proposed(client, stranger, put("a.txt", "A\n"))
    assert post(client, f"/{number}/merge", write).status_code == 200
    before = details(client, number)["diff"]

    delete_weights(client, write)
    squash(client, write)

    assert details(client, number)["diff"] == before
    assert Discussion.objects.get().status == "merged"

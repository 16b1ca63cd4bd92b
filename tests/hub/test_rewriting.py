"""Squashing history, listing large files, deleting them for good."""

import hashlib
import subprocess
from pathlib import Path

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.history.objects import ObjectStore
from catalog.models import (
    Commit,
    FileScan,
    Listing,
    ModelRepo,
    Ref,
    RepoEvent,
    RepoLfsObject,
)
from catalog.services.pulls import open_pull_request
from tests.factories import add_files, make_repo
from tests.hub.wire import BASE, next_page, post, state

WEIGHTS = b"weights of a model"
SHA = hashlib.sha256(WEIGHTS).hexdigest()


def titles(client: Client, revision: str) -> list[str]:
    return [item["title"] for item in client.get(f"{BASE}/commits/{revision}").json()]


def paths(client: Client, revision: str) -> list[str]:
    tree = client.get(f"{BASE}/tree/{revision}?recursive=true").json()
    return [item["path"] for item in tree]


def pull_request(repo: ModelRepo, number: int, oid: str) -> None:
    """Open a pull request that proposes ``oid``."""
    owner = repo.namespace.user
    assert owner is not None
    made = open_pull_request(Viewer(user=owner), repo, title="A proposal", text="")
    assert made.number == number
    Ref.objects.filter(repo=repo, name=made.ref_name).update(oid=oid, commit_oid=oid)


def test_a_squashed_branch_is_one_commit_with_the_same_files(
    client: Client, alice: User, repo: ModelRepo, write: dict
) -> None:
    add_files(alice, repo, {"file.txt": b"content"})
    add_files(alice, repo, {"w.bin": WEIGHTS})
    post(client, f"{BASE}/branch/v0.1", {}, write)
    before = paths(client, "main")

    answer = post(client, f"{BASE}/super-squash/main", {"message": "All in one\n\nwhy"}, write)

    oid = answer.json()["newCommitId"]
    [only] = client.get(f"{BASE}/commits/main").json()
    assert (only["id"], only["title"], only["message"]) == (oid, "All in one", "why")
    assert Commit.objects.get(oid=oid).parent_oid == ""
    assert paths(client, "main") == before
    assert titles(client, "v0.1") == ["add files", "add files", "initial commit"]
    assert Listing.objects.get(repo=repo).head_oid == oid
    assert client.get(f"{BASE}").json()["sha"] == oid
    told = RepoEvent.objects.filter(repo=repo).order_by("-id").first()
    assert told.facts["updated_refs"][0]["new"] == oid
    expanded = client.get(f"{BASE}/tree/main?expand=true").json()
    assert {item["lastCommit"]["id"] for item in expanded} == {oid}


def test_pull_requests_are_squashed_by_their_full_name(
    client: Client, alice: User, repo: ModelRepo, write: dict
) -> None:
    pull_request(repo, 1, add_files(alice, repo, {"a": b"a"}))
    before = titles(client, "main")

    answer = client.post(
        "/",
        {"message": "one"},
        content_type="application/json",
        headers=write,
        PATH_INFO=f"{BASE}/super-squash/refs\ue000pr\ue0001".encode().decode("latin-1"),
        RAW_URI=f"{BASE}/super-squash/refs%2Fpr%2F1",
    )

    assert answer.status_code == 200
    assert titles(client, "refs/pr/1") == ["one"]
    assert titles(client, "main") == before


@pytest.mark.parametrize(
    ("ref", "body", "status", "code"),
    [
        ("nope", {"message": "x"}, 404, "RevisionNotFound"),
        ("v1", {"message": "x"}, 400, ""),
        ("main", {"message": " "}, 400, ""),
        ("main", {"message": "x" * 501}, 400, ""),
        ("main", {"message": 3}, 400, ""),
        ("main", {"message": "a\0b"}, 400, ""),
    ],
)
def test_what_cannot_be_squashed_stays(
    client: Client, repo: ModelRepo, write: dict, ref: str, body: dict, status: int, code: str
) -> None:
    post(client, f"{BASE}/tag/main", {"tag": "v1"}, write)
    before = state(repo)

    answer = post(client, f"{BASE}/super-squash/{ref}", body, write)

    assert (answer.status_code, answer.headers.get("X-Error-Code", "")) == (status, code)
    assert state(repo) == before


def test_only_writers_rewrite(client: Client, alice: User, bob: User, repo, bearer) -> None:
    add_files(alice, repo, {"w.bin": WEIGHTS})
    before = state(repo)
    callers: list[dict] = [bearer(bob), bearer(alice, "read"), {}]

    answers = [
        ask(headers).status_code
        for headers in callers
        for ask in (
            lambda headers: post(client, f"{BASE}/super-squash/main", {"message": "x"}, headers),
            lambda headers: client.get(f"{BASE}/lfs-files", headers=headers),
            lambda headers: post(
                client,
                f"{BASE}/lfs-files/batch",
                {"deletions": {"sha": [SHA], "rewriteHistory": True}},
                headers,
            ),
            lambda headers: client.delete(f"{BASE}/lfs-files/{SHA}", headers=headers),
        )
    ]

    assert answers == [403] * 8 + [401] * 4
    assert state(repo) == before


def test_large_files_are_listed_with_the_ref_they_are_in(
    client: Client, alice: User, repo: ModelRepo, write: dict
) -> None:
    add_files(alice, repo, {"old.bin": b"first", "text.txt": b"x"})
    add_files(alice, repo, {"old.bin": b"second"})
    post(client, f"{BASE}/branch/dev", {}, write)
    add_files(alice, repo, {"sub/dev.bin": b"third"}, revision="dev")
    pull_request(repo, 1, Ref.objects.get(name="refs/heads/main").oid)
    add_files(alice, repo, {"pr.bin": b"fourth"}, revision="refs/pr/1")

    rows, url = [], f"{BASE}/lfs-files?limit=3"
    while url:
        answer = client.get(url, headers=write)
        rows += answer.json()
        url = next_page(answer)

    assert [(row["filename"], row["ref"], row["size"]) for row in rows] == [
        ("old.bin", "main", 5),
        ("old.bin", "main", 6),
        ("sub/dev.bin", "dev", 5),
        ("pr.bin", "refs/pr/1", 6),
    ]
    assert all(row["oid"] == row["fileOid"] for row in rows)
    assert rows[0]["oid"] == hashlib.sha256(b"first").hexdigest()
    assert rows[0]["pushedAt"].endswith("Z")


def test_deleted_files_vanish_from_every_ref(
    client: Client, alice: User, repo: ModelRepo, write: dict
) -> None:
    add_files(alice, repo, {"deep/er/w.bin": WEIGHTS, "keep.bin": b"keep", "a.txt": b"a"})
    old = add_files(alice, repo, {"b.txt": b"b"})
    post(client, f"{BASE}/branch/dev", {}, write)
    post(client, f"{BASE}/tag/main", {"tag": "light"}, write)
    post(client, f"{BASE}/tag/main", {"tag": "noted", "message": "First"}, write)
    pull_request(repo, 1, old)
    before = client.get(f"{BASE}/commits/main").json()
    room = RepoLfsObject.objects.filter(repo=repo).count()

    answer = post(
        client,
        f"{BASE}/lfs-files/batch",
        {"deletions": {"sha": [SHA, "f" * 64], "rewriteHistory": True}},
        write,
    )

    assert (answer.status_code, answer.json()["deleted"]) == (200, 1)
    for revision in ("main", "dev", "light", "noted", "refs/pr/1"):
        assert paths(client, revision) == [".gitattributes", "a.txt", "b.txt", "keep.bin"]
        assert titles(client, revision) == ["add files", "add files", "initial commit"]
    after = client.get(f"{BASE}/commits/main").json()
    assert after[-1] == before[-1]
    assert [item["date"] for item in after] == [item["date"] for item in before]
    missing = client.get("/alice/tiny/resolve/main/deep/er/w.bin")
    assert (missing.status_code, missing["X-Error-Code"]) == (404, "EntryNotFound")
    assert missing["X-Repo-Commit"] == after[0]["id"]
    assert client.get(f"/alice/tiny/resolve/{old}/deep/er/w.bin", headers=write).status_code == 404
    assert RepoLfsObject.objects.filter(repo=repo).count() == room - 1
    assert not FileScan.objects.filter(repo=repo, path="deep/er/w.bin").exists()
    listing = Listing.objects.get(repo=repo)
    assert (listing.head_oid, listing.file_count) == (after[0]["id"], 4)
    assert ObjectStore(repo.pk).tag(Ref.objects.get(name="refs/tags/noted").oid).message == (
        b"First\n"
    )
    told = RepoEvent.objects.filter(repo=repo).order_by("-id").first()
    assert {moved["ref"] for moved in told.facts["updated_refs"]} == {
        "refs/heads/main",
        "refs/heads/dev",
        "refs/tags/light",
        "refs/tags/noted",
        "refs/pr/1",
    }


def test_rewritten_commits_are_what_git_would_write(
    client: Client, alice: User, repo: ModelRepo, write: dict, tmp_path: Path
) -> None:
    add_files(alice, repo, {"w.bin": WEIGHTS, "a.txt": b"a"})
    old = add_files(alice, repo, {"sub/b.txt": b"b"})
    client.delete(f"{BASE}/lfs-files/{SHA}?rewriteHistory=true", headers=write)
    head = Ref.objects.get(repo=repo, name="refs/heads/main").oid
    store = ObjectStore(repo.pk)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)

    def hashed(oid: str, kind: str) -> str:
        done = subprocess.run(
            ["git", "-C", tmp_path, "hash-object", "-t", kind, "-w", "--stdin", "--literally"],
            input=store.raw(oid)[1],
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().strip()

    commit = Commit.objects.get(repo=repo, oid=head)

    assert hashed(head, "commit") == head
    assert hashed(commit.tree_oid, "tree") == commit.tree_oid
    assert store.commit(head).message == store.commit(old).message
    assert store.commit(head).author == store.commit(old).author
    assert (commit.depth, commit.title) == (2, "add files")


def test_without_rewriting_the_names_stay_and_the_bytes_go(
    client: Client, alice: User, repo: ModelRepo, write: dict
) -> None:
    add_files(alice, repo, {"w.bin": WEIGHTS})
    other = make_repo(alice, "other")
    add_files(alice, other, {"w.bin": WEIGHTS})
    before = Ref.objects.get(repo=repo).oid

    answer = client.delete(f"{BASE}/lfs-files/{SHA}", headers=write)
    again = client.delete(f"{BASE}/lfs-files/{SHA}", headers=write)

    assert (answer.status_code, again.status_code) == (200, 404)
    assert Ref.objects.get(repo=repo).oid == before
    assert paths(client, "main") == [".gitattributes", "w.bin"]
    assert client.get("/alice/tiny/resolve/main/w.bin").status_code == 404
    assert client.get(f"/alice/tiny.git/info/lfs/objects/{SHA}").status_code == 404
    assert b"".join(client.get("/alice/other/resolve/main/w.bin")) == WEIGHTS


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"deletions": 3},
        {"deletions": {"sha": "x"}},
        {"deletions": {"sha": [3]}},
        {"deletions": {"sha": ["../x"]}},
        {"deletions": {"sha": [SHA.upper()]}},
        {"deletions": {"sha": [f"{number:064x}" for number in range(1001)]}},
        {"deletions": {"sha": [SHA], "rewriteHistory": "yes"}},
    ],
)
def test_refused_deletions_delete_nothing(
    client: Client, alice: User, repo: ModelRepo, write: dict, body: dict
) -> None:
    add_files(alice, repo, {"w.bin": WEIGHTS})
    before = state(repo)

    assert post(client, f"{BASE}/lfs-files/batch", body, write).status_code == 400
    assert state(repo) == before

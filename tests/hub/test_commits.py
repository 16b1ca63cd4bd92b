"""Commits: both forms, renames, copies, deletions, paths, parents."""

import hashlib
import json

import pytest
from django.test import Client

from accounts.models import Namespace, User
from catalog.content.quotas import usage_of
from catalog.models import Commit, ModelRepo
from tests.factories import add_files, make_repo, safetensors
from tests.hub.wire import BASE, JSON, commit, heads, post, state

WEIGHTS = safetensors(seed=5)
SHA = hashlib.sha256(WEIGHTS).hexdigest()


def paths(client: Client, revision: str = "main") -> list[str]:
    tree = client.get(f"{BASE}/tree/{revision}?recursive=true").json()
    return [item["path"] for item in tree if item["type"] == "file"]


def legacy(client: Client, headers: dict, body: object):
    text = body if isinstance(body, str) else json.dumps(body)
    return client.post(f"{BASE}/commit/main", text, content_type=JSON, headers=headers)


def test_the_older_json_form(client: Client, alice: User, repo: ModelRepo, write: dict) -> None:
    add_files(alice, repo, {"w.safetensors": WEIGHTS, "old/a": b"x", "old/b": b"x"})

    answer = legacy(
        client,
        write,
        {
            "summary": "Many at once",
            "description": "in one object",
            "parentCommit": heads(repo)[0][1],
            "files": [{"path": "a.txt", "content": "aGk=", "encoding": "base64"}],
            "lfsFiles": [{"path": "copy.safetensors", "algo": "sha256", "oid": SHA}],
            "deletedEntries": [{"path": "old/"}],
        },
    )

    assert answer.status_code == 200
    assert paths(client) == [".gitattributes", "a.txt", "copy.safetensors", "w.safetensors"]
    row = Commit.objects.get(oid=answer.json()["commitOid"])
    assert (row.title, row.message) == ("Many at once", "in one object")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("nonsense", 400),
        ("[]", 400),
        ({"files": [{"path": "a", "content": "x"}]}, 400),
        ({"summary": "x"}, 400),
        ({"summary": "x", "files": 3}, 400),
        ({"summary": "x", "files": [3]}, 400),
        ({"summary": "x", "files": [{"path": "../a", "content": "x"}]}, 422),
        ({"summary": "x", "deletedFiles": [{"path": "gone"}]}, 404),
        ({"summary": "x", "lfsFiles": [{"path": "w", "oid": "0" * 64}]}, 422),
    ],
)
def test_refused_older_forms_change_nothing(
    client: Client, repo: ModelRepo, write: dict, body: object, status: int
) -> None:
    before = state(repo)

    assert legacy(client, write, body).status_code == status
    assert state(repo) == before


def test_the_older_form_is_bounded(client: Client, repo, write, monkeypatch) -> None:
    monkeypatch.setattr("hub.views.commit.MAX_LEGACY_BYTES", 100)
    before = state(repo)

    answer = legacy(client, write, {"summary": "x", "files": [{"path": "a", "content": "x" * 99}]})

    assert answer.status_code == 413
    assert state(repo) == before


def test_renames_copies_and_deletions(
    client: Client, alice: User, repo: ModelRepo, write: dict
) -> None:
    add_files(
        alice,
        repo,
        {"a.txt": b"a", "w.safetensors": WEIGHTS, "1/x": b"x", "1/2/y": b"y", "z/q": b"q"},
    )

    answer = commit(
        client,
        write,
        ("file", {"path": "sub/b.txt", "content": "a", "oldPath": "a.txt"}),
        ("lfsFile", {"path": "v.safetensors", "oid": SHA, "oldPath": "w.safetensors"}),
        ("lfsFile", {"path": "u.safetensors", "algo": "sha256", "oid": SHA}),
        ("deletedFile", {"path": "1"}),
        ("deletedFolder", {"path": "z/"}),
    )

    assert answer.status_code == 200
    assert paths(client) == [
        ".gitattributes",
        "sub/b.txt",
        "u.safetensors",
        "v.safetensors",
    ]


def test_lines_apply_in_order(client: Client, alice: User, repo: ModelRepo, write: dict) -> None:
    add_files(alice, repo, {"a": b"old"})

    answer = commit(
        client,
        write,
        ("deletedFile", {"path": "a"}),
        ("file", {"path": "a", "content": "1"}),
        ("file", {"path": "a", "content": "2"}),
        ("file", {"path": "b", "content": "x"}),
        ("deletedEntry", {"path": "b"}),
    )

    assert answer.status_code == 200
    assert b"".join(client.get("/alice/tiny/resolve/main/a")) == b"2"
    assert "b" not in paths(client)


@pytest.mark.parametrize(
    "path",
    ["folder/..\\..\\..\\file", "a b/ü.txt", "a'b\"c", "..a", "a..b/c", ".gitignore", "-x", "a\\b"],
)
def test_odd_paths_are_legal(client: Client, repo: ModelRepo, write: dict, path: str) -> None:
    assert commit(client, write, ("file", {"path": path, "content": "x"})).status_code == 200
    assert path in paths(client)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/a",
        "a//b",
        "a/",
        "./a",
        "a/./b",
        "../a",
        "a/..",
        "a/../b",
        "..\\a",
        ".git/config",
        "sub/.git/x",
        "sub/.GIT",
        "a\u0000b",
        "a\nb",
        "x" * 300,
        "a/" * 70 + "b",
    ],
)
def test_paths_that_cannot_be_stored(
    client: Client, repo: ModelRepo, write: dict, path: str
) -> None:
    before = state(repo)

    answer = commit(client, write, ("file", {"path": path, "content": "x"}))

    assert answer.status_code in {400, 422}
    assert answer.status_code == 422 or "\0" in path
    assert state(repo) == before


def test_a_file_and_a_folder_cannot_share_a_name(
    client: Client, alice: User, repo: ModelRepo, write: dict
) -> None:
    add_files(alice, repo, {"a": b"x", "sub/b": b"x"})
    before = state(repo)

    below = commit(client, write, ("file", {"path": "a/b", "content": "x"}))
    over = commit(client, write, ("file", {"path": "sub", "content": "x"}))

    assert (below.status_code, over.status_code) == (422, 422)
    assert state(repo) == before


def test_the_parent_must_be_the_head(client: Client, repo: ModelRepo, write: dict) -> None:
    first = heads(repo)[0][1]
    add = ("file", {"path": "a", "content": "1"})

    short = commit(client, write, add, parentCommit=first[:7].upper())
    before = state(repo)
    late = commit(client, write, ("file", {"path": "b", "content": "2"}), parentCommit=first)

    assert short.status_code == 200
    assert late.status_code == 412
    assert late.json()["error"].startswith(
        "The branch was updated since you opened this page. Please refresh and try again."
    )
    assert "X-Error-Code" not in late
    assert state(repo) == before


def test_a_commit_that_changes_nothing_returns_the_head(
    client: Client, alice: User, repo: ModelRepo, write: dict
) -> None:
    head = add_files(alice, repo, {"a": b"x"})

    answer = commit(client, write, ("file", {"path": "a", "content": "x"}))

    assert answer.json()["commitOid"] == head
    assert len(client.get(f"{BASE}/commits/main").json()) == 2


@pytest.mark.parametrize("rev", ["v1", "nope", "HEADS", "refs/tags/v1"])
def test_only_branches_take_commits(client: Client, repo: ModelRepo, write: dict, rev: str) -> None:
    post(client, f"{BASE}/tag/main", {"tag": "v1"}, write)
    before = state(repo)

    answer = commit(client, write, ("file", {"path": "a", "content": "x"}), rev=rev)

    assert (answer.status_code, answer["X-Error-Code"]) == (404, "RevisionNotFound")
    assert f"Invalid rev id: {rev}" in answer.json()["error"]
    assert state(repo) == before


def test_a_header_alone_is_refused(client: Client, repo: ModelRepo, write: dict) -> None:
    before = state(repo)

    answer = commit(client, write)

    assert answer.status_code == 400
    assert answer.json()["error"] == "Add a line with the key `lfsFile`, `file` or `deletedFile`"
    assert state(repo) == before


def test_names_of_letters_in_any_case(client: Client, repo: ModelRepo, write: dict) -> None:
    answer = commit(
        client, write, ("file", {"path": "a", "content": "x"}), base="/api/models/ALICE/Tiny"
    )

    assert answer.json()["commitUrl"].startswith("http://testserver/alice/tiny/commit/")


def test_a_publisher_hears_when_the_room_runs_out(
    client: Client, alice: User, repo: ModelRepo, write: dict
) -> None:
    add_files(alice, repo, {"w.bin": bytes(100_000)})
    space = Namespace.objects.get(name="alice")
    silent = commit(client, write, ("file", {"path": "a", "content": "x"}))
    space.storage_quota_bytes = usage_of(space).used_bytes + 5000
    space.save()

    warned = commit(client, write, ("file", {"path": "b", "content": "x"}))

    assert "X-HF-Warning" not in silent
    assert warned["X-HF-Warning"].startswith("storage; alice uses ")


def test_a_private_models_commits_are_its_own(
    client: Client, alice: User, bob: User, bearer
) -> None:
    hidden = make_repo(alice, "hidden", is_private=True)
    before = state(hidden)
    add = ("file", {"path": "a", "content": "x"})

    callers: list[dict] = [bearer(bob), {}]
    answers = [commit(client, headers, add, base="/api/models/alice/hidden") for headers in callers]

    assert [answer.status_code for answer in answers] == [404, 401]
    assert all(answer["X-Error-Code"] == "RepoNotFound" for answer in answers)
    assert state(hidden) == before

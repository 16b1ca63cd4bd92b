"""Branches and tags: every start, every refusal, what is told."""

import pytest
from django.test import Client

from accounts.models import User
from catalog.models import Commit, Listing, ModelRepo, Ref, RepoEvent
from store.wsgi import decode_path
from tests.factories import add_files
from tests.hub.wire import BASE, JSON, heads, post, state


def names(client: Client, kind: str = "branches") -> dict[str, str]:
    found = client.get(f"{BASE}/refs").json()[kind]
    return {ref["name"]: ref["targetCommit"] for ref in found}


def encoded(client: Client, url: str, body: dict, headers: dict):
    return client.post(
        "/",
        body,
        content_type=JSON,
        headers=headers,
        PATH_INFO=decode_path(url),
        RAW_URI=url,
    )


def test_branches_start_where_they_are_told(
    client: Client, alice: User, repo: ModelRepo, write: dict
) -> None:
    first = heads(repo)[0][1]
    head = add_files(alice, repo, {"a": b"x"})
    post(client, f"{BASE}/tag/main", {"tag": "v1"}, write)

    starts = {"plain": {}, "at-tag": {"startingPoint": "v1"}, "old": {"startingPoint": first[:7]}}
    answers = [
        post(client, f"{BASE}/branch/{name}", body, write).status_code
        for name, body in starts.items()
    ]
    answers.append(post(client, f"{BASE}/branch/v1", {}, write).status_code)
    answers.append(
        encoded(client, f"{BASE}/branch/feat%2Fone", {"startingPoint": "main"}, write).status_code
    )

    assert answers == [200] * 5
    assert names(client) == {
        "main": head,
        "plain": head,
        "at-tag": head,
        "old": first,
        "v1": head,
        "feat/one": head,
    }
    told = RepoEvent.objects.filter(repo=repo, facts__updated_refs__0__ref="refs/heads/old").get()
    assert told.facts["updated_refs"] == [{"ref": "refs/heads/old", "old": None, "new": first}]


def test_an_empty_branch_begins_a_history_of_its_own(
    client: Client, alice: User, repo: ModelRepo, write: dict
) -> None:
    add_files(alice, repo, {"a": b"x"})

    answer = post(client, f"{BASE}/branch/empty", {"emptyBranch": True}, write)

    assert answer.status_code == 200
    assert client.get(f"{BASE}/tree/empty").json() == []
    [only] = client.get(f"{BASE}/commits/empty").json()
    assert only["title"] == "initial commit"
    assert Commit.objects.get(oid=only["id"]).parent_oid == ""


def test_overwriting_moves_a_branch_only_with_a_start(
    client: Client, alice: User, repo: ModelRepo, write: dict
) -> None:
    first = heads(repo)[0][1]
    post(client, f"{BASE}/branch/dev", {}, write)
    head = add_files(alice, repo, {"a": b"x"}, revision="dev")
    url = f"{BASE}/branch/dev"

    kept = post(client, url, {"overwrite": True}, write)
    after_kept = names(client)["dev"]
    moved = post(client, url, {"overwrite": True, "startingPoint": "main"}, write)
    after_moved = names(client)["dev"]
    emptied = post(client, url, {"overwrite": True, "emptyBranch": True}, write)

    assert [kept.status_code, moved.status_code, emptied.status_code] == [200, 200, 200]
    assert (after_kept, after_moved) == (head, first)
    assert client.get(f"{BASE}/tree/dev").json() == []


def test_a_moved_default_branch_is_listed_as_it_is(
    client: Client, alice: User, repo: ModelRepo, write: dict
) -> None:
    first = heads(repo)[0][1]
    add_files(alice, repo, {"README.md": b"---\nlicense: mit\n---\n"})

    post(client, f"{BASE}/branch/main", {"overwrite": True, "startingPoint": first}, write)

    assert Listing.objects.get(repo=repo).head_oid == first
    assert "license:mit" not in client.get(BASE).json()["tags"]


@pytest.mark.parametrize(
    ("name", "body", "status", "words"),
    [
        ("dev", {}, 409, "Reference refs/heads/dev already exists"),
        ("dev", {"startingPoint": "main"}, 409, "Reference refs/heads/dev already exists"),
        ("dev", {"emptyBranch": True}, 409, "Reference refs/heads/dev already exists"),
        ("dev/below", {}, 409, "refs/heads/dev/below"),
        ("new", {"startingPoint": "nope"}, 404, "Invalid rev id: nope"),
        ("new", {"startingPoint": 3}, 400, "startingPoint"),
        ("new", {"startingPoint": "main", "emptyBranch": True}, 400, "not both"),
        ("a..b", {}, 400, "cannot name"),
        ("a~b", {"emptyBranch": True}, 400, "cannot name"),
        ("x.lock", {}, 400, "cannot name"),
        ("refs/pr/5", {}, 400, "Invalid reference for a branch"),
        ("refs%2Fsomething%2Frandom", {}, 400, "Invalid reference for a branch"),
        ("a" * 40, {}, 400, "Invalid reference for a branch"),
        ("HEAD", {}, 400, "Invalid reference for a branch"),
    ],
)
def test_refused_branches_change_nothing(
    client: Client, repo: ModelRepo, write: dict, name: str, body: dict, status: int, words: str
) -> None:
    post(client, f"{BASE}/branch/dev", {}, write)
    before = state(repo)

    answer = post(client, f"{BASE}/branch/{name}", body, write)

    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert answer.headers.get("X-Error-Code", "") == ("RevisionNotFound" if status == 404 else "")
    assert state(repo) == before


@pytest.mark.parametrize(
    ("url", "status", "words"),
    [
        ("branch/main", 403, "Cannot delete refs/heads/main"),
        ("branch/nope", 404, "Invalid rev id: nope"),
        ("branch/v1", 404, "Invalid rev id: v1"),
        ("tag/nope", 404, "Invalid rev id: nope"),
        ("tag/main", 404, "Invalid rev id: main"),
    ],
)
def test_refused_deletions_change_nothing(
    client: Client, repo: ModelRepo, write: dict, url: str, status: int, words: str
) -> None:
    post(client, f"{BASE}/tag/main", {"tag": "v1"}, write)
    before = state(repo)

    answer = client.delete(f"{BASE}/{url}", headers=write)

    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert answer.headers.get("X-Error-Code", "") == ("RevisionNotFound" if status == 404 else "")
    assert state(repo) == before


def test_deleted_branches_are_told(client: Client, repo: ModelRepo, write: dict) -> None:
    post(client, f"{BASE}/branch/dev", {}, write)

    assert client.delete(f"{BASE}/branch/dev", headers=write).status_code == 200
    assert list(names(client)) == ["main"]
    told = RepoEvent.objects.filter(repo=repo).order_by("-id").first()
    assert told.facts["updated_refs"][0]["new"] is None


def test_tags_of_every_revision(client: Client, alice: User, repo: ModelRepo, write: dict) -> None:
    head = add_files(alice, repo, {"a": b"x"})
    Ref.objects.create(repo=repo, name="refs/pr/1", oid=head, commit_oid=head)

    def tag(revision: str, **body):
        return encoded(client, f"{BASE}/tag/{revision}", body, write).status_code

    answers = [
        tag("main", tag="light"),
        tag("main", tag="noted", message="First\nrelease"),
        tag(head, tag="by-id"),
        tag(head[:7], tag="by-short-id"),
        tag("refs%2Fpr%2F1", tag="by-pull"),
        tag("light", tag="v1/by-tag", message=""),
    ]

    assert answers == [200] * 6
    assert set(names(client, "tags").values()) == {head}
    assert Ref.objects.get(name="refs/tags/noted").oid != head
    assert Ref.objects.get(name="refs/tags/light").oid == head
    assert client.delete(f"{BASE}/tag/light", headers=write).status_code == 200
    assert "light" not in names(client, "tags")


@pytest.mark.parametrize(
    ("revision", "body", "status"),
    [
        ("main", {"tag": "v1"}, 409),
        ("main", {}, 400),
        ("main", {"tag": 3}, 400),
        ("main", {"tag": "x", "message": 3}, 400),
        ("main", {"tag": "x", "message": "m" * 5000}, 400),
        ("nope", {"tag": "x"}, 404),
        ("nope", {"tag": "a b"}, 404),
        *(("main", {"tag": f"a{char}b"}, 400) for char in " ~^:?*[\\"),
        ("main", {"tag": ""}, 400),
        ("main", {"tag": "refs/pr/1"}, 400),
    ],
)
def test_refused_tags_change_nothing(
    client: Client, repo: ModelRepo, write: dict, revision: str, body: dict, status: int
) -> None:
    post(client, f"{BASE}/tag/main", {"tag": "v1"}, write)
    before = state(repo)

    answer = post(client, f"{BASE}/tag/{revision}", body, write)

    assert answer.status_code == status
    assert state(repo) == before


def test_only_writers_make_refs(
    client: Client, alice: User, bob: User, repo: ModelRepo, bearer
) -> None:
    before = state(repo)
    callers: list[dict] = [bearer(bob), bearer(alice, "read"), {}]

    answers = [
        answer.status_code
        for headers in callers
        for answer in (
            post(client, f"{BASE}/branch/dev", {}, headers),
            client.delete(f"{BASE}/branch/main", headers=headers),
            post(client, f"{BASE}/tag/main", {"tag": "v1"}, headers),
            client.delete(f"{BASE}/tag/v1", headers=headers),
        )
    ]

    assert answers == [403] * 8 + [401] * 4
    assert state(repo) == before

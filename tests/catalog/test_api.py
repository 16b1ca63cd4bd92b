"""``/api/v1/models``."""

import hashlib

import pytest
from django.test import Client

from accounts.models import User
from catalog.models import ModelRepo
from store.core.paging import encode_cursor
from tests.factories import add_files, make_repo, safetensors

WEIGHTS = safetensors()


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    made = make_repo(alice)
    card = b"---\nlicense: mit\npipeline_tag: text-generation\n---\n# Hi\n"
    add_files(alice, made, {"README.md": card, "model.safetensors": WEIGHTS})
    return made


def test_list_with_facets_and_pages(client: Client, alice: User, repo: ModelRepo) -> None:
    for number in range(3):
        make_repo(alice, f"m{number}")

    first = client.get("/api/v1/models?limit=2&sort=name&facets=true").json()
    second = client.get(f"/api/v1/models?limit=2&sort=name&cursor={first['next']}").json()
    found = client.get("/api/v1/models?q=tiny").json()

    assert [item["id"] for item in first["results"] + second["results"]] == [
        "alice/m0",
        "alice/m1",
        "alice/m2",
        "alice/tiny",
    ]
    assert first["total"] == 4
    assert {facet["name"] for facet in first["facets"]} >= {"task", "license"}
    assert found["results"][0]["facts"]["parameters"] == 4096
    assert second["next"] is None
    for query in ("limit=0", "limit=x", "sort=colour", "cursor=zzz"):
        answer = client.get(f"/api/v1/models?{query}")
        assert (answer.status_code, answer.json()["error"]["code"]) in {
            (400, "invalid"),
            (400, "bad_query"),
            (400, "bad_cursor"),
        }


def test_detail_files_and_revisions(client: Client, alice: User, repo: ModelRepo) -> None:
    detail = client.get("/api/v1/models/alice/tiny").json()
    files = client.get("/api/v1/models/alice/tiny/files").json()
    page = client.get("/api/v1/models/alice/tiny/revisions?limit=1").json()
    older = client.get(f"/api/v1/models/alice/tiny/revisions?cursor={page['next']}").json()

    assert detail["card"]["license"] == "mit"
    assert detail["revision"] == files["revision"]
    by_path = {item["path"]: item for item in files["results"]}
    assert by_path["model.safetensors"]["sha256"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert by_path["README.md"]["sha256"] is None
    assert by_path["README.md"]["verdict"] == "clean"
    assert (
        b"".join(client.get(by_path["model.safetensors"]["download_url"].split("testserver")[1]))
        == WEIGHTS
    )
    assert page["results"][0]["title"] == "add files"
    assert older["results"][0]["title"] == "initial commit"
    assert client.get("/api/v1/models/alice/tiny/files?revision=no").status_code == 404
    assert client.get("/api/v1/models/alice/none").json()["error"]["code"] == "repo_not_found"


def test_by_hash_shows_what_the_caller_may_read(
    client: Client, alice: User, repo: ModelRepo, bearer
) -> None:
    hidden = make_repo(alice, "hidden", is_private=True)
    add_files(alice, hidden, {"copy.safetensors": WEIGHTS})
    url = f"/api/v1/models/by-hash/{hashlib.sha256(WEIGHTS).hexdigest()}"

    public = client.get(url).json()["results"]
    mine = client.get(url, headers=bearer(alice, "read")).json()["results"]

    assert [item["model"] for item in public] == ["alice/tiny"]
    assert [item["model"] for item in mine] == ["alice/tiny", "alice/hidden"]
    assert client.get("/api/v1/models/by-hash/zz").status_code == 400


def test_create_change_delete(client: Client, alice: User, bob: User, bearer) -> None:
    json = {"content_type": "application/json", "headers": bearer(alice)}

    made = client.post("/api/v1/models", {"name": "new", "is_private": True}, **json)
    renamed = client.patch(
        "/api/v1/models/alice/new", {"name": "newer", "is_private": False}, **json
    )
    wrong = client.patch("/api/v1/models/alice/newer", {"name": "a--b"}, **json)
    as_bob = {"content_type": "application/json", "headers": bearer(bob)}
    refused = client.delete("/api/v1/models/alice/newer", **as_bob)
    gone = client.delete("/api/v1/models/alice/newer", **json)

    assert (made.status_code, made.json()["is_private"]) == (201, True)
    assert (renamed.json()["id"], renamed.json()["is_private"]) == ("alice/newer", False)
    assert (wrong.status_code, refused.status_code, gone.status_code) == (400, 403, 204)
    assert ModelRepo.objects.count() == 0


def test_files_come_in_pages(client: Client, alice: User, repo: ModelRepo) -> None:
    url = "/api/v1/models/alice/tiny/files"
    add_files(alice, repo, {"a b/ü#1.txt": b"text\n"})
    whole = client.get(url).json()

    pages, cursor = [], ""
    while True:
        page = client.get(f"{url}?limit=1{cursor}").json()
        pages += page["results"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"

    assert pages == whole["results"]
    assert (whole["next"], whole["total"], len(pages)) == (None, 4, 4)
    odd = next(file for file in pages if file["path"] == "a b/ü#1.txt")
    assert b"".join(client.get(odd["download_url"].removeprefix("http://testserver"))) == b"text\n"


@pytest.mark.parametrize("position", [["x"], [-1], [1.5], [True], [2**40], [1, 2], {}])
def test_a_forged_cursor_is_refused(client: Client, repo: ModelRepo, position: list) -> None:
    cursor = encode_cursor(position)

    for url in ("/api/v1/models/alice/tiny/files", "/api/models/alice/tiny/tree/main"):
        answer = client.get(f"{url}?cursor={cursor}")
        assert answer.status_code == 400, url
        assert "cursor" in answer.content.decode()


@pytest.mark.parametrize("position", [[1], [None], [["a"]]])
def test_a_forged_cursor_of_a_history(client: Client, repo: ModelRepo, position: list) -> None:
    answer = client.get(f"/api/v1/models/alice/tiny/revisions?cursor={encode_cursor(position)}")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_cursor")

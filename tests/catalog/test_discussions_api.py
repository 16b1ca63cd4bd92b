"""``/api/v1/models/…/discussions``; each answer is held against the description as it comes."""

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import Discussion, DiscussionEvent, ModelRepo, Ref
from catalog.services.discussions import open_discussion
from catalog.services.publishing import AddFile, publish
from tests.factories import add_files, make_repo

URL = "/api/v1/models/alice/tiny/discussions"
JSON = "application/json"


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    made = make_repo(alice)
    add_files(alice, made, {"a.txt": b"one\n"})
    return made


def propose(user: User, repo: ModelRepo, content: bytes) -> int:
    published = publish(
        Viewer(user=user),
        repo,
        revision="main",
        operations=[AddFile("a.txt", content)],
        title="Better",
        create_pr=True,
    )
    assert published.pull is not None
    return published.pull.number


def state() -> list:
    return [
        list(Discussion.objects.order_by("id").values()),
        list(DiscussionEvent.objects.order_by("id").values()),
        list(Ref.objects.order_by("id").values_list("name", "oid")),
    ]


def test_talking(client: Client, repo: ModelRepo, bob: User, alice: User, bearer) -> None:
    asker, owner = bearer(bob), bearer(alice)

    def post(path: str, headers: dict, **body):
        return client.post(f"{URL}{path}", body, content_type=JSON, headers=headers)

    def patch(path: str, headers: dict, **body):
        return client.patch(f"{URL}{path}", body, content_type=JSON, headers=headers)

    made = post("", asker, title="How fast?", text="Say *it*.")
    said = post("/1/comments", owner, text="Very")
    cid = said.json()["id"]
    edited = patch(f"/1/comments/{cid}", owner, text="Fast")
    changed = patch("/1", owner, title="How fast is it?", status="closed", is_pinned=True)
    hidden = client.delete(f"{URL}/1/comments/{cid}", headers=owner)

    assert (made.status_code, said.status_code, hidden.status_code) == (201, 201, 204)
    assert made.json()["events"][0]["html"] == "<p>Say <em>it</em>.</p>\n"
    assert made.json()["proposal"] is None
    assert edited.json()["text"] == "Fast"
    body = changed.json()
    assert (body["title"], body["status"], body["is_pinned"]) == (
        "How fast is it?",
        "closed",
        True,
    )
    found = client.get(f"{URL}/1").json()
    assert [event["kind"] for event in found["events"]] == [
        "comment",
        "comment",
        "title-change",
        "status-change",
        "pinning-change",
    ]
    assert (found["events"][1]["is_hidden"], found["events"][1]["text"]) == (True, "")
    assert found["url"] == "http://testserver/alice/tiny/discussions/1"


def test_pages_and_filters(client: Client, repo: ModelRepo, as_bob: Viewer, alice: User) -> None:
    for number in range(3):
        open_discussion(as_bob, repo, title=f"Number {number}", text="x")
    propose(alice, repo, b"two\n")

    first = client.get(f"{URL}?limit=2").json()
    second = client.get(f"{URL}?limit=2&cursor={first['next']}").json()

    numbers = [item["number"] for item in first["results"] + second["results"]]
    assert (numbers, first["total"], second["next"]) == ([4, 3, 2, 1], 4, None)
    pulls = client.get(f"{URL}?type=pull_request&status=open&author=alice").json()
    assert [item["number"] for item in pulls["results"]] == [4]
    for query in ("type=x", "status=x", "limit=0", "cursor=zz", "cursor=WyJ4Il0"):
        assert client.get(f"{URL}?{query}").status_code == 400


def test_proposing_and_merging(
    client: Client, repo: ModelRepo, alice: User, bob: User, bearer
) -> None:
    draft = {"title": "A draft", "is_pull_request": True}
    drafted = client.post(URL, draft, content_type=JSON, headers=bearer(bob)).json()
    number = propose(bob, repo, b"two\n")

    read = client.get(f"{URL}/{number}").json()["proposal"]
    merged = client.post(
        f"{URL}/{number}/merge", {"text": "Ta"}, content_type=JSON, headers=bearer(alice)
    )

    assert (drafted["status"], drafted["proposal"]["ref"]) == ("draft", "refs/pr/1")
    assert (read["base"], read["changed_files"], read["conflicts"]) == ("refs/heads/main", 1, [])
    head = Ref.objects.get(repo=repo, name="refs/heads/main").oid
    assert merged.json() == {"merge_oid": head}
    found = client.get(f"{URL}/{number}").json()
    assert (found["status"], found["proposal"]["merge_oid"]) == ("merged", head)


def test_refusals_change_nothing(
    client: Client, repo: ModelRepo, alice: User, bob: User, bearer
) -> None:
    number = propose(bob, repo, b"two\n")
    add_files(alice, repo, {"a.txt": b"three\n"})
    owner, stranger = bearer(alice), bearer(bob)
    before = state()

    for method, path, headers, body, status, code in (
        ("post", "", {}, {"title": "Hello"}, 401, "not_signed_in"),
        ("post", "", bearer(bob, "read"), {"title": "Hello"}, 403, "missing_scope"),
        ("post", "", stranger, {"title": "Hi"}, 400, "invalid"),
        ("post", f"/{number}/comments", stranger, {"text": ""}, 400, "invalid"),
        ("post", f"/{number}/merge", stranger, {}, 403, "forbidden"),
        ("post", f"/{number}/merge", owner, {}, 409, "merge_conflict"),
        ("patch", f"/{number}", stranger, {"is_pinned": True}, 403, "forbidden"),
        ("patch", f"/{number}", stranger, {"status": "merged"}, 400, "invalid"),
        ("patch", f"/{number}/comments/x", stranger, {"text": "x"}, 404, "comment_not_found"),
        ("post", "/99/comments", stranger, {"text": "x"}, 404, "discussion_not_found"),
    ):
        answer = getattr(client, method)(f"{URL}{path}", body, content_type=JSON, headers=headers)
        assert (path, answer.status_code, answer.json()["error"]["code"]) == (path, status, code)
    assert state() == before


def test_private_looks_absent(client: Client, alice: User, bob: User, bearer) -> None:
    make_repo(alice, "hidden", is_private=True)

    for path in ("", "/1"):
        bodies = {
            client.get(
                f"/api/v1/models/alice/{name}/discussions{path}", headers=bearer(bob)
            ).content.replace(b"gone", b"hidden")
            for name in ("hidden", "gone")
        }
        assert len(bodies) == 1

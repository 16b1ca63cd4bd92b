"""Contract 12, call by call: shapes, filters, who may what, and that a refusal changes nothing."""

import re

import pytest
from django.test import Client

from accounts.models import User
from accounts.services.profile import delete_account
from catalog.models import Community, Discussion, DiscussionEvent, ModelRepo, RepoEvent
from catalog.services import comments
from catalog.services.comments import HIDDEN, MAX_CHARS
from hub.views import discussions as views
from tests.factories import PASSWORD, make_org, make_repo
from tests.hub.talk import BASE, JSON, details, opened, post

ID = re.compile(r"[0-9a-f]{24}")


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    return make_repo(alice)


@pytest.fixture
def write(alice: User, bearer) -> dict:
    return bearer(alice, "write")


@pytest.fixture
def stranger(bob: User, bearer) -> dict:
    return bearer(bob, "write")


def state() -> list:
    """Everything a refused call could have changed."""
    return [
        list(Discussion.objects.order_by("id").values()),
        list(DiscussionEvent.objects.order_by("id").values()),
        RepoEvent.objects.count(),
        list(Community.objects.values_list("last_number", "is_disabled")),
    ]


def listed(client: Client, query: str = "", headers: dict | None = None) -> list[int]:
    answer = client.get(f"{BASE}/discussions?{query}", headers=headers or {})
    return [item["num"] for item in answer.json()["discussions"]]


def test_a_discussion_in_full(client: Client, repo: ModelRepo, bob: User, stranger: dict) -> None:
    made = post(client, "", stranger, title="  Is it fast? ", description="I **wonder**.\r\nHm.")
    again = post(client, "/1/comment", stranger, comment="Nobody?")

    assert made.json() == {
        "num": 1,
        "url": "http://testserver/alice/tiny/discussions/1",
        "pullRequest": False,
    }
    found = details(client, 1)
    assert ID.fullmatch(found["_id"])
    assert (found["title"], found["status"], found["num"]) == ("Is it fast?", "open", 1)
    assert found["repo"] == {"name": "alice/tiny", "type": "model"}
    assert found["author"]["name"] == "bob"
    assert (found["isPullRequest"], found["numComments"], found["pinned"]) == (False, 2, False)
    assert not {"changes", "filesWithConflicts", "diff"} & set(found)
    first, second = found["events"]
    assert ID.fullmatch(first["id"])
    assert (first["type"], first["author"]["name"]) == ("comment", "bob")
    assert first["data"]["latest"]["raw"] == "I **wonder**.\nHm."
    assert "<strong>wonder</strong>" in first["data"]["latest"]["html"]
    assert first["data"]["latest"]["updatedAt"] == first["createdAt"]
    assert (first["data"]["edited"], first["data"]["hidden"]) == (False, False)
    assert first["data"]["history"] == []
    assert again.json()["newMessage"] == second
    [item] = client.get(f"{BASE}/discussions").json()["discussions"]
    assert item == {key: found[key] for key in item}


def test_lists_by_kind_status_and_author(
    client: Client, repo: ModelRepo, write: dict, stranger: dict, monkeypatch
) -> None:
    monkeypatch.setattr(views, "PAGE", 2)
    for pull in (False, True, False, True):
        opened(client, stranger if pull else write, pull=pull)
    post(client, "/1/status", write, status="closed")
    post(client, "/4/status", write, status="open")
    post(client, "/4/merge", write)

    first = client.get(f"{BASE}/discussions?p=0").json()
    second = client.get(f"{BASE}/discussions?p=1").json()

    assert [item["num"] for item in first["discussions"]] == [4, 3]
    assert [item["num"] for item in second["discussions"]] == [2, 1]
    assert (first["count"], first["start"], second["start"]) == (4, 0, 2)
    assert listed(client, "type=discussion") == [3, 1]
    assert listed(client, "type=pull_request&status=all") == [4, 2]
    assert listed(client, "status=open") == [3, 2]
    assert listed(client, "status=closed") == [4, 1]
    assert listed(client, "author=BOB") == [4, 2]
    assert listed(client, "author=nobody") == []
    assert listed(client, "p=9") == []
    for query in ("type=x", "status=merged", "p=x"):
        assert client.get(f"{BASE}/discussions?{query}").status_code == 400


def test_editing_keeps_what_was_said(client: Client, repo: ModelRepo, stranger: dict) -> None:
    opened(client, stranger)
    cid = post(client, "/1/comment", stranger, comment="frist").json()["newMessage"]["id"]

    once = post(client, f"/1/comment/{cid.upper()}/edit", stranger, content="first")
    same = post(client, f"/1/comment/{cid}/edit", stranger, content="first")
    twice = post(client, f"/1/comment/{cid}/edit", stranger, content="First")

    assert once.json()["updatedComment"]["id"] == cid
    assert once.json()["updatedComment"]["data"]["edited"] is True
    assert same.json()["updatedComment"]["data"]["numEdits"] == 1
    data = twice.json()["updatedComment"]["data"]
    assert data["latest"]["raw"] == "First"
    assert [version["raw"] for version in data["history"]] == ["frist", "first"]
    assert data["latest"]["author"]["name"] == "bob"
    assert details(client, 1)["events"][1]["data"] == data


def test_hiding_is_for_good(client: Client, repo: ModelRepo, write: dict, stranger: dict) -> None:
    opened(client, stranger)
    cid = post(client, "/1/comment", stranger, comment="sekret-1").json()["newMessage"]["id"]
    post(client, f"/1/comment/{cid}/edit", stranger, content="sekret-2")

    hidden = post(client, f"/1/comment/{cid}/hide", write).json()["updatedComment"]
    again = post(client, f"/1/comment/{cid}/hide", write).json()["updatedComment"]

    assert hidden == again
    assert (hidden["data"]["hidden"], hidden["data"]["latest"]["raw"]) == (True, HIDDEN)
    assert hidden["data"]["history"] == []
    assert "sekret" not in str(details(client, 1))
    before = state()
    assert post(client, f"/1/comment/{cid}/edit", stranger, content="x").status_code == 409
    assert state() == before


def test_titles_and_statuses(client: Client, repo: ModelRepo, write: dict, stranger: dict) -> None:
    opened(client, stranger)

    named = post(client, "/1/title", stranger, title="Better").json()["newTitle"]
    closed = post(client, "/1/status", write, status="closed", comment="Done").json()
    repeated = post(client, "/1/status", write, status="closed").json()
    reopened = post(client, "/1/status", stranger, status="open").json()["newStatus"]

    assert (named["type"], named["data"]) == ("title-change", {"from": "A title", "to": "Better"})
    assert closed["newStatus"]["type"] == "status-change"
    assert closed["newStatus"]["data"] == {"status": "closed"}
    assert repeated == closed
    assert reopened["author"]["name"] == "bob"
    found = details(client, 1)
    assert (found["title"], found["status"]) == ("Better", "open")
    assert [event["type"] for event in found["events"]] == [
        "comment",
        "title-change",
        "comment",
        "status-change",
        "status-change",
    ]


def test_what_was_always_open_can_be_opened(client: Client, repo: ModelRepo, write: dict) -> None:
    opened(client, write)

    event = post(client, "/1/status", write, status="open").json()["newStatus"]

    assert event["data"] == {"status": "open"}
    assert ID.fullmatch(event["id"])
    assert len(details(client, 1)["events"]) == 1


def test_pinning(client: Client, repo: ModelRepo, write: dict, stranger: dict) -> None:
    opened(client, stranger)

    refused = post(client, "/1/pin", stranger)
    pinned = post(client, "/1/pin", write)
    post(client, "/1/pin", write)

    assert (refused.status_code, pinned.json()) == (403, {"pinned": True})
    found = details(client, 1)
    assert found["pinned"] is True
    assert [event["type"] for event in found["events"]] == ["comment", "pinning-change"]
    assert post(client, "/1/pin", write, pinned="x").status_code == 400
    assert post(client, "/1/pin", write, pinned=False).json() == {"pinned": False}


def test_refusals_change_nothing(
    client: Client, repo: ModelRepo, alice: User, bob: User, write: dict, stranger: dict, bearer
) -> None:
    opened(client, write)
    cid = details(client, 1)["events"][0]["id"]
    post(client, "/1/comment", stranger, comment="mine")
    read: dict = bearer(bob, "read")
    nobody: dict = {}
    before = state()
    long = "x" * (MAX_CHARS + 1)
    refused = [
        (nobody, "", {"title": "Hello"}, 401),
        (read, "", {"title": "Hello"}, 403),
        (stranger, "", {"title": "Hi"}, 400),
        (stranger, "", {"title": "x" * 301}, 400),
        (stranger, "", {"title": "two\nlines"}, 400),
        (stranger, "", {"title": 3}, 400),
        (stranger, "", {"title": "Hello", "description": 3}, 400),
        (stranger, "", {"title": "Hello", "pullRequest": "yes"}, 400),
        (stranger, "", {"title": "Hello", "description": long}, 400),
        (nobody, "/1/comment", {"comment": "x"}, 401),
        (read, "/1/comment", {"comment": "x"}, 403),
        (stranger, "/1/comment", {"comment": " \n"}, 400),
        (stranger, "/1/comment", {}, 400),
        (stranger, "/1/comment", {"comment": long}, 400),
        (stranger, "/9/comment", {"comment": "x"}, 404),
        (stranger, "/99999999999/comment", {"comment": "x"}, 404),
        (stranger, f"/1/comment/{cid}/edit", {"content": "x"}, 403),
        (write, f"/1/comment/{cid}/edit", {"content": ""}, 400),
        (write, f"/1/comment/{'0' * 24}/edit", {"content": "x"}, 404),
        (nobody, f"/1/comment/{cid}/hide", {}, 401),
        (stranger, f"/1/comment/{cid}/hide", {}, 403),
        (stranger, "/1/title", {"title": "Mine now"}, 403),
        (write, "/1/title", {"title": ""}, 400),
        (nobody, "/1/status", {"status": "closed"}, 401),
        (stranger, "/1/status", {"status": "closed"}, 403),
        (write, "/1/status", {"status": "merged"}, 400),
        (write, "/1/merge", {}, 409),
        (stranger, "/1/merge", {}, 403),
    ]

    for headers, path, body, status in refused:
        answer = post(client, path, headers, **body)
        assert (answer.status_code, path, body if len(str(body)) < 99 else "") == (
            status,
            path,
            body if len(str(body)) < 99 else "",
        )
        assert answer.json()["error"]

    assert state() == before


def test_a_cookie_writes_nothing(client: Client, alice: User, repo: ModelRepo) -> None:
    client.force_login(alice)
    before = state()

    assert post(client, "", {}, title="Hello").status_code == 401
    assert client.post("/uploads", b"x", content_type="image/png").status_code == 401
    assert state() == before


def test_private_and_absent_look_the_same(
    client: Client, alice: User, repo: ModelRepo, stranger: dict, write: dict
) -> None:
    hidden = make_repo(alice, "hidden", is_private=True)
    url = "/api/models/alice/{}/discussions"
    client.post(url.format("hidden"), {"title": "Secret"}, content_type=JSON, headers=write)

    for headers in ({}, stranger):
        for path in ("", "/1", "/2", "?author=alice"):
            answers = [
                client.get(url.format(name) + path, headers=headers) for name in ("hidden", "gone")
            ]
            assert len({answer.status_code for answer in answers}) == 1
            assert [answer["X-Error-Code"] for answer in answers] == ["RepoNotFound"] * 2
            bodies = {answer.content.replace(b"gone", b"hidden") for answer in answers}
            assert len(bodies) == 1
        for path in ("", "/1/comment", "/1/merge", "/1/status"):
            statuses = {
                client.post(
                    url.format(name) + path, {"title": "Hello"}, content_type=JSON, headers=headers
                ).status_code
                for name in ("hidden", "gone")
            }
            assert statuses == ({404} if headers else {401})
    assert Discussion.objects.filter(repo=hidden).count() == 1


def test_readers_of_a_team_take_part(client: Client, alice: User, bob: User, bearer) -> None:
    make_org("acme", alice="admin", bob="read")
    make_repo(alice, "shared", namespace="acme", is_private=True)
    url = "/api/models/acme/shared/discussions"

    made = client.post(url, {"title": "Hello"}, content_type=JSON, headers=bearer(bob))

    assert made.json()["num"] == 1
    assert client.get(f"{url}/1", headers=bearer(alice)).json()["author"]["name"] == "bob"


def test_the_deleted_leave_their_words(
    client: Client, repo: ModelRepo, alice: User, bob: User, stranger: dict
) -> None:
    opened(client, stranger)
    opened(client, stranger, pull=True)

    delete_account(bob, password=PASSWORD, confirmation="bob")

    found = details(client, 1)
    assert "author" not in found
    assert "author" not in found["events"][0]
    assert "author" not in found["events"][0]["data"]["latest"]
    assert found["events"][0]["data"]["latest"]["raw"] == "Why"
    assert listed(client) == [2, 1]
    assert "null" not in client.get(f"{BASE}/discussions/2").content.decode()


def test_owners_switch_discussions_off(
    client: Client, repo: ModelRepo, write: dict, stranger: dict
) -> None:
    opened(client, stranger)
    cid = details(client, 1)["events"][0]["id"]

    def put(headers: dict, **body):
        return client.put(f"{BASE}/settings", body, content_type=JSON, headers=headers)

    assert put(stranger, discussionsDisabled=True).status_code == 403
    assert put(write, discussionsDisabled="x").status_code == 400
    assert put(write, discussionsDisabled=True).json()["discussionsDisabled"] is True
    before = state()
    for headers in (write, stranger):
        for path in ("", "/1"):
            answer = client.get(f"{BASE}/discussions{path}", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "discussions_disabled")
        for path, body in (
            ("", {"title": "Hello"}),
            ("", {"title": "Hello", "pullRequest": True}),
            ("/1/comment", {"comment": "x"}),
            (f"/1/comment/{cid}/edit", {"content": "x"}),
            ("/1/status", {"status": "closed"}),
            ("/1/title", {"title": "Other"}),
        ):
            assert post(client, path, headers, **body).status_code == 403
    assert state() == before
    assert put(write, discussionsDisabled=False).json()["discussionsDisabled"] is False
    assert listed(client) == [1]
    assert put(write).json() == {
        "private": False,
        "visibility": "public",
        "gated": False,
        "discussionsDisabled": False,
    }


def test_a_model_that_is_taken_down_takes_nothing_new(
    client: Client, repo: ModelRepo, stranger: dict
) -> None:
    ModelRepo.objects.update(disabled_reason="stolen")

    answer = post(client, "", stranger, title="Hello")

    assert (answer.status_code, Discussion.objects.count()) == (403, 0)


@pytest.mark.usefixtures("rate_limits_on")
def test_limits_of_a_day(client: Client, repo: ModelRepo, stranger: dict, settings) -> None:
    limits = {"user_discussions_per_day": 1, "user_comments_per_day": 2}
    settings.ENV = settings.ENV.model_copy(update=limits)
    opened(client, stranger)
    post(client, "/1/comment", stranger, comment="one")
    post(client, "/1/comment", stranger, comment="two")
    before = state()

    again = post(client, "", stranger, title="Hello")
    pull = post(client, "", stranger, title="Hello", pullRequest=True)
    third = post(client, "/1/comment", stranger, comment="three")
    named = post(client, "/1/title", stranger, title="Other")

    for answer in (again, pull, third, named):
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
        assert int(answer["Retry-After"]) > 0
    assert state() == before


def test_a_discussion_ends_when_it_is_full(
    client: Client, repo: ModelRepo, write: dict, monkeypatch
) -> None:
    monkeypatch.setattr(comments, "MAX_COMMENTS", 2)
    monkeypatch.setattr(comments, "MAX_TEXT_CHARS", 30)
    opened(client, write)
    cid = details(client, 1)["events"][0]["id"]
    long = post(client, "/1/comment", write, comment="x" * 40)
    edited = post(client, f"/1/comment/{cid}/edit", write, content="x" * 40)
    post(client, "/1/comment", write, comment="ok")
    before = state()

    third = post(client, "/1/comment", write, comment="ok")

    for answer in (long, edited, third):
        assert (answer.status_code, answer.json()["code"]) == (403, "discussion_full")
    assert state() == before
    assert details(client, 1)["events"][0]["data"]["history"] == []
    assert post(client, "/1/status", write, status="closed").status_code == 200


def test_listeners_hear_of_it(client: Client, repo: ModelRepo, alice: User, stranger: dict) -> None:
    opened(client, stranger)
    cid = post(client, "/1/comment", stranger, comment="@Alice, @nobody").json()["newMessage"]["id"]
    post(client, "/1/title", stranger, title="Other")
    post(client, "/1/status", stranger, status="closed")

    rows = RepoEvent.objects.exclude(scope="repo").order_by("id")
    heard = list(rows.values_list("scope", "action", "facts"))

    assert [(scope, action) for scope, action, _ in heard] == [
        ("discussion", "create"),
        ("discussion.comment", "create"),
        ("discussion.comment", "create"),
        ("discussion", "update"),
        ("discussion", "update"),
    ]
    shared = {"num": 1, "is_pull_request": False}
    assert all(shared.items() <= facts.items() for _, _, facts in heard)
    assert heard[2][2]["comment"] == cid
    assert heard[2][2]["mentions"] == ["alice"]
    assert heard[3][2]["old_title"] == "A title"
    assert (heard[4][2]["old_status"], heard[4][2]["status"]) == ("open", "closed")


def test_moved_and_aliased_models_keep_their_discussions(
    client: Client, alice: User, repo: ModelRepo, write: dict
) -> None:
    from catalog.models import RepoAlias

    opened(client, write)
    RepoAlias.objects.create(name="gpt2", repo=repo)
    client.post(
        "/api/repos/move",
        {"fromRepo": "alice/tiny", "toRepo": "alice/small", "type": "model"},
        content_type=JSON,
        headers=write,
    )

    moved = client.get(f"{BASE}/discussions/1")
    alias = client.get("/api/models/gpt2/discussions/1")
    posted = post(client, "/1/comment", write, comment="x")

    assert (moved.status_code, moved["Location"]) == (307, "/api/models/alice/small/discussions/1")
    assert (alias.status_code, alias["Location"]) == (307, "/api/models/alice/small/discussions/1")
    assert (posted.status_code, posted["Location"]) == (
        307,
        "/api/models/alice/small/discussions/1/comment",
    )

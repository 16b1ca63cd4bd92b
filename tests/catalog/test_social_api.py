"""Collections, follows, activity and notifications over REST; every answer fits its description."""

import json
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import (
    Collection,
    CollectionItem,
    Follow,
    Like,
    ModelRepo,
    Notice,
    NoticeSetting,
    RepoEvent,
    Watch,
)
from catalog.services import events
from catalog.services.events import emit
from catalog.services.follows import set_follow
from tests.factories import add_files, make_org, make_repo, make_user

JSON = "application/json"
ROOT = "/api/v1"


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    return make_repo(alice)


@pytest.fixture
def call(client: Client, bearer):
    """``call("PUT", "/following/bob", alice, body)`` gives (status, JSON)."""
    headers: dict[int, dict[str, str]] = {}

    def send(method: str, path: str, user: User | None = None, body: Any = None) -> tuple[int, Any]:
        if user and user.pk not in headers:
            headers[user.pk] = bearer(user)
        answer = client.generic(
            method,
            ROOT + path,
            b"" if body is None else json.dumps(body).encode(),
            content_type=JSON,
            headers=headers[user.pk] if user else {},
        )
        return answer.status_code, answer.json() if answer.content else None

    return send


# ── collections ─────────────────────────────────────────────────────────────────────────────────


def test_a_collection(call, alice: User, bob: User, repo: ModelRepo) -> None:
    status, made = call("POST", "/collections", alice, {"title": "Small", "theme": "pink"})
    assert (status, made["owner"], made["theme"], made["size"]) == (201, "alice", "pink", 0)
    ident = made["slug"].rsplit("-", 1)[1]
    path = f"/collections/{ident}"
    assert made["url"] == f"http://testserver/collections/{made['slug']}"

    status, full = call("POST", f"{path}/items", alice, {"name": "alice/tiny", "note": "Good."})
    assert (status, full["size"]) == (201, 1)
    make_repo(alice, "b")
    _, full = call("POST", f"{path}/items", alice, {"name": "alice/b"})
    last = full["items"][1]["id"]
    _, full = call("PATCH", f"{path}/items/{last}", alice, {"position": 0, "note": "First."})
    assert [(item["name"], item["note"]) for item in full["items"]] == [
        ("alice/b", "First."),
        ("alice/tiny", "Good."),
    ]
    assert call("PATCH", path, alice, {"title": "Tiny", "position": 3})[1]["title"] == "Tiny"
    assert call("GET", path)[1]["position"] == 3
    assert call("GET", f"/collections/small-{ident}")[1]["title"] == "Tiny"
    assert call("PUT", f"{path}/upvote", bob)[1]["upvotes"] == 1
    assert call("DELETE", f"{path}/upvote", bob)[1]["upvotes"] == 0
    assert call("DELETE", f"{path}/items/{last}", alice)[1]["size"] == 1
    assert call("DELETE", path, alice) == (204, None)
    assert call("GET", path)[0] == 404


def test_a_collection_in_another(call, alice: User) -> None:
    slugs = [call("POST", "/collections", alice, {"title": title})[1]["slug"] for title in "ab"]
    path = f"/collections/{slugs[0].rsplit('-', 1)[1]}"

    status, full = call("POST", f"{path}/items", alice, {"type": "collection", "name": slugs[1]})

    assert (status, full["items"][0]["type"], full["items"][0]["name"]) == (
        201,
        "collection",
        slugs[1],
    )


def test_finding_collections(call, alice: User, bob: User, repo: ModelRepo) -> None:
    _, one = call("POST", "/collections", alice, {"title": "One"})
    call("POST", "/collections", bob, {"title": "Two"})
    call("POST", "/collections", alice, {"title": "Hidden", "is_private": True})
    call(
        "POST", f"/collections/{one['slug'].rsplit('-', 1)[1]}/items", alice, {"name": "alice/tiny"}
    )

    def found(query: str, user: User | None = None) -> list[str]:
        status, body = call("GET", f"/collections{query}", user)
        assert status == 200
        return [row["title"] for row in body["results"]]

    assert found("") == ["One", "Two"]
    assert found("", alice) == ["One", "Hidden", "Two"]
    assert found("?owner=bob&owner=nobody") == ["Two"]
    assert found("?item=models/alice/tiny") == ["One"]
    assert found("?q=tw") == ["Two"]
    _, first = call("GET", "/collections?limit=1&sort=upvotes")
    _, second = call("GET", f"/collections?limit=1&sort=upvotes&cursor={first['next']}")
    assert [row["title"] for row in first["results"] + second["results"]] == ["Two", "One"]
    assert second["next"] is None
    assert call("GET", "/collections?sort=best")[0] == 400


def test_refusals_of_collections(
    call, client: Client, alice: User, bob: User, repo, bearer
) -> None:
    _, made = call("POST", "/collections", alice, {"title": "Mine"})
    _, secret = call("POST", "/collections", alice, {"title": "Secret", "is_private": True})
    path, hidden = (f"/collections/{row['slug'].rsplit('-', 1)[1]}" for row in (made, secret))
    call("POST", f"{path}/items", alice, {"name": "alice/tiny"})
    item = CollectionItem.objects.get().public_id

    for user, status, of_hidden in ((None, 401, {401, 404}), (bob, 403, {404})):
        for method, below, body in (
            ("PATCH", "", {"title": "x"}),
            ("DELETE", "", None),
            ("POST", "/items", {"name": "alice/tiny"}),
            ("PATCH", f"/items/{item}", {"note": "x"}),
            ("DELETE", f"/items/{item}", None),
        ):
            assert call(method, path + below, user, body)[0] == status
            answer = call(method, hidden + below, user, body)
            assert answer[0] in of_hidden
            absent = f"/collections/{'0' * 24}"
            assert call(method, absent + below, user, body) == answer
        assert call("PUT", f"{hidden}/upvote", user)[0] in of_hidden
        assert call("GET", hidden, user)[0] == 404
    reader = bearer(alice, "read")
    assert client.delete(ROOT + path, headers=reader).status_code == 403
    assert call("POST", "/collections", bob, {"title": "x", "namespace": "alice"})[0] == 403
    assert call("POST", "/collections", alice, {"title": "MINE"})[1]["error"]["extra"] == {
        "slug": made["slug"]
    }
    for body in ({}, {"title": ""}, {"title": "x" * 61}, {"title": "x", "theme": "black"}):
        assert call("POST", "/collections", alice, body)[0] == 400
    assert call("POST", f"{path}/items", alice, {"name": "alice/tiny"})[0] == 409
    assert call("POST", f"{path}/items", alice, {"name": "x", "type": "dataset"})[0] == 400
    assert call("PATCH", f"{path}/items/{item}", alice, {"position": -1})[0] == 400
    assert Collection.objects.count() == 2
    assert CollectionItem.objects.get().note == ""


# ── people ──────────────────────────────────────────────────────────────────────────────────────


def test_following(call, client: Client, alice: User, bob: User, bearer) -> None:
    make_org("acme", alice="admin")

    assert [call("PUT", f"/following/{name}", bob) for name in ("alice", "ALICE", "acme")] == [
        (204, None)
    ] * 3
    _, followed = call("GET", "/names/bob/following")
    _, followers = call("GET", "/names/acme/followers")
    assert followed["results"] == [
        {"name": "acme", "full_name": "acme", "is_organization": True},
        {"name": "alice", "full_name": "alice", "is_organization": False},
    ]
    assert [row["name"] for row in followers["results"]] == ["bob"]
    _, first = call("GET", "/names/bob/following?limit=1")
    _, second = call("GET", f"/names/bob/following?limit=1&cursor={first['next']}")
    assert [row["name"] for row in first["results"] + second["results"]] == ["acme", "alice"]

    assert call("DELETE", "/following/acme", bob) == (204, None)
    assert call("PUT", "/following/bob", bob)[1]["error"]["code"] == "own_follow"
    assert call("PUT", "/following/nobody", bob)[0] == 404
    assert call("PUT", "/following/alice")[0] == 401
    assert client.put(f"{ROOT}/following/alice", headers=bearer(bob, "read")).status_code == 403
    assert call("GET", "/names/acme/following")[0] == 404
    assert call("GET", "/names/alice/followers?cursor=x")[0] == 400
    assert call("GET", "/names/alice/followers?cursor=WyJhIl0")[0] == 400
    assert list(Follow.objects.values_list("namespace__name", flat=True)) == ["alice"]


def test_figures_count_what_the_caller_may_see(call, alice: User, bob: User, repo) -> None:
    make_repo(alice, "secret", is_private=True)
    call("PUT", "/following/alice", bob)

    seen, own = call("GET", "/names/alice", bob)[1], call("GET", "/names/alice", alice)[1]
    team = make_org("acme", alice="admin")

    assert (seen["models"], own["models"]) == (1, 2)
    assert (seen["is_followed"], own["is_followed"], seen["followers"]) == (True, False, 1)
    assert call("GET", f"/names/{team.name}")[1]["members"] == 1
    assert call("GET", "/names/nobody")[0] == 404


def test_activity_and_news(call, alice: User, bob: User, repo: ModelRepo) -> None:
    make_repo(alice, "secret", is_private=True)
    add_files(alice, repo, {"a.txt": b"a"})
    add_files(alice, repo, {"b.txt": b"b"})
    set_follow(Viewer(user=bob), alice.namespace, follows=True)

    _, seen = call("GET", "/names/alice/activity")
    _, own = call("GET", "/names/alice/activity", alice)
    _, news = call("GET", "/feed", bob)

    lines = [(row["scope"], row["model"], row["count"]) for row in seen["results"]]
    assert lines == [("repo.content", "alice/tiny", 2), ("repo", "alice/tiny", 1)]
    assert len(own["results"]) == 3
    assert news["results"] == seen["results"]
    assert seen["results"][0]["url"].startswith("http://testserver/alice/tiny/commit/")
    _, first = call("GET", "/names/alice/activity?limit=1")
    _, second = call("GET", f"/names/alice/activity?limit=1&cursor={first['next']}")
    assert first["results"][0]["title"] == "add files"
    assert second["results"] != first["results"]
    assert call("GET", "/feed")[0] == 401
    assert call("GET", "/feed?cursor=x", bob)[0] == 400


def test_likes_and_watches(call, client: Client, alice: User, bob: User, repo, bearer) -> None:
    secret = make_repo(alice, "secret", is_private=True)

    liked = call("PUT", "/models/alice/tiny/like", bob)
    assert liked == (200, {"model": "alice/tiny", "liked": True, "likes": 1})
    assert call("PUT", "/models/alice/tiny/watch", bob, {"level": "mute"})[1]["level"] == "mute"
    assert call("GET", "/models/alice/tiny/watch", bob)[1]["level"] == "mute"
    assert Watch.objects.get().level == "mute"

    for path in ("like", "watch"):
        body = {"level": "watch"}
        assert call("PUT", f"/models/{secret}/{path}", bob, body)[0] == 404
        assert call("PUT", f"/models/alice/tiny/{path}", None, body)[0] == 401
        reader = bearer(bob, "read")
        answer = client.put(f"{ROOT}/models/alice/tiny/{path}", body, JSON, headers=reader)
        assert answer.status_code == 403
    assert call("PUT", "/models/alice/tiny/watch", bob, {"level": "loud"})[0] == 400
    assert call("GET", "/models/alice/tiny/watch")[0] == 401
    assert (Like.objects.count(), Watch.objects.get().level) == (1, "mute")

    assert call("DELETE", "/models/alice/tiny/like", bob)[1]["likes"] == 0
    assert call("PUT", "/models/alice/tiny/watch", bob, {"level": None})[1]["level"] is None
    assert call("GET", "/models/alice/tiny/watch", bob)[1]["level"] is None
    assert not Watch.objects.exists()


# ── notifications ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def three(repo: ModelRepo, alice: User, bob: User) -> list[Notice]:
    """Three notices of alice."""
    for number in (1, 2):
        event = emit(
            RepoEvent.Scope.DISCUSSION,
            RepoEvent.Action.CREATE,
            repo=repo,
            actor=bob,
            num=number,
            title=f"Question {number}",
        )
        events.spread(event.pk)
    set_follow(Viewer(user=bob), alice.namespace, follows=True)
    return list(Notice.objects.order_by("pk"))


def test_the_inbox(call, three: list[Notice], alice: User, bob: User) -> None:
    status, body = call("GET", "/notifications", alice)

    assert (status, body["unread"], body["next"]) == (200, 3, None)
    follower, second, _first = body["results"]
    assert (follower["text"], follower["model"], follower["url"]) == (
        "bob follows you",
        None,
        "http://testserver/bob",
    )
    assert second["url"] == "http://testserver/alice/tiny/discussions/2"
    assert second["model"] == "alice/tiny"

    pk = three[0].pk
    assert call("PATCH", f"/notifications/{pk}", alice, {"is_read": True})[1]["is_read"] is True
    _, unread = call("GET", "/notifications?unread=true&limit=1", alice)
    _, rest = call("GET", f"/notifications?unread=true&limit=1&cursor={unread['next']}", alice)
    assert [row["id"] for row in unread["results"] + rest["results"]] == [three[2].pk, three[1].pk]
    assert call("PATCH", f"/notifications/{pk}", alice, {"is_read": False})[1]["is_read"] is False
    assert call("POST", "/notifications/read-all", alice) == (200, {"marked": 3})
    assert call("POST", "/notifications/read-all", alice) == (200, {"marked": 0})


def test_refusals_of_the_inbox(
    call, client: Client, three: list[Notice], alice: User, bob: User, bearer
) -> None:
    pk = three[0].pk
    reader = bearer(alice, "read")

    assert call("GET", "/notifications", bob)[1]["results"] == []
    assert call("PATCH", f"/notifications/{pk}", bob, {"is_read": True})[0] == 404
    assert call("PATCH", f"/notifications/{pk}", alice, {})[0] == 400
    assert call("POST", "/notifications/read-all", bob) == (200, {"marked": 0})
    for method, path in (
        ("GET", "/notifications"),
        ("PATCH", f"/notifications/{pk}"),
        ("POST", "/notifications/read-all"),
        ("GET", "/notification-settings"),
    ):
        assert call(method, path, None, {})[0] == 401
    answer = client.post(f"{ROOT}/notifications/read-all", headers=reader)
    assert answer.status_code == 403
    assert client.get(f"{ROOT}/notifications", headers=reader).status_code == 200
    assert Notice.objects.filter(read_at=None).count() == 3


def test_switches(call, client: Client, alice: User, bearer) -> None:
    change = {"revision": {"in_site": False, "by_mail": True}}

    _, before = call("GET", "/notification-settings", alice)
    _, after = call("PATCH", "/notification-settings", alice, change)

    assert after == before | change
    assert before["discussion"] == {"in_site": True, "by_mail": True}
    assert call("PATCH", "/notification-settings", alice, {"revision": {}})[0] == 400
    refused = client.patch(
        f"{ROOT}/notification-settings", change, JSON, headers=bearer(alice, "read")
    )
    assert refused.status_code == 403
    assert NoticeSetting.objects.count() == 1


def test_lists_cost_the_same_however_long(
    call, three: list[Notice], alice: User, django_assert_max_num_queries
) -> None:
    call("GET", "/notifications", alice)  # notes when the token was last used
    for number in range(3):
        set_follow(Viewer(user=make_user(f"fan{number}")), alice.namespace, follows=True)

    with django_assert_max_num_queries(3):  # token, inbox, count
        call("GET", "/notifications", alice)
    with django_assert_max_num_queries(2):
        call("GET", "/names/alice/followers")

"""Likes, people and organizations on the wire (contract 13, 17)."""

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import Follow, Like, Listing, ModelRepo, RepoEvent
from catalog.services import follows
from catalog.services.likes import set_like
from tests.factories import make_org, make_repo, make_user

JSON = "application/json"
LIKE = "/api/models/alice/tiny/like"


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    return make_repo(alice)


@pytest.fixture
def hidden(alice: User) -> ModelRepo:
    return make_repo(alice, "hidden", is_private=True)


# ── likes ───────────────────────────────────────────────────────────────────────────────────────


def test_liking_and_unliking_are_safe_to_repeat(
    client: Client, repo: ModelRepo, bob: User, bearer
) -> None:
    headers = bearer(bob)

    answers = [client.post(LIKE, headers=headers).status_code for _ in range(2)]
    liked = Listing.objects.get(repo=repo).likes
    answers += [client.delete(LIKE, headers=headers).status_code for _ in range(2)]

    assert answers == [200, 200, 200, 200]
    assert liked == 1
    assert Listing.objects.get(repo=repo).likes == 0
    assert not Like.objects.exists()


def test_changing_ones_mind_all_day_is_one_event(
    client: Client, repo: ModelRepo, bob: User, bearer
) -> None:
    headers = bearer(bob)

    for _ in range(3):
        client.post(LIKE, headers=headers)
        client.delete(LIKE, headers=headers)

    assert RepoEvent.objects.filter(scope="like", action="create", actor=bob).count() == 1


@pytest.mark.parametrize("method", ["post", "delete"])
def test_who_may_not_like(
    client: Client, repo: ModelRepo, hidden: ModelRepo, bob: User, bearer, method: str
) -> None:
    send = getattr(client, method)
    path = "/api/models/alice/{}/like"
    set_like(Viewer(user=bob), repo, liked=True)

    visitor = send(path.format("tiny"))
    reader = send(path.format("tiny"), headers=bearer(bob, "read"))
    seen_by_nobody = send(path.format("hidden"))
    seen_by_bob = send(path.format("hidden"), headers=bearer(bob))
    absent = send(path.format("absent"), headers=bearer(bob))

    assert (visitor.status_code, reader.status_code) == (401, 403)
    assert "X-Error-Code" not in visitor
    assert (seen_by_nobody.status_code, seen_by_nobody["X-Error-Code"]) == (401, "RepoNotFound")
    assert (seen_by_bob.status_code, seen_by_bob["X-Error-Code"]) == (404, "RepoNotFound")
    assert (absent.status_code, absent["X-Error-Code"]) == (404, "RepoNotFound")
    assert list(Like.objects.values_list("user", "repo")) == [(bob.pk, repo.pk)]


def test_a_cookie_cannot_like(repo: ModelRepo, bob: User, browser_of) -> None:
    assert browser_of(bob).post(LIKE).status_code == 401
    assert not Like.objects.exists()


def test_likers(client: Client, repo: ModelRepo, hidden: ModelRepo, alice: User, bob: User) -> None:
    set_like(Viewer(user=alice), repo, liked=True)
    set_like(Viewer(user=bob), repo, liked=True)

    body = client.get("/api/models/alice/tiny/likers").json()

    assert [row["user"] for row in body] == ["bob", "alice"]
    assert body[0] | {"_id": ""} == {
        "_id": "",
        "user": "bob",
        "fullname": "bob",
        "avatarUrl": "/avatars/bob.svg",
        "type": "user",
        "isPro": False,
        "isFollowing": False,
    }
    assert client.get("/api/models/alice/hidden/likers").status_code == 401


def test_lists_are_read_page_by_page(client: Client, repo: ModelRepo) -> None:
    for name in ("dan", "eve", "fay"):
        set_like(Viewer(user=make_user(name)), repo, liked=True)

    first = client.get("/api/models/alice/tiny/likers?limit=2")
    url = first["Link"].removeprefix("<").split(">")[0]
    second = client.get(url.removeprefix("http://testserver"))

    assert first["Link"].startswith(
        "<http://testserver/api/models/alice/tiny/likers?limit=2&cursor="
    )
    assert first["Link"].endswith('>; rel="next"')
    assert [row["user"] for row in first.json() + second.json()] == ["fay", "eve", "dan"]
    assert "Link" not in second


@pytest.mark.parametrize("cursor", ["x", "W10", "WzBd", "WyJhIl0", "Wy0xXQ"])
def test_foreign_cursors_are_refused(client: Client, repo: ModelRepo, cursor: str) -> None:
    assert client.get(f"/api/models/alice/tiny/likers?cursor={cursor}").status_code == 400


def test_likes_show_public_models_only_whoever_asks(
    client: Client, repo: ModelRepo, hidden: ModelRepo, alice: User, bob: User, bearer
) -> None:
    set_like(Viewer(user=alice), repo, liked=True)
    set_like(Viewer(user=alice), hidden, liked=True)

    def names(**headers):
        return [row["repo"] for row in client.get("/api/users/Alice/likes", **headers).json()]

    public = [{"name": "alice/tiny", "type": "model"}]
    assert names() == public
    assert names(headers=bearer(bob)) == public
    assert names(headers=bearer(alice)) == public
    assert client.get("/api/users/bob/likes").json() == []
    assert client.get("/api/users/nobody/likes").status_code == 404
    created = client.get("/api/users/alice/likes").json()[0]["createdAt"]
    assert created.endswith("Z")


# ── people ──────────────────────────────────────────────────────────────────────────────────────


def test_an_overview_counts_what_the_caller_may_see(
    client: Client, repo: ModelRepo, hidden: ModelRepo, alice: User, bob: User, bearer
) -> None:
    make_org("acme", alice="admin")
    alice.bio = "Makes models."
    alice.save()
    set_like(Viewer(user=alice), hidden, liked=True)
    follows.set_follow(Viewer(user=bob), alice.namespace, follows=True)

    seen = client.get("/api/users/ALICE/overview", headers=bearer(bob)).json()
    own = client.get("/api/users/alice/overview", headers=bearer(alice)).json()

    assert seen.pop("_id") == alice.public_id
    assert seen.pop("createdAt").endswith("Z")
    assert seen.pop("orgs")[0]["name"] == "acme"
    assert seen == {
        "user": "alice",
        "fullname": "alice",
        "avatarUrl": "/avatars/alice.svg",
        "type": "user",
        "isPro": False,
        "isFollowing": True,
        "details": "Makes models.",
        "numModels": 1,
        "numDatasets": 0,
        "numSpaces": 0,
        "numDiscussions": 0,
        "numPapers": 0,
        "numUpvotes": 0,
        "numLikes": 0,
        "numFollowers": 1,
        "numFollowing": 0,
        "numFollowingOrgs": 0,
    }
    assert (own["numModels"], own["numLikes"], own["isFollowing"]) == (2, 1, False)


def test_people_are_no_organizations(client: Client, alice: User) -> None:
    make_org("acme", alice="admin")

    for path in ("users/acme", "organizations/alice", "users/nobody", "organizations/nobody"):
        answer = client.get(f"/api/{path}/overview")
        assert answer.status_code == 404, path
        assert "X-Error-Code" not in answer


def test_people_who_left_are_gone(client: Client, repo: ModelRepo, alice: User, bob: User) -> None:
    set_like(Viewer(user=bob), repo, liked=True)
    follows.set_follow(Viewer(user=bob), alice.namespace, follows=True)
    follows.set_follow(Viewer(user=alice), bob.namespace, follows=True)

    bob.is_active = False
    bob.save()

    assert client.get("/api/users/bob/overview").status_code == 404
    assert client.get("/api/models/alice/tiny/likers").json() == []
    assert client.get("/api/users/alice/followers").json() == []
    assert client.get("/api/users/alice/following").json() == []
    overview = client.get("/api/users/alice/overview").json()
    assert (overview["numFollowers"], overview["numFollowing"]) == (0, 0)

    bob.delete()

    assert client.get("/api/users/alice/following").json() == []
    assert not Follow.objects.exists()


def test_an_organizations_overview(client: Client, alice: User, bob: User, bearer) -> None:
    make_org("acme", alice="admin", bob="read")
    make_repo(alice, "open", namespace="acme")
    make_repo(alice, "secret", namespace="acme", is_private=True)
    client.post("/api/organizations/acme/follow", headers=bearer(bob))

    seen = client.get("/api/organizations/ACME/overview").json()
    inside = client.get("/api/organizations/acme/overview", headers=bearer(bob)).json()

    assert seen.pop("_id")
    assert seen == {
        "name": "acme",
        "fullname": "acme",
        "avatarUrl": "/avatars/acme.svg",
        "type": "org",
        "isVerified": False,
        "isFollowing": False,
        "numUsers": 2,
        "numModels": 1,
        "numDatasets": 0,
        "numSpaces": 0,
        "numFollowers": 1,
        "numPapers": 0,
    }
    assert (inside["numModels"], inside["isFollowing"]) == (2, True)


def test_following(client: Client, alice: User, bob: User, bearer) -> None:
    make_org("acme", alice="admin")
    headers = bearer(bob)

    done = [
        client.post("/api/users/alice/follow", headers=headers).status_code,
        client.post("/api/users/alice/follow", headers=headers).status_code,
        client.post("/api/organizations/acme/follow", headers=headers).status_code,
    ]

    assert done == [200, 200, 200]
    followers = client.get("/api/users/alice/followers").json()
    assert [row["user"] for row in followers] == ["bob"]
    assert [row["user"] for row in client.get("/api/users/bob/following").json()] == ["alice"]
    [of_acme] = client.get("/api/organizations/acme/followers").json()
    assert of_acme["user"] == "bob"
    [followed] = client.get("/api/users/bob/following", headers=headers).json()
    assert followed["isFollowing"] is True

    client.delete("/api/users/alice/follow", headers=headers)
    client.delete("/api/organizations/acme/follow", headers=headers)

    assert not Follow.objects.exists()
    assert client.delete("/api/users/alice/follow", headers=headers).status_code == 200


def test_who_may_not_follow(
    client: Client, alice: User, bob: User, bearer, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_user("dan")
    follows.set_follow(Viewer(user=bob), alice.namespace, follows=True)
    monkeypatch.setattr(follows, "MAX_FOLLOWS", 1)

    visitor = client.post("/api/users/alice/follow")
    reader = client.post("/api/users/alice/follow", headers=bearer(bob, "read"))
    own = client.post("/api/users/bob/follow", headers=bearer(bob))
    too_many = client.post("/api/users/dan/follow", headers=bearer(bob))
    absent = client.post("/api/users/nobody/follow", headers=bearer(bob))

    assert (visitor.status_code, reader.status_code, own.status_code) == (401, 403, 400)
    assert (too_many.status_code, absent.status_code) == (409, 404)
    assert too_many.json()["code"] == "too_many_follows"
    assert list(Follow.objects.values_list("namespace__name", flat=True)) == ["alice"]


def test_members(client: Client, alice: User, bob: User) -> None:
    make_org("acme", bob="read", alice="admin")

    first = client.get("/api/organizations/acme/members?limit=1")
    url = first["Link"].removeprefix("<").split(">")[0]
    second = client.get(url.removeprefix("http://testserver"))

    assert [row["user"] for row in first.json() + second.json()] == ["bob", "alice"]
    assert first.json()[0]["type"] == "user"
    assert client.get("/api/organizations/nobody/members").status_code == 404


def test_lists_cost_the_same_however_long(
    client: Client, repo: ModelRepo, bob: User, bearer, django_assert_num_queries
) -> None:
    headers = bearer(bob)
    for name in ("dan", "eve", "fay"):
        set_like(Viewer(user=make_user(name)), repo, liked=True)
    client.get("/api/models/alice/tiny/likers", headers=headers)  # notes when it was last used

    with django_assert_num_queries(6):
        client.get("/api/models/alice/tiny/likers", headers=headers)

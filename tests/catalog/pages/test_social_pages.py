"""Profiles, following, likes and feeds in a browser."""

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import Follow, ModelRepo, RepoEvent
from catalog.services.events import emit
from catalog.services.follows import set_follow
from catalog.services.likes import set_like
from catalog.services.repos import change_settings, move_repo
from tests.factories import add_files, make_org, make_repo, make_user

Scope, Action = RepoEvent.Scope, RepoEvent.Action
TABS = ["models", "collections", "activity", "followers"]


def text(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path, headers={"accept": "text/html"})
    assert answer.status_code == status, path
    return " ".join(answer.content.decode().split())


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    return make_repo(alice)


@pytest.fixture
def hidden(alice: User) -> ModelRepo:
    return make_repo(alice, "hidden", is_private=True)


# ── following ───────────────────────────────────────────────────────────────────────────────────


def test_following_from_a_profile(alice: User, bob: User, browser_of) -> None:
    browser = browser_of(bob)
    assert 'name="follows" value="true"' in text(browser, "/alice")

    form = {"name": "Alice", "follows": "true", "next": "/alice?tab=activity"}
    answer = browser.post("/feed/follow", form)

    assert answer["Location"] == "/alice?tab=activity"
    page = text(browser, "/alice")
    assert 'name="follows" value="false"' in page
    assert 'Followers <span class="tabs__count">1</span>' in page
    assert ">bob</b>" in text(browser, "/alice?tab=followers")
    assert ">alice</b>" in text(browser, "/bob?tab=following")

    browser.post("/feed/follow", {"name": "alice", "follows": "false"})

    assert not Follow.objects.exists()


def test_who_cannot_follow(alice: User, client: Client, bob: User, browser_of) -> None:
    visitor = client.post("/feed/follow", {"name": "alice", "follows": "true"})
    own = browser_of(alice).post("/feed/follow", {"name": "alice", "follows": "true"})
    absent = browser_of(bob).post("/feed/follow", {"name": "nobody", "follows": "true"})
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(bob)
    forged = strict.post("/feed/follow", {"name": "alice", "follows": "true"})

    statuses = (visitor.status_code, own.status_code, absent.status_code, forged.status_code)
    assert statuses == (401, 400, 404, 403)
    assert not Follow.objects.exists()
    assert 'name="follows"' not in text(browser_of(alice), "/alice")
    assert "/login?next=/alice" in text(client, "/alice")


def test_following_leads_nowhere_else(alice: User, bob: User, browser_of) -> None:
    form = {"name": "alice", "follows": "true", "next": "https://evil.example/"}

    assert browser_of(bob).post("/feed/follow", form)["Location"] == "/alice"


# ── profiles ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("tab", [*TABS, "likes", "following"])
def test_every_tab_of_a_person_says_when_it_is_empty(client: Client, bob: User, tab: str) -> None:
    assert 'class="empty"' in text(client, f"/bob?tab={tab}")


@pytest.mark.parametrize("tab", [*TABS, "members"])
def test_every_tab_of_an_organization(client: Client, alice: User, tab: str) -> None:
    make_org("acme", alice="admin")

    page = text(client, f"/acme?tab={tab}")

    assert ('class="empty"' in page) is (tab != "members")
    assert ('href="/alice"' in page) is True


@pytest.mark.parametrize("path", ["/bob?tab=members", "/bob?tab=x", "/acme?tab=likes"])
def test_tabs_that_are_not_there(client: Client, bob: User, path: str) -> None:
    make_org("acme", bob="admin")

    text(client, path, 404)


def test_likes_of_a_person(
    client: Client, repo: ModelRepo, hidden: ModelRepo, alice: User, browser_of
) -> None:
    set_like(Viewer(user=alice), repo, liked=True)
    set_like(Viewer(user=alice), hidden, liked=True)

    seen, own = text(client, "/alice?tab=likes"), text(browser_of(alice), "/alice?tab=likes")

    assert "alice/tiny" in seen
    assert "alice/hidden" not in seen
    assert 'Likes <span class="tabs__count">1</span>' in seen
    assert own.index("alice/hidden") < own.index("alice/tiny")
    assert 'Likes <span class="tabs__count">2</span>' in own


def test_members_and_teams_one_follows(client: Client, alice: User, bob: User) -> None:
    team = make_org("acme", alice="admin", bob="read")
    set_follow(Viewer(user=bob), team.namespace, follows=True)

    members, followed = text(client, "/acme?tab=members"), text(client, "/bob?tab=following")

    assert all(f'people__one" href="/{name}"' in members for name in ("alice", "bob"))
    assert 'people__one" href="/acme"' in followed
    assert "Organization" in followed


def test_long_lists_have_pages(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.views.profile.PEOPLE_PAGE", 2)
    for name in ("dan", "eve", "fay"):
        set_follow(Viewer(user=make_user(name)), alice.namespace, follows=True)

    first = text(client, "/alice?tab=followers")
    more = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    second = text(client, f"/alice{more}")

    assert [name in first for name in ("dan", "eve", "fay")] == [False, True, True]
    assert [name in second for name in ("dan", "eve", "fay")] == [True, False, False]
    text(client, "/alice?tab=followers&cursor=x", 400)


def test_a_profile_takes_a_fixed_number_of_queries(
    client: Client, repo: ModelRepo, alice: User, django_assert_max_num_queries
) -> None:
    for number in range(5):
        other = make_user(f"user{number}")
        set_follow(Viewer(user=other), alice.namespace, follows=True)
        set_follow(Viewer(user=alice), other.namespace, follows=True)
        set_like(Viewer(user=alice), make_repo(alice, f"m{number}"), liked=True)

    for tab in [*TABS, "likes", "following"]:
        with django_assert_max_num_queries(13):
            text(client, f"/alice?tab={tab}")


# ── activity ────────────────────────────────────────────────────────────────────────────────────


def test_what_a_person_did(
    client: Client, repo: ModelRepo, alice: User, bob: User, as_alice: Viewer
) -> None:
    add_files(alice, repo, {"a.txt": b"a"})
    add_files(alice, repo, {"b.txt": b"b"})
    set_like(Viewer(user=bob), repo, liked=True)
    emit(Scope.DISCUSSION, Action.CREATE, repo=repo, actor=bob, num=3, title="Is it <b>good</b>?")
    emit(Scope.COMMENT, Action.CREATE, repo=repo, actor=bob, num=4, title="Is it <b>good</b>?")
    move_repo(as_alice, repo, namespace="alice", name="moved")

    of_alice, of_bob = text(client, "/alice?tab=activity"), text(client, "/bob?tab=activity")

    assert 'renamed a model to <a href="/alice/moved"' in of_alice
    assert "changed files 2 times of" in of_alice
    assert "created" in of_alice
    assert "commented on" in of_bob
    assert "opened a discussion about" in of_bob
    assert "Is it &lt;b&gt;good&lt;/b&gt;?" in of_bob
    assert 'href="/alice/moved/discussions/3"' in of_bob
    assert "liked" in of_bob

    set_like(Viewer(user=bob), ModelRepo.objects.get(pk=repo.pk), liked=False)

    assert "liked" not in text(client, "/bob?tab=activity")


def test_one_commit_is_shown_by_its_title(client: Client, repo: ModelRepo, alice: User) -> None:
    oid = add_files(alice, repo, {"a.txt": b"a"})

    page = text(client, "/alice?tab=activity")

    assert f'href="/alice/tiny/commit/{oid}">add files' in page
    assert "changed files of" in page


def test_a_thread_and_what_it_was_opened_with_are_one_line(
    client: Client, repo: ModelRepo, bob: User
) -> None:
    def say(scope: RepoEvent.Scope, number: int) -> None:
        emit(scope, Action.CREATE, repo=repo, actor=bob, num=number, title=f"Thread {number}")

    say(Scope.DISCUSSION, 1)
    say(Scope.COMMENT, 1)
    once = text(client, "/bob?tab=activity")
    say(Scope.COMMENT, 1)
    say(Scope.DISCUSSION, 2)
    say(Scope.COMMENT, 2)
    twice = text(client, "/bob?tab=activity")

    assert (once.count("opened a discussion"), once.count("commented")) == (1, 0)
    assert (twice.count("opened a discussion"), twice.count("commented")) == (2, 1)


def test_what_feeds_never_show(
    client: Client, repo: ModelRepo, hidden: ModelRepo, alice: User, bob: User, as_alice: Viewer
) -> None:
    add_files(alice, hidden, {"secret.txt": b"a"})
    emit(Scope.ACCESS, Action.CREATE, repo=repo, actor=bob, user_id=bob.pk, status="pending")
    emit(
        Scope.CONTENT,
        Action.UPDATE,
        repo=repo,
        actor=bob,
        updated_refs=[{"ref": "refs/pr/1", "old": None, "new": "0" * 40}],
        title="A proposal",
    )
    emit(Scope.DISCUSSION, Action.UPDATE, repo=repo, actor=bob, num=1, title="Closed")
    change_settings(as_alice, repo, gate="manual")

    of_bob, of_alice = text(client, "/bob?tab=activity"), text(client, "/alice?tab=activity")

    assert 'class="empty"' in of_bob
    assert of_alice.count("feed__line") == 1  # alice/tiny was created
    assert "alice/hidden" not in of_alice


@pytest.mark.parametrize("who", ["visitor", "bob", "alice"])
def test_what_becomes_private_leaves_every_feed(
    client: Client, repo: ModelRepo, alice: User, bob: User, as_alice: Viewer, browser_of, who: str
) -> None:
    team = make_org("acme", alice="admin")
    make_repo(alice, "theirs", namespace="acme")
    for namespace in (alice.namespace, team.namespace):
        set_follow(Viewer(user=bob), namespace, follows=True)
    set_follow(Viewer(user=alice), team.namespace, follows=True)
    change_settings(as_alice, repo, is_private=True)
    change_settings(as_alice, ModelRepo.objects.get(name="theirs"), is_private=True)
    browser = client if who == "visitor" else browser_of({"bob": bob, "alice": alice}[who])

    shown = text(browser, "/alice?tab=activity") + text(browser, "/acme?tab=activity")
    if who != "visitor":
        shown += text(browser, "/") + text(browser, "/feed")

    assert ("/alice/tiny" in shown, "/acme/theirs" in shown) == (
        (True, True) if who == "alice" else (False, False)
    )

    change_settings(as_alice, repo, is_private=False)

    assert "opened to everybody" in text(browser, "/alice?tab=activity")


def test_news_of_those_one_follows(
    repo: ModelRepo, alice: User, bob: User, browser_of, client: Client
) -> None:
    team = make_org("acme", alice="admin")
    stranger = make_user("dan")
    browser = browser_of(bob)
    assert "From people you follow</h2>" not in text(browser, "/")
    assert 'class="empty"' in text(browser, "/feed")

    set_follow(Viewer(user=bob), alice.namespace, follows=True)
    set_follow(Viewer(user=bob), team.namespace, follows=True)
    make_repo(bob, "own")
    make_repo(stranger, "strange")
    make_repo(alice, "theirs", namespace="acme")
    set_like(Viewer(user=stranger), ModelRepo.objects.get(name="theirs"), liked=True)
    news = text(browser, "/feed")

    assert "/acme/theirs" in news
    assert "/alice/tiny" in news
    assert "/bob/own" not in news
    assert "/dan" not in news
    assert "From people you follow</h2>" in text(browser, "/")
    assert client.get("/feed")["Location"] == "/login?next=/feed"


def test_a_feed_is_one_query_however_long(
    client: Client,
    repo: ModelRepo,
    alice: User,
    bob: User,
    browser_of,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_max_num_queries,
) -> None:
    for number in range(6):
        set_like(Viewer(user=alice), make_repo(bob, f"m{number}"), liked=True)
    set_follow(Viewer(user=bob), alice.namespace, follows=True)
    browser = browser_of(bob)

    with django_assert_max_num_queries(7):  # session, person, three of rights, the feed, the bell
        first = text(browser, "/feed")
    assert first.count("feed__line") == 7

    monkeypatch.setattr(
        "catalog.services.feeds.feed_of_followed.__kwdefaults__", {"limit": 4, "cursor": None}
    )
    first = text(browser, "/feed")
    more = first.split('rel="next" href="')[1].split('"')[0]
    second = text(browser, f"/feed{more}")

    assert (first.count("feed__line"), second.count("feed__line")) == (4, 3)
    for cursor in ("x", "WzBd", "WyJhIl0"):
        text(browser, f"/feed?cursor={cursor}", 400)


def test_those_who_left_are_nobody(client: Client, alice: User, bob: User) -> None:
    make_org("acme", alice="admin", bob="write")
    make_repo(bob, "theirs", namespace="acme")

    bob.delete()

    assert "<b>Somebody</b> created" in text(client, "/acme?tab=activity")

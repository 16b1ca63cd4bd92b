"""The inbox, the bell and the switches in a browser."""

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo, Notice, NoticeSetting, RepoEvent, Watch
from catalog.services import events
from catalog.services.events import emit
from catalog.services.follows import set_follow
from tests.catalog.pages.test_social_pages import text
from tests.factories import make_repo

Scope, Action = RepoEvent.Scope, RepoEvent.Action


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    return make_repo(alice)


@pytest.fixture
def three(repo: ModelRepo, alice: User, bob: User) -> list[Notice]:
    """Three notices of alice: two threads, and a follower."""
    for number in (1, 2):
        title = f"Question <{number}>"
        event = emit(Scope.DISCUSSION, Action.CREATE, repo=repo, actor=bob, num=number, title=title)
        events.spread(event.pk)
    set_follow(Viewer(user=bob), alice.namespace, follows=True)
    return list(Notice.objects.order_by("pk"))


def unread(user: User) -> int:
    return Notice.objects.filter(user=user, read_at=None).count()


def test_the_inbox(three: list[Notice], alice: User, browser_of, client: Client) -> None:
    browser = browser_of(alice)

    page = text(browser, "/notifications")

    assert "Notifications: 3 unread" in page
    assert "bob opened a discussion about alice/tiny: Question &lt;1&gt;" in page
    assert page.index("bob follows you") < page.index("Question &lt;2&gt;")
    assert page.count("feed__line--new") == 3
    assert client.get("/notifications", headers={"accept": "text/html"}).status_code == 302
    assert "/notifications" not in text(client, "/")


def test_opening_one_marks_it(three: list[Notice], alice: User, bob: User, browser_of) -> None:
    first, _second, follower = three
    browser = browser_of(alice)

    assert browser_of(bob).get(f"/notifications/{first.pk}").status_code == 404
    assert unread(alice) == 3
    answers = [browser.get(f"/notifications/{pk}")["Location"] for pk in (first.pk, follower.pk)]

    assert answers == ["/alice/tiny/discussions/1", "/bob"]
    assert unread(alice) == 1
    page = text(browser, "/notifications")
    assert page.count("feed__line--new") == 1
    only = text(browser, "/notifications?show=unread")
    assert "Question &lt;2&gt;" in only
    assert "Question &lt;1&gt;" not in only


def test_marking(three: list[Notice], alice: User, bob: User, browser_of) -> None:
    browser, first = browser_of(alice), three[0].pk

    foreign = browser_of(bob).post("/notifications/mark", {"notice": first})
    nonsense = browser.post("/notifications/mark", {"notice": "x"})
    assert (foreign.status_code, nonsense.status_code, unread(alice)) == (404, 404, 3)

    answer = browser.post(
        "/notifications/mark", {"notice": first, "read": "true", "next": "/notifications?a=b"}
    )
    assert (answer["Location"], unread(alice)) == ("/notifications?a=b", 2)
    browser.post("/notifications/mark", {"notice": first, "read": "false"})
    assert unread(alice) == 3

    browser_of(bob).post("/notifications/mark", {"notice": "all"})
    assert unread(alice) == 3
    browser.post("/notifications/mark", {"notice": "all"})
    assert unread(alice) == 0
    assert 'class="empty"' in text(browser, "/notifications?show=unread")
    assert 'bell__count"' not in text(browser, "/notifications")


def test_an_empty_inbox(bob: User, browser_of) -> None:
    assert 'class="empty"' in text(browser_of(bob), "/notifications")


def test_a_long_inbox_has_pages(
    three: list[Notice], alice: User, browser_of, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.views.notices.PAGE", 2)
    browser = browser_of(alice)

    first = text(browser, "/notifications?show=unread")
    more = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    second = text(browser, f"/notifications{more}")

    assert "show=unread" in more
    assert (first.count("feed__line--new"), second.count("feed__line--new")) == (2, 1)
    text(browser, "/notifications?cursor=x", 400)
    text(browser, "/notifications?cursor=WyJhIl0", 400)


def test_the_inbox_takes_a_fixed_number_of_queries(
    three: list[Notice], alice: User, browser_of, django_assert_max_num_queries
) -> None:
    browser = browser_of(alice)

    with django_assert_max_num_queries(5):  # session, person, inbox, bell, right to sell
        text(browser, "/notifications")


def test_switches(alice: User, browser_of, client: Client) -> None:
    browser = browser_of(alice)
    page = text(browser, "/settings/notifications")
    assert page.count('type="checkbox"') == 12
    assert page.count(" checked") == 10

    answer = browser.post("/settings/notifications", {"site-comment": "on", "mail-follower": "on"})

    assert answer["Location"] == "/settings/notifications"
    rows = NoticeSetting.objects.order_by("kind").values_list("kind", "in_site", "by_mail")
    assert list(rows) == [
        ("access", False, False),
        ("comment", True, False),
        ("discussion", False, False),
        ("follower", False, True),
        ("revision", False, False),
        ("sale", False, False),
    ]
    assert text(browser, "/settings/notifications").count(" checked") == 2
    assert client.post("/settings/notifications", headers={"accept": "text/html"})["Location"]
    assert NoticeSetting.objects.filter(user=alice).count() == 6


def test_watching_and_muting(repo: ModelRepo, bob: User, browser_of) -> None:
    browser = browser_of(bob)
    make_repo(bob, "own")
    assert ">Watch<" in text(browser, "/alice/tiny")

    answer = browser.post("/alice/tiny/watch", {"level": "watch"})
    assert answer["Location"] == "/alice/tiny"
    assert ">Watching<" in text(browser, "/alice/tiny")
    browser.post("/alice/tiny/watch", {"level": "mute"})
    assert ">Muted<" in text(browser, "/alice/tiny")
    assert "/alice/tiny" in text(browser, "/settings/notifications")
    wrong = browser.post("/alice/tiny/watch", {"level": "loud"})

    assert wrong.status_code == 400
    assert list(Watch.objects.values_list("user", "repo", "level")) == [(bob.pk, repo.pk, "mute")]

    ModelRepo.objects.filter(pk=repo.pk).update(is_private=True)
    assert "/alice/tiny" not in text(browser, "/settings/notifications")
    assert browser.post("/alice/tiny/watch", {"level": "watch"}).status_code == 404
    ModelRepo.objects.filter(pk=repo.pk).update(is_private=False)

    form = {"level": "", "next": "/settings/notifications"}
    assert browser.post("/alice/tiny/watch", form)["Location"] == "/settings/notifications"
    assert not Watch.objects.exists()


def test_a_token_cannot_open_the_inbox(
    three: list[Notice], alice: User, bearer, client: Client
) -> None:
    for path in ("/notifications", "/settings/notifications", f"/notifications/{three[0].pk}"):
        assert client.get(path, headers=bearer(alice)).status_code == 403
    assert unread(alice) == 3


@pytest.mark.parametrize(
    ("scope", "action", "facts", "words", "link"),
    [
        (
            "discussion",
            "create",
            {"is_pull_request": True},
            "bob proposes a change to",
            "/discussions/7",
        ),
        ("discussion", "update", {}, "bob changed a thread of", "/discussions/7"),
        ("discussion.comment", "create", {}, "bob commented at", "/discussions/7"),
        ("discussion.comment", "create", {"comment": "ab"}, "bob commented", "/discussions/7#ab"),
        ("access", "create", {"status": "pending"}, "bob asks for access to", "/access-requests"),
        ("access", "update", {"status": "accepted"}, "You may download", ""),
        ("access", "update", {"status": "rejected"}, "was turned down by bob", ""),
        (
            "repo.content",
            "update",
            {"updated_refs": [{"new": "abc"}]},
            "alice/tiny has a new revision by bob: T",
            "/commit/abc",
        ),
        ("repo.content", "update", {"title": ""}, "has a new revision by bob", ""),
    ],
)
def test_words(
    repo: ModelRepo, alice: User, bob: User, browser_of, scope, action, facts, words, link
) -> None:
    more = {"num": 7, "title": "T" * 200} | facts
    event = emit(Scope(scope), Action(action), repo=repo, actor=bob, **more)
    notice = Notice.objects.create(user=alice, kind=Notice.Kind.COMMENT, event=event, repo=repo)
    browser = browser_of(alice)

    page = text(browser, "/notifications")

    assert words in page
    assert "T" * 121 not in page
    assert browser.get(f"/notifications/{notice.pk}")["Location"] == f"/alice/tiny{link}"

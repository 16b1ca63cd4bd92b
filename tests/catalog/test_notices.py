"""Who is told of what, once, and only while they may see it."""

import re
import smtplib
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo, Notice, NoticeSetting, RepoEvent, Watch
from catalog.services import events, notice_letters, notices
from catalog.services.events import emit
from catalog.services.follows import set_follow
from catalog.services.inbox import count_unread, inbox
from catalog.services.likes import set_like
from catalog.services.notice_settings import Kind, Wish, set_watch, set_wishes
from catalog.services.publishing import AddFile, publish
from catalog.services.repos import change_settings, delete_repo
from store.core.jobs import JobName
from store.core.models import Job
from tests.factories import add_files, make_org, make_repo, make_user

Scope, Action = RepoEvent.Scope, RepoEvent.Action


@pytest.fixture
def repo(alice: User, run_jobs) -> ModelRepo:
    made = make_repo(alice)
    run_jobs()
    return made


@pytest.fixture
def dan(db: None) -> User:
    return make_user("dan")


def told() -> list[tuple[str, str]]:
    """(who, why) of every notice, in the order they were made."""
    return list(Notice.objects.order_by("pk").values_list("user__username", "kind"))


def thread(repo: ModelRepo, actor: User, **facts: Any) -> RepoEvent:
    more = {"num": 1, "title": "A question"} | facts
    return emit(Scope.DISCUSSION, Action.CREATE, repo=repo, actor=actor, **more)


def comment(repo: ModelRepo, actor: User, **facts: Any) -> RepoEvent:
    more = {"num": 1, "title": "A question", "comment": "c" * 24} | facts
    return emit(Scope.COMMENT, Action.CREATE, repo=repo, actor=actor, **more)


# ── who and why ─────────────────────────────────────────────────────────────────────────────────


def test_the_owner_hears_of_a_new_thread_once(repo: ModelRepo, bob: User, run_jobs) -> None:
    event = thread(repo, bob)
    run_jobs()
    events.spread(event.pk)

    assert told() == [("alice", "discussion")]
    notice = Notice.objects.get()
    assert (notice.event, notice.repo, notice.read_at) == (event, repo, None)


def test_nobody_hears_of_themselves(repo: ModelRepo, alice: User, run_jobs) -> None:
    set_like(Viewer(user=alice), repo, liked=True)
    set_watch(Viewer(user=alice), repo, Watch.Level.WATCH)
    thread(repo, alice, mentions=["alice"])
    comment(repo, alice, mentions=["alice"])
    add_files(alice, repo, {"a.txt": b"a"})
    run_jobs()

    assert told() == []


def test_a_team_hears_who_can_answer(alice: User, bob: User, dan: User, run_jobs) -> None:
    make_user("reader")
    make_org("acme", alice="admin", bob="write", reader="read")
    repo = make_repo(alice, "theirs", namespace="acme")

    thread(repo, dan)
    run_jobs()

    assert told() == [("alice", "discussion"), ("bob", "discussion")]


def test_a_thread_is_followed_by_whoever_spoke_in_it(
    repo: ModelRepo, alice: User, bob: User, dan: User, run_jobs
) -> None:
    watcher = make_user("wanda")
    set_watch(Viewer(user=watcher), repo, Watch.Level.WATCH)
    thread(repo, bob)
    comment(repo, bob)
    thread(repo, make_user("other"), num=2)
    run_jobs()
    Notice.objects.all().delete()

    comment(repo, dan)
    comment(repo, alice)
    run_jobs()

    assert told() == [
        ("bob", "comment"),
        ("wanda", "comment"),
        ("bob", "comment"),
        ("dan", "comment"),
        ("wanda", "comment"),
    ]
    Notice.objects.all().delete()

    emit(Scope.DISCUSSION, Action.UPDATE, repo=repo, actor=alice, num=1, title="A question")
    run_jobs()

    assert told() == [("bob", "comment"), ("dan", "comment")]


def test_the_text_a_thread_is_opened_with_tells_nobody_twice(
    repo: ModelRepo, bob: User, dan: User, run_jobs
) -> None:
    set_watch(Viewer(user=make_user("wanda")), repo, Watch.Level.WATCH)

    thread(repo, bob)
    comment(repo, bob, mentions=["alice", "wanda", "dan"])
    run_jobs()

    assert sorted(told()) == [("alice", "discussion"), ("dan", "comment"), ("wanda", "discussion")]
    Notice.objects.all().delete()

    comment(repo, bob, mentions=["dan"])
    run_jobs()

    assert told() == [("dan", "comment"), ("wanda", "comment")]


def test_whoever_is_mentioned_hears_of_it_for_that_reason(
    repo: ModelRepo, bob: User, dan: User, run_jobs
) -> None:
    thread(repo, bob, mentions=["DAN", "alice", "nobody", "bob", 5])
    run_jobs()

    assert told() == [("alice", "comment"), ("dan", "comment")]


def test_a_text_that_calls_everybody_calls_some(
    repo: ModelRepo, bob: User, dan: User, run_jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "MAX_MENTIONS", 1)

    comment(repo, bob, mentions=["nobody", "dan"])
    run_jobs()

    assert told() == []


def test_requests_for_access(repo: ModelRepo, alice: User, bob: User, run_jobs) -> None:
    def ask(action: RepoEvent.Action, actor: User | None, status: str) -> None:
        emit(Scope.ACCESS, action, repo=repo, actor=actor, user_id=bob.pk, status=status)
        run_jobs()

    ask(Action.CREATE, bob, "pending")
    assert told() == [("alice", "access")]
    ask(Action.UPDATE, alice, "accepted")
    ask(Action.UPDATE, alice, "rejected")
    assert told() == [("alice", "access"), ("bob", "access"), ("bob", "access")]
    ask(Action.CREATE, bob, "accepted")  # a gate that opens by itself
    ask(Action.UPDATE, bob, "withdrawn")

    assert len(told()) == 3


def test_new_revisions_of_main_are_told_to_those_who_care(
    repo: ModelRepo, alice: User, bob: User, dan: User, run_jobs
) -> None:
    both = make_user("both")
    set_like(Viewer(user=bob), repo, liked=True)
    set_watch(Viewer(user=dan), repo, Watch.Level.WATCH)
    set_like(Viewer(user=both), repo, liked=True)
    set_watch(Viewer(user=both), repo, Watch.Level.WATCH)
    run_jobs()

    add_files(alice, repo, {"a.txt": b"a"})
    run_jobs()

    assert sorted(told()) == [("bob", "revision"), ("both", "revision"), ("dan", "revision")]


def test_fifty_commits_are_one_notice_until_it_is_read(
    repo: ModelRepo, as_alice: Viewer, bob: User, run_jobs
) -> None:
    set_like(Viewer(user=bob), repo, liked=True)
    for number in range(3):
        change = [AddFile("a.txt", str(number).encode())]
        publish(as_alice, repo, revision="main", operations=change, title="More")
    run_jobs()
    assert told() == [("bob", "revision")]

    Notice.objects.update(read_at=timezone.now())
    publish(as_alice, repo, revision="main", operations=[AddFile("a.txt", b"last")], title="Last")
    run_jobs()

    assert told() == [("bob", "revision"), ("bob", "revision")]


def test_other_branches_are_no_news(repo: ModelRepo, bob: User, alice: User, run_jobs) -> None:
    set_like(Viewer(user=bob), repo, liked=True)
    refs = [{"ref": "refs/pr/1", "old": None, "new": "0" * 40}]

    emit(Scope.CONTENT, Action.UPDATE, repo=repo, actor=alice, updated_refs=refs, title="x")
    run_jobs()

    assert told() == []


def test_many_are_told_in_groups(
    repo: ModelRepo, alice: User, run_jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "_AT_ONCE", 2)
    for number in range(5):
        set_like(Viewer(user=make_user(f"fan{number}")), repo, liked=True)
    run_jobs()

    add_files(alice, repo, {"a.txt": b"a"})
    run_jobs()

    assert [who for who, _ in told()] == [f"fan{number}" for number in range(5)]


def test_a_new_follower_once_however_often_they_come_and_go(
    alice: User, bob: User, dan: User
) -> None:
    for _ in range(3):
        set_follow(Viewer(user=bob), alice.namespace, follows=True)
        set_follow(Viewer(user=bob), alice.namespace, follows=False)
    set_follow(Viewer(user=dan), alice.namespace, follows=True)
    set_follow(Viewer(user=dan), make_org("acme", alice="admin").namespace, follows=True)

    assert told() == [("alice", "follower"), ("alice", "follower")]
    assert [notice.actor for notice in inbox(alice)] == [dan, bob]


# ── who not ─────────────────────────────────────────────────────────────────────────────────────


def test_muting_silences_a_model(repo: ModelRepo, alice: User, bob: User, run_jobs) -> None:
    set_watch(Viewer(user=alice), repo, Watch.Level.MUTE)
    thread(repo, bob, mentions=["alice"])
    run_jobs()
    assert told() == []

    set_watch(Viewer(user=alice), repo, None)
    thread(repo, bob, num=2)
    run_jobs()

    assert told() == [("alice", "discussion")]


@pytest.mark.parametrize(
    ("wish", "is_shown", "mails"),
    [
        (Wish(in_site=True, by_mail=True), True, 1),
        (Wish(in_site=True, by_mail=False), True, 0),
        (Wish(in_site=False, by_mail=True), False, 1),
        (Wish(in_site=False, by_mail=False), None, 0),
    ],
)
@pytest.mark.parametrize("kind", [Kind.DISCUSSION, Kind.FOLLOWER])
def test_switches(
    repo: ModelRepo,
    alice: User,
    bob: User,
    run_jobs,
    wish: Wish,
    is_shown: bool | None,
    mails: int,
    kind: Kind,
) -> None:
    set_wishes(Viewer(user=alice), {kind: wish})

    if kind == Kind.FOLLOWER:
        set_follow(Viewer(user=bob), alice.namespace, follows=True)
    else:
        thread(repo, bob)
    run_jobs()

    assert [notice.is_shown for notice in Notice.objects.all()] == (
        [] if is_shown is None else [is_shown]
    )
    assert count_unread(alice) == int(bool(is_shown))
    assert len(mail.outbox) == mails


def test_a_second_reason_counts_when_the_first_is_switched_off(
    repo: ModelRepo, alice: User, bob: User, run_jobs
) -> None:
    set_wishes(Viewer(user=alice), {Kind.COMMENT: Wish(in_site=False, by_mail=False)})

    thread(repo, bob, mentions=["alice"])
    run_jobs()

    assert told() == [("alice", "discussion")]


def test_whoever_may_not_see_a_model_hears_nothing(
    alice: User, bob: User, dan: User, run_jobs, as_alice: Viewer
) -> None:
    make_org("acme", alice="admin", dan="read")
    repo = make_repo(alice, "theirs", namespace="acme")
    for user in (bob, dan):
        set_like(Viewer(user=user), repo, liked=True)
        set_watch(Viewer(user=user), repo, Watch.Level.WATCH)
    change_settings(as_alice, repo, is_private=True)
    run_jobs()

    add_files(alice, repo, {"a.txt": b"a"})
    thread(repo, alice, mentions=["bob", "dan"])
    run_jobs()

    assert told() == [("dan", "revision"), ("dan", "comment")]
    assert [message.to for message in mail.outbox] == [["dan@example.org"]]


def test_what_becomes_hidden_is_neither_shown_nor_counted_nor_mailed(
    repo: ModelRepo, alice: User, bob: User, as_alice: Viewer, run_jobs, browser_of
) -> None:
    thread(repo, bob)
    comment(repo, alice, mentions=["bob"])
    spread = Job.objects.filter(name=JobName.SPREAD_EVENT)
    for job in spread.filter(state="queued"):
        events.spread(job.args["event_id"])
    waiting = Notice.objects.get(user=bob)
    assert count_unread(bob) == 1

    change_settings(as_alice, repo, is_private=True)

    assert count_unread(bob) == 0
    assert list(inbox(bob)) == []
    assert notice_letters.send(waiting.pk) == 0
    assert "alice/tiny" not in browser_of(bob).get("/notifications").content.decode()
    assert browser_of(bob).get(f"/notifications/{waiting.pk}").status_code == 404
    assert mail.outbox == []
    waiting.refresh_from_db()
    assert waiting.read_at is None

    change_settings(as_alice, repo, is_private=False)

    assert count_unread(bob) == 1


def test_notices_go_with_their_model(
    repo: ModelRepo, bob: User, as_alice: Viewer, run_jobs
) -> None:
    event = thread(repo, bob)
    run_jobs()

    delete_repo(as_alice, ModelRepo.objects.get(pk=repo.pk))
    events.spread(event.pk)

    assert told() == []


def test_people_who_left_are_not_told(repo: ModelRepo, alice: User, bob: User, run_jobs) -> None:
    alice.is_active = False
    alice.save()

    thread(repo, bob)
    run_jobs()

    assert told() == []


# ── letters ─────────────────────────────────────────────────────────────────────────────────────


def test_a_letter(repo: ModelRepo, bob: User, run_jobs, settings: Any) -> None:
    settings.PUBLIC_URL = "https://store.example"
    thread(repo, bob, title="Is it\r\nBcc: evil@example.org <b>good</b>?")
    run_jobs()

    [letter] = mail.outbox
    assert letter.to == ["alice@example.org"]
    expected = "bob opened a discussion about alice/tiny: Is it Bcc: evil@example.org <b>good</b>?"
    assert letter.subject == expected
    assert "\nhttps://store.example/alice/tiny/discussions/1\n" in letter.body
    assert "https://store.example/settings/notifications" in letter.body
    headers = letter.extra_headers
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = headers["List-Unsubscribe"]
    assert re.fullmatch(r"<https://store\.example/notifications/unsubscribe/[\w:.-]+>", link)
    assert link[1:-1] in letter.body
    assert Notice.objects.get().mailed_at is not None
    assert notice_letters.send(Notice.objects.get().pk) == 0
    assert len(mail.outbox) == 1


def _unsubscribe_path() -> str:
    [letter] = mail.outbox
    return (
        "/notifications" + letter.extra_headers["List-Unsubscribe"][1:-1].split("/notifications")[1]
    )


def test_one_click_ends_letters_of_one_kind(
    repo: ModelRepo, alice: User, bob: User, run_jobs
) -> None:
    thread(repo, bob)
    run_jobs()
    path, strict = _unsubscribe_path(), Client(enforce_csrf_checks=True)

    looked = strict.get(path, headers={"accept": "text/html"})
    assert "New discussions and pull requests on my models" in looked.content.decode()
    assert not NoticeSetting.objects.exists()
    body = "List-Unsubscribe=One-Click"
    kind = "application/x-www-form-urlencoded"
    answers = [strict.post(path, body, content_type=kind).status_code for _ in range(2)]

    assert answers == [200, 200]
    row = NoticeSetting.objects.get()
    assert (row.user, row.kind, row.in_site, row.by_mail) == (alice, "discussion", True, False)
    thread(repo, bob, num=2)
    run_jobs()
    assert len(mail.outbox) == 1
    assert count_unread(alice) == 2


@pytest.mark.parametrize("damage", ["x", "{}x", "{}:", "x{}"])
def test_links_that_are_not_ours_end_nothing(
    repo: ModelRepo, bob: User, run_jobs, client: Client, damage: str
) -> None:
    thread(repo, bob)
    run_jobs()
    base, token = _unsubscribe_path().rsplit("/", 1)

    answer = client.post(f"{base}/{damage.format(token)}")

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_unsubscribe_link")
    assert client.get(f"{base}/{damage.format(token)}").status_code == 400
    assert not NoticeSetting.objects.exists()


def test_a_link_outlives_nobody(repo: ModelRepo, alice: User, bob: User, run_jobs) -> None:
    thread(repo, bob)
    run_jobs()
    path = _unsubscribe_path()
    alice.is_active = False
    alice.save()

    assert Client().post(path).status_code == 400


def test_what_is_read_or_unwanted_by_now_is_not_mailed(
    repo: ModelRepo, alice: User, bob: User, run_jobs
) -> None:
    thread(repo, bob)
    events.spread(RepoEvent.objects.latest("pk").pk)
    pk = Notice.objects.get().pk

    Notice.objects.update(read_at=timezone.now())
    assert notice_letters.send(pk) == 0
    Notice.objects.update(read_at=None)
    set_watch(Viewer(user=alice), repo, Watch.Level.MUTE)
    assert notice_letters.send(pk) == 0
    set_watch(Viewer(user=alice), repo, None)
    set_wishes(Viewer(user=alice), {Kind.DISCUSSION: Wish(in_site=True, by_mail=False)})
    assert notice_letters.send(pk) == 0
    set_wishes(Viewer(user=alice), {Kind.DISCUSSION: Wish(in_site=True, by_mail=True)})
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert notice_letters.send(pk) == 0
    User.objects.filter(pk=alice.pk).update(is_active=True)
    assert mail.outbox == []

    assert notice_letters.send(pk) == 1
    assert notice_letters.send(pk + 1) == 0


def test_a_mailbox_bears_so_many_in_an_hour(
    repo: ModelRepo, alice: User, bob: User, run_jobs, settings: Any
) -> None:
    settings.ENV = settings.ENV.model_copy(update={"notice_mails_per_hour": 2})
    for number in range(4):
        thread(repo, bob, num=number)
    run_jobs()

    assert len(mail.outbox) == 2
    assert count_unread(alice) == 4

    Notice.objects.filter(mailed_at__isnull=False).update(
        mailed_at=timezone.now() - timedelta(hours=2)
    )
    thread(repo, bob, num=9)
    run_jobs()
    assert len(mail.outbox) == 3


def test_a_mail_server_that_is_down_is_asked_again(
    repo: ModelRepo, bob: User, run_jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> int:
        raise smtplib.SMTPServerDisconnected

    thread(repo, bob)
    events.spread(RepoEvent.objects.latest("pk").pk)
    with monkeypatch.context() as patched:
        patched.setattr("django.core.mail.EmailMessage.send", refuse)
        with pytest.raises(notice_letters.mailing.MailError):
            notice_letters.send(Notice.objects.get().pk)
    assert Notice.objects.get().mailed_at is None

    run_jobs()

    assert len(mail.outbox) == 1


# ── keeping ─────────────────────────────────────────────────────────────────────────────────────


def test_old_notices_are_forgotten(repo: ModelRepo, bob: User, run_jobs) -> None:
    from workers.tasks import forget_notices

    thread(repo, bob)
    thread(repo, bob, num=2)
    run_jobs()
    old = Notice.objects.order_by("pk")[0]
    Notice.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=91))

    forget_notices()
    [job] = run_jobs()

    assert job.result == {"deleted": 1}
    assert list(Notice.objects.values_list("event__facts__num", flat=True)) == [2]


def test_the_bell_is_one_query_and_counts_to_a_hundred(
    repo: ModelRepo, alice: User, bob: User, django_assert_num_queries
) -> None:
    event = thread(repo, bob)
    for number in range(120):
        more = RepoEvent.objects.create(
            scope=event.scope,
            action=event.action,
            repo=repo,
            repo_public_id=repo.public_id,
            full_name=repo.full_name,
            is_private=False,
            namespace=repo.namespace,
            actor=bob,
            facts={"num": number},
        )
        Notice.objects.create(user=alice, kind=Kind.DISCUSSION, event=more, repo=repo)

    with django_assert_num_queries(1):
        assert count_unread(alice) == 100

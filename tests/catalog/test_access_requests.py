"""Asking for a gated model, and answering who asks."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core import mail

from accounts.models import AccessToken, AuditEvent, Scope, User
from accounts.services.limits import ACCESS_REQUESTS
from accounts.viewer import VISITOR, MissingScopeError, Viewer
from catalog.access import GatedRepoError, check_contents, may_see_contents, passes_gate
from catalog.models import (
    AccessRequest,
    AccessRequestChange,
    ModelRepo,
    Notice,
    RepoEvent,
    Watch,
    WebhookDelivery,
)
from catalog.services import access_lists, access_requests, notice_letters
from catalog.services.access_requests import (
    AccessRejectedError,
    HasAccessError,
    NotGatedError,
    RequestMovedError,
    RequestNotFoundError,
    SameStatusError,
)
from catalog.services.event_words import notice_link
from catalog.services.events import spread
from catalog.services.feeds import feed_of_namespace
from catalog.services.gate_answers import AnswersError
from catalog.services.notice_settings import Wish, set_watch, set_wishes
from catalog.services.repos import change_settings
from catalog.services.webhooks import managing as webhooks
from store.core.errors import (
    ForbiddenError,
    InvalidError,
    RateLimitedError,
    StoreError,
    UnauthenticatedError,
)
from store.core.models import Job
from store.core.paging import BadCursorError
from tests.factories import make_org, make_repo, make_user, proved_viewer
from tests.threads import at_once

FORM = b"""---
extra_gated_fields:
  Company: text
  Country: country
  Born: date_picker
  Use: {type: select, options: [Research, {label: Else, value: other}]}
  I agree: checkbox
---
# Tiny
"""
GOOD = {
    "Company": " Acme ",
    "Country": "fr",
    "Born": "1815-12-10",
    "Use": "other",
    "I agree": "on",
    "Not asked": "ignored",
}


def gated(owner: User, gate: str = "manual", name: str = "tiny", **more: Any) -> ModelRepo:
    repo = make_repo(owner, name, **more)
    ModelRepo.objects.filter(pk=repo.pk).update(gate=gate)
    repo.refresh_from_db()
    return repo


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    return gated(alice)


def everything() -> tuple[Any, ...]:
    """All that a refusal must leave as it was."""
    return (
        list(AccessRequest.objects.order_by("id").values()),
        AccessRequestChange.objects.count(),
        RepoEvent.objects.count(),
        Job.objects.count(),
        AuditEvent.objects.filter(action="access.answer").count(),
    )


def refused(error: type[StoreError], act: Callable[[], object]) -> StoreError:
    before = everything()
    with pytest.raises(error) as caught:
        act()
    assert everything() == before
    return caught.value


def test_asking_keeps_the_answers_and_tells_the_publisher(
    alice: User, as_bob: Viewer, run_jobs: Callable[[], list[Job]]
) -> None:
    repo = gated(alice, files={"README.md": FORM})

    asked = access_requests.ask(as_bob, repo, GOOD)
    run_jobs()

    assert asked.status == "pending"
    asked.refresh_from_db()
    assert asked.answers == [
        ["Company", "Acme"],
        ["Country", "France"],
        ["Born", "1815-12-10"],
        ["Use", "other"],
        ["I agree", True],
    ]
    event = RepoEvent.objects.get(scope="access")
    assert (event.action, event.actor) == ("create", as_bob.user)
    assert event.facts == {
        "request": asked.public_id,
        "user_id": as_bob.user.pk,
        "status": "pending",
    }
    assert [letter.to for letter in mail.outbox] == [["alice@example.org"]]
    assert mail.outbox[0].subject == "1 person waits for access to alice/tiny"
    assert "/alice/tiny/access-requests" in mail.outbox[0].body
    assert not passes_gate(as_bob, repo)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"Company": " "}, "Company"),
        ({"Company": "x" * 501}, "Company"),
        ({"Company": "a\u202eb"}, "Company"),
        ({"Country": "Atlantis"}, "Country"),
        ({"Country": ""}, "Country"),
        ({"Born": "10.12.1815"}, "Born"),
        ({"Born": "2026-02-30"}, "Born"),
        ({"Use": "Else"}, "Use"),
        ({"I agree": ""}, "I agree"),
        ({"I agree": "no"}, "I agree"),
    ],
)
def test_an_open_question_is_named_and_nothing_is_asked(
    alice: User, as_bob: Viewer, change: dict[str, str], wrong: str
) -> None:
    repo = gated(alice, files={"README.md": FORM})

    error = refused(AnswersError, lambda: access_requests.ask(as_bob, repo, GOOD | change))

    assert isinstance(error.extra["fields"], dict)
    assert list(error.extra["fields"]) == [wrong]
    assert wrong in error.message


def test_an_automatic_gate_opens_at_once(
    alice: User, as_bob: Viewer, run_jobs: Callable[[], list[Job]]
) -> None:
    repo = gated(alice, "auto")

    asked = access_requests.ask(as_bob, repo, {})
    run_jobs()

    assert (asked.status, asked.decided_by) == ("accepted", None)
    assert passes_gate(as_bob, repo)
    assert AccessRequestChange.objects.get().actor_name == ""
    assert mail.outbox == []


def test_asking_again_renews_the_answers_and_bothers_nobody(alice: User, as_bob: Viewer) -> None:
    repo = gated(alice, files={"README.md": FORM})
    first = access_requests.ask(as_bob, repo, GOOD)
    jobs = Job.objects.count()

    second = access_requests.ask(as_bob, repo, GOOD | {"Company": "Other"})

    assert second.pk == first.pk
    assert (dict(second.answers)["Company"], second.asked_at) == ("Other", first.asked_at)
    assert (Job.objects.count(), AccessRequestChange.objects.count()) == (jobs, 1)


def test_a_waiting_request_passes_once_the_gate_opens_by_itself(
    alice: User, as_alice: Viewer, as_bob: Viewer, repo: ModelRepo
) -> None:
    access_requests.ask(as_bob, repo, {})
    repo = change_settings(as_alice, repo, gate="auto")

    assert access_requests.ask(as_bob, repo, {}).status == "accepted"
    assert access_requests.ask(as_bob, repo, {}).status == "accepted"
    assert AccessRequestChange.objects.count() == 2


def test_who_passes_the_gate(alice: User, bob: User) -> None:
    team = make_org("acme", alice="admin", bob="read")
    other = make_user("dora")
    repo = gated(alice, namespace="acme")
    staff = make_user("erin", is_staff=True)

    assert passes_gate(Viewer(user=alice), repo)
    assert passes_gate(Viewer(user=bob), repo)
    for stranger in (Viewer(user=other), proved_viewer(staff), VISITOR):
        assert not may_see_contents(stranger, repo)
        with pytest.raises(GatedRepoError) as caught:
            check_contents(stranger, repo)
        assert caught.value.message == (
            "Access to model acme/tiny is restricted and you are not in the authorized list."
        )
    team.memberships.filter(user=bob).delete()
    assert not passes_gate(Viewer(user=bob), repo)


def test_an_ungated_model_lets_everybody_in(alice: User) -> None:
    assert passes_gate(VISITOR, make_repo(alice))


def test_nobody_asks_without_need_or_right(
    alice: User, bob: User, as_alice: Viewer, as_bob: Viewer, repo: ModelRepo
) -> None:
    open_repo = make_repo(alice, "open")
    reader = Viewer(user=bob, token=AccessToken(scopes=[Scope.READ]))

    refused(UnauthenticatedError, lambda: access_requests.ask(VISITOR, repo, {}))
    refused(MissingScopeError, lambda: access_requests.ask(reader, repo, {}))
    refused(NotGatedError, lambda: access_requests.ask(as_bob, open_repo, {}))
    refused(HasAccessError, lambda: access_requests.ask(as_alice, repo, {}))


def test_asking_is_limited(as_bob: Viewer, alice: User, rate_limits_on: None) -> None:
    repo = gated(alice)
    for _ in range(ACCESS_REQUESTS.quota):
        access_requests.ask(as_bob, repo, {})

    refused(RateLimitedError, lambda: access_requests.ask(as_bob, repo, {}))


def test_an_answer_opens_the_gate_is_written_down_and_told(
    as_alice: Viewer, as_bob: Viewer, repo: ModelRepo, run_jobs: Callable[[], list[Job]]
) -> None:
    access_requests.ask(as_bob, repo, {})

    answered = access_requests.answer(as_alice, repo, status="accepted", user="BOB")
    run_jobs()

    assert (answered.status, answered.decided_by) == ("accepted", as_alice.user)
    assert passes_gate(as_bob, repo)
    audit = AuditEvent.objects.get(action="access.answer")
    assert audit.detail == {"user": "bob", "status": "accepted"}
    assert list(AccessRequestChange.objects.values_list("status", "actor_name")) == [
        ("pending", "bob"),
        ("accepted", "alice"),
    ]
    # nobody waits any more, so the publisher's letter is not sent
    assert [(letter.to, letter.subject) for letter in mail.outbox] == [
        (["bob@example.org"], "You have access to alice/tiny")
    ]
    assert RepoEvent.objects.filter(scope="access").latest("id").facts["status"] == "accepted"


def test_a_rejection_carries_its_reason_and_closes_the_door(
    as_alice: Viewer, as_bob: Viewer, repo: ModelRepo, run_jobs: Callable[[], list[Job]]
) -> None:
    asked = access_requests.ask(as_bob, repo, {})

    access_requests.answer(
        as_alice, repo, status="rejected", request_id=asked.public_id, reason="No company."
    )
    run_jobs()

    assert not passes_gate(as_bob, repo)
    assert "No company." in mail.outbox[-1].body
    refused(AccessRejectedError, lambda: access_requests.ask(as_bob, repo, {}))
    refused(AccessRejectedError, lambda: access_requests.withdraw(as_bob, repo))


def test_a_publisher_opens_a_rejected_request_again(
    as_alice: Viewer, as_bob: Viewer, repo: ModelRepo
) -> None:
    access_requests.ask(as_bob, repo, {})
    access_requests.answer(as_alice, repo, status="rejected", user="bob", reason="wait")

    opened = access_requests.answer(as_alice, repo, status="pending", user="bob")

    assert (opened.status, opened.reason, opened.decided_by) == ("pending", "", None)
    assert access_requests.ask(as_bob, repo, {}).status == "pending"
    assert access_requests.answer(as_alice, repo, status="accepted", user="bob").status == (
        "accepted"
    )


def test_access_ends_when_it_is_taken_away(
    as_alice: Viewer, as_bob: Viewer, repo: ModelRepo
) -> None:
    access_requests.ask(as_bob, repo, {})
    access_requests.answer(as_alice, repo, status="accepted", user="bob")

    access_requests.answer(as_alice, repo, status="rejected", user="bob")

    assert not passes_gate(as_bob, repo)


def test_refused_answers(alice: User, as_alice: Viewer, as_bob: Viewer, repo: ModelRepo) -> None:
    asked = access_requests.ask(as_bob, repo, {})
    other = gated(alice, name="other")
    open_repo = make_repo(alice, "open")

    def answer(viewer: Viewer, where: ModelRepo, **how: Any) -> Callable[[], object]:
        return lambda: access_requests.answer(viewer, where, **({"user": "bob"} | how))

    refused(ForbiddenError, answer(as_bob, repo, status="accepted"))
    refused(UnauthenticatedError, answer(VISITOR, repo, status="accepted"))
    refused(NotGatedError, answer(as_alice, open_repo, status="accepted"))
    refused(RequestNotFoundError, answer(as_alice, other, status="accepted"))
    refused(RequestNotFoundError, answer(as_alice, repo, status="accepted", user="dora"))
    refused(
        RequestNotFoundError,
        answer(as_alice, other, status="accepted", user=None, request_id=asked.public_id),
    )
    refused(SameStatusError, answer(as_alice, repo, status="pending"))
    for status in ("withdrawn", "", "ACCEPTED"):
        refused(InvalidError, answer(as_alice, repo, status=status))
    refused(InvalidError, answer(as_alice, repo, status="accepted", reason="why"))
    refused(InvalidError, answer(as_alice, repo, status="rejected", reason="x" * 501))
    refused(RequestMovedError, answer(as_alice, repo, status="rejected", seen="accepted"))


def test_by_hand(
    alice: User, as_alice: Viewer, as_bob: Viewer, repo: ModelRepo, run_jobs: Callable[[], Any]
) -> None:
    let_in = access_requests.grant(as_alice, repo, "Bob")
    run_jobs()

    assert (let_in.status, let_in.is_by_hand) == ("accepted", True)
    assert passes_gate(as_bob, repo)
    assert access_lists.email_of(let_in) == ""
    assert "alice gave you access to alice/tiny" in mail.outbox[0].body
    refused(HasAccessError, lambda: access_requests.grant(as_alice, repo, "bob"))
    refused(HasAccessError, lambda: access_requests.grant(as_alice, repo, "alice"))
    refused(RequestNotFoundError, lambda: access_requests.grant(as_alice, repo, "nobody"))
    refused(ForbiddenError, lambda: access_requests.grant(as_bob, repo, "bob"))


def test_granting_a_waiting_request_keeps_what_was_agreed(
    as_alice: Viewer, as_bob: Viewer, repo: ModelRepo
) -> None:
    access_requests.ask(as_bob, repo, {})

    let_in = access_requests.grant(as_alice, repo, "bob")

    assert (let_in.status, access_lists.email_of(let_in)) == ("accepted", "bob@example.org")


def test_taking_back_wipes_the_answers(alice: User, as_alice: Viewer, as_bob: Viewer) -> None:
    repo = gated(alice, files={"README.md": FORM})
    access_requests.ask(as_bob, repo, GOOD)
    access_requests.answer(as_alice, repo, status="accepted", user="bob")

    access_requests.withdraw(as_bob, repo)

    row = AccessRequest.objects.get()
    assert (row.status, row.answers) == ("withdrawn", [])
    assert not passes_gate(as_bob, repo)
    assert access_lists.own_request(as_bob, repo) is None
    assert access_lists.counts_of(repo) == {"pending": 0, "accepted": 0, "rejected": 0}
    refused(RequestNotFoundError, lambda: access_requests.withdraw(as_bob, repo))
    refused(
        RequestNotFoundError,
        lambda: access_requests.answer(as_alice, repo, status="accepted", user="bob"),
    )
    again = access_requests.ask(as_bob, repo, GOOD)
    assert (again.pk, again.status) == (row.pk, "pending")


def test_many_at_once(alice: User, as_alice: Viewer, repo: ModelRepo) -> None:
    people = [make_user(f"person{number}") for number in range(3)]
    ids = [access_requests.ask(Viewer(user=each), repo, {}).public_id for each in people]
    access_requests.answer(as_alice, repo, status="rejected", request_id=ids[1])

    results = access_requests.answer_many(
        as_alice, repo, [*ids, ids[0], "missing"], status="accepted", seen="pending"
    )

    assert [(each.name, type(each.error).__name__) for each in results] == [
        (ids[0], "NoneType"),
        (ids[1], "RequestMovedError"),
        (ids[2], "NoneType"),
        ("missing", "RequestNotFoundError"),
    ]
    assert [passes_gate(Viewer(user=each), repo) for each in people] == [True, False, True]
    refused(
        InvalidError, lambda: access_requests.answer_many(as_alice, repo, [], status="accepted")
    )
    refused(
        ForbiddenError,
        lambda: access_requests.answer_many(Viewer(user=people[0]), repo, ids, status="rejected"),
    )


def test_lists_page_and_refuse(alice: User, as_alice: Viewer, as_bob: Viewer) -> None:
    repo = gated(alice)
    names = [f"person{number}" for number in range(5)]
    for name in names:
        access_requests.ask(Viewer(user=make_user(name)), repo, {})

    def pages() -> Iterator[str]:
        cursor: str | None = None
        while cursor != "":
            page = access_lists.list_requests(as_alice, repo, "pending", cursor=cursor, limit=2)
            yield from (row.user.username for row in page.rows)
            cursor = page.next_cursor

    assert list(pages()) == names[::-1]
    with pytest.raises(ForbiddenError):
        access_lists.list_requests(as_bob, repo, "pending")
    with pytest.raises(InvalidError):
        access_lists.list_requests(as_alice, repo, "withdrawn")
    for bad in ("nonsense", "WyJhIl0", "Wy0xXQ"):
        with pytest.raises(BadCursorError):
            access_lists.list_requests(as_alice, repo, "pending", cursor=bad)


def test_no_cell_of_a_table_is_a_formula(alice: User, as_alice: Viewer, as_bob: Viewer) -> None:
    card = b"---\nextra_gated_fields:\n  =Question: text\n  Agree: checkbox\n---\n"
    repo = gated(alice, files={"README.md": card})
    given = {"=Question": '=HYPERLINK("http://evil.test")', "Agree": "on"}
    access_requests.ask(as_bob, repo, given)
    User.objects.filter(username="bob").update(full_name="+cmd|' /C calc'!A0")

    head, row = access_lists.table_of(as_alice, repo, "pending")

    assert head[-2:] == ["'=Question", "Agree"]
    assert row[:4] == ["bob", "'+cmd|' /C calc'!A0", "bob@example.org", "pending"]
    assert row[-2:] == ['\'=HYPERLINK("http://evil.test")', "yes"]
    assert not [cell for cell in (*head, *row) if cell.startswith(("=", "+", "-", "@", "\t"))]


def test_own_requests_show_only_what_may_be_seen(
    alice: User, as_alice: Viewer, as_bob: Viewer
) -> None:
    shown, hidden, opened = (gated(alice, name=name) for name in ("shown", "hidden", "opened"))
    for repo in (shown, hidden, opened):
        access_requests.ask(as_bob, repo, {})
    change_settings(as_alice, hidden, is_private=True)
    change_settings(as_alice, opened, gate="none")

    assert [row.repo for row in access_lists.own_requests(as_bob)] == [shown]
    assert access_lists.own_request(VISITOR, shown) is None


def test_letters_to_an_organization_go_to_its_admins(
    alice: User, bob: User, run_jobs: Callable[[], Any]
) -> None:
    make_user("dora")
    make_org("acme", alice="admin", bob="write", dora="admin")
    repo = gated(alice, namespace="acme")
    for name in ("erin", "frank"):
        access_requests.ask(Viewer(user=make_user(name)), repo, {})
    run_jobs()

    assert [letter.to for letter in mail.outbox] == [["alice@example.org"], ["dora@example.org"]]
    assert mail.outbox[0].subject == "2 people wait for access to acme/tiny"


def test_letters_go_to_who_wants_them_and_notices_stay_on_the_site(
    as_alice: Viewer, as_bob: Viewer, repo: ModelRepo, run_jobs: Callable[[], Any]
) -> None:
    access_requests.ask(as_bob, repo, {})
    run_jobs()
    access_requests.answer(as_alice, repo, status="accepted", user="bob")
    run_jobs()

    assert [letter.to for letter in mail.outbox] == [["alice@example.org"], ["bob@example.org"]]
    for letter in mail.outbox:
        stop = letter.extra_headers["List-Unsubscribe"].strip("<>")
        assert stop in letter.body
        notice_letters.unsubscribe(stop.rpartition("/")[2])
    notices = Notice.objects.order_by("pk")
    assert [(each.user.username, notice_link(each), each.wants_mail) for each in notices] == [
        ("alice", "/alice/tiny/access-requests", False),
        ("bob", "/alice/tiny", False),
    ]
    mail.outbox.clear()

    access_requests.withdraw(as_bob, repo)
    access_requests.ask(as_bob, repo, {})
    run_jobs()
    access_requests.answer(as_alice, repo, status="rejected", user="bob")
    run_jobs()

    assert mail.outbox == []
    assert Notice.objects.count() == 4


def test_who_mutes_a_model_has_no_letters_of_it(
    alice: User, bob: User, as_alice: Viewer, as_bob: Viewer, run_jobs: Callable[[], Any]
) -> None:
    make_org("acme", alice="admin", bob="admin")
    repo = gated(alice, namespace="acme")
    set_watch(as_alice, repo, Watch.Level.MUTE)
    set_wishes(as_bob, {Notice.Kind.ACCESS: Wish(in_site=False, by_mail=True)})

    access_requests.ask(Viewer(user=make_user("dora")), repo, {})
    run_jobs()

    assert [letter.to for letter in mail.outbox] == [["bob@example.org"]]
    assert Notice.objects.count() == 0


def test_a_request_that_is_opened_again_is_no_news_to_the_publisher(
    bob: User, as_alice: Viewer, as_bob: Viewer, repo: ModelRepo, run_jobs: Callable[[], Any]
) -> None:
    make_org("acme", alice="admin", bob="write")
    access_requests.ask(as_bob, repo, {})
    access_requests.answer(as_alice, repo, status="rejected", user="bob")
    run_jobs()
    before = Notice.objects.count()

    access_requests.answer(as_alice, repo, status="pending", user="bob")
    run_jobs()

    assert Notice.objects.count() == before


def test_no_feed_and_no_webhook_ever_tells_of_a_request(
    alice: User, as_alice: Viewer, as_bob: Viewer, repo: ModelRepo, run_jobs: Callable[[], Any]
) -> None:
    run_jobs()
    hook = webhooks.create(
        as_alice,
        webhooks.Wish(url="https://93.184.216.34/in", watched=[{"type": "user", "name": "alice"}]),
    )[0]
    namespaces = [alice.namespace, as_bob.user.namespace]
    lines = [len(feed_of_namespace(as_alice, each).lines) for each in namespaces]

    access_requests.ask(as_bob, repo, {})
    access_requests.answer(as_alice, repo, status="accepted", user="bob")
    for event in RepoEvent.objects.filter(scope="access"):
        spread(event.pk)

    assert RepoEvent.objects.filter(scope="access").count() == 2
    assert WebhookDelivery.objects.filter(webhook=hook).count() == 0
    assert [len(feed_of_namespace(as_alice, each).lines) for each in namespaces] == lines


def test_letters_about_what_is_gone_are_not_sent(
    as_alice: Viewer, as_bob: Viewer, repo: ModelRepo, run_jobs: Callable[[], Any]
) -> None:
    from catalog.services import access_letters

    access_requests.ask(as_bob, repo, {})
    access_requests.answer(as_alice, repo, status="accepted", user="bob")
    User.objects.filter(username="bob").update(is_active=False)
    run_jobs()
    change_settings(as_alice, repo, gate="none")

    assert mail.outbox == []
    assert access_letters.send("answer", 10**9, "en") == 0
    assert access_letters.send("waiting", 10**9, "en") == 0
    assert access_letters.send("waiting", repo.pk, "en") == 0


@pytest.mark.django_db(transaction=True)
def test_of_two_answers_at_once_one_wins() -> None:
    alice, bob = make_user("alice"), make_user("bob")
    repo = gated(alice)
    asked = access_requests.ask(Viewer(user=bob), repo, {})
    wanted = ["accepted", "rejected"] * 4

    def answer(number: int) -> str:
        try:
            access_requests.answer(
                Viewer(user=alice),
                repo,
                status=wanted[number],
                request_id=asked.public_id,
                seen="pending",
            )
        except StoreError as error:
            return error.code
        return wanted[number]

    ends = at_once(answer, len(wanted))

    asked.refresh_from_db()
    assert [end for end in ends if end != "access_request_moved"] == [asked.status]
    assert AccessRequestChange.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_asking_many_times_at_once_asks_once() -> None:
    alice, bob = make_user("alice"), make_user("bob")
    repo = gated(alice)

    at_once(lambda _number: access_requests.ask(Viewer(user=bob), repo, {}).pk, 6)

    assert AccessRequest.objects.get().status == "pending"
    assert AccessRequestChange.objects.count() == 1
    assert RepoEvent.objects.filter(scope="access").count() == 1
    assert Job.objects.filter(name="catalog.send_access_letter").count() == 1

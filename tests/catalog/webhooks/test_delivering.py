"""Deliveries to real receivers on loopback: signed, retried, given up, fair."""

import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings as django_settings
from django.core import mail
from django.utils import timezone
from huggingface_hub._webhooks_payload import WebhookPayload
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from accounts.models import AuditEvent, User
from accounts.viewer import Viewer
from catalog.models import ModelRepo, Webhook, WebhookAttempt, WebhookDelivery
from catalog.services.events import spread
from catalog.services.repos import change_settings, delete_repo
from catalog.services.webhooks import delivering, managing, replaying, signing, stopping, upkeep
from catalog.services.webhooks.delivering import deliver_due, rest_s, retry_delay_s
from store.core.errors import ConflictError, RateLimitedError
from store.core.models import Job
from tests import receivers
from tests.catalog.webhooks.conftest import LOOPBACK, happen, hook, quiet_repo
from tests.factories import make_user
from tests.receivers import Receiver
from tests.threads import at_once

State = WebhookDelivery.State
Start = Callable[..., Receiver]
Run = Callable[[], list[Job]]


def deliveries() -> list[tuple[str, int]]:
    """(state, tries) of every delivery, in order."""
    return list(WebhookDelivery.objects.order_by("pk").values_list("state", "tries"))


def ready(webhook: Webhook) -> Webhook:
    """Let the time pass that a failure costs."""
    now = timezone.now()
    Webhook.objects.filter(pk=webhook.pk).update(rest_until=None)
    waiting = webhook.deliveries.filter(state=State.WAITING)
    waiting.update(next_try_at=now)
    webhook.refresh_from_db()
    return webhook


def send(webhook: Webhook) -> int:
    """Do what a sender does, once."""
    return deliver_due(webhook.pk, sender="test")


# ── a good day ──────────────────────────────────────────────────────────────────────────────────


def test_an_event_arrives_signed(alice: User, receiver: Start, run_jobs: Run) -> None:
    got = receiver()
    webhook, key = managing.create(
        Viewer(user=alice),
        managing.Wish(url=got.url, watched=[{"type": "user", "name": "alice"}], secret="my-secret"),
    )
    repo = quiet_repo(alice)
    happen(repo, updated_refs=[{"ref": "refs/heads/main", "old": None, "new": "a" * 40}])
    run_jobs()

    [request] = got.requests
    delivery = WebhookDelivery.objects.get()
    assert request.line == "POST /hook HTTP/1.1"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-webhook-secret"] == "my-secret"
    assert request.headers["webhook-id"] == f"msg_{delivery.public_id}"
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 60
    assert Verifier(key).verify(request.body, request.headers) == json.loads(delivery.payload)
    payload = WebhookPayload.model_validate_json(request.body)
    assert (payload.repo.name, payload.webhook.id) == ("alice/tiny", webhook.public_id)
    assert (delivery.state, delivery.tries, delivery.next_try_at) == ("delivered", 1, None)
    [attempt] = delivery.attempts.all()
    assert (attempt.status, attempt.error) == (200, "")
    webhook.refresh_from_db()
    assert (webhook.failures, webhook.busy_until, webhook.busy_by) == (0, None, "")
    assert webhook.delivered_at is not None


def test_a_changed_body_or_an_old_one_does_not_verify(alice: User, receiver: Start) -> None:
    got = receiver()
    webhook = hook(alice, got.url)
    happen_and_spread(quiet_repo(alice))
    send(webhook)

    [request] = got.requests
    [key] = signing.secrets_of(webhook).keys
    verifier = Verifier(key)
    assert "x-webhook-secret" not in request.headers
    with pytest.raises(WebhookVerificationError):
        verifier.verify(request.body.replace(b"tiny", b"huge"), request.headers)
    with pytest.raises(WebhookVerificationError):
        verifier.verify(request.body, request.headers | {"webhook-id": "msg_other"})
    with pytest.raises(WebhookVerificationError):
        Verifier("whsec_" + "A" * 44).verify(request.body, request.headers)
    with time_machine.travel(time.time() + 301), pytest.raises(WebhookVerificationError):
        verifier.verify(request.body, request.headers)


def test_old_and_new_key_verify_for_a_day(alice: User, receiver: Start) -> None:
    got = receiver()
    webhook = hook(alice, got.url)
    [old] = signing.secrets_of(webhook).keys
    webhook, new = managing.renew_key(Viewer(user=alice), webhook)
    happen_and_spread(quiet_repo(alice))
    send(webhook)

    [request] = got.requests
    assert Verifier(old).verify(request.body, request.headers)
    assert Verifier(new).verify(request.body, request.headers)


def test_events_arrive_in_order_and_in_one_go(alice: User, receiver: Start, run_jobs: Run) -> None:
    got = receiver()
    hook(alice, got.url)
    repo = quiet_repo(alice)
    for number in range(5):
        happen_and_spread(repo, number=number, updated_refs=[ref(number)])
    run_jobs()

    sent = [json.loads(request.body)["updatedRefs"][0]["ref"] for request in got.requests]
    assert sent == [f"refs/heads/{number}" for number in range(5)]
    assert deliveries() == [("delivered", 1)] * 5


def ref(number: int) -> dict[str, Any]:
    """A new branch."""
    return {"ref": f"refs/heads/{number}", "old": None, "new": "a" * 40}


def happen_and_spread(repo: ModelRepo, **facts: Any) -> None:
    """Note an event and tell it to the webhooks."""
    spread(happen(repo, **facts).pk)


def test_a_sender_gives_its_place_to_others(
    alice: User, receiver: Start, monkeypatch: pytest.MonkeyPatch, run_jobs: Run
) -> None:
    monkeypatch.setattr(delivering, "SLICE", 2)
    got = receiver()
    webhook = hook(alice, got.url)
    repo = quiet_repo(alice)
    for number in range(5):
        happen_and_spread(repo, updated_refs=[ref(number)])

    assert send(webhook) == 2
    assert len(got.requests) == 2
    jobs = run_jobs()

    assert len(got.requests) == 5
    assert sum(job.name == "catalog.deliver_webhook" for job in jobs) > 1


# ── bad days ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        (receivers.status(500), 500, "status"),
        (receivers.status(404), 404, "status"),
        (receivers.redirect("http://127.0.0.1/"), 307, "status"),
        (receivers.hang, None, "timeout"),
        (receivers.no_http, None, "bad_answer"),
        (receivers.close, None, "bad_answer"),
    ],
)
def test_a_failure_is_written_down_and_tried_again(
    alice: User, receiver: Start, impatient: None, answer, status: int | None, error: str
) -> None:
    got = receiver(answer)
    webhook = hook(alice, got.url)
    happen_and_spread(quiet_repo(alice))
    before = timezone.now()

    assert send(webhook) == 1

    delivery = WebhookDelivery.objects.get()
    [attempt] = delivery.attempts.all()
    assert (attempt.status, attempt.error) == (status, error)
    assert (delivery.state, delivery.tries) == ("waiting", 1)
    assert 7 < (delivery.next_try_at - before).total_seconds() < 20
    webhook.refresh_from_db()
    assert (webhook.failures, webhook.disabled_for, webhook.busy_until) == (1, "", None)
    assert webhook.failing_since is not None
    assert (webhook.rest_until - before).total_seconds() > 4.9
    assert send(webhook) == 0
    assert len(got.requests) == 1


def test_the_same_id_and_bytes_come_with_each_try(alice: User, receiver: Start) -> None:
    got = receiver(receivers.status(500, 503, 200))
    webhook = hook(alice, got.url)
    happen_and_spread(quiet_repo(alice))

    for _ in range(5):
        send(ready(webhook))

    assert len(got.requests) == 3
    assert len({request.headers["webhook-id"] for request in got.requests}) == 1
    assert len({request.body for request in got.requests}) == 1
    assert deliveries() == [("delivered", 3)]
    webhook.refresh_from_db()
    assert (webhook.failures, webhook.failing_since, webhook.rest_until) == (0, None, None)
    assert list(WebhookAttempt.objects.values_list("status", flat=True)) == [500, 503, 200]


def test_the_first_failure_ends_the_round(alice: User, receiver: Start) -> None:
    got = receiver(receivers.status(500))
    webhook = hook(alice, got.url)
    repo = quiet_repo(alice)
    for number in range(3):
        happen_and_spread(repo, updated_refs=[ref(number)])

    assert send(webhook) == 1
    assert send(ready(webhook)) == 1
    assert len(got.requests) == 2


def test_pauses_grow_differ_and_have_an_end() -> None:
    means = [10, 30, 90, 270, 810, 2430, 7290, 21600, 21600]

    for tries, mean in enumerate(means, start=1):
        drawn = [retry_delay_s(tries) for _ in range(50)]
        assert mean * 0.8 <= min(drawn) < max(drawn) <= mean * 1.2
    assert [rest_s(failures) for failures in (1, 2, 3, 7, 8, 10_000)] == [5, 10, 20, 300, 300, 300]


def test_three_days_of_failures_end_in_a_letter(
    alice: User, receiver: Start, run_jobs: Run
) -> None:
    got = receiver(receivers.status(500))
    webhook = hook(alice, got.url)
    happen_and_spread(quiet_repo(alice))
    started, moments = timezone.now(), []
    with time_machine.travel(started, tick=False) as clock:
        while due := WebhookDelivery.objects.get().next_try_at:
            clock.move_to(max(due, Webhook.objects.get().rest_until or due))
            moments.append((timezone.now() - started).total_seconds())
            assert send(webhook) == 1
            assert stopping.stop_failing() == 0
        clock.move_to(started + timedelta(days=3, seconds=5))
        assert (stopping.stop_failing(), stopping.stop_failing()) == (1, 0)
        run_jobs()

    assert 12 <= len(moments) <= 25
    assert 2 * 86400 < moments[-1] <= 3 * 86400
    assert deliveries() == [("failed", len(moments))]
    webhook.refresh_from_db()
    assert webhook.disabled_for == "failing"
    [letter] = mail.outbox
    assert letter.to == ["alice@example.org"]
    assert "for three days" in letter.body
    assert f"{django_settings.PUBLIC_URL}/settings/webhooks/{webhook.public_id}" in letter.body
    assert got.url not in letter.body
    event = AuditEvent.objects.get(action="webhook.stop")
    assert (event.actor, event.namespace.name, event.detail["reason"]) == (None, "alice", "failing")


def test_few_failures_or_one_success_switch_nothing_off(alice: User, receiver: Start) -> None:
    got = receiver(receivers.status(*[500] * 12, 200))
    webhook = hook(alice, got.url)
    happen_and_spread(quiet_repo(alice))
    with time_machine.travel(timezone.now()) as clock:
        for _ in range(9):
            send(ready(webhook))
        clock.shift(timedelta(days=4))
        assert stopping.stop_failing() == 0
        clock.shift(timedelta(days=-4))
        for _ in range(4):
            send(ready(webhook))
        clock.shift(timedelta(days=4))
        assert stopping.stop_failing() == 0

    webhook.refresh_from_db()
    assert (webhook.disabled_for, webhook.failures, deliveries()) == ("", 0, [("delivered", 13)])
    assert mail.outbox == []


def test_a_heap_nobody_takes_is_given_up_and_switched_off(
    alice: User, receiver: Start, run_jobs: Run
) -> None:
    """More waits than can be tried: most of it never fails by itself."""
    webhook = hook(alice, receiver(receivers.status(500)).url)
    repo = quiet_repo(alice)
    for number in range(30):
        happen_and_spread(repo, updated_refs=[ref(number)])
    with time_machine.travel(timezone.now()) as clock:
        for _ in range(12):
            send(ready(webhook))
        clock.shift(timedelta(days=3, minutes=1))
        assert upkeep.give_up_late() == 30
        assert stopping.stop_failing() == 1

    webhook.refresh_from_db()
    assert webhook.disabled_for == "failing"


def test_gone_means_gone(alice: User, receiver: Start, run_jobs: Run) -> None:
    got = receiver(receivers.status(410))
    webhook = hook(alice, got.url)
    repo = quiet_repo(alice)
    for number in range(2):
        happen_and_spread(repo, updated_refs=[ref(number)])
    run_jobs()

    webhook.refresh_from_db()
    assert (webhook.disabled_for, len(got.requests)) == ("gone", 1)
    assert deliveries() == [("waiting", 1), ("waiting", 0)]
    [letter] = mail.outbox
    assert "gone for good" in letter.body
    upkeep.nudge_all()
    run_jobs()
    assert len(got.requests) == 1

    got.answer = receivers.status(200)
    managing.set_enabled(Viewer(user=alice), webhook, is_enabled=True)
    WebhookDelivery.objects.update(next_try_at=timezone.now())
    run_jobs()

    assert deliveries() == [("delivered", 2), ("delivered", 1)]


def test_a_delivery_nobody_could_send_is_given_up(alice: User, receiver: Start) -> None:
    got = receiver()
    webhook = hook(alice, got.url)
    happen_and_spread(quiet_repo(alice))
    Webhook.objects.update(disabled_for="owner")
    with time_machine.travel(timezone.now() + timedelta(days=2, hours=23)):
        assert upkeep.give_up_late() == 0
    with time_machine.travel(timezone.now() + timedelta(days=3, minutes=1)):
        assert upkeep.give_up_late() == 1
        assert upkeep.give_up_late() == 0
    assert deliveries() == [("failed", 0)]

    Webhook.objects.update(disabled_for="")
    WebhookDelivery.objects.update(
        state="waiting", next_try_at=timezone.now(), give_up_at=timezone.now(), ended_at=None
    )
    assert send(webhook) == 0
    assert (deliveries(), got.connections) == ([("failed", 0)], 0)


def test_secrets_of_another_site_switch_the_webhook_off(
    alice: User, receiver: Start, settings, run_jobs: Run
) -> None:
    got = receiver()
    webhook = hook(alice, got.url, secret="word")
    happen_and_spread(quiet_repo(alice))
    old = settings.SECRET_KEY
    settings.SECRET_KEY = "another" * 8
    settings.SECRET_KEY_FALLBACKS = [old]
    assert signing.secrets_of(webhook).word == "word"
    settings.SECRET_KEY_FALLBACKS = []

    run_jobs()

    webhook.refresh_from_db()
    assert (webhook.disabled_for, got.connections) == ("unreadable", 0)
    assert "key of the site changed" in mail.outbox[0].body
    webhook, key = managing.renew_key(Viewer(user=alice), webhook)
    managing.set_enabled(Viewer(user=alice), webhook, is_enabled=True)
    run_jobs()
    [request] = got.requests
    assert Verifier(key).verify(request.body, request.headers)
    assert "x-webhook-secret" not in request.headers


# ── only what the owner may see, only where the site sends ──────────────────────────────────────


def test_nothing_is_sent_of_what_the_owner_may_not_see_any_more(
    alice: User, bob: User, receiver: Start
) -> None:
    got = receiver()
    webhook = hook(bob, got.url, "user:alice")
    repo = quiet_repo(alice)
    happen_and_spread(repo)
    change_settings(Viewer(user=alice), repo, is_private=True)

    assert send(webhook) == 0

    assert (deliveries(), got.connections) == ([("dropped", 0)], 0)
    assert WebhookDelivery.objects.get().payload == ""


def test_a_dropped_event_does_not_hold_up_the_next(alice: User, bob: User, receiver: Start) -> None:
    got = receiver()
    webhook = hook(bob, got.url, "user:alice")
    hidden, shown = quiet_repo(alice), quiet_repo(alice, "shown")
    happen_and_spread(hidden)
    happen_and_spread(shown)
    delete_repo(Viewer(user=alice), ModelRepo.objects.get(pk=hidden.pk))
    User.objects.filter(pk=bob.pk).update(is_active=True)
    WebhookDelivery.objects.filter(full_name="alice/tiny").update(event=None)

    assert send(webhook) == 1
    assert deliveries() == [("dropped", 0), ("delivered", 1)]


def test_a_retry_looks_again(alice: User, bob: User, receiver: Start) -> None:
    got = receiver(receivers.status(500, 200))
    webhook = hook(bob, got.url, "user:alice")
    repo = quiet_repo(alice)
    happen_and_spread(repo)
    assert send(webhook) == 1
    change_settings(Viewer(user=alice), repo, is_private=True)

    assert send(ready(webhook)) == 0
    assert (len(got.requests), deliveries()) == (1, [("dropped", 1)])


def test_an_address_the_site_does_not_send_to_any_more_gets_nothing(
    alice: User, receiver: Start, settings
) -> None:
    got = receiver()
    webhook = hook(alice, got.url)
    happen_and_spread(quiet_repo(alice))
    closed = dict.fromkeys(LOOPBACK, ()) | {"outgoing_ports": (0,), "outgoing_http": True}
    settings.ENV = settings.ENV.model_copy(update=closed)

    assert send(webhook) == 1

    [attempt] = WebhookAttempt.objects.all()
    assert (attempt.error, attempt.status, got.connections) == ("refused", None, 0)
    assert deliveries() == [("waiting", 1)]


# ── senders beside each other ───────────────────────────────────────────────────────────────────


@pytest.mark.django_db(transaction=True)
def test_one_receiver_is_talked_to_by_one_sender(receiver: Start) -> None:
    alice = make_user("alice")
    got = receiver()
    webhook = hook(alice, got.url)
    repo = quiet_repo(alice)
    for number in range(6):
        happen_and_spread(repo, updated_refs=[ref(number)])

    attempts = at_once(lambda n: deliver_due(webhook.pk, sender=f"sender-{n}"), 8)
    while send(webhook):
        pass

    assert sum(attempts) <= 6
    assert len(got.requests) == 6
    assert deliveries() == [("delivered", 1)] * 6


@pytest.mark.django_db(transaction=True)
def test_a_person_holds_few_senders_and_others_are_not_kept_waiting(
    receiver: Start, impatient: None
) -> None:
    alice, bob = make_user("alice"), make_user("bob")
    dead, well = receiver(receivers.hang), receiver()
    repo = quiet_repo(alice)
    hooks = [hook(alice, dead.url) for _ in range(7)]
    other = hook(bob, well.url, "user:alice")
    happen_and_spread(repo)

    done = at_once(lambda n: deliver_due([*hooks, other][n].pk, sender=f"sender-{n}"), 8)

    assert sorted(done[:7]) == [0, 0, 0, 1, 1, 1, 1]
    assert done[7] == 1
    assert (dead.connections, well.connections) == (4, 1)
    assert well.requests[0].at < dead.requests[0].at + 0.9  # they hang for a second


@pytest.mark.django_db(transaction=True)
def test_who_was_turned_away_is_asked_for_when_there_is_room(
    receiver: Start, run_jobs: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "OWNER_SLOTS", 1)
    monkeypatch.setattr(delivering, "OWNER_SLOTS", 1)
    alice = make_user("alice")
    got = receiver()
    first, second = hook(alice, got.url), hook(alice, got.url)
    happen_and_spread(quiet_repo(alice))
    later = timezone.now() + timedelta(seconds=30)
    Webhook.objects.filter(pk=first.pk).update(busy_until=later, busy_by="somebody")
    run_jobs()
    assert got.connections == 0  # both turned away, nobody spins

    Webhook.objects.filter(pk=first.pk).update(busy_until=None, busy_by="")
    assert upkeep.nudge_owner(alice.pk) == 1
    run_jobs()

    assert got.connections == 2
    assert second.deliveries.get().state == "delivered"


def test_a_sender_that_died_leaves_all_to_the_next(alice: User, receiver: Start) -> None:
    got = receiver()
    webhook = hook(alice, got.url)
    happen_and_spread(quiet_repo(alice))
    assert delivering._take(webhook.pk, "died")

    assert (send(webhook), upkeep.nudge_all()) == (0, 0)
    Job.objects.all().delete()
    with time_machine.travel(timezone.now() + delivering.HOLD + timedelta(seconds=1)):
        assert upkeep.nudge_all() == 1
        assert upkeep.nudge_all() == 0  # one is asked for already
        assert send(webhook) == 1

    assert deliveries() == [("delivered", 1)]


def test_a_sender_that_lost_its_hold_stops(
    alice: User, receiver: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    got = receiver()
    webhook = hook(alice, got.url)
    repo = quiet_repo(alice)
    for number in range(2):
        happen_and_spread(repo, updated_refs=[ref(number)])
    attempt = delivering.attempt

    def lose(delivery: WebhookDelivery) -> Any:
        outcome = attempt(delivery)
        Webhook.objects.update(busy_by="another")
        return outcome

    monkeypatch.setattr(delivering, "attempt", lose)

    assert send(webhook) == 1
    assert (len(got.requests), Webhook.objects.get().busy_by) == (1, "another")


def test_switched_off_or_deleted_in_the_middle(
    alice: User, receiver: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    got = receiver()
    webhook = hook(alice, got.url)
    repo = quiet_repo(alice)
    for number in range(3):
        happen_and_spread(repo, updated_refs=[ref(number)])
    post = delivering.post
    acts = [
        lambda: managing.set_enabled(Viewer(user=alice), webhook, is_enabled=False),
        lambda: managing.delete(Viewer(user=alice), webhook),
    ]

    def meanwhile(*args: Any, **more: Any) -> Any:
        answer = post(*args, **more)
        acts.pop(0)()
        return answer

    monkeypatch.setattr(delivering, "post", meanwhile)

    assert send(webhook) == 1
    assert deliveries() == [("delivered", 1), ("waiting", 0), ("waiting", 0)]
    assert Webhook.objects.get().disabled_for == "owner"
    managing.set_enabled(Viewer(user=alice), webhook, is_enabled=True)
    assert send(webhook) == 1
    assert (deliveries(), len(got.requests)) == ([], 2)
    assert not WebhookAttempt.objects.exists()


def test_a_sender_heeds_the_stop(alice: User, receiver: Start) -> None:
    got = receiver()
    webhook = hook(alice, got.url)
    happen_and_spread(quiet_repo(alice))

    assert deliver_due(webhook.pk, sender="test", should_stop=lambda: True) == 0
    assert (got.connections, Webhook.objects.get().busy_until) == (0, None)
    assert deliver_due(0, sender="test") == 0


# ── by hand ─────────────────────────────────────────────────────────────────────────────────────


def test_a_test_event_is_tried_once(alice: User, receiver: Start, run_jobs: Run) -> None:
    got = receiver(receivers.status(500, 200))
    webhook = hook(alice, got.url, "model:alice/tiny")
    as_alice = Viewer(user=alice)

    for expected in ("failed", "delivered"):
        made = replaying.send_test(as_alice, webhook)
        run_jobs()
        made.refresh_from_db()
        assert (made.state, made.tries, made.is_test) == (expected, 1, True)

    assert [request.headers["x-webhook-test"] for request in got.requests] == ["true", "true"]
    payload = WebhookPayload.model_validate_json(got.requests[0].body)
    assert (payload.event.scope, payload.repo.name) == ("repo.config", "alice/tiny")
    webhook.refresh_from_db()
    assert (webhook.disabled_for, mail.outbox) == ("", [])


def test_a_test_names_no_repository_that_is_not_watched(alice: User, receiver: Start) -> None:
    webhook = hook(alice, receiver().url, "user:bob")

    assert replaying.send_test(Viewer(user=alice), webhook).full_name == "alice/test"


def test_a_replay_is_the_same_again(alice: User, receiver: Start, run_jobs: Run) -> None:
    got = receiver()
    hook(alice, got.url)
    happen_and_spread(quiet_repo(alice))
    run_jobs()
    delivery = WebhookDelivery.objects.get()

    replaying.replay(Viewer(user=alice), delivery)
    run_jobs()

    first, second = got.requests
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
    assert deliveries() == [("delivered", 1)]
    assert delivery.attempts.count() == 2


def test_a_failed_or_waiting_delivery_can_be_sent_at_once(
    alice: User, receiver: Start, run_jobs: Run
) -> None:
    got = receiver(receivers.status(500, 500, 200, 200))
    webhook = hook(alice, got.url)
    happen_and_spread(quiet_repo(alice))
    send(webhook)
    waiting = WebhookDelivery.objects.get()
    replaying.replay(Viewer(user=alice), waiting)
    send(webhook)
    assert (len(got.requests), deliveries()) == (2, [("waiting", 1)])

    WebhookDelivery.objects.update(state="failed", next_try_at=None, ended_at=timezone.now())
    again = replaying.replay(Viewer(user=alice), waiting)
    assert again.give_up_at > timezone.now() + timedelta(days=2)
    run_jobs()

    assert deliveries() == [("delivered", 1)]


def test_what_cannot_be_sent_again(alice: User, bob: User, receiver: Start, settings) -> None:
    got = receiver()
    webhook = hook(alice, got.url)
    happen_and_spread(quiet_repo(alice))
    delivery = WebhookDelivery.objects.get()
    as_alice = Viewer(user=alice)
    Webhook.objects.update(disabled_for="owner")
    before = list(WebhookDelivery.objects.values())

    for refused in (
        lambda: replaying.replay(as_alice, delivery),
        lambda: replaying.send_test(as_alice, webhook),
    ):
        with pytest.raises(ConflictError):
            refused()
    assert list(WebhookDelivery.objects.values()) == before

    Webhook.objects.update(disabled_for="")
    WebhookDelivery.objects.update(payload="")
    with pytest.raises(replaying.PayloadForgottenError):
        replaying.replay(as_alice, delivery)
    with pytest.raises(replaying.DeliveryNotFoundError):
        replaying.delivery_of(hook(bob), delivery.public_id)
    assert got.connections == 0


def test_by_hand_has_a_limit(
    alice: User, receiver: Start, rate_limits_on: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "BY_HAND", replaying.Window("webhook-sends", 2, 3600))
    webhook = hook(alice, receiver().url)
    as_alice = Viewer(user=alice)
    first = replaying.send_test(as_alice, webhook)
    replaying.replay(as_alice, first)

    with pytest.raises(RateLimitedError):
        replaying.send_test(as_alice, webhook)
    with pytest.raises(RateLimitedError):
        replaying.replay(as_alice, first)
    assert WebhookDelivery.objects.count() == 1


# ── forgetting ──────────────────────────────────────────────────────────────────────────────────


def test_payloads_go_after_a_week_and_rows_after_a_month(
    alice: User, receiver: Start, run_jobs: Run
) -> None:
    hook(alice, receiver().url)
    repo = quiet_repo(alice)
    happen_and_spread(repo)
    run_jobs()
    happen_and_spread(repo)  # waits
    ended, waiting = WebhookDelivery.objects.order_by("pk")

    assert upkeep.prune() == 0
    ended.refresh_from_db()
    assert ended.payload
    with time_machine.travel(timezone.now() + timedelta(days=8)):
        assert upkeep.prune() == 0
    ended.refresh_from_db()
    waiting.refresh_from_db()
    assert (ended.payload, bool(waiting.payload)) == ("", True)
    with time_machine.travel(timezone.now() + timedelta(days=31)):
        assert upkeep.prune() == 1
    assert list(WebhookDelivery.objects.all()) == [waiting]
    assert not WebhookAttempt.objects.exists()

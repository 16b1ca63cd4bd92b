"""Real senders: killed in a delivery, many beside each other, a broker that forgot."""

import os
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import Webhook, WebhookAttempt, WebhookDelivery
from catalog.services.webhooks import upkeep
from catalog.services.webhooks.managing import Wish, create
from store.core import sweeping
from store.core.jobs import JobName
from store.core.models import Job
from store.core.valkey import valkey
from tests import receivers
from tests.factories import add_files, make_repo, make_user
from tests.live import RECEIVERS_HERE
from tests.receivers import Receiver
from tests.workers.real_worker import RealWorker, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]
REAL = (JobName.DELIVER_WEBHOOK.value, JobName.SPREAD_EVENT.value)


@pytest.fixture(autouse=True)
def site_that_sends_to_itself(settings: Any) -> None:
    """Webhooks may have addresses of this machine, here and in the workers."""
    settings.ENV = settings.ENV.model_copy(
        update={
            "outgoing_http": True,
            "outgoing_ports": (0,),
            "outgoing_networks": (ip_network("127.0.0.0/8"),),
        }
    )


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], RealWorker]]:
    """Start senders; none outlives the test."""
    started: list[RealWorker] = []

    def run() -> RealWorker:
        worker = RealWorker(
            tmp_path,
            queues="senders,default",
            concurrency=6,
            policy={"lease_s": 2},
            real=REAL,
            environment=RECEIVERS_HERE,
        )
        started.append(worker)
        return worker.ready()

    yield run
    for worker in started:
        worker.kill()


def hook(owner: User, url: str) -> Webhook:
    """A webhook of ``owner`` that hears of alice."""
    wish = Wish(url=url, watched=[{"type": "user", "name": "alice"}])
    return create(Viewer(user=owner), wish)[0]


def beat_until(condition: Callable[[], Any]) -> Any:
    """Do what the beat does until ``condition`` gives something true."""

    def look() -> Any:
        sweeping.sweep(forgotten_after_s=0.5)
        upkeep.nudge_all()
        return condition()

    return until(look)


def states() -> set[str]:
    """The states of all deliveries."""
    return set(WebhookDelivery.objects.values_list("state", flat=True))


def test_a_sender_killed_in_the_middle_delivers_again_under_the_same_id(
    start: Callable[[], RealWorker],
) -> None:
    may_answer = threading.Event()

    def answer(connection: Any, number: int) -> None:
        may_answer.wait(30)
        receivers.status(200)(connection, number)

    alice = make_user("alice")
    repo = make_repo(alice)
    with Receiver(answer) as receiver:
        hook(alice, receiver.url)
        worker = start()
        add_files(alice, repo, {"a.txt": b"a"})
        receiver.wait_for(1)
        worker.kill()
        may_answer.set()
        delivery = WebhookDelivery.objects.get()
        assert (delivery.state, delivery.tries) == ("waiting", 0)
        assert Webhook.objects.get().busy_by != ""
        assert not WebhookAttempt.objects.exists()

        start()
        # the hold of a dead sender ends by itself after half a minute; let it be over
        Webhook.objects.update(busy_until=timezone.now())
        beat_until(lambda: states() == {"delivered"})

    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    [attempt] = WebhookAttempt.objects.all()
    assert attempt.status == 200
    assert Webhook.objects.get().busy_by == ""


def test_a_hold_that_is_not_over_is_respected(start: Callable[[], RealWorker]) -> None:
    alice = make_user("alice")
    repo = make_repo(alice)
    with Receiver() as receiver:
        webhook = hook(alice, receiver.url)
        later = timezone.now() + timedelta(seconds=4)
        Webhook.objects.update(busy_until=later, busy_by="killed")
        start()
        add_files(alice, repo, {"a.txt": b"a"})
        beat_until(lambda: states() == {"delivered"})

    assert WebhookAttempt.objects.get().at >= later
    assert webhook.deliveries.get().tries == 1


def test_a_broker_that_forgot_everything_only_delays(start: Callable[[], RealWorker]) -> None:
    alice = make_user("alice")
    repo = make_repo(alice)
    with Receiver() as receiver:
        hook(alice, receiver.url)
        add_files(alice, repo, {"a.txt": b"a"})
        valkey().flushdb()
        start()
        beat_until(lambda: states() == {"delivered"})

    assert len(receiver.requests) == 1


def test_two_workers_and_many_events_each_arrive_once(start: Callable[[], RealWorker]) -> None:
    alice, bob = make_user("alice"), make_user("bob")
    repo = make_repo(alice)
    with Receiver() as receiver, Receiver(receivers.hang) as dead:
        for owner in (alice, bob):
            for _ in range(3):
                hook(owner, receiver.url)
            hook(owner, dead.url)
        start()
        start()
        for number in range(8):
            add_files(alice, repo, {"a.txt": os.urandom(4), "n": str(number).encode()})
        good = WebhookDelivery.objects.filter(webhook__url=receiver.url)
        beat_until(lambda: good.filter(state="delivered").count() == 48)

    assert len(receiver.requests) == 48
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 48
    assert WebhookAttempt.objects.filter(delivery__in=good).count() == 48
    assert not Job.objects.filter(state="failed").exists()

"""A broker of its own that is flushed, doubled and killed under real workers; a thousand jobs.

``STORE_CHAOS_JOBS`` sets how many jobs the tests queue (the default keeps them quick).
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from store.core import jobs
from store.core.jobs import JobName, Priority, enqueue
from store.core.models import CounterBatch, Job
from tests.workers.broker import Broker, own_broker
from tests.workers.real_worker import RealWorker, notes, sweep_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]
SCAN = JobName.SCAN_COMMIT
JOBS = int(os.environ.get("STORE_CHAOS_JOBS", "60"))


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    with own_broker(monkeypatch) as own:
        yield own


@pytest.fixture
def start(tmp_path: Path, broker: Broker) -> Iterator[Callable[..., RealWorker]]:
    """Start workers on the broker; none outlives the test."""
    started: list[RealWorker] = []

    def run(**options: Any) -> RealWorker:
        given = {"policy": {"lease_s": 3}, "environment": {"REDIS_URL": broker.url}} | options
        started.append(RealWorker(tmp_path, **given))
        return started[-1].ready()

    yield run
    for worker in started:
        worker.kill()


def effects() -> Counter[int]:
    """How often each job had its effect."""
    rows = CounterBatch.objects.values_list("batch", flat=True)
    return Counter(int(batch.split("-")[0]) for batch in rows)


def test_nothing_is_lost_and_nothing_happens_twice(
    start: Callable[..., RealWorker], broker: Broker
) -> None:
    victim = start(concurrency=2)
    start(pool="prefork", concurrency=2)
    wanted = [enqueue(SCAN, what="effect").pk for _ in range(JOBS)]

    def after(share: float) -> None:
        sweep_until(lambda: len(effects()) >= JOBS * share, within_s=240)

    after(0.2)
    broker.flush()
    after(0.4)
    for job in Job.objects.filter(state__in=Job.OPEN):
        for _ in range(3):
            jobs.nudge(job)
    after(0.6)
    broker.restart()
    after(0.7)
    victim.kill()
    start(concurrency=2)
    sweep_until(lambda: not Job.objects.exclude(state="done").exists(), within_s=240)

    assert effects() == dict.fromkeys(wanted, 1)


def test_a_long_queue_drains_in_the_order_of_fairness(
    start: Callable[..., RealWorker], tmp_path: Path
) -> None:
    now = timezone.now()
    Job.objects.bulk_create(
        Job(name=SCAN, queue="scan", asker="user:1", not_before=now) for _ in range(JOBS)
    )
    of_the_store = [enqueue(SCAN, priority=Priority.STORE).pk for _ in range(3)]
    others = [enqueue(SCAN, asker=f"user:{asker}").pk for _ in range(5) for asker in (2, 3)]
    for job in Job.objects.all():
        jobs.nudge(job)

    for _ in range(2):
        start()
    sweep_until(lambda: not Job.objects.exclude(state="done").exists(), within_s=400)

    order = [pk for pk, _, _ in notes(tmp_path, "start")]
    assert sorted(order) == sorted(Job.objects.values_list("pk", flat=True))
    slack = 4  # two workers that claim in one instant, and write their notes
    for place, pk in enumerate(others):  # one of each asker in every round of three
        assert order.index(pk) <= (place // 2 + 1) * 3 + slack
    assert min(order.index(pk) for pk in of_the_store) >= len(order) - len(of_the_store) - slack
    assert set(Job.objects.values_list("attempts", flat=True)) == {1}

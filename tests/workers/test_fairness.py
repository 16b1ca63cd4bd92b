"""Whose turn it is: classes, askers in turn, age; races; and places that tell the truth."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from store.core import fairness
from store.core.fairness import ahead_of, take_next
from store.core.jobs import POLICIES, JobName, Priority, Queue, claim, enqueue
from store.core.models import Job

SCAN = JobName.SCAN_COMMIT


def many(asker: str, count: int, **options: Any) -> list[int]:
    """Queue ``count`` jobs of one asker; returns their ids."""
    return [enqueue(SCAN, asker=asker, **options).pk for _ in range(count)]


def taken(count: int, queue: str = "scan", *, do_end: bool = False) -> list[int]:
    """Claim so many jobs, one after the other."""
    order = []
    for _ in range(count):
        mine = take_next(queue)
        assert mine is not None
        order.append(mine.job.pk)
        if do_end:
            assert mine.finish()
    return order


def test_a_thousand_jobs_of_one_asker_do_not_delay_the_next_asker(db: None) -> None:
    now = timezone.now()
    Job.objects.bulk_create(
        Job(name=SCAN, queue="scan", asker="user:1", not_before=now) for _ in range(1000)
    )
    taken(1, do_end=True)
    (of_another,) = many("user:2", 1)

    assert ahead_of(Job.objects.get(pk=of_another)) == 0
    assert taken(1) == [of_another]


def test_askers_take_turns(db: None) -> None:
    a, b = many("user:1", 4), many("user:2", 2)
    c = many("user:3", 1)

    order = taken(7, do_end=True)

    assert order == [a[0], b[0], c[0], a[1], b[1], a[2], a[3]]


def test_whoever_has_a_worker_already_comes_after_those_who_have_none(db: None) -> None:
    a = many("user:1", 3)
    first = taken(2)
    long_ago = timezone.now() - timedelta(hours=1)
    Job.objects.filter(pk__in=first).update(started_at=long_ago)  # they run and run
    b = many("user:2", 2)

    assert taken(3) == [b[0], b[1], a[2]]


def test_turns_are_forgotten_after_a_minute(db: None) -> None:
    a = many("user:1", 3)
    taken(2, do_end=True)
    Job.objects.filter(state="done").update(
        started_at=timezone.now() - timedelta(seconds=fairness.WINDOW_S + 1)
    )
    b = many("user:2", 1)

    assert taken(2) == [a[2], b[0]]


def test_the_better_class_goes_first(db: None) -> None:
    store = many("", 1, priority=Priority.STORE)
    batch = many("user:1", 2, priority=Priority.BATCH)
    person = many("user:1", 2)

    assert taken(5) == [*person, *batch, *store]


def test_what_is_not_due_or_unknown_or_elsewhere_is_left_alone(db: None) -> None:
    enqueue(SCAN, delay_s=60)
    Job.objects.create(name="of.a.newer.version", queue="scan")
    enqueue(JobName.GENERATE)

    assert take_next("scan") is None
    assert set(Job.objects.values_list("state", flat=True)) == {"queued"}


def test_a_job_that_needs_more_memory_is_left_for_others(db: None) -> None:
    large = enqueue(SCAN, memory_bytes=9 * 10**9).pk
    small = enqueue(SCAN, memory_bytes=10**9).pk

    first = take_next("scan", memory_bytes=4 * 10**9)

    assert first is not None
    assert first.job.pk == small
    assert take_next("scan", memory_bytes=4 * 10**9) is None
    assert taken(1) == [large]


def test_a_job_whose_worker_died_has_its_turn_again(db: None) -> None:
    orphan = enqueue(SCAN).pk
    used_up = enqueue(SCAN).pk
    waiting = enqueue(SCAN).pk
    gone = timezone.now() - timedelta(minutes=5)
    Job.objects.filter(pk__in=[orphan, used_up]).update(
        state="running", lease_until=gone, started_at=gone, attempts=1
    )
    Job.objects.filter(pk=used_up).update(attempts=POLICIES[SCAN].max_attempts)

    assert taken(2) == [orphan, waiting]
    assert take_next("scan") is None
    assert Job.objects.get(pk=orphan).attempts == 2


def test_places_are_the_order_in_which_jobs_are_taken(db: None) -> None:
    many("user:1", 5)
    many("", 2, priority=Priority.STORE)
    many("user:2", 2)
    many("user:1", 2, priority=Priority.BATCH)
    taken(3)
    many("user:3", 2)
    waiting = Job.objects.filter(state="queued")

    places = {ahead_of(job): job.pk for job in waiting}
    assert fairness.places(Job.objects.all()) == {pk: place for place, pk in places.items()}

    assert [places[place] for place in range(len(places))] == taken(len(waiting))


def test_who_has_no_place(db: None) -> None:
    first = enqueue(SCAN)
    later = enqueue(SCAN, delay_s=60)
    elsewhere = enqueue(JobName.GENERATE)
    running = Job.objects.get(pk=enqueue(SCAN).pk)
    claim(running.pk)
    running.refresh_from_db()

    assert [ahead_of(job) for job in (first, later, elsewhere, running)] == [0, 1, 0, 0]


def test_a_claim_does_not_read_the_whole_queue(db: None) -> None:
    now = timezone.now()
    Job.objects.bulk_create(
        Job(name=SCAN, queue=Queue.SCAN, asker=f"user:{n % 3}", not_before=now)
        for n in range(20_000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE core_job")
        cursor.execute(
            "EXPLAIN (ANALYZE, FORMAT JSON) " + fairness._NEXT,
            fairness._values("scan") | {"memory_bytes": fairness.ANY_MEMORY, "lines": 20},
        )
        plan = cursor.fetchone()[0][0]

    def most_rows(node: dict[str, Any]) -> float:
        own = node["Actual Rows"] * node["Actual Loops"]
        return max([own, *(most_rows(child) for child in node.get("Plans", []))])

    assert most_rows(plan["Plan"]) < 200


@pytest.mark.django_db(transaction=True)
def test_workers_that_race_take_different_jobs(in_threads: Callable[..., list[Any]]) -> None:
    a, b = many("user:1", 6), many("user:2", 2)

    def take(_number: int) -> int | None:
        try:
            claimed = take_next("scan")
            return claimed.job.pk if claimed else None
        finally:
            connection.close()

    got = in_threads(take, 8)

    assert sorted(pk for pk in got if pk) == sorted(a + b)

"""``/metrics``: who may read it, what stands there, and that odd words break no line."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pydantic import SecretStr
from redis.exceptions import ConnectionError as RedisConnectionError

from store.core import histograms, presence
from store.core.histograms import Histogram
from store.core.jobs import JobName, Priority, claim, enqueue
from store.core.models import Job
from store.core.presence import Worker
from store.metrics import gauge, histogram

TOKEN = {"Authorization": "Bearer letmein"}


@pytest.fixture(autouse=True)
def no_times() -> None:
    """This process has counted nothing yet."""
    for measured in histograms.HISTOGRAMS:
        measured._waiting.clear()


@pytest.fixture
def with_token(settings: Any) -> None:
    """A site that is watched."""
    settings.ENV = settings.ENV.model_copy(update={"metrics_token": SecretStr("letmein")})


def read(client: Client) -> dict[str, float]:
    """Return the samples by name and labels."""
    answer = client.get("/metrics", headers=TOKEN)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = [line for line in answer.content.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


@pytest.mark.parametrize("sent", ["", "Bearer ", "Bearer other", "Basic letmein", "Bearer é"])
def test_without_the_token_there_is_no_such_page(
    client: Client, db: None, with_token: None, sent: str
) -> None:
    answer = client.get("/metrics", headers={"Authorization": sent})

    assert answer.status_code == 404
    assert b"store_jobs" not in answer.content


def test_without_a_token_set_nobody_reads_it(client: Client, db: None) -> None:
    for sent in ("", "Bearer "):
        assert client.get("/metrics", headers={"Authorization": sent}).status_code == 404


def test_queues_in_numbers(client: Client, db: None, with_token: None) -> None:
    def ask(**options: Any) -> Job:
        return enqueue(JobName.GENERATE, **options)

    done, stuck = (claim(ask().pk) for _ in range(2))
    assert done is not None
    assert stuck is not None
    done.report(tokens=40)
    done.finish()
    long_ago = timezone.now() - timedelta(minutes=5)
    Job.objects.filter(pk=stuck.job.pk).update(lease_until=long_ago)
    ask()
    ask(priority=Priority.STORE)
    ask(delay_s=60)
    Job.objects.filter(pk=ask().pk).update(not_before=long_ago, error_code="no_worker")

    found = read(client)

    ours = {name: value for name, value in found.items() if 'queue="inference"' in name}
    wait_s = ours.pop('store_jobs_oldest_wait_seconds{queue="inference"}')
    assert wait_s == pytest.approx(300, abs=5)
    assert ours == {
        'store_jobs_waiting{queue="inference",priority="person"}': 2,
        'store_jobs_waiting{queue="inference",priority="batch"}': 0,
        'store_jobs_waiting{queue="inference",priority="store"}': 1,
        'store_jobs_delayed{queue="inference"}': 1,
        'store_jobs_running{queue="inference"}': 1,
        'store_jobs_stuck{queue="inference"}': 1,
        'store_jobs_without_worker{queue="inference"}': 1,
        'store_tokens_last_minute{queue="inference"}': 40,
        'store_jobs_ended_last_minute{queue="inference",state="done"}': 1,
        'store_jobs_ended_last_minute{queue="inference",state="failed"}': 0,
        'store_jobs_ended_last_minute{queue="inference",state="cancelled"}': 0,
    }
    assert found['store_jobs_oldest_wait_seconds{queue="scan"}'] == 0


def test_workers_in_numbers(
    client: Client, db: None, with_token: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        presence.announce(
            Worker(name, ("inference",), 16, memory_bytes=8, protection="p", boxes=2, boxes_bytes=5)
        )
    presence.announce(Worker("c", ("default", "scan"), 2))

    found = read(client)
    assert found['store_workers{queue="inference",device="cpu"}'] == 2
    assert found['store_worker_slots{queue="inference",device="cpu"}'] == 32
    assert found['store_worker_slots{queue="scan",device="cpu"}'] == 2
    assert found['store_boxes{worker="a",device="cpu"}'] == 2
    assert found['store_boxes_bytes{worker="b",device="cpu"}'] == 5
    assert 'store_boxes{worker="c",device="cpu"}' not in found

    def fail() -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(presence, "workers", fail)
    assert not any(name.startswith("store_workers") for name in read(client))


def test_words_are_escaped() -> None:
    text = gauge("a", "About.", [({"x": 'a"b\\c\nd'}, 1.5), ({}, 2)])

    assert text == '# HELP a About.\n# TYPE a gauge\na{x="a\\"b\\\\c\\nd"} 1.5\na 2\n'


def test_requests_are_timed_by_the_template_of_their_route(
    client: Client, db: None, with_token: None
) -> None:
    for name in ("alice/one", "alice/two"):
        assert client.get(f"/{name}").status_code == 404
    client.get("/no/such/page/at/all/here")
    client.generic("BREW", "/healthz")

    found = {name: value for name, value in read(client).items() if "http_request" in name}

    labels = 'route="<seg:ns>/<seg:name>",method="GET",status="4xx"'
    assert found[f"store_http_request_seconds_count{{{labels}}}"] == 2
    buckets = [
        value
        for name, value in found.items()
        if name.startswith(f"store_http_request_seconds_bucket{{{labels}")
    ]
    assert len(buckets) == 13
    assert buckets == sorted(buckets)
    assert buckets[-1] == 2
    assert found[f"store_http_request_seconds_sum{{{labels}}}"] > 0
    assert not any("alice" in name or "no/such" in name or "BREW" in name for name in found)
    assert any('method="other"' in name for name in found)


def test_a_histogram_counts_in_every_process_and_survives_valkey_being_away(
    client: Client, db: None, with_token: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (Histogram("t_seconds", "A time.", ("queue",), (0.1, 1)) for _process in range(2))
    for measured, value in ((one, 0.1), (one, 0.2), (other, 5)):
        measured.observe(('a"b',), value)

    with monkeypatch.context() as away:
        away.setattr(histograms, "valkey", refuse)
        assert one.flush() is False
    assert one.flush()
    assert other.flush()
    assert other.flush()  # nothing twice

    (found,) = one.series()
    assert (found.labels, found.counts) == ({"queue": 'a"b'}, [1, 1, 1])
    assert found.total == pytest.approx(5.3)
    lines = histogram(one, [found]).splitlines()
    assert lines == [
        "# HELP t_seconds A time.",
        "# TYPE t_seconds histogram",
        't_seconds_bucket{queue="a\\"b",le="0.1"} 1',
        't_seconds_bucket{queue="a\\"b",le="1"} 2',
        't_seconds_bucket{queue="a\\"b",le="+Inf"} 3',
        't_seconds_sum{queue="a\\"b"} 5.3',
        't_seconds_count{queue="a\\"b"} 3',
    ]


def test_counts_go_out_every_few_seconds(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Histogram("t_often", "Often.", (), (1,))
    measured.observe((), 1)
    assert list(measured.series()) == []
    monkeypatch.setattr(histograms, "FLUSH_EVERY_S", 0.0)

    measured.observe((), 1)

    assert [each.counts for each in measured.series()] == [[2, 0]]


def test_where_valkey_is_away_the_other_figures_stay(
    client: Client, db: None, with_token: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histograms, "valkey", refuse)

    found = read(client)

    assert 'store_jobs_running{queue="inference"}' in found
    assert not any("seconds_bucket" in name for name in found)


def refuse() -> Any:
    raise RedisConnectionError("away")

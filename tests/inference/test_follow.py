"""Watching runs."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from redis.exceptions import ConnectionError as RedisConnectionError

from accounts.viewer import Viewer
from inference.models import GenerationRun
from inference.services import follow, streams
from inference.services.endings import Outcome, end
from inference.services.streams import Event
from store.core.models import Job

Ask = Callable[..., GenerationRun]


def token(text: str, *, attempt: int = 1, count: int = 1) -> Event:
    """A piece of the first text."""
    return Event("token", {"sequence": 0, "text": text, "new_tokens": count}, attempt)


def done(text: str) -> Outcome:
    """A good end."""
    return Outcome(state=GenerationRun.State.DONE, texts=[text], new_tokens=2)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the row more often than in production."""
    monkeypatch.setattr(follow, "_WAIT_MS", 50)
    monkeypatch.setattr(follow, "_LOOK_EVERY_S", 0.1)


@pytest.mark.django_db(transaction=True)
def test_a_watcher_sees_the_queue_the_text_and_the_end(prompted: Ask, as_alice: Viewer) -> None:
    first, run = prompted(), prompted(viewer=as_alice)

    def work() -> Iterator[None]:
        Job.objects.filter(pk=first.job_id).update(state="done")
        yield
        streams.publish(run.public_id, [Event("start", {}, 1), token("a"), token("b")])
        end(run.pk, done("ab"))
        yield

    worker, seen = work(), []
    for event in follow.watch(run):
        if event is None:
            continue
        seen.append(event)
        if event.kind == "status":
            next(worker)

    assert [event.kind for event in seen] == ["status", "status", "start", "token", "token", "done"]
    assert seen[0].data == {"state": "queued", "ahead": 1, "expected_wait_s": None}
    assert seen[1].data["ahead"] == 0
    assert seen[-1].data["texts"] == ["ab"]


def test_what_is_written_while_the_row_is_looked_at_is_seen(
    prompted: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, look = prompted(), follow._look

    def late(run: GenerationRun) -> Event:
        if not streams.read(run.public_id):
            streams.publish(run.public_id, [Event("start", {}, 1), token("a"), token("b")])
            GenerationRun.objects.filter(pk=run.pk).update(state="done", texts=["ab"])
        return look(run)

    monkeypatch.setattr(follow, "_look", late)

    seen = [event.kind for event in follow.watch(run) if event]

    assert seen == ["start", "token", "token", "done"]


def test_a_watcher_that_comes_back_gets_the_rest(prompted: Ask) -> None:
    run = prompted()
    streams.publish(run.public_id, [token("a"), token("b"), Event("done", {"state": "done"})])
    first = streams.read(run.public_id)[0]

    seen = list(follow.watch(run, after=first.id))

    assert [event.kind for event in seen if event] == ["token", "done"]


def test_silence_is_told_as_nothing(prompted: Ask) -> None:
    run = prompted()
    watcher = follow.watch(run)

    first = [next(watcher) for _ in range(6)]

    assert [event.kind for event in first if event] == ["status"]
    assert None in first


def test_an_end_the_stream_has_forgotten_is_in_the_row(prompted: Ask) -> None:
    run = prompted()
    end(run.pk, done("text"))  # nobody is told: the transaction is not committed

    seen = [event for event in follow.watch(run) if event is not None]

    assert [(event.kind, event.data["texts"]) for event in seen] == [("done", ["text"])]


def test_what_a_superseded_attempt_writes_is_not_shown(prompted: Ask) -> None:
    run = prompted()
    streams.publish(
        run.public_id,
        [
            token("old"),
            Event("restart", {}, 2),
            token("late", attempt=1),
            token("new", attempt=2),
            Event("done", {"state": "done"}),
            token("after the end", attempt=2),
        ],
    )

    seen = [event for event in follow.watch(run) if event is not None]
    snapshot = follow.snapshot(run)

    told = [(event.kind, event.data.get("text")) for event in seen]
    assert told == [
        ("token", "old"),
        ("restart", None),
        ("token", "new"),
        ("done", None),
    ]
    assert snapshot.events == seen


def test_a_snapshot_goes_on_where_the_last_one_ended(prompted: Ask) -> None:
    run = prompted()
    empty = follow.snapshot(run)
    streams.publish(run.public_id, [token("a")])
    first = follow.snapshot(run, after=empty.last_id)
    streams.publish(run.public_id, [token("b")])
    second = follow.snapshot(run, after=first.last_id)
    third = follow.snapshot(run, after=second.last_id)

    texts = [[e.data["text"] for e in shot.events] for shot in (empty, first, second, third)]
    assert texts == [[], ["a"], ["b"], []]
    assert empty.last_id == "0-0"
    assert third.last_id == second.last_id
    assert (empty.standing.state, empty.standing.ahead) == ("queued", 0)


def test_a_snapshot_of_an_ended_run_always_tells_the_end(
    prompted: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prompted()
    end(run.pk, done("text"))
    run.refresh_from_db()

    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(streams, "read", refuse)

    snapshot = follow.snapshot(run)

    assert [(event.kind, event.data["state"]) for event in snapshot.events] == [("done", "done")]
    assert snapshot.last_id == "0-0"


def test_a_run_that_was_deleted_ends_its_stream(prompted: Ask) -> None:
    run = prompted()
    watcher = follow.watch(run)
    first = next(watcher)
    GenerationRun.objects.all().delete()

    rest = [event for event in watcher if event is not None]

    assert first is not None
    assert first.kind == "status"
    assert [(event.kind, event.data["error_code"]) for event in rest] == [("failed", "deleted")]


@pytest.mark.django_db(transaction=True)
def test_no_connection_is_held_while_nothing_happens(prompted: Ask) -> None:
    run = prompted()
    watcher = follow.watch(run)

    for _ in range(6):
        next(watcher)

    assert connection.connection is None

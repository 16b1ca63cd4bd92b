"""Events on their way."""

import threading
import time

import pytest

from inference.services import streams
from inference.services.streams import FIRST, Event, Transcript
from store.core.valkey import valkey


def token(text: str, *, sequence: int = 0, count: int = 1, attempt: int = 1) -> Event:
    """A piece of text."""
    data = {"sequence": sequence, "text": text, "new_tokens": count}
    return Event("token", data, attempt)


def test_events_come_out_as_they_went_in() -> None:
    sent = [Event("start", {"prompt_tokens": 3}, 1), token("从前"), token("\u2028\n\"'")]

    assert streams.publish("r", sent) is False

    got = streams.read("r")
    assert [(event.kind, event.data, event.attempt) for event in got] == [
        (event.kind, event.data, event.attempt) for event in sent
    ]
    assert [event.id for event in got] == sorted({event.id for event in got})
    assert 3500 < valkey().ttl("gen:r") <= 3600


def test_reading_goes_on_after_the_last_event_known() -> None:
    streams.publish("r", [token("a"), token("b"), token("c")])
    first, *rest = streams.read("r")

    assert streams.read("r", after=first.id) == rest
    assert streams.read("r", after=rest[-1].id) == []
    assert streams.read("r", after="; FLUSHALL") == [first, *rest]
    assert streams.read("nothing") == []


def test_a_reader_waits_for_the_next_event() -> None:
    threading.Timer(0.2, lambda: streams.publish("r", [token("late")])).start()
    started = time.monotonic()

    events = streams.read("r", block_ms=5000)

    assert [event.data["text"] for event in events] == ["late"]
    assert 0.1 < time.monotonic() - started < 4.5
    assert streams.read("r", after=events[-1].id, block_ms=50) == []


def test_a_wish_to_stop_reaches_the_writer() -> None:
    assert streams.is_asked_to_stop("r") is False

    streams.ask_to_stop("r")

    assert streams.is_asked_to_stop("r") is True
    assert streams.publish("r", [token("a")]) is True
    assert streams.publish("other", [token("a")]) is False


def test_the_transcript_adds_up_every_sequence() -> None:
    streams.publish(
        "r",
        [
            Event("start", {}, 1),
            token("a", sequence=1, count=1),
            token("x", sequence=0, count=2),
            token("b", sequence=1, count=3),
        ],
    )

    so_far = streams.transcript("r")

    assert (so_far.texts, so_far.new_tokens, so_far.attempt) == (["x", "ab"], 3, 1)


def test_a_new_attempt_starts_the_text_anew_and_the_old_one_is_ignored() -> None:
    order = Transcript()
    events = [
        token("old"),
        Event("restart", {}, 2),
        token("late word", attempt=1),
        token("new", attempt=2),
        Event("done", {}, 0),
    ]

    accepted = [order.accept(event) for event in events]

    assert accepted == [True, True, False, True, True]
    assert order.texts == ["new"]


@pytest.mark.parametrize(
    ("kind", "is_last"), [("start", False), ("token", False), ("done", True), ("failed", True)]
)
def test_which_events_are_last(kind: str, is_last: bool) -> None:
    assert Event(kind, {}).is_last is is_last


def test_no_run_fills_the_memory() -> None:
    streams.publish("r", [token(str(number)) for number in range(streams.MAX_EVENTS + 50)])

    assert len(streams.read("r", after=FIRST)) == streams.MAX_EVENTS

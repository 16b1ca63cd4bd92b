"""What carries a generation to whoever watches."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from inference.runners.writer import StreamWriter
from inference.services import streams


def until(condition: Callable[[], bool], *, within_s: float = 10) -> None:
    """Wait for ``condition``; fail when it does not come true."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def never() -> bool:
    """Nothing must end."""
    return False


def test_text_comes_in_small_batches_and_in_order() -> None:
    with StreamWriter("r", 1, must_end=never) as writer:
        writer.put("start", prompt_tokens=2)
        for number in range(100):
            writer.add(number % 2, f"{number} ", new_tokens=number + 1)
            time.sleep(0.002)

    events = streams.read("r")
    assert events[0].kind == "start"
    assert {event.kind for event in events[1:]} == {"token"}
    assert 4 < len(events) < 100
    so_far = streams.transcript("r")
    assert so_far.texts[0] == "".join(f"{number} " for number in range(0, 100, 2))
    assert so_far.texts[1] == "".join(f"{number} " for number in range(1, 100, 2))
    assert so_far.new_tokens == 100


def test_the_first_token_does_not_wait_for_the_second() -> None:
    with StreamWriter("r", 1, must_end=never) as writer:
        writer.add(0, "first", new_tokens=1)
        until(lambda: streams.transcript("r").texts == ["first"], within_s=2)


def test_an_event_never_overtakes_the_text_before_it() -> None:
    with StreamWriter("r", 1, must_end=never) as writer:
        writer.add(0, "a", new_tokens=1)
        writer.put("note")
        writer.add(0, "b", new_tokens=2)

    assert [event.kind for event in streams.read("r")] == ["token", "note", "token"]


def test_a_wish_to_stop_is_passed_on_once_even_in_silence() -> None:
    calls: list[float] = []
    with StreamWriter("r", 1, must_end=never) as writer:
        writer.when_it_must_end(lambda: calls.append(time.monotonic()))
        asked = time.monotonic()
        streams.ask_to_stop("r")
        until(lambda: bool(calls))
        time.sleep(0.3)

    assert writer.is_stop_asked
    assert len(calls) == 1
    assert calls[0] - asked < 0.5


def test_a_wish_to_stop_is_heard_between_tokens() -> None:
    stopped = threading.Event()
    with StreamWriter("r", 1, must_end=never) as writer:
        writer.when_it_must_end(stopped.set)
        streams.ask_to_stop("r")
        deadline = time.monotonic() + 5
        while not stopped.is_set() and time.monotonic() < deadline:
            writer.add(0, "x", new_tokens=1)
            time.sleep(0.01)

    assert stopped.is_set()


def test_what_must_end_is_ended_without_anybody_asking() -> None:
    must_end, ended = threading.Event(), threading.Event()
    with StreamWriter("r", 1, must_end=must_end.is_set) as writer:
        writer.when_it_must_end(ended.set)
        time.sleep(0.2)
        assert not ended.is_set()
        must_end.set()
        until(ended.is_set)

    assert not writer.is_stop_asked


def test_nothing_is_lost_while_valkey_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real_publish, real_ask, is_away = streams.publish, streams.is_asked_to_stop, threading.Event()

    def publish(*args: Any) -> bool:
        if is_away.is_set():
            raise RedisConnectionError("away")
        return real_publish(*args)

    def ask(*args: Any) -> bool:
        if is_away.is_set():
            raise RedisConnectionError("away")
        return real_ask(*args)

    monkeypatch.setattr(streams, "publish", publish)
    monkeypatch.setattr(streams, "is_asked_to_stop", ask)

    with StreamWriter("r", 1, must_end=never) as writer:
        writer.add(0, "before ", new_tokens=1)
        until(lambda: streams.transcript("r").texts == ["before "])
        is_away.set()
        writer.add(0, "while ", new_tokens=2)
        time.sleep(0.4)
        writer.add(0, "still ", new_tokens=3)
        time.sleep(0.4)
        is_away.clear()
        until(lambda: streams.transcript("r").new_tokens == 3)

    assert streams.transcript("r").texts == ["before while still "]
    assert caplog.text.count("Valkey does not answer") == 1

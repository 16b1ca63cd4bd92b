"""The child's own loop, in this process and without locks."""

import io
import os
import queue
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from inference.box import child, hardening, protocol
from inference.box.limits import BoxLimits
from inference.box.params import SamplingParams
from inference.box.protocol import (
    CancelRequest,
    DoneEvent,
    ErrorEvent,
    Event,
    GenerateRequest,
    HelloEvent,
    LoadedEvent,
    LoadRequest,
    PingRequest,
    PongEvent,
    Request,
    SetupRequest,
    pack,
    parse_event,
)

PARAMS = SamplingParams(seed=1, max_new_tokens=2)


class Exited(BaseException):
    """Instead of the end of this process."""


def events_of(data: bytes) -> list[Event]:
    found = []
    while data:
        length = int.from_bytes(data[:4], "big")
        found.append(parse_event(data[4 : 4 + length]))
        data = data[4 + length :]
    return found


class Prepared:
    """A reader with its requests known beforehand."""

    def __init__(self, *requests: Request) -> None:
        self.requests = list(requests)
        self.cancelled: set[str] = set()

    def take(self, *, wait: bool) -> list[Request]:
        if wait and not self.requests:
            raise Exited
        found, self.requests = self.requests, []
        return found

    def is_cancelled(self, request_id: str) -> bool:
        return request_id in self.cancelled

    def forget(self, request_id: str) -> None:
        self.cancelled.discard(request_id)


def serve(*requests: Request) -> list[Event]:
    out = io.BytesIO()
    service = child.Service(Prepared(*requests), child.EventWriter(out))  # type: ignore[arg-type]
    with pytest.raises(Exited):
        service.run()
    return events_of(out.getvalue())


@pytest.fixture
def no_exit(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        raise Exited

    monkeypatch.setattr(os, "_exit", leave)
    return codes


def test_loads_then_generates(gpt2_dir: Path) -> None:
    events = serve(
        LoadRequest(model_dir=str(gpt2_dir)), GenerateRequest(id="g", prompt="a", params=PARAMS)
    )

    assert isinstance(events[0], LoadedEvent)
    assert [event.event for event in events] == [
        "loaded",
        "started",
        "token",
        "token",
        "ended",
        "done",
    ]
    assert isinstance(events[-1], DoneEvent)


def test_refuses_without_a_model_and_goes_on(tmp_path: Path) -> None:
    events = serve(
        GenerateRequest(id="g", prompt="a", params=PARAMS), LoadRequest(model_dir=str(tmp_path))
    )

    assert [(e.id, e.code) for e in events if isinstance(e, ErrorEvent)] == [
        ("g", "cannot_generate"),
        (None, "no_weights"),
    ]


def test_a_panic_is_told_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from inference.box import loading

    panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})

    def broken(*args: Any, **options: Any) -> Any:
        raise panic("index out of bounds\nmore")

    monkeypatch.setattr(loading, "load", broken)
    out = io.BytesIO()

    with pytest.raises(panic):
        child.Service(
            Prepared(LoadRequest(model_dir=str(tmp_path))),  # type: ignore[arg-type]
            child.EventWriter(out),
        ).run()

    (event,) = events_of(out.getvalue())
    assert isinstance(event, ErrorEvent)
    assert event.code == "bad_tokenizer"
    assert event.message.endswith("index out of bounds")


def test_any_other_failure_ends_it_untold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from inference.box import loading

    def broken(*args: Any, **options: Any) -> Any:
        raise KeyError("bug")

    monkeypatch.setattr(loading, "load", broken)

    with pytest.raises(KeyError):
        serve(LoadRequest(model_dir=str(tmp_path)))


class Slow(io.RawIOBase):
    """Gives one byte at a time, as a pipe may."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 1))


def test_requests_are_put_together_from_pieces() -> None:
    stream = Slow(pack(PingRequest()) + pack(CancelRequest(id="x")) + b"\0\0\0\5ab")

    assert child.read_request(stream) == PingRequest()
    assert child.read_request(stream) == CancelRequest(id="x")
    assert child.read_request(stream) is None  # cut off in the middle


def test_pings_are_answered_and_cancels_noted_beside_the_work(no_exit: list[int]) -> None:
    out = io.BytesIO()
    work = GenerateRequest(id="g", prompt="a", params=PARAMS)
    stream = Slow(pack(PingRequest()) + pack(work) + pack(CancelRequest(id="g")))
    reader = child.RequestReader(stream, child.EventWriter(out))

    with pytest.raises(Exited):
        reader._read()

    assert events_of(out.getvalue()) == [PongEvent()]
    assert reader.take(wait=True) == [work]
    assert reader.is_cancelled("g")
    reader.forget("g")
    assert not reader.is_cancelled("g")
    assert no_exit == [0]  # the end of input is the end


def test_the_reader_works_beside_the_main_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: queue.SimpleQueue[int] = queue.SimpleQueue()
    monkeypatch.setattr(os, "_exit", ended.put)
    work = LoadRequest(model_dir="/m")
    reader = child.RequestReader(Slow(pack(work)), child.EventWriter(io.BytesIO()))

    reader.start()

    assert reader.take(wait=True) == [work]
    assert ended.get(timeout=10) == 0


def setup_frame() -> bytes:
    return pack(SetupRequest(limits=BoxLimits(), readable=[], parent_pid=1))


@pytest.fixture
def descriptors(monkeypatch: pytest.MonkeyPatch) -> Callable[[], bytes]:
    """Keep this process' own output out of it."""
    read, write = os.pipe()
    own = SimpleNamespace(
        fdopen=os.fdopen, dup=lambda fd: write, dup2=lambda old, new: None, chdir=lambda path: None
    )
    monkeypatch.setattr(child, "os", own)
    monkeypatch.setattr(tempfile, "tempdir", None)

    def said() -> bytes:
        with os.fdopen(read, "rb") as stream:
            return stream.read(100_000)

    return said


def test_locks_in_before_it_says_hello_and_serves(
    descriptors: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = protocol.Protection(
        network="seccomp", files="open", syscalls=True, user="same", capabilities=False, notes=[]
    )
    served: list[str] = []
    monkeypatch.setattr(child, "lock_in", lambda setup: held)
    monkeypatch.setattr(child.RequestReader, "start", lambda self: served.append("reader"))
    monkeypatch.setattr(child.Service, "run", lambda self: served.append("serve"))

    assert child._run(Slow(setup_frame())) == 0

    assert served == ["reader", "serve"]
    assert events_of(descriptors()) == [HelloEvent(protection=held)]
    assert hardening.lock_in is not child.lock_in


def test_without_a_setup_it_does_nothing(descriptors: Callable[[], bytes]) -> None:
    assert child._run(Slow(pack(PingRequest()))) == 2
    assert descriptors() == b""


def test_main_leaves_at_once_with_the_status(
    no_exit: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "FileIO", lambda *args, **options: Slow(b""))
    monkeypatch.setattr(child, "_run", lambda requests: 0)

    with pytest.raises(Exited):
        child.main()

    assert no_exit == [0]


def test_main_prints_what_went_wrong(
    no_exit: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(requests: Any) -> int:
        raise ZeroDivisionError("the reason")

    monkeypatch.setattr(child, "FileIO", lambda *args, **options: Slow(b""))
    monkeypatch.setattr(child, "_run", fail)

    with pytest.raises(Exited):
        child.main()

    assert no_exit == [1]
    assert "ZeroDivisionError: the reason" in capsys.readouterr().err

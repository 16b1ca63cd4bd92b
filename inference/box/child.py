"""The child's main loop: ``python -m inference.box.child``.

Requests come in on standard input, events go out on what was standard output; anything a library
prints goes to standard error. The main thread works, all generations side by side; a second one
reads requests, so that cancel and ping work meanwhile. End of input is the end.
"""

import contextlib
import gc
import os
import queue
import sys
import tempfile
import threading
import time
import traceback
from io import FileIO, RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from inference.box import protocol
from inference.box.asking import Asking
from inference.box.hardening import lock_in
from inference.box.protocol import HEADER, WARM, Request

if TYPE_CHECKING:
    from inference.box.engine import Engine


_PANIC_MODULE = "pyo3_runtime"
"""A panic of Rust code (tokenizers, safetensors) comes as an exception of this module."""


class EventWriter:
    """Writes whole frames from any thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, *events: protocol.Event) -> None:
        """Write events at once."""
        if events:
            with self._lock:
                self._stream.write(b"".join(map(protocol.pack, events)))
                self._stream.flush()


def read_request(stream: RawIOBase) -> Request | None:
    """Return the next request, ``None`` at the end of input."""
    header = _read_exactly(stream, HEADER.size)
    if header is None:
        return None
    (length,) = HEADER.unpack(header)
    body = _read_exactly(stream, length)
    return None if body is None else protocol.parse_request(body)


def _read_exactly(stream: RawIOBase, size_bytes: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size_bytes:
        chunk = stream.read(size_bytes - len(parts))
        if not chunk:
            return None
        parts += chunk
    return bytes(parts)


class RequestReader:
    """Takes requests in as they come: answers pings, notes cancellations, queues the rest."""

    def __init__(self, stream: RawIOBase, writer: EventWriter) -> None:
        self._stream = stream
        self._writer = writer
        self._work: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._open: set[str] = set()
        self._cancelled: set[str] = set()

    def start(self) -> None:
        """Read until the input ends, beside the main thread."""
        threading.Thread(target=self._read, name="requests", daemon=True).start()

    def take(self, *, wait: bool) -> list[Request]:
        """Return what has come; with ``wait`` at least one request."""
        found = [self._work.get()] if wait else []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._work.get_nowait())
        return found

    def is_cancelled(self, request_id: str) -> bool:
        """Whether somebody asked to end this generation."""
        return request_id in self._cancelled

    def forget(self, request_id: str) -> None:
        """Drop what is known of a generation that has ended."""
        self._open.discard(request_id)
        self._cancelled.discard(request_id)

    def _read(self) -> None:
        while (request := read_request(self._stream)) is not None:
            if isinstance(request, protocol.PingRequest):
                self._writer.send(protocol.PongEvent())
            elif isinstance(request, protocol.CancelRequest):
                if request.id in self._open:  # not one that has ended meanwhile
                    self._cancelled.add(request.id)
            else:
                if isinstance(request, (protocol.GenerateRequest, Asking)):
                    self._open.add(request.id)
                self._work.put(request)
        os._exit(0)  # the other side is gone; a model in the middle of a step is not waited for


class Service:
    """Does what is asked: loads a model, and lets it write for everybody side by side."""

    def __init__(self, reader: RequestReader, writer: EventWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._engine: Engine | None = None
        self._began = time.monotonic()

    def run(self) -> None:
        """Work until the reader ends the process, with its input."""
        try:
            while True:
                is_idle = self._engine is None or self._engine.is_idle
                for request in self._reader.take(wait=is_idle):
                    self._accept(request)
                if self._engine is not None:
                    self._send(self._engine.step())
        except BaseException as exc:
            if type(exc).__module__ == _PANIC_MODULE:  # its state is not to be trusted: end after
                self._writer.send(self._panic(exc))
            raise

    def _accept(self, request: Request) -> None:
        from inference.box.loading import RefusedError

        request_id: str | None = getattr(request, "id", None)
        try:
            if isinstance(request, protocol.LoadRequest):
                self._load(request)
            elif isinstance(request, protocol.GenerateRequest):
                self._ready().add(request)
            elif isinstance(request, Asking):
                self._ready().ask(request)
        except RefusedError as exc:
            self._send([protocol.ErrorEvent(id=request_id, code=exc.code, message=exc.message)])

    def _ready(self) -> "Engine":
        from inference.box.loading import RefusedError

        if self._engine is None:
            raise RefusedError("cannot_generate", "No model is loaded yet.")
        return self._engine

    def _load(self, request: protocol.LoadRequest) -> None:
        from inference.box.engine import Engine
        from inference.box.loading import load

        model = load(request, since=self._began)
        self._began = time.monotonic()
        self._engine = Engine(model, self._reader.is_cancelled)
        gc.freeze()  # torch's hundred thousand objects stay: looking through them stops a step
        self._send([model.facts()])

    def _send(self, events: list[protocol.Event]) -> None:
        for event in events:
            if isinstance(event, protocol.LAST_EVENTS) and event.id:
                self._reader.forget(event.id)
        self._writer.send(*events)

    def _panic(self, exc: BaseException) -> protocol.ErrorEvent:
        line = str(exc).strip().splitlines()[:1]
        return protocol.ErrorEvent(
            id=(self._engine.working_on if self._engine is not None else "") or None,
            code="bad_tokenizer",
            message=f"The tokenizer or the weights broke their reader: {' '.join(line)[:500]}",
        )


def _warm_up() -> None:
    """Import what takes seconds. Only our own and the libraries' code runs; it starts no thread.

    Raises:
        RuntimeError: it did start one, which the locks that come later would not hold.
    """
    from inference.box import engine  # noqa: F401

    if len(list(Path("/proc/self/task").iterdir())) != 1:
        raise RuntimeError("A library has started a thread; a process with it cannot be locked in.")


def main() -> None:
    """Lock in, say so, serve; leave without the clean-up that threads of torch could hold up."""
    status = 1
    try:
        status = _run(FileIO(0, closefd=False))
    except BaseException:  # noqa: BLE001 - whatever it was, the other side reads it in the log
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _run(requests: RawIOBase) -> int:
    with os.fdopen(os.dup(1), "wb") as events:
        os.dup2(2, 1)  # what libraries print goes to the log
        writer = EventWriter(events)
        if WARM in sys.argv[1:]:
            _warm_up()
        setup = read_request(requests)
        if not isinstance(setup, protocol.SetupRequest):
            return 2
        os.chdir("/")
        tempfile.tempdir = "/nonexistent"  # nothing may be written; libraries ask when imported
        writer.send(protocol.HelloEvent(protection=lock_in(setup)))
        reader = RequestReader(requests, writer)
        reader.start()
        Service(reader, writer).run()
    return 0


if __name__ == "__main__":
    main()

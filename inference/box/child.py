"""The child's main loop: ``python -m inference.box.child``.

Requests come in on standard input, events go out on what was standard output; anything a library
prints goes to standard error. One generation runs at a time on the main thread; a second thread
reads requests, so that cancel and ping work meanwhile. End of input is the end.
"""

import os
import queue
import sys
import tempfile
import threading
import time
import traceback
from io import FileIO, RawIOBase
from typing import TYPE_CHECKING, BinaryIO

from inference.box import protocol
from inference.box.hardening import lock_in
from inference.box.protocol import HEADER, Request

if TYPE_CHECKING:
    from inference.box.loading import LoadedModel


_PANIC_MODULE = "pyo3_runtime"
"""A panic of Rust code (tokenizers, safetensors) comes as an exception of this module."""


class EventWriter:
    """Writes whole frames from any thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, event: protocol.Event) -> None:
        """Write one event at once."""
        with self._lock:
            self._stream.write(protocol.pack(event))
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
        self._work: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._cancelled: set[str] = set()

    def start(self) -> None:
        """Read until the input ends, beside the main thread."""
        threading.Thread(target=self._read, name="requests", daemon=True).start()

    def next(self) -> Request | None:
        """Wait for work; ``None`` is the end."""
        return self._work.get()

    def is_cancelled(self, request_id: str) -> bool:
        """Whether somebody asked to end this generation."""
        return request_id in self._cancelled

    def forget(self, request_id: str) -> None:
        """Drop a note about a generation that has ended."""
        self._cancelled.discard(request_id)

    def _read(self) -> None:
        while (request := read_request(self._stream)) is not None:
            if isinstance(request, protocol.PingRequest):
                self._writer.send(protocol.PongEvent())
            elif isinstance(request, protocol.CancelRequest):
                self._cancelled.add(request.id)
            else:
                self._work.put(request)
        os._exit(0)  # the other side is gone; a model in the middle of a step is not waited for


def serve(reader: RequestReader, writer: EventWriter) -> None:
    """Do what is asked, one thing after the other, until the input ends."""
    began = time.monotonic()
    from inference.box.generating import generate
    from inference.box.loading import RefusedError, load

    model: LoadedModel | None = None
    while (request := reader.next()) is not None:
        request_id = None
        try:
            if isinstance(request, protocol.LoadRequest):
                model = load(request, since=began)
                began = time.monotonic()
                writer.send(model.facts())
            elif isinstance(request, protocol.GenerateRequest):
                request_id = request.id
                for event in generate(_ready(model), request, reader.is_cancelled):
                    writer.send(event)
        except RefusedError as exc:
            writer.send(protocol.ErrorEvent(id=request_id, code=exc.code, message=exc.message))
        except BaseException as exc:
            if type(exc).__module__ == _PANIC_MODULE:  # its state is not to be trusted: end after
                writer.send(_panic(request_id, exc))
            raise
        finally:
            reader.forget(request_id or "")


def _panic(request_id: str | None, exc: BaseException) -> protocol.ErrorEvent:
    line = str(exc).strip().splitlines()[:1]
    return protocol.ErrorEvent(
        id=request_id,
        code="bad_tokenizer",
        message=f"The tokenizer or the weights broke their reader: {' '.join(line)[:500]}",
    )


def _ready(model: "LoadedModel | None") -> "LoadedModel":
    from inference.box.loading import RefusedError

    if model is None:
        raise RefusedError("cannot_generate", "No model is loaded yet.")
    return model


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
        setup = read_request(requests)
        if not isinstance(setup, protocol.SetupRequest):
            return 2
        os.chdir("/")
        tempfile.tempdir = "/nonexistent"  # nothing may be written; libraries ask when imported
        writer.send(protocol.HelloEvent(protection=lock_in(setup)))
        reader = RequestReader(requests, writer)
        reader.start()
        serve(reader, writer)
    return 0


if __name__ == "__main__":
    main()

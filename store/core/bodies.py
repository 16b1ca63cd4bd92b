"""Request bodies: read in pieces, bounded, whatever way the client frames them."""

import json
import re
import socket
from collections.abc import Iterator
from typing import Any, Protocol, cast

from django.http import HttpRequest, UnreadablePostError
from gunicorn.http.body import Body, LengthReader

from store.core.errors import InvalidError, TooLargeError

CHUNK_BYTES = 1024 * 1024
MAX_JSON_BYTES = 4 * 1024 * 1024
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class Readable(Protocol):
    """The reading half of a binary file."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes, empty at the end."""


class BrokenBodyError(InvalidError):
    """The client went away, or sent something that is not what it announced."""

    code = "broken_body"


def body_stream(request: HttpRequest) -> Readable:
    """Return the body as a file to read once, for ``Content-Length`` and chunked bodies alike."""
    environ = request.META
    body, connection = environ["wsgi.input"], environ.get("gunicorn.socket")
    if environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked":
        return cast("Readable", body)  # gunicorn ends it at the last chunk
    if isinstance(body, Body) and isinstance(body.reader, LengthReader) and connection:
        return SocketBody(body, connection)
    return cast("Readable", request)


class SocketBody:
    """A body of known length, read straight from gunicorn's socket into the reader's own memory.

    By way of ``wsgi.input`` every byte is copied six times, which costs a second of processor time
    for each gigabyte. gunicorn is told what was taken, so the connection stays good: whatever is
    left is read and thrown away before the next request.

    Args:
        body: What gunicorn made of the request; only what it read ahead is taken through it.
        connection: The socket it reads from.
    """

    def __init__(self, body: Any, connection: socket.socket) -> None:
        self._body = body
        self._socket = connection

    def readinto(self, target: memoryview, /) -> int:
        """Put what comes next, at least one byte, at the start of ``target``.

        Returns:
            How many bytes came; 0 at the end, or when the client went away.
        """
        left = self._body.reader
        room = min(len(target), left.length)
        held = left.unreader.buf.getbuffer().nbytes
        if not room:
            return 0
        if held:
            data = self._body.read(min(room, held))
            target[: len(data)] = data
            return len(data)
        came = self._socket.recv_into(target, room)
        left.length -= came
        return came

    def read(self, size: int = -1, /) -> bytes:
        """Return the next ``size`` bytes, fewer at the end; all that is left for ``-1``."""
        due = self._body.reader.length
        target = memoryview(bytearray(due if size < 0 else min(size, due)))
        filled = 0
        while filled < len(target) and (came := self.readinto(target[filled:])):
            filled += came
        return bytes(target[:filled])


def body_length(request: HttpRequest) -> int | None:
    """Return the announced size in bytes, ``None`` for chunked bodies."""
    announced = request.META.get("CONTENT_LENGTH") or ""
    return int(announced) if announced.isdigit() else None


def body_chunks(request: HttpRequest, *, max_bytes: int) -> Iterator[bytes]:
    """Yield the body in pieces of at most 1 MiB.

    Raises:
        TooLargeError: it is larger than ``max_bytes``.
        BrokenBodyError: the connection broke.
    """
    announced = body_length(request)
    if announced is not None and announced > max_bytes:
        raise TooLargeError(f"The body is larger than {max_bytes} bytes.", max_bytes=max_bytes)
    stream, total = body_stream(request), 0
    while True:
        try:
            chunk = stream.read(CHUNK_BYTES)
        except (UnreadablePostError, OSError) as exc:
            raise BrokenBodyError("The connection broke while sending. Send it again.") from exc
        if not chunk:
            return
        total += len(chunk)
        if total > max_bytes:
            raise TooLargeError(f"The body is larger than {max_bytes} bytes.", max_bytes=max_bytes)
        yield chunk


def read_json(request: HttpRequest, *, max_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """Return the body as a JSON object; an empty body is an empty object.

    Raises:
        TooLargeError: it is larger than ``max_bytes``.
        BrokenBodyError: it is not a JSON object.
    """
    value = _parsed(request, max_bytes, empty={})
    if not isinstance(value, dict):
        raise BrokenBodyError("The body must be a JSON object.")
    return value


def read_json_list(request: HttpRequest, *, max_bytes: int = MAX_JSON_BYTES) -> list[Any]:
    """Return the body as a JSON array; an empty body is an empty one.

    Raises:
        TooLargeError: it is larger than ``max_bytes``.
        BrokenBodyError: it is not a JSON array.
    """
    value = _parsed(request, max_bytes, empty=[])
    if not isinstance(value, list):
        raise BrokenBodyError("The body must be a JSON array.")
    return value


def load_json(raw: bytes) -> Any:
    """Return the value of a JSON text, of which every string is text that can be stored and sent.

    JSON can write half a character: a surrogate without its other half, which no UTF-8 has.

    Raises:
        ValueError, RecursionError: it is no JSON in UTF-8.
        BrokenBodyError: a string has half a character.
    """
    text = raw.decode("utf-8-sig")
    value = json.loads(text)
    if _ESCAPED_SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as exc:
            raise BrokenBodyError(
                "The body has half a character (an unpaired surrogate). Take it out."
            ) from exc
    return value


def _parsed(request: HttpRequest, max_bytes: int, *, empty: Any) -> Any:
    raw = b"".join(body_chunks(request, max_bytes=max_bytes))
    if not raw:
        return empty
    try:
        value = load_json(raw)
    except (ValueError, RecursionError) as exc:
        raise BrokenBodyError("The body is not valid JSON.") from exc
    if b"\\u0000" in raw:  # PostgreSQL has no such character
        raise BrokenBodyError("The body contains a NUL character.")
    return value

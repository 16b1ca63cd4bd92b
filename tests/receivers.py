"""Receivers of webhooks on loopback: good ones, slow ones, hostile ones."""

import contextlib
import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

Answer = Callable[[socket.socket, int], None]
"""Writes an answer; the number says which request it is, from 1."""


@dataclass(frozen=True)
class Received:
    """One request."""

    line: str
    headers: dict[str, str]
    body: bytes
    at: float


def status(*codes: int) -> Answer:
    """Answer with one status after the other; the last one for ever."""

    def answer(connection: socket.socket, number: int) -> None:
        code = codes[min(number, len(codes)) - 1]
        connection.sendall(f"HTTP/1.1 {code} X\r\nContent-Length: 2\r\n\r\nok".encode())

    return answer


def redirect(target: str) -> Answer:
    """Send the caller elsewhere."""

    def answer(connection: socket.socket, _number: int) -> None:
        line = f"HTTP/1.1 307 X\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(line.encode())

    return answer


def hang(connection: socket.socket, _number: int) -> None:
    """Say nothing until the caller goes away."""
    connection.settimeout(60)
    with contextlib.suppress(OSError):
        connection.recv(1)


def drip(connection: socket.socket, _number: int) -> None:
    """Send a byte of a header now and then."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(600):
        connection.sendall(b"a")
        time.sleep(0.1)


def drip_body(connection: socket.socket, _number: int) -> None:
    """Send a byte of the body now and then."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(600):
        connection.sendall(b"a")
        time.sleep(0.1)


def endless(connection: socket.socket, _number: int) -> None:
    """Send a body that has no end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"a" * 65536)


def gzip_bomb(connection: socket.socket, _number: int) -> None:
    """Send 50 kB that are 50 MB once unpacked."""
    packed = gzip.compress(b"\0" * 50_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
    connection.sendall(head.encode() + packed)


def many_headers(connection: socket.socket, _number: int) -> None:
    """Send ten thousand headers."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(10_000):
        connection.sendall(f"X-{number}: aaaaaaaaaa\r\n".encode())
    connection.sendall(b"Content-Length: 0\r\n\r\n")


def long_header(connection: socket.socket, _number: int) -> None:
    """Send one header of a megabyte."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 1_000_000 + b"\r\n\r\n")


def many_continues(connection: socket.socket, _number: int) -> None:
    """Say "go on" for ever."""
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def no_http(connection: socket.socket, _number: int) -> None:
    """Speak another protocol."""
    connection.sendall(b"220 mail.example.org ESMTP\r\n")


def close(connection: socket.socket, _number: int) -> None:
    """Go away without a word."""


def cut(connection: socket.socket, _number: int) -> None:
    """Go away in the middle."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")


class Receiver:
    """A server of its own for each connection's thread; counts who connects.

    Args:
        answer: What it does once it has read a request.
        host: Address to listen on.
        tls: Speaks TLS with this context.
        port: 0: any free one.
    """

    def __init__(
        self,
        answer: Answer | None = None,
        *,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        self.answer = answer or status(200)
        self.requests: list[Received] = []
        self.connections = 0
        self._tls = tls
        self._lock = threading.Lock()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=200)
        self.host, self.port = host, self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}/hook"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        # Closing alone does not wake a thread that waits in accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=5)

    def wait_for(self, count: int = 1, *, within_s: float = 60) -> list[Received]:
        """Return the requests once there are ``count``."""
        until = time.monotonic() + within_s
        while len(self.requests) < count:
            assert time.monotonic() < until, f"{len(self.requests)} of {count} requests came"
            time.sleep(0.02)
        return self.requests

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            received = _read(connection)
            if received is None:
                return
            with self._lock:
                self.requests.append(received)
                number = len(self.requests)
            self.answer(connection, number)
        except OSError:  # the caller had enough
            return
        finally:
            _hang_up(connection)


def _read(connection: socket.socket) -> Received | None:
    connection.settimeout(60)
    file = connection.makefile("rb")
    line = file.readline().decode().strip()
    if not line:
        return None
    headers = {}
    while header := file.readline().decode().strip():
        name, _, value = header.partition(": ")
        headers[name.lower()] = value
    body = file.read(int(headers.get("content-length", 0)))
    file.close()
    return Received(line, headers, body, time.monotonic())


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
